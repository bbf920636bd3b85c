"""Running Snakemake as people do, in a folder that looks like a fresh checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = (
    "corruptions",
    "endoarss",
    "reports",
    "pipeline",
    "profiles",
    "studies",
    "Snakefile",
    "params.yaml",
    "environment.yml",
)


@pytest.fixture(scope="session")
def link_checkout() -> Callable[[Path], Path]:
    """Fill a folder with links to the code: nothing is built in it."""

    def link(folder: Path) -> Path:
        for name in KEPT:
            (folder / name).symlink_to(ROOT / name)
        return folder

    return link


@pytest.fixture(scope="session")
def snakemake() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Snakemake in a folder, on the code that lies there, with its output captured."""

    def run(
        folder: Path, *arguments: str, study: str = "", without: str = "", cores: int | None = 2
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != without}
        environment |= {"PATH": f"{Path(sys.executable).parent}:{environment['PATH']}", "PYTHONPATH": str(folder)}
        command = [sys.executable, "-m", "snakemake", *arguments]
        command += ["--cores", str(cores)] if cores else []
        command += ["--configfile", study] if study else []
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run
