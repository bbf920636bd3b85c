"""A dataset of your own frames, from labels.csv and a study to the built dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cli import main
from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError
from pipeline.io.images import write_png
from pipeline.sources import plain
from pipeline.study.loading import make_study

OWN = {"classes": ["background", "knife", "forceps"], "activities": ["cut", "idle"]}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Twelve frames of three cases in two activities."""
    root = tmp_path / "own"
    rng = np.random.default_rng(0)
    rows = ["name,activity,sequence,split"]
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(12):
        name = f"case{index % 3}_{index:04d}.png"
        write_png(root / "images" / name, rng.integers(0, 256, (60, 80, 3), np.uint8))
        write_png(root / "masks" / name, np.full((60, 80), index % 3, np.uint8))
        rows.append(f"{name},{('cut', 'idle')[index % 2]},case{index % 3},{'test' if index % 3 == 2 else 'train'}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def study_of(minimal: Callable[..., dict[str, Any]], root: Path, **dataset: Any) -> dict[str, Any]:
    settings = minimal(datasets={"mine": {"plain": {"root": str(root), **OWN}, **dataset}})
    del settings["raw"]
    settings["training"] = {"schedules": {"mine": {"epochs": 3, "learning_rate": 0.001}}}
    settings["cells"][0]["datasets"] = ["mine"]
    return settings


@pytest.mark.parametrize(
    ("dataset", "parts"),
    [
        ({}, {"train": 8, "test": 4}),
        ({"split": "random_by_activity"}, {"train": 10, "test": 2}),
        ({"split": "by_sequence", "test": ["case1"]}, {"train": 8, "test": 4}),
    ],
)
def test_one_entry_in_a_study_makes_a_dataset(
    minimal: Callable[..., dict[str, Any]],
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dataset: dict[str, Any],
    parts: dict[str, int],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("study.yaml").write_text(yaml.safe_dump(study_of(minimal, own, **dataset)))
    assert main(["doctor", "--study", "study.yaml", "--deep", "--json", "d.json"]) == 0
    assert json.loads(Path("d.json").read_text())["datasets"][0]["classes"] == {"knife": 4, "forceps": 4}
    assert main(["step", "build_dataset", "--study", "study.yaml", "--dataset", "mine"]) == 0
    card = json.loads(Path("data/datasets/mine/dataset.json").read_text())
    assert card["frames_by_split"] == parts and card["classes"] == OWN["classes"] and card["kind"] == "plain"
    assert card["complete"] is None and card["licences"] == ["the owner's"]
    rows = read_manifest(Path("data/datasets/mine"))
    assert rows[0]["frame_id"] == "mine_case0_0000" and {row["activity"] for row in rows} == {
        "cut",
        "idle",
    }


def test_images_masks_and_labels_may_lie_anywhere(
    minimal: Callable[..., dict[str, Any]], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("images", "masks"):
        for path in list((own / kind).iterdir()):
            case, number = path.stem.split("_")
            target = tmp_path / kind / "deep" / case / f"{number}{'_mask' * (kind == 'masks')}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    rows = [line.split(",") for line in (own / "labels.csv").read_text().splitlines()[1:]]
    lines = [f"{row[1]}\tdeep/{row[0].replace('_', '/')}\t{row[3]}\tx" for row in rows]
    Path("mine.csv").write_text("\n".join(["what\tfile\tset\tnotes", *lines]))
    columns = {"name": "file", "activity": "what", "split": "set"}
    study = study_of(minimal, own)
    study["datasets"]["mine"]["plain"] = {
        **OWN,
        "images": "images",
        "masks": "masks",
        "labels": "mine.csv",
        "columns": columns,
    }
    Path("study.yaml").write_text(yaml.safe_dump(study))
    assert main(["doctor", "--study", "study.yaml", "--json", "d.json"]) == 0
    report = json.loads(Path("d.json").read_text())
    assert [(source["source"], source["found"]["frames"]) for source in report["sources"]] == [("plain", "12")]
    assert main(["step", "build_dataset", "--study", "study.yaml", "--dataset", "mine"]) == 0
    card = json.loads(Path("data/datasets/mine/dataset.json").read_text())
    assert card["licences"] == ["the owner's"] and card["frames_by_split"] == {"train": 8, "test": 4}
    files = {name: source["files"] for name, source in card["sources"].items()}
    assert files == {"plain": 12, "plain_masks": 12, "plain_labels": 1}
    row = read_manifest(Path("data/datasets/mine"))[0]
    assert (row["frame_id"], row["sequence"]) == ("mine_deep_case0_0000", "deep/case0")


def test_a_value_beyond_the_classes_is_an_error(
    minimal: Callable[..., dict[str, Any]],
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_png(own / "masks/case0_0000.png", np.full((60, 80), 3, np.uint8))
    Path("study.yaml").write_text(yaml.safe_dump(study_of(minimal, own)))
    assert main(["step", "build_dataset", "--study", "study.yaml", "--dataset", "mine"]) == 1
    said = capsys.readouterr().err
    assert (
        "case0_0000.png: holds 3 (4,800 pixels), which stand for no class; expected 0 to 2. State under plain.values"
        in said
    )
    assert main(["step", "build_dataset", "--study", "study.yaml", "--dataset", "mine", "--skip-bad"]) == 0
    (left_out,) = json.loads(Path("data/datasets/mine/dataset.json").read_text())["left_out"]
    assert left_out["frames"] == ["mine_case0_0000"] and "holds 3" in left_out["reason"] and left_out["what"] == "bad"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "labels.csv: empty; expected the header name"),
        ("file,activity\n", "labels.csv, line 1: found 'file,activity'; expected name and any of activity, sequence"),
        ("name,activity\n", "labels.csv: no row"),
        ("name,activity\na.png\n", "labels.csv, line 2: 1 fields; expected 2"),
        ("name,activity\na.png,dance\n", "labels.csv, line 2: the activity is 'dance'; the study lists cut, idle"),
        ("name\na.png\n", "labels.csv, line 2: the activity is ''"),
        (
            "name,activity\n../a.png,cut\n",
            "labels.csv, line 2: the name is '../a.png'; expected the name of a PNG or JPEG file in images/",
        ),
        ("name,activity,split\na.png,cut,val\n", "labels.csv, line 2: the split is 'val'; expected train or test"),
        ("name,activity,sequence\na.png,cut,\n", "labels.csv, line 2: the sequence is empty"),
        ("name,activity\na.png,cut\na.jpg,cut\n", "labels.csv, line 3: 'a.jpg' occurs twice"),
        ('name,activity\n"a.png,cut\n', "labels.csv: not a CSV"),
    ],
)
def test_a_mistake_in_labels_csv_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        plain.read_tree(plain.find_tree({"plain": tmp_path}), ("cut", "idle"))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_labels_csv_is_read_or_refused(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "labels.csv").write_bytes(b"name,activity\n" + content)
        try:
            frames = plain.read_tree(plain.find_tree({"plain": Path(folder)}), ("cut",))
        except InputError as error:
            assert "labels.csv" in str(error)
        else:
            assert all(frame.image.parent == Path(folder) / "images" for frame in frames)


@pytest.mark.parametrize("places", [(), ("root", "images"), ("images",), ("images", "labels"), ("root", "labels")])
def test_a_study_names_the_folders_of_its_frames(
    minimal: Callable[..., dict[str, Any]], own: Path, places: list[str]
) -> None:
    study = study_of(minimal, own)
    study["datasets"]["mine"]["plain"] = {**OWN, **dict.fromkeys(places, "somewhere")}
    with pytest.raises(
        InputError,
        match=r"datasets\.mine\.plain: expected the folders of the frames: either root alone, or images and masks",
    ):
        make_study(study)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"kind": "mtlesd"}, "datasets.mine: kind and plain exclude each other"),
        ({"split": "by_sequence"}, "datasets.mine.test: missing"),
        ({"test": ["a"]}, "datasets.mine.test: only a dataset with split: by_sequence uses this key"),
    ],
)
def test_a_study_of_own_frames_is_checked(
    minimal: Callable[..., dict[str, Any]], own: Path, dataset: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_study(study_of(minimal, own, **dataset))


def test_names_of_known_kinds_cannot_be_used(minimal: Callable[..., dict[str, Any]], own: Path) -> None:
    settings = study_of(minimal, own)
    settings["datasets"]["mtlesd"] = settings["datasets"].pop("mine")
    with pytest.raises(InputError, match="datasets.mtlesd: this is the name of a known kind"):
        make_study(settings)
