"""Datasets built from generated trees."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import pipeline.datasets.build as build_module
from corruptions.pictures import resize_image, resize_mask
from pipeline.datasets import arrays
from pipeline.datasets.build import assign_splits, write_dataset
from pipeline.datasets.kinds import KINDS
from pipeline.datasets.load import load_split, validation_rows
from pipeline.datasets.manifest import COLUMNS, read_manifest
from pipeline.datasets.sample import CollectRequest
from pipeline.errors import InputError
from pipeline.io.files import resumable_folder
from pipeline.io.hashing import sha256_of
from pipeline.io.images import read_ids, read_rgb, write_png
from pipeline.sources import released

RULES = {
    "mtlesd": "given",
    "mtlendovis": "random_by_activity",
    "mtlendovis_gen": "given",
    "endovis2017_parts": "by_sequence",
}


def order_of(trees: Path, kind: str, rule: str, **changes: object) -> CollectRequest:
    raw = {
        "esd": trees / "esd",
        "endovis2018": trees / "endovis2018",
        "vqla2018": trees / "endovis2018",
        "endovis2017": trees / "endovis2017",
        "vqla2017": trees / "endovis2017",
        "released_mtlendovis": trees / "released_mtlendovis",
    }
    recipe = KINDS[kind].recipes[rule]
    return CollectRequest(kind, KINDS[kind].labels, {source: raw[source] for source in recipe.sources}, **changes)


def build(trees: Path, folder: Path, kind: str, rule: str = "", **options: object) -> Path:
    rule = rule or RULES[kind]
    order = order_of(trees, kind, rule, skip_bad=bool(options.get("skip_bad")))
    collected = KINDS[kind].recipes[rule].collect(order)
    test = ["instrument_dataset_9"] if kind == "endovis2017_parts" else []
    split = assign_splits(collected.samples, rule, test=test)
    card = {"name": kind, "title": kind, "synthetic": True, "expected_frames": None}
    write_dataset(folder / kind, KINDS[kind].labels, collected, split, order.roots, card, **options)
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


def test_mtlendovis_gen_has_only_a_test_split_and_five_classes(trees: Path, tmp_path: Path) -> None:
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
    with pytest.raises(InputError, match="the ground truth holds the type id 4; expected 1, 2, 3, 6 and 7"):
        build(copy.parent, tmp_path / "out", "mtlendovis_gen")
    assert not (tmp_path / "out" / "mtlendovis_gen").exists()


def test_an_incomplete_build_does_not_replace_a_dataset(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    folder = build(copy, tmp_path, "mtlesd")
    before = (folder / "manifest.csv").read_bytes()
    broken = sorted((copy / "esd" / "train").rglob("image/*.png"))[-1]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(InputError, match=f"{broken.name}: it is not a readable image"):
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


def test_splits_load_at_the_requested_size(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    train, test = load_split(folder, "train", 56), load_split(folder, "test", 56)
    assert train.images.shape[1:] == (56, 56, 3) and train.masks.shape[1:] == (56, 56)
    assert len(train.frame_ids) + len(test.frame_ids) == 20
    assert not set(train.frame_ids) & set(test.frame_ids)
    assert load_split(build(trees, tmp_path, "endovis2017_parts"), "train", 56).activities is None
    with pytest.raises(InputError, match="no frame in the split 'val'"):
        load_split(folder, "val", 56)
    with pytest.raises(InputError, match="this dataset is not built"):
        load_split(tmp_path / "nothing", "train", 56)


def test_a_manifest_without_a_column_is_named(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    rows = read_manifest(folder)
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [c for c in COLUMNS if c != "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(InputError, match=r"manifest.csv: the column\(s\) split are missing"):
        read_manifest(folder)


def test_a_frame_name_may_occur_in_both_splits(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    for kind in ("image", "mask"):
        source = sorted((copy / "esd/train/1" / kind).glob("*.png"))[0]
        shutil.copy(source, copy / "esd/test/1" / kind / source.name)
    assert len(read_manifest(build(copy, tmp_path, "mtlesd"))) == 21


def test_several_processes_write_the_same_bytes(trees: Path, tmp_path: Path) -> None:
    one, two = build(trees, tmp_path / "a", "mtlendovis"), build(trees, tmp_path / "b", "mtlendovis", workers=2)
    for name in ("manifest.csv", "dataset.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_an_interrupted_build_continues(trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    broken = released.read_tree(copy / "esd", "esd")[-1].mask
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    with pytest.raises(
        InputError, match=rf"{broken.name}: it is not a readable image.*skip_bad leaves such frames out"
    ):
        build(copy, tmp_path, "mtlesd")
    journal = tmp_path / ".mtlesd.partial/journal.jsonl"
    done = len(journal.read_text().splitlines())
    assert 0 < done < 20 and not (tmp_path / "mtlesd").exists()
    # Cut off within a line, a written picture lost, a raw picture changed since: those frames are built again.
    frames = [json.loads(line)["frame_id"] for line in journal.read_text().splitlines()]
    journal.write_text(journal.read_text()[:-20])
    (tmp_path / ".mtlesd.partial/images" / f"{frames[0]}.png").write_bytes(b"lost")
    changed = next(f for f in released.read_tree(copy / "esd", "esd") if f.name == frames[1].split("_", 3)[3])
    write_png(changed.image, np.zeros((96, 120, 3), np.uint8))
    broken.write_bytes(whole)
    built = []
    real = build_module._build_frame
    monkeypatch.setattr(
        build_module, "_build_frame", lambda *given: (built.append(given[-1].frame_id), real(*given))[1]
    )
    folder = build(copy, tmp_path, "mtlesd")
    assert {frames[0], frames[1], frames[-1]} <= set(built) and len(built) == 20 - done + 3
    monkeypatch.undo()
    again = build(copy, tmp_path / "again", "mtlesd")
    assert (folder / "manifest.csv").read_bytes() == (again / "manifest.csv").read_bytes()
    assert (folder / "dataset.json").read_bytes() == (again / "dataset.json").read_bytes()
    assert not list(tmp_path.glob(".mtlesd*"))


def test_a_build_with_another_id_scheme_starts_again(trees: Path, tmp_path: Path) -> None:
    """Masks that were made under one scheme are not reused under the other."""
    order = order_of(trees, "mtlendovis", "random_by_activity")
    collected = KINDS["mtlendovis"].recipes["random_by_activity"].collect(order)
    split = assign_splits(collected.samples, "random_by_activity")
    card = {"name": "mtlendovis", "title": "M", "expected_frames": None}
    last = max(collected.samples, key=lambda sample: sample.frame_id)
    samples = [s for s in collected.samples if s is not last] + [
        replace(last, read=partial(read_rgb, tmp_path / "gone"))
    ]
    with pytest.raises(InputError, match="gone: missing"):
        write_dataset(tmp_path / "m", order.labels, replace(collected, samples=samples), split, order.roots, card)
    kept = (tmp_path / ".m.partial/.key").read_text()
    other = replace(collected, samples=samples, notes={"type_id_schemes": "another"})
    with pytest.raises(InputError, match="gone"):
        write_dataset(tmp_path / "m", order.labels, other, split, order.roots, card)
    assert (tmp_path / ".m.partial/.key").read_text() != kept


def test_a_changed_label_list_builds_its_frames_again(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    before = json.loads((build(copy, tmp_path / "a", "mtlendovis") / "dataset.json").read_text())["sources"]
    listed = next(copy.rglob("miccai*/labels.json"))
    listed.write_text(listed.read_text() + " ")
    after = json.loads((build(copy, tmp_path / "b", "mtlendovis") / "dataset.json").read_text())["sources"]
    assert before != after


def test_a_build_with_changed_code_starts_again(trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / ".mtlesd.partial"
    (left / "images").mkdir(parents=True)
    (left / "images" / "left.png").write_bytes(b"")
    (left / ".key").write_text("another version")
    folder = build(trees, tmp_path, "mtlesd")
    assert len(list((folder / "images").iterdir())) == 20


def test_one_process_at_a_time_writes_a_dataset(tmp_path: Path) -> None:
    second = resumable_folder(tmp_path / "d", "key")
    with resumable_folder(tmp_path / "d", "key"), pytest.raises(InputError, match="another process is writing it"):
        second.__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_bad_frames_are_left_out_counted_and_named(trees: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    frames = released.read_tree(copy / "esd", "esd")
    frames[0].image.write_bytes(b"no picture")
    frames[5].mask.unlink()
    card = json.loads((build(copy, tmp_path, "mtlesd", skip_bad=True) / "dataset.json").read_text())
    assert card["frames"] == 18
    left_out = {group["reason"].split(": ")[-1][:10]: group for group in card["left_out"]}
    assert {group["what"] for group in left_out.values()} == {"bad"} and sum(g["count"] for g in left_out.values()) == 2
    assert any(frames[0].name in name for group in left_out.values() for name in group["frames"])
    for frame in released.read_tree(copy / "esd", "esd"):
        frame.image.write_bytes(b"no picture")
    with pytest.raises(InputError, match="none of the 19 frames can be read"):
        build(copy, tmp_path / "none", "mtlesd", skip_bad=True)


def test_unchanged_images_are_copied_without_encoding(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    frame = released.read_tree(trees / "esd", "esd")[0]
    written = next(folder.glob(f"images/*{frame.name}.png"))
    assert written.read_bytes() == frame.image.read_bytes()


def test_the_card_describes_the_dataset(trees: Path, tmp_path: Path) -> None:
    card = json.loads((build(trees, tmp_path, "mtlendovis") / "dataset.json").read_text())
    assert card["sources"].keys() == {"endovis2018+vqla2018"}
    used = card["sources"]["endovis2018+vqla2018"]
    assert used["files"] > 3 * 52 and len(used["sha256"]) == 64
    assert card["left_out"][0]["count"] == 8 and card["left_out"][0]["what"] == "unused"
    assert "compatible2017 (instrument_labels_2017" in card["type_id_schemes"]
    assert card["complete"] is None and card["rule_version"] == 1
    for part in ("train", "test"):
        assert sum(card["frames_by_activity"][part].values()) == card["frames_by_split"][part]
    stapling = [row for row in read_manifest(tmp_path / "mtlendovis") if row["activity"] == "stapling"]
    assert stapling and all("instrument_without_class" in row["flags"] for row in stapling)
    assert card["flags"]["instrument_without_class"]["frames"] >= len(stapling)
    assert str(trees) not in json.dumps(card), "no path of the machine"


def test_a_changed_raw_file_changes_the_source_digest(trees: Path, tmp_path: Path) -> None:
    def digest(root: Path, name: str) -> str:
        card = json.loads((build(root, tmp_path / name, "mtlesd") / "dataset.json").read_text())
        return str(card["sources"]["esd"]["sha256"])

    copy = Path(shutil.copytree(trees, tmp_path / "raw"))
    before = digest(copy, "a")
    write_png(released.read_tree(copy / "esd", "esd")[0].image, np.zeros((96, 120, 3), np.uint8))
    assert digest(copy, "b") != before


def test_packed_arrays_are_reused(trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    part = load_split(folder, "train", 56)
    assert isinstance(part.images, np.memmap) and isinstance(part.masks, np.memmap)
    rows = [row for row in read_manifest(folder) if row["split"] == "train"]
    for index, row in enumerate(rows):
        np.testing.assert_array_equal(part.images[index], resize_image(read_rgb(folder / row["image"]), 56))
        np.testing.assert_array_equal(part.masks[index], resize_mask(read_ids(folder / row["mask"]), 56))
    monkeypatch.setattr(arrays, "_pack_frame", lambda *given: pytest.fail("decoded again"))
    again = load_split(folder, "train", 56)
    np.testing.assert_array_equal(again.images, part.images)
    again.images[0] = 0  # copy on write: the kept array stays
    np.testing.assert_array_equal(load_split(folder, "train", 56).images, part.images)


def test_the_key_of_an_array_covers_size_code_and_manifest(
    trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(trees, tmp_path, "mtlesd")
    keys = {arrays.arrays_folder(folder, split, size) for split in ("train", "test") for size in (56, 84)}
    assert len(keys) == 4
    before = arrays.arrays_folder(folder, "train", 56)
    monkeypatch.setattr(arrays, "code_sha256", lambda files: "another way to resize")
    assert arrays.arrays_folder(folder, "train", 56) != before
    monkeypatch.undo()
    (folder / "manifest.csv").write_text((folder / "manifest.csv").read_text() + "\n")
    assert arrays.arrays_folder(folder, "train", 56) != before


def test_a_released_mtlendovis_keeps_its_split(trees: Path, tmp_path: Path) -> None:
    card = json.loads((build(trees, tmp_path, "mtlendovis", "given") / "dataset.json").read_text())
    assert card["frames_by_split"] == {"test": 4, "train": 36} and len(card["activities"]) == 12
    assert card["frames_with_class"]["train"]["Ultrasound Probe"] > 0


def test_validation_frames_are_whole_sequences_of_the_training_split(trees: Path, tmp_path: Path) -> None:
    folder = build(trees, tmp_path, "mtlendovis")
    rows = read_manifest(folder)
    held = {row["sequence"] for row in rows if row["validation"]}
    assert held and not any(row["validation"] and row["split"] == "test" for row in rows)
    assert all(
        row["validation"] == ("yes" if row["sequence"] in held else "") for row in rows if row["split"] == "train"
    )
    chosen = validation_rows(folder)
    part = load_split(folder, "train", 56)
    fitted, held_out = part.take(~chosen), part.take(chosen)
    assert not set(fitted.sequences) & set(held_out.sequences) and chosen.sum() == len(held_out.frame_ids) > 0
