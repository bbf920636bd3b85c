"""The wheel holds all that `import corruptions` and `import endoarss.metrics` need, and asks for no more than they use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("corruptions", "endoarss", "pipeline", "reports")
TEST_TOOLS = ("hypothesis", "psutil", "pytest")
# Tests of metrics that compare with no other library.
METRICS = ("test_calibration.py", "test_counts.py")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Build the wheel and install it, without any extra, into an empty environment.

    Returns:
        A function that runs a program of that environment, outside of the checkout, whose packages would be imported instead.
    """
    folder = tmp_path_factory.mktemp("wheel")
    uv, source, programs = Path(sys.executable).with_name("uv"), folder / "source", folder / "env/bin"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*command: str | Path, where: Path = folder) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=where, env=environment, check=False, capture_output=True, text=True)

    for command in (
        [uv, "build", "--wheel", "--build-constraints", ROOT / "requirements.lock", "--out-dir", folder, source],
        [uv, "venv", "--python", sys.executable, folder / "env"],
    ):
        assert (done := run(*command)).returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    install = [uv, "pip", "install", "--python", programs / "python", "--constraints", ROOT / "requirements.txt"]
    assert (done := run(*install, wheel, *TEST_TOOLS)).returncode == 0, done.stderr
    return lambda program, *arguments, **where: run(programs / program, *arguments, **where)


def test_the_corruptions_and_the_metrics_pass_their_tests(small: Run, tmp_path: Path) -> None:
    for name in ("pyproject.toml", "tests/conftest.py", "tests/stored_pictures.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "tests/corruptions", tmp_path / "tests/corruptions")
    for name in (
        "test_against_reference.py",
        "test_random_corruption.py",
    ):  # all of them need an extra: reference, train
        (tmp_path / "tests/corruptions" / name).unlink()
    (tmp_path / "tests/metrics").mkdir()
    for name in METRICS:
        shutil.copy(ROOT / "tests/endoarss" / name, tmp_path / "tests/metrics" / name)
    # That command reads studies; the recipe is followed in a copy of the checkout.
    chosen = ("-m", "not slow and not long", "-k", "not pipeline.cli and not recipe")
    done = small("python", "-m", "pytest", "-q", *chosen, where=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(done.stdout.split(" passed")[0].split()[-1].strip(",")) > 500, done.stdout[-300:]


def test_both_commands_work_and_say_what_they_need(small: Run) -> None:
    listed = small("corruptions", "list")
    assert listed.returncode == 0 and "gaussian_noise" in listed.stdout
    assert small("endoarss", "list", "--help").returncode == 0
    for command, extra in (("predict", "train"), ("list", "workflow"), ("report", "report")):
        refused = small("endoarss", command, *(["x.safetensors", "in", "out"] if command == "predict" else []))
        assert refused.returncode == 1 and f"pip install 'endoarss[{extra}]'\n" in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr


def test_every_package_can_be_imported(small: Run) -> None:
    done = small("python", "-c", "import corruptions, endoarss, endoarss.metrics, pipeline, reports")
    assert done.returncode == 0, done.stderr
    refused = small("python", "-c", "from endoarss import build_model")
    assert refused.stderr.endswith("endoarss.build_model needs torch: pip install 'endoarss[train]'\n"), refused.stderr
