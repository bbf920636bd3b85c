"""Datasets built from generated trees."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.build import assign_splits, build_dataset
from pipeline.datasets.kinds import KINDS
from pipeline.datasets.load import load_part
from pipeline.datasets.manifest import COLUMNS, read_manifest
from pipeline.datasets.sample import Order
from pipeline.errors import InputError
from pipeline.files import sha256_of
from pipeline.images import read_ids, read_rgb, write_png

RULES = {
    "mtlesd": "released",
    "mtlendovis": "published",
    "mtlendovis_gen": "released",
    "endovis2017_parts": "by_sequence",
}


def order_of(trees: Path, kind: str, rule: str, **changes: object) -> Order:
    raw = {
        "esd": trees / "esd",
        "endovis2018": trees / "endovis2018",
        "vqla2018": trees / "endovis2018",
        "endovis2017": trees / "endovis2017",
        "vqla2017": trees / "endovis2017",
        "released_mtlendovis": trees / "released_mtlendovis",
    }
    recipe = KINDS[kind].recipes[rule]
    return Order(kind, KINDS[kind].labels, {source: raw[source] for source in recipe.sources}, **changes)


def build(trees: Path, folder: Path, kind: str, rule: str = "", **options: object) -> Path:
    rule = rule or RULES[kind]
    order = order_of(trees, kind, rule, skip_bad=bool(options.get("skip_bad")))
    collected = KINDS[kind].recipes[rule].collect(order)
    test = ["instrument_dataset_9"] if kind == "endovis2017_parts" else []
    split = assign_splits(collected.samples, rule, test=test)
    card = {"name": kind, "synthetic": True, "expected_frames": None}
    build_dataset(folder / kind, KINDS[kind].labels, collected, split, order.roots, card, **options)
    return folder / kind


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_dataset_is_complete_and_consistent(kind: str, trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, kind)
    rows, card = read_manifest(folder), json.loads((folder / "dataset.json").read_text())
    labels = KINDS[kind].labels
    assert rows and tuple(rows[0]) == COLUMNS
    assert [row["frame_id"] for row in rows] == sorted({row["frame_id"] for row in rows})
    assert card["frames"] == len(rows) == sum(card["frames_by_split"].values())
    assert card["classes"] == list(labels.classes) and card["synthetic"] is True
    for row in rows:
        image, mask = read_rgb(folder / row["image"]), read_ids(folder / row["mask"])
        assert image.shape[:2] == mask.shape == (int(row["height"]), int(row["width"]))
        assert row["image_sha256"] == sha256_of(folder / row["image"])
        assert row["mask_sha256"] == sha256_of(folder / row["mask"])
        present = {labels.classes[value] for value in np.unique(mask) if value}
        assert present == set(filter(None, row["instruments"].split(";")))
        assert row["activity"] in labels.activities if labels.activities else row["activity"] == ""
        assert row["split"] in ("train", "test")
    assert {path.name for path in folder.iterdir()} == {"manifest.csv", "dataset.json", "images", "masks"}


def test_the_same_trees_give_the_same_bytes(trees: Path, tmp_path: Path) -> None:
    one, two = build(trees, tmp_path / "a", "mtlendovis"), build(trees, tmp_path / "b", "mtlendovis")
    for name in ("manifest.csv", "dataset.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_gen_is_for_testing_alone_and_has_five_classes(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlendovis_gen")
    card = json.loads((folder / "dataset.json").read_text())
    assert set(card["frames_by_split"]) == {"test"}
    assert (
        card["frames_with_class"]["test"]["Suction Instrument"]
        == card["frames_with_class"]["test"]["Clip Applier"]
        == 0
    )
    # Cropped to the picture: no border is left.
    row = read_manifest(folder)[0]
    assert (int(row["width"]), int(row["height"])) == (86, 68)


def test_a_class_that_the_annotated_frames_lack_is_an_error(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees / "endovis2017", tmp_path / "endovis2017"))
    types = sorted(copy.rglob("instrument_dataset_9/gt/TypeSegmentation/*.png"))[0]
    write_png(types, np.full((72, 128), 4, np.uint8))
    with pytest.raises(InputError, match="type id 4 in its ground truth; the annotated frames hold 1, 2, 3, 6 and 7"):
        build(copy.parent, tmp_path / "out", "mtlendovis_gen")
    assert not (tmp_path / "out" / "mtlendovis_gen").exists()


def test_nothing_half_written_replaces_a_dataset(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    folder = build(copy, tmp_path, "mtlesd")
    before = (folder / "manifest.csv").read_bytes()
    broken = sorted((copy / "esd" / "train").rglob("image/*.png"))[-1]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=f"{broken.name}: not a readable picture"):
        build(copy, tmp_path, "mtlesd")
    assert (folder / "manifest.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["mtlesd", "raw"]


def test_a_mask_of_another_size_stops_the_build(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    mask = sorted((copy / "esd" / "train").rglob("mask/*.png"))[0]
    write_png(mask, np.zeros((9, 9), np.uint8))
    with pytest.raises(InputError, match=rf"{mask.name}: the mask is 9x9 pixels, its image .* is 120x96"):
        build(copy, tmp_path / "out", "mtlesd")
    assert not (tmp_path / "out" / "mtlesd").exists()


def test_parts_load_at_the_size_asked_for(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    train, test = load_part(folder, "train", 56), load_part(folder, "test", 56)
    assert train.images.shape[1:] == (56, 56, 3) and train.masks.shape[1:] == (56, 56)
    assert len(train.frame_ids) + len(test.frame_ids) == 20
    assert not set(train.frame_ids) & set(test.frame_ids)
    assert load_part(build(trees, tmp_path, "endovis2017_parts"), "train", 56).activities is None
    with pytest.raises(InputError, match="no frame in the split 'val'"):
        load_part(folder, "val", 56)
    with pytest.raises(InputError, match="this dataset is not built"):
        load_part(tmp_path / "nothing", "train", 56)


def test_a_manifest_without_a_column_is_named(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    rows = read_manifest(folder)
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [c for c in COLUMNS if c != "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(InputError, match=r"manifest.csv: lacks the column\(s\) split"):
        read_manifest(folder)


def test_a_frame_name_may_stand_in_both_parts(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    for kind in ("image", "mask"):
        source = sorted((copy / "esd/train/1" / kind).glob("*.png"))[0]
        shutil.copy(source, copy / "esd/test/1" / kind / source.name)
    assert len(read_manifest(build(copy, tmp_path, "mtlesd"))) == 21
