"""The doctor's verdict agrees with the outcome of the build, for a catalogue of defects in every source."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import InputError
from pipeline.preparation.build_dataset import build_dataset
from pipeline.preparation.check_sources import check_sources
from pipeline.preparation.doctor.findings import Report
from pipeline.sources import vqla
from pipeline.study.loading import make_study
from pipeline.study.models import Study
from tests.pipeline.small_defects import CATALOGUE, DEFAULTS, RELEASE, SOURCES, Defect, cut_off, nothing
from tests.pipeline.small_trees import IMAGE, few_2018, put, put_text, write_few_2017, write_few_2018, write_few_own
from tests.sampled import one_in

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
        settings["datasets"][trained] = {"split": "given"}
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


@pytest.mark.parametrize("defect", one_in(5, CATALOGUE), ids=lambda defect: f"{defect.source}: {defect.name}")
def test_the_doctors_verdict_is_the_outcome_of_the_build(
    defect: Defect, minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset, write = SOURCES[defect.source]
    named = defect.does(write(tmp_path / "raw" / defect.source))
    study = study_of(minimal(), defect, tmp_path / "raw" / defect.source)
    report = check_sources(study, [dataset], defect.deep)
    try:
        build_dataset(study, dataset)
        built, why = True, ""
    except InputError as error:
        built, why = False, str(error)
    assert report.usable == built == (not defect.remedy), f"{errors(report)} / {why}"
    for said in (errors(report), why) if defect.remedy else ():
        assert re.search(defect.remedy, said, re.DOTALL), said
        assert named is None or str(named) in said, said
    if defect.deep:
        assert check_sources(study, [dataset]).usable, "a sample of the folder does not find it"


def test_too_few_validation_frames_are_reported_before_training(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = Defect("own", "no sequences, four frames of each activity", nothing)
    study = study_of(minimal(), few, write_few_own(tmp_path / "own"))
    rows = [line.split(",") for line in (tmp_path / "own/labels.csv").read_text().splitlines()]
    # Neither a column nor names tell sequences.
    for path in [*(tmp_path / "own").glob("*/*")]:
        path.rename(path.with_name(path.name.replace("_", "")))
    lines = [f"{name.replace('_', '')},{activity},{split}\n" for name, activity, _, split in rows]
    put_text(tmp_path / "own/labels.csv", "".join(lines))
    assert check_sources(study, ["mine"]).usable
    settings = json.loads(json.dumps(study.as_dict()))
    settings["training"]["select_on"] = "val"
    choosing = make_study(settings)
    said = errors(check_sources(choosing, ["mine"]))
    assert re.search("0 of 8 training frames are for validation.*Give more frames, or use select_on: last", said)
    with pytest.raises(InputError, match="0 of 8 training frames are for validation"):
        build_dataset(choosing, "mine")


def test_the_doctor_reports_only_missing_data_that_the_datasets_need(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_few_2017(tmp_path / "raw")
    parts, gen = (study_of(minimal(), Defect(source, "", nothing), root) for source in ("parts", "gen"))
    (source,) = check_sources(parts, ["endovis2017_parts"]).sources
    assert source.state == "complete" and not source.missing and "with type masks" not in source.found
    source = check_sources(gen, ["mtlendovis_gen"]).sources[0]
    assert "with parts masks" not in source.found
    assert source.missing[0] == "instrument_dataset_1: 6 of 8 annotated frames, or their type masks"


def test_frames_without_annotation_are_not_reported_as_missing(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """These are seq_13, the first frames of seq_1, and labels of frames without annotation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vqla, "FRAMES_2018", len(few_2018()))
    root = write_few_2018(tmp_path / "raw")
    study = study_of(minimal(), Defect("2018", "", nothing), root)
    put(root / RELEASE / "seq_1/left_frames/frame099.png", IMAGE)
    (endovis2018,) = (part for part in check_sources(study, ["mtlendovis"]).sources if part.source == "endovis2018")
    assert endovis2018.missing[-1] == "release 4: seq_14, seq_15, seq_16"
    assert not any("seq_1:" in missing or "label" in missing for missing in endovis2018.missing)
    assert not [finding for finding in endovis2018.findings if finding.level == "warning"]


def test_frames_that_are_left_out_count_for_the_split(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two training frames one cannot be read. Doctor and build report before training that one frame is too few."""
    monkeypatch.chdir(tmp_path)
    root = write_few_own(tmp_path / "own")
    rows = (root / "labels.csv").read_text().splitlines()
    put_text(root / "labels.csv", "\n".join([rows[0], rows[1], rows[2], rows[3]]) + "\n")
    study = study_of(minimal(), Defect("own", "", nothing, dataset={"skip_bad": True}), root)
    assert check_sources(study, ["mine"]).usable
    cut_off(root / "masks/case0_00.png")
    words = "leaves 1 of 2 frames to train on; expected at least 2"
    assert words in errors(check_sources(study, ["mine"]))
    with pytest.raises(InputError, match=words):
        build_dataset(study, "mine")
