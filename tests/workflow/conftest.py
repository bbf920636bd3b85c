"""Running Snakemake as people do, in a folder that looks like a fresh checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.workflow.recorded import make_repository

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


@pytest.fixture(scope="module")
def recorded(
    made_once: Callable[[str, Callable[[Path], None]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A miniature of the project in a real repository: run, recorded, committed. Run once, a copy for each file of tests."""
    made = made_once("recorded", make_repository)
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("recorded") / "origin", symlinks=True))


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
        command = [sys.executable, "-m", "snakemake", "--printshellcmds", *arguments]  # its own messages, not the page
        command += ["--cores", str(cores)] if cores else []
        command += ["--configfile", study] if study else []
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def small_study() -> Callable[..., str]:
    """The text of a study of one narrow ResNet on generated ESD frames, named, with some of its settings replaced."""

    def text(name: str, **changes: object) -> str:
        resnet = {"label": "R", "model": "resnet26", "arguments": {"channels": [8, 8, 12, 16]}, "weights": "none"}
        cells = {"datasets": ["mtlesd"], "backbones": ["resnet"], "architectures": ["hps"], "weightings": ["equal"]}
        cells |= {key: changes.pop(key) for key in list(changes) if key in cells}  # type: ignore[misc]
        study = {
            "study": name,
            "title": name.capitalize(),
            "raw": {"generate": {"name": name, "seed": 5, "height": 64, "width": 80, "esd_frames": 20}},
            "datasets": {"mtlesd": {}},
            "input_size": 56,
            "backbones": {"resnet": resnet},
            "heads": {"segmentation_channels": 16, "activity_channels": 16},
            "training": {"schedules": {"mtlesd": {"epochs": 2, "learning_rate": 0.001}}},
            "cells": [cells],
        }
        return yaml.safe_dump(study | changes, sort_keys=False)

    return text
