"""A metric is added in two files, its function and its entry, and stands in every table, comparison, figure and page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUNCTION = '''

def specificity(counts: Counts) -> Array:
    """Return of each label the share of what does not have it that is predicted so: (..., 3, K) to (..., K)."""
    both, truth, predicted = (counts[..., k, :] for k in range(3))
    others = truth.sum(axis=-1, keepdims=True) - truth
    return share(others - predicted + both, others)


def mean_specificity(counts: Counts) -> Array:
    """Return the mean of `specificity`: (..., 3, K) to (...)."""
    return mean_of_known(specificity(counts))
'''
ENTRY = '    Metric("specificity", "Specificity", PIXELS, counts.mean_specificity, counts.specificity),\n'
BEFORE = '    _Distance(HD, "HD"'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project's code with one metric more."""
    for folder in ("corruptions", "endoarss", "pipeline", "reports"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    functions, catalogue = (tmp_path / "endoarss/metrics" / name for name in ("counts.py", "catalogue.py"))
    functions.write_text(functions.read_text(encoding="utf-8") + FUNCTION, encoding="utf-8")
    entries = catalogue.read_text(encoding="utf-8")
    assert entries.count(BEFORE) == 1
    catalogue.write_text(entries.replace(BEFORE, ENTRY + BEFORE), encoding="utf-8")
    return tmp_path


def places_in(folder: Path) -> dict[str, list[str]]:
    """What each place shows in a copy of the project."""
    shutil.copy(Path(__file__).with_name("places_of_metrics.py"), folder)
    script = [sys.executable, "places_of_metrics.py"]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_metric_of_two_files_stands_everywhere(project: Path) -> None:
    places = places_in(project)
    lacking = {place: names for place, names in places.items() if not any("pecificity" in name for name in names)}
    assert not lacking, lacking
    assert all(any("iou" in name.lower() for name in names) for names in places.values()), "what they showed before"
