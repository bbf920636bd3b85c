"""The recipes of CONTRIBUTING.md, each followed to the letter: one file more, no other touched, and the registry-wide tests pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RECIPES = {
    "A weighting": "endoarss/weightings/unit_gradients.py",
    "An architecture": "endoarss/architectures/task_convolutions.py",
    "A backbone": "endoarss/backbones/my_convnext.py",
    "A merger": "endoarss/merging/largest.py",
    "A corruption": "corruptions/operators/mist.py",
}
FILES = ("tests/endoarss", "tests/corruptions", "tests/pipeline/study")


def recipe(section: str) -> str:
    """Return the whole file that a section of CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}$(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    (code,) = re.findall(r"^```python\n(\"\"\".*?)^```$", body, re.DOTALL | re.MULTILINE)
    return str(code)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with one file more for each recipe."""
    folder = tmp_path_factory.mktemp("recipes")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in (
        "corruptions",
        "endoarss",
        "reports",
        "pipeline",
        "benchmarks",
        "tests",
        "studies",
        "docs",
        "profiles",
        ".dvc",
    ):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in (
        "pyproject.toml",
        "params.yaml",
        "Snakefile",
        "dvc.yaml",
        "CONTRIBUTING.md",
        "environment.yml",
        "requirements.lock",
    ):
        shutil.copy(ROOT / name, folder / name)
    if (ROOT / ".mypy_cache").is_dir():  # what `make lint` left: mypy then reads the new files alone
        shutil.copytree(ROOT / ".mypy_cache", folder / ".mypy_cache")
    for section, path in RECIPES.items():
        (folder / path).write_text(recipe(section), encoding="utf-8")
    return folder


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_the_recipes_pass_the_registry_wide_tests(copy: Path) -> None:
    new = " or ".join(Path(path).stem for path in RECIPES.values())
    options = ("-p", "no:cacheprovider", "-m", "not long", "-k", f"{new} or registry or Known or unknown")
    said = run(copy, "-m", "pytest", "-q", *options, *FILES)
    assert int(re.findall(r"(\d+) passed", said)[0]) > 100


@pytest.mark.slow
def test_the_recipes_are_style_and_types(copy: Path) -> None:
    files = list(RECIPES.values())
    run(copy, "-m", "ruff", "check", *files)
    run(copy, "-m", "ruff", "format", "--check", *files)
    run(copy, "-m", "mypy", *files)


@pytest.mark.slow
def test_the_recipes_are_listed_and_named_in_studies(copy: Path) -> None:
    said = run(copy, "-m", "pipeline.cli", "list")
    for section, path in RECIPES.items():
        assert section == "A corruption" or path in said, path
