"""The doctor's verdict is the build's outcome: over a catalogue of defects in every source, the two say the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.doctor.findings import Report
from pipeline.errors import InputError
from pipeline.steps.build_dataset import build
from pipeline.steps.examine_sources import examine
from pipeline.study import Study, make_study
from tests.pipeline.small_defects import CATALOGUE, DEFAULTS, SOURCES, Defect

OWN = {"classes": ["background", "knife", "forceps"], "activities": ["cut", "idle"]}
RAW = {
    "esd": ("esd",),
    "released": ("released_mtlendovis",),
    "2018": ("endovis2018", "vqla2018"),
    "gen": ("endovis2017", "vqla2017"),
    "parts": ("endovis2017",),
}


def study_of(settings: dict[str, Any], defect: Defect, root: Path) -> Study:
    dataset, _ = SOURCES[defect.source]
    given = {**DEFAULTS.get(defect.source, {}), **defect.dataset}
    if defect.source == "own":
        given["plain"] = {"root": str(root), **OWN}
    settings["raw"] = {**{source: str(root) for source in RAW.get(defect.source, ())}, **defect.raw}
    settings["datasets"] = {dataset: given}
    trained = {"mtlendovis_gen": "mtlendovis"}.get(dataset, dataset)
    if trained != dataset:
        settings["datasets"][trained] = {"split": "released"}
        settings["raw"]["released_mtlendovis"] = str(root)
    settings["training"] = {"schedules": {trained: {"epochs": 3, "learning_rate": 0.001}}}
    settings["cells"][0] |= {"datasets": [trained], "architectures": ["single_segmentation"]}
    return make_study(settings)


def errors(report: Report) -> str:
    return "\n".join(finding.text for part in report.datasets for finding in part.findings if finding.level == "error")


def test_the_catalogue_covers_every_source() -> None:
    stopping = Counter(defect.source for defect in CATALOGUE if defect.remedy)
    assert set(stopping) == set(SOURCES) and sum(stopping.values()) >= 40
    assert len({(defect.source, defect.name) for defect in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize("defect", CATALOGUE, ids=lambda defect: f"{defect.source}: {defect.name}")
def test_the_verdict_is_the_outcome(
    defect: Defect, minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset, write = SOURCES[defect.source]
    named = defect.does(write(tmp_path / "raw" / defect.source))
    study = study_of(minimal(), defect, tmp_path / "raw" / defect.source)
    report = examine(study, [dataset], defect.deep)
    try:
        build(study, dataset)
        built, why = True, ""
    except InputError as error:
        built, why = False, str(error)
    assert report.usable == built == (not defect.remedy), f"{errors(report)} / {why}"
    for said in (errors(report), why) if defect.remedy else ():
        assert re.search(defect.remedy, said, re.DOTALL), said
        assert named is None or str(named) in said, said
    if defect.deep:
        assert examine(study, [dataset]).usable, "a sample of the folder does not find it"
