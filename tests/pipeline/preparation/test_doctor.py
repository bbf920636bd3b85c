"""The doctor on good, partial and broken trees. It names every fault and guesses nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.cli import main
from pipeline.io.images import write_png
from pipeline.preparation.build_dataset import collect
from pipeline.preparation.check_sources import check_sources
from pipeline.preparation.doctor.findings import ERROR, Report, SourceReport
from pipeline.preparation.doctor.sources import _CHECKS, Need, inspect_source
from pipeline.sources import endovis2018
from pipeline.sources.contacts import CONTACTS, PLAIN
from pipeline.study.loading import make_study
from pipeline.study.models import Study

RAW = {
    "endovis2018": "endovis2018",
    "vqla2018": "endovis2018",
    "endovis2017": "endovis2017",
    "vqla2017": "endovis2017",
    "esd": "esd",
    "released_mtlendovis": "released_mtlendovis",
}


@pytest.fixture
def copy(trees: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trees, tmp_path / "raw"))


@pytest.fixture
def make(minimal: Callable[..., dict[str, Any]]) -> Callable[..., Study]:
    def study(root: Path, **datasets: Any) -> Study:
        datasets = datasets or {"mtlendovis": {}, "mtlendovis_gen": {}}
        raw = {source: str(root / folder) for source, folder in RAW.items()}
        return make_study(minimal(raw=raw, datasets={"mtlesd": {}, **datasets}))

    return study


def texts(report: Report, level: str) -> list[str]:
    return [finding.text for part in report.all_reports for finding in part.findings if finding.level == level]


def test_a_good_tree(make: Callable[..., Study], trees: Path) -> None:
    report = check_sources(make(trees, mtlendovis={}, mtlendovis_gen={}), ["mtlendovis", "mtlendovis_gen"], deep=True)
    assert report.usable and not texts(report, "error") and not texts(report, "warning")
    sources = {part.source: part for part in report.sources}
    assert sources["endovis2018"].found["types (annotations)"].endswith("native2018")
    assert any("id scheme compatible2017. instrument_labels_2017: ids 1" in text for text in texts(report, "note"))
    assert sources["endovis2018"].state == "partial", "a miniature is not the whole download"
    dataset = report.datasets[0]
    assert dataset.frames == 52 and dataset.expected == 1996 and all(dataset.classes.values())
    assert dataset.left_out == {"no annotation: the frame does not belong to the dataset": 8}
    json.dumps(report.as_dict())


def test_the_report_for_programs_has_the_keys_of_its_documentation(make: Callable[..., Study], trees: Path) -> None:
    report = check_sources(make(trees), ["mtlesd", "mtlendovis"], deep=False).as_dict()
    page = (Path(__file__).parents[3] / "docs/real-data.md").read_text(encoding="utf-8")
    told = page.split("`--json FILE` writes the same report")[1].split("\n\n")[0]
    named = re.findall("`([a-z_ ]+)`", told)
    found = {key for source in report["sources"] for key in source["found"]}
    assert set(named) <= {*report, *report["sources"][0], *report["datasets"][0], *found}
    assert all({"frames", "annotated frames"} & source["found"].keys() for source in report["sources"])


def test_without_deep_a_sample_of_every_folder_is_decoded(
    make: Callable[..., Study], trees: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import ImageFile

    decoded: set[Path] = set()
    real = ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda self: (self.fp and decoded.add(Path(self.fp.name)), real(self))[1]
    )
    study = make(trees, mtlendovis={}, mtlendovis_gen={})
    assert check_sources(study, ["mtlendovis", "mtlendovis_gen", "mtlesd"]).usable
    for dataset in ("mtlendovis", "mtlendovis_gen", "mtlesd"):
        read = [path for sample in collect(study, dataset)[0].samples for path in sample.files if path.suffix == ".png"]
        assert {path.parent for path in read} <= {path.parent for path in decoded}
    esd = [path for path in trees.rglob("esd/*/*/image/*.png") if path in decoded]
    assert 3 * 2 <= len(esd) < len(list(trees.rglob("esd/*/*/image/*.png")))


def test_a_partial_tree_says_what_is_missing_and_where_to_ask(
    make: Callable[..., Study], copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy / "endovis2018"
    shutil.rmtree(root / "miccai_challenge_release_2")
    shutil.rmtree(root / "miccai_challenge_2018_release_1/seq_2/left_frames")
    report = check_sources(make(copy, mtlendovis={}), ["mtlendovis"])
    assert report.usable and report.datasets[0].state == "partial"
    missing = report.sources[0].missing
    assert "release 2: seq_5, seq_6, seq_7" in missing and "release 1: seq_2" in missing
    (left_out,) = [text for text in texts(report, "warning") if "has no image" in text]
    assert left_out.startswith("16 frames are left out: the frame is annotated, but has no image")
    from pipeline.preparation.doctor.show import show

    said = show(report)
    assert (
        "grand-challenge.org (register, then Downloads)" in said and "Can be built, but incomplete: mtlendovis" in said
    )


def test_broken_trees_name_every_fault(make: Callable[..., Study], copy: Path) -> None:
    root = copy / "endovis2018"
    tree = endovis2018.read_tree(root)
    frames = [frame for frame in tree.frames.values() if frame.label and frame.sequence in (3, 4, 5)]
    frames[0].label.unlink()
    frames[1].image.write_bytes(b"no picture")
    write_png(frames[2].image, np.zeros((10, 12, 3), np.uint8))
    truncated = frames[3].image
    truncated.write_bytes(truncated.read_bytes()[:-4000])
    texts_2018 = sorted(root.rglob("seq_6/vqla/label/*.txt"))
    texts_2018[0].write_text("What is the state of suction?|Flying\n")
    texts_2018[1].write_bytes(b"\xff\xfe\x00")
    report = check_sources(make(copy, mtlendovis={}), ["mtlendovis"], deep=True)
    errors = "\n".join(texts(report, "error"))
    assert not report.usable and report.datasets[0].state == "broken"
    for part in (
        f"{frames[0].image.name}: missing. Expected the official label",
        f"{frames[1].image.name}: it is not a readable image",
        f"{frames[2].image}",
        f"{truncated}: it is not a readable image",
        f"{texts_2018[0]}, line 1: unknown action 'Flying'",
        f"{texts_2018[1]}: not a UTF-8 text",
    ):
        assert part in errors, part
    warnings = "\n".join(texts(report, "warning"))
    assert (
        "1 frames have no official label" in warnings
        and "frames do not have the usual size 120x96, e.g. 12x10 RGB" in warnings
    )
    skipping = check_sources(make(copy, mtlendovis={"skip_bad": True}), ["mtlendovis"], deep=True)
    assert skipping.datasets[0].state == "partial" and skipping.datasets[0].frames < 52
    assert skipping.usable and not texts(skipping, "error")
    shallow = check_sources(make(copy, mtlendovis={}), ["mtlendovis"])
    said = "\n".join(texts(shallow, "error"))
    assert f"{frames[1].image.name}: it is not a readable image" in said and f"{frames[2].label}" in said
    assert f"{frames[2].image} is 12x10" in said


def test_a_broken_image_that_no_dataset_uses_is_no_error(make: Callable[..., Study], copy: Path) -> None:
    frame = next(f for f in endovis2018.read_tree(copy / "endovis2018").frames.values() if f.sequence == 13)
    frame.image.write_bytes(b"no picture")
    assert check_sources(make(copy, mtlendovis={}), ["mtlendovis"], deep=True).usable


def test_frames_whose_types_were_lost_are_counted(make: Callable[..., Study], copy: Path) -> None:
    folder = next((copy / "endovis2018").rglob("seq_2/instrument_labels_2017"))
    kept = sorted(folder.glob("*.png"))[0]
    for path in folder.glob("*.png"):
        if path != kept:
            path.unlink()
    report = check_sources(make(copy, mtlendovis={}), ["mtlendovis"])
    assert any("have instruments in their annotation, but no type mask" in text for text in texts(report, "warning"))


def test_many_faults_are_listed_briefly(make: Callable[..., Study], copy: Path) -> None:
    root = copy / "endovis2018"
    shutil.rmtree(root / "repairs")  # two of these labels are corrected there
    labels = [path for path in root.rglob("labels/*.png") if "release_1" in str(path)]
    for path in labels:
        path.unlink()
    errors = [
        f for f in check_sources(make(copy, mtlendovis={}), ["mtlendovis"]).datasets[0].findings if f.level == "error"
    ]
    assert len(errors) == 11 and "more frames cannot be used" in errors[-1].text
    assert sum(len(finding.files) for finding in errors) == len(labels) - 2, "two of them are not annotated"
    for path in [*root.rglob("labels/*.png"), *root.rglob("isinet/*/annotations/*.png")]:
        path.unlink()
    (error,) = texts(check_sources(make(copy, mtlendovis={}), ["mtlendovis"]), "error")
    assert "annotated frames can be used. The first: " in error and "Expected the official label" in error


def test_by_sequence_uses_the_test_sequences_that_exist(make: Callable[..., Study], copy: Path) -> None:
    shutil.rmtree(copy / "endovis2018/miccai_challenge_release_2")
    datasets = {"mtlendovis": {}, "by_video": {"kind": "mtlendovis", "split": "by_sequence"}}
    report = check_sources(make(copy, **datasets), ["by_video"])
    assert report.usable and report.datasets[0].by_split["test"] > 0
    datasets["by_video"]["test"] = ["seq_5"]
    report = check_sources(make(copy, **datasets), ["by_video"])
    assert "test names 'seq_5', which is neither" in texts(report, "error")[0]


def test_an_ambiguous_scheme_is_an_error_that_names_both_schemes(make: Callable[..., Study], copy: Path) -> None:
    for path in list((copy / "endovis2018").rglob("instrument_labels_2017/*_class*_inst*.png")):
        if "_class10_" in path.name:
            path.unlink()  # the stapler would tell
        if "_class6_" in path.name or "_class9_" in path.name:
            path.rename(path.with_name(path.name.replace("_class6_", "_class7_").replace("_class9_", "_class7_")))
    report = check_sources(make(copy, mtlendovis={}), ["mtlendovis"])
    assert not report.usable
    assert all("fit both schemes: native2018" in text for text in texts(report, "error"))


def test_missing_trees_and_a_released_one(make: Callable[..., Study], copy: Path) -> None:
    shutil.rmtree(copy / "esd")
    report = check_sources(make(copy, mtlendovis={"split": "given"}), ["mtlesd", "mtlendovis"])
    assert [part.source for part in report.sources] == ["esd", "released_mtlendovis"]
    assert report.sources[0].state == "broken" and "no such folder" in texts(report, "error")[0]
    assert report.datasets[1].state == "partial" and report.datasets[1].by_split == {"test": 4, "train": 36}


def test_a_source_without_a_check_is_an_error_that_says_where_to_add_one(tmp_path: Path) -> None:
    assert set(_CHECKS) == {*CONTACTS, PLAIN}, "every known source has a check"
    report = SourceReport("cholec", str(tmp_path), "its owner")
    inspect_source(report, tmp_path, Need(complete=True, kinds={"cholec"}))
    (finding,) = report.findings
    assert report.state == "broken" and finding.level == ERROR
    assert finding.text.startswith("the doctor has no check for the source 'cholec'; expected one of endovis2018,")
    assert "Add a function for it to _CHECKS in pipeline/preparation/doctor/sources.py." in finding.text


def test_the_command_fails_if_nothing_can_be_built(
    minimal: Callable[..., dict[str, Any]],
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (copy / "esd/train/9").mkdir()
    Path("study.yaml").write_text(yaml.safe_dump(minimal(raw={"esd": str(copy / "esd")})))
    assert main(["doctor", "--study", "study.yaml", "--json", "d.json", "--export-split", "s.csv"]) == 1
    out = capsys.readouterr()
    assert "expected the activity folders 1 to 3" in out.out
    # The last line of a failed run shows this message alone, so that it names a fault itself.
    assert "cannot be used. " in out.err and "expected the activity folders 1 to 3" in out.err
    assert json.loads(Path("d.json").read_text())["usable"] is False and not Path("s.csv").exists()
    assert main(["doctor", "--study", "study.yaml", "--dataset", "nothing"]) == 1
    assert "has no dataset 'nothing'. Its datasets: mtlesd" in capsys.readouterr().err
