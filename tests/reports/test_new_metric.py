"""A metric is added in two files, its function and its entry, and stands in every table, comparison, figure and page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class NewMetric:
    """What is written for a metric.

    Attributes:
        function: Its functions, at the end of `file`.
        entries: Lines of catalogue.py, each with what is written before it.
    """

    title: str
    file: str
    function: str
    entries: Mapping[str, str]


OF_COUNTS = NewMetric(
    "restraint",
    "counts.py",
    '''

def restraint(counts: Counts) -> Array:
    """Return of each label the share of what does not have it that is predicted so: (..., 3, K) to (..., K)."""
    both, truth, predicted = (counts[..., k, :] for k in range(3))
    others = truth.sum(axis=-1, keepdims=True) - truth
    return share(others - predicted + both, others)


def mean_restraint(counts: Counts) -> Array:
    """Return the mean of `restraint`: (..., 3, K) to (...)."""
    return mean_of_known(restraint(counts))
''',
    {
        '    _DistanceMetric(HD, "HD"': '    Metric("restraint", "Restraint", PIXELS, counts.mean_restraint, counts.restraint),\n'
    },
)
# One that is measured in the masks of each image, and so has columns of its own in saved rows.
OF_IMAGES = NewMetric(
    "agreement",
    "areas.py",
    '''
"""How alike the areas of truth and prediction are."""

import numpy as np


def agreement_of_areas(truth, prediction, classes):
    """Return of each class the smaller area by the larger, (C,)."""
    areas = np.stack([np.bincount(mask.ravel(), minlength=256)[:classes] for mask in (truth, prediction)])
    largest = areas.max(axis=0)
    found = np.divide(areas.min(axis=0), largest, out=np.full(classes, np.nan), where=largest > 0)
    return (found,)
''',
    {
        "from endoarss.metrics.calibration": "from endoarss.metrics.areas import agreement_of_areas\n",
        "    Measurement((SSIM,)": '    Measurement(("agreement",), agreement_of_areas),\n',
        '    _DistanceMetric(HD, "HD"': '    _MeanOfImages("agreement", "Agreement", "agreement"),\n',
    },
)


def project_with(new: NewMetric, folder: Path) -> Path:
    """Copy the project's code and write a metric into it."""
    for name in ("corruptions", "endoarss", "pipeline", "reports"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "endoarss/metrics" / new.file).open("a", encoding="utf-8") as file:
        file.write(new.function)
    catalogue = folder / "endoarss/metrics/catalogue.py"
    text = catalogue.read_text(encoding="utf-8")
    for before, entry in new.entries.items():
        assert text.count(before) == 1, before
        text = text.replace(before, entry + before)
    catalogue.write_text(text, encoding="utf-8")
    return folder


def places_in(project: Path) -> dict[str, list[str]]:
    """What each place shows in a copy of the project."""
    shutil.copy(Path(__file__).with_name("places_of_metrics.py"), project)
    script = [sys.executable, "places_of_metrics.py"]
    done = subprocess.run(script, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("new", [OF_COUNTS, OF_IMAGES], ids=["of counts", "of images"])
@pytest.mark.slow
def test_a_metric_of_two_files_stands_everywhere(new: NewMetric, tmp_path: Path) -> None:
    places = places_in(project_with(new, tmp_path))
    lacking = [place for place, names in places.items() if not any(new.title in name.lower() for name in names)]
    assert not lacking, f"not in {', '.join(lacking)}"
    assert all(any("iou" in name.lower() for name in names) for names in places.values()), "what they showed before"
