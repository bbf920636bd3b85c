"""The paths, commands and counts of docs/real-data.md, on generated trees of the same layouts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from endoarss.labels import IGNORED
from pipeline.cli import main
from pipeline.datasets.kinds import KINDS, WHERE_TO_ASK
from pipeline.datasets.manifest import read_manifest
from pipeline.labels.activities import ENDOVIS_COUNTS, GEN_COUNTS
from pipeline.study.datasets import labels_of, split_rule
from pipeline.study.folders import roots_of
from pipeline.study.loading import load_study, make_study

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/real-data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_counts_on_the_page_are_those_of_the_code() -> None:
    lines = PAGE[PAGE.index("| activity |") :].split("\n\n")[0].splitlines()[2:]
    rows = {name: [int(cell or 0) for cell in counts] for name, *counts in map(cells, lines)}
    totals = rows.pop("all")
    assert {name: counts[0] for name, counts in rows.items()} == ENDOVIS_COUNTS
    assert {name: counts[1] for name, counts in rows.items()} == {n: c // 5 for n, c in ENDOVIS_COUNTS.items()}
    assert {name: counts[2] for name, counts in rows.items() if counts[2]} == GEN_COUNTS
    assert totals == [1996, 395, 97] == [sum(column) for column in zip(*rows.values(), strict=True)]
    assert f"{KINDS['mtlesd'].frames:,} images, 1,618 for training and 402 for testing" in PAGE


def test_the_table_on_the_page_has_every_source() -> None:
    keys = {key for line in PAGE.splitlines() if line.startswith("|") for key in re.findall(r"`(\w+)` \|$", line)}
    assert keys == set(WHERE_TO_ASK)


def test_the_commands_on_the_page_exist() -> None:
    for block in blocks("bash"):
        for line in block.splitlines():
            study = re.search(r"studies/\w+\.yaml", line)
            assert study and (ROOT / study[0]).is_file(), line
    raw = load_study(ROOT / "studies/quick.yaml").raw.as_dict()
    assert raw.items() <= (raw_of_page() | {"endovis2018_scheme": "detect"}).items()


def raw_of_page() -> dict[str, str]:
    raw: dict[str, str] = yaml.safe_load(blocks("yaml")[0])["raw"]
    return raw


@pytest.fixture
def study_file(
    minimal: Callable[..., dict[str, Any]], trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A study with the paths of the page, under which the generated trees are stored."""
    monkeypatch.chdir(tmp_path)
    Path("data/raw").mkdir(parents=True)
    for name in ("endovis2018", "endovis2017", "esd"):
        Path("data/raw", name).symlink_to(trees / name)
    settings = minimal(raw=raw_of_page(), datasets={"mtlesd": {}, "mtlendovis": {}, "mtlendovis_gen": {}})
    path = Path("study.yaml")
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path


def test_the_steps_on_the_page_work_in_order(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--study", str(study_file))
    assert main(["doctor", *given, "--deep", "--json", "doctor.json", "--export-split", "split.csv"]) == 0
    said = capsys.readouterr().out
    assert "Can be built, but incomplete: mtlesd, mtlendovis, mtlendovis_gen. Every table will say so." in said
    assert json.loads(Path("doctor.json").read_text())["usable"]
    exported = [line.split(",") for line in Path("split.csv").read_text().splitlines()[1:]]
    for dataset in ("mtlesd", "mtlendovis", "mtlendovis_gen"):
        assert main(["step", "build_dataset", *given, "--dataset", dataset]) == 0
        rows = read_manifest(Path("data/datasets") / dataset)
        assert {(row["frame_id"], row["split"]) for row in rows} == {
            (frame, split) for name, frame, _, _, split in exported if name == dataset
        }
        card = json.loads(Path("data/datasets", dataset, "dataset.json").read_text())
        assert card["complete"] is False and card["expected_frames"] == KINDS[dataset].frames
    assert main(["status", *given]) == 0
    assert "mtlendovis: 52 of 1996 frames" in capsys.readouterr().out


def study_of_own(minimal: Callable[..., dict[str, Any]], entry: dict[str, Any], dataset: str) -> dict[str, Any]:
    """A study with a page's entry, which trains on one of its datasets."""
    settings = minimal(raw={}, **entry)
    settings["training"] = {"schedules": {dataset: {"epochs": 3, "learning_rate": 0.001}}}
    settings["cells"][0] |= {"datasets": [dataset], "architectures": ["single_segmentation"]}
    return settings


def test_the_entries_for_own_masks_are_valid_and_read_as_they_say(minimal: Callable[..., dict[str, Any]]) -> None:
    study = make_study(study_of_own(minimal, yaml.safe_load(blocks("yaml")[2]), "mydata"))
    meanings = {name: stored.meanings for name in study.datasets if (stored := labels_of(study, name).stored)}
    assert meanings == {
        "mydata": {0: 0, 255: 1, 128: IGNORED},
        "mycolours": {0: 0, 0xFF0000: 1, 0x00FF00: 2, 0xFFFFFF: IGNORED},
        "myvoid": {0: 0, 1: 1, 255: IGNORED},
    }


def test_the_entry_for_own_frames_is_a_valid_one(minimal: Callable[..., dict[str, Any]]) -> None:
    entry = yaml.safe_load(blocks("yaml")[1])
    study = make_study(study_of_own(minimal, entry, "mydata"))
    assert labels_of(study, "mydata").classes == ("background", "knife", "forceps")
    assert split_rule(study, "mydata") == "by_sequence"


def test_the_entry_for_own_frames_in_several_places_is_a_valid_one(minimal: Callable[..., dict[str, Any]]) -> None:
    study = make_study(study_of_own(minimal, yaml.safe_load(blocks("yaml")[3]), "mydata"))
    assert list(map(str, roots_of(study, "mydata").values())) == [
        "videos/frames",
        "annotations/drawn",
        "annotations/phases.csv",
    ]
