"""Masks of your own frames: values and colours with a meaning in the study, ignored pixels, and frames without labels.csv."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from corruptions import SEVERITIES, corrupt_pair
from corruptions.pictures import resize_mask
from endoarss.labels import IGNORED
from pipeline.cli import main
from pipeline.datasets.load import Split, load_split
from pipeline.datasets.manifest import read_manifest
from pipeline.datasets.plain import read_classes
from pipeline.errors import InputError
from pipeline.evaluation.corrupted_batches import Conditions, CorruptedBatch
from pipeline.evaluation.measure import measure
from pipeline.evaluation.robustness import ModelUnderTest, Prediction, evaluate, gather, scores_by_condition
from pipeline.evaluation.scores import scores_of
from pipeline.io.images import read_ids, write_png
from pipeline.labels.classes import ESD, plain_labels, stored_values
from pipeline.preparation.build_dataset import collect, split_of
from pipeline.results.gallery import representative
from pipeline.sources import plain
from pipeline.study.loading import load_study, make_study

CLASSES = ["background", "tool", "tissue"]
Minimal = Callable[..., dict[str, Any]]


def write_frames(root: Path, stored: np.ndarray, frames: int = 6, size: tuple[int, int] = (60, 80)) -> Path:
    """Images of noise, and masks in four vertical stripes that hold the four rows of `stored`, as numbers or as colours."""
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    places = np.repeat(np.arange(4), size[1] // 4)[None].repeat(size[0], axis=0)
    for index in range(frames):
        write_png(root / "images" / f"f{index}.png", rng.integers(0, 256, (*size, 3), np.uint8))
        Image.fromarray(stored[places].astype(np.uint8)).save(root / "masks" / f"f{index}.png")
    return root


def settings_of(minimal: Minimal, root: Path, own: dict[str, Any], **dataset: Any) -> dict[str, Any]:
    made = minimal(
        datasets={"mine": {"plain": {"root": str(root), **own}, "split": "random_by_activity", **dataset}},
        input_size=56,
    )
    del made["raw"]
    made["training"] = {"schedules": {"mine": {"epochs": 1, "learning_rate": 0.001}}}
    made["cells"][0] |= {"datasets": ["mine"], "architectures": ["single_segmentation"]}
    made["backbones"]["resnet"] |= {"arguments": {"channels": [8, 8, 12, 16]}}
    made["heads"] = {"segmentation_channels": 16, "activity_channels": 16}
    return made


def run(*arguments: str) -> int:
    return main([*arguments, "--study", "study.yaml"])


NUMBERS = np.array([0, 255, 7, 9])
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]])


@pytest.mark.parametrize(
    ("stored", "own"),
    [
        (NUMBERS, {"values": {0: "background", 255: "tool", 7: "tissue", 9: "ignore"}}),
        (NUMBERS, {"values": {0: "background", 255: "tool", 7: "tissue"}, "ignore": 9}),
        (
            COLOURS,
            {"values": {"#000000": "background", "#ff0000": "tool", "#00FF00": "tissue", "#ffffff": "ignore"}},
        ),
        (np.array([0, 1, 2, 255]), {"ignore": [255, 254]}),
    ],
)
def test_a_built_mask_holds_class_ids_and_255_where_a_pixel_is_ignored(
    minimal: Minimal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: np.ndarray, own: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_frames(tmp_path / "own", stored)
    Path("study.yaml").write_text(yaml.safe_dump(settings_of(minimal, root, {"classes": CLASSES, **own})))
    assert run("doctor", "--deep", "--json", "d.json") == 0
    assert json.loads(Path("d.json").read_text())["datasets"][0]["classes"] == {"tool": 6, "tissue": 6}
    assert run("step", "build_dataset", "--dataset", "mine") == 0
    folder = Path("data/datasets/mine")
    for row in read_manifest(folder):
        assert read_ids(folder / row["mask"])[0, ::20].tolist() == [0, 1, 2, IGNORED]
        assert (row["instruments"], row["flags"]) == ("tool;tissue", "ignored_pixels")
    card = json.loads((folder / "dataset.json").read_text())
    assert card["pixels_of_class"] == dict.fromkeys(CLASSES, 6 * 1200) and card["ignored_pixels"] == 6 * 1200
    assert card["flags"]["ignored_pixels"]["frames"] == 6 and card["frames_by_split"] == {"test": 1, "train": 5}
    part = load_split(folder, "train", 56)
    assert np.bincount(part.masks.ravel())[[0, 1, 2, IGNORED]].tolist() == [5 * 56 * 14] * 4
    assert representative(part, 1) == [0]


def test_a_frame_with_only_ignored_pixels_at_the_input_size_counts_in_no_score(
    minimal: Minimal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks are resized to the nearest pixel, which skips single pixels."""
    monkeypatch.chdir(tmp_path)
    root = write_frames(tmp_path / "own", np.array([0, 1, 2, 255]))
    mask = np.full((60, 80), 255, np.uint8)
    lost = next(place for place in np.ndindex(60, 80) if not (resize_mask(_with(mask, place), 56) == 1).any())
    write_png(root / "masks/f0.png", _with(mask, lost))
    Path("study.yaml").write_text(yaml.safe_dump(settings_of(minimal, root, {"classes": CLASSES, "ignore": 255})))
    assert run("step", "build_dataset", "--dataset", "mine") == 0
    folder = Path("data/datasets/mine")
    split = next(row["split"] for row in read_manifest(folder) if row["frame_id"] == "mine_f0")
    part, labels = load_split(folder, split, 56), plain_labels(CLASSES, [])
    place = part.frame_ids.index("mine_f0")
    assert (part.masks[place] == IGNORED).all()
    right, wrong = np.where(part.masks == IGNORED, 0, part.masks), np.where(part.masks == IGNORED, 1, part.masks)
    same = [scores_of(measure(part, part.masks, labels, None, predicted), labels) for predicted in (right, wrong)]
    assert same[0] == same[1] and not any(np.isnan(one["value"]) for one in same[0] if one["metric"] == "miou")
    assert load_split(folder, split, 80).masks.shape[1:] == (80, 80)
    write_png(folder / "masks/mine_f0.png", np.full((60, 80), 200, np.uint8))
    with pytest.raises(InputError, match=r"mine_f0\.png: holds the value 200; expected 0 to 2"):
        load_split(folder, split, 64)


def _with(mask: np.ndarray, place: tuple[int, ...]) -> np.ndarray:
    changed = mask.copy()
    changed[place] = 1
    return changed


def test_several_values_may_stand_for_one_class(tmp_path: Path) -> None:
    root = write_frames(tmp_path, NUMBERS, frames=1)
    values = {"0": "background", "255": "tool", "7": "tool", "9": "background"}
    mask = read_classes(root / "masks/f0.png", stored_values("x", CLASSES, values, None))
    assert mask.dtype == np.uint8 and mask[0, ::20].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("stored", "own", "message"),
    [
        (
            NUMBERS,
            {},
            r"f0\.png: holds 7 \(1,200 pixels\), 9 \(1,200 pixels\), 255 .*; expected 0 to 2\. State under plain\.values",
        ),
        (NUMBERS, {"values": {"0": "tool", "255": "tool"}}, r"holds 7 \(1,200 pixels\), 9 .*expected 0, 255\."),
        (COLOURS, {"values": {"#000000": "tool"}}, r'holds "#00ff00" \(1,200 pixels\).*expected "#000000"\.'),
        (COLOURS, {}, r"f0\.png: the mask has colours, but the study reads its masks as numbers"),
        (NUMBERS, {"values": {"#000000": "tool"}}, r"f0\.png: grey; expected a label in colours"),
        (NUMBERS, {"values": {str(v): "ignore" for v in NUMBERS}}, r"f0\.png: every pixel is ignored"),
    ],
)
def test_a_mask_that_does_not_fit_the_study_is_named(
    tmp_path: Path, stored: np.ndarray, own: dict[str, Any], message: str
) -> None:
    root = write_frames(tmp_path, stored, frames=1)
    with pytest.raises(InputError, match=message):
        read_classes(root / "masks/f0.png", stored_values("x", CLASSES, own.get("values"), own.get("ignore")))


def test_the_most_frequent_of_many_unknown_values_are_named(tmp_path: Path) -> None:
    """Masks that were stored as JPEG or resized smoothly have such values."""
    Image.fromarray(np.minimum(np.arange(10_000), 250).astype(np.uint8).reshape(100, 100)).save(tmp_path / "m.png")
    with pytest.raises(
        InputError, match=r"holds 250 \(9,750 pixels\), 3 \(1 pixels\), .* and 243 other values"
    ) as error:
        read_classes(tmp_path / "m.png", stored_values("x", CLASSES, None, None))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"values": {0: "background", 255: "knife"}},
            r"datasets\.mine\.plain\.values: 255: 'knife'; expected ignore, or one of background",
        ),
        ({"values": {0: "background", "#ff0000": "tool"}}, "has colours and .* has numbers"),
        ({"values": {256: "tool"}}, "the value '256'; expected a whole number from 0 to 255, or a colour in quotes"),
        ({"values": {"red": "tool"}}, "the value 'red'; expected a whole number"),
        ({"values": {0: "tool"}, "ignore": 0}, r"plain\.ignore: the value 0 has two meanings"),
        ({"ignore": 2}, r"plain\.ignore: the value 2 has two meanings"),
        ({"ignore": "#ffffff"}, "ignore has colours and .*classes has numbers.*need `values` for all"),
        ({"values": {"#FF0000": "tool", "#ff0000": "tissue"}}, "has two meanings"),
        (
            {"classes": ["background", "ignore"], "values": {0: "ignore"}},
            "'ignore' marks pixels that are left out",
        ),
    ],
)
def test_the_meaning_of_values_in_a_study_is_checked(
    minimal: Minimal, tmp_path: Path, own: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make_study(settings_of(minimal, tmp_path, {"classes": CLASSES, **own}))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_map_is_applied_value_by_value(data: st.DataObject) -> None:
    values = data.draw(st.dictionaries(st.integers(0, 255), st.sampled_from([*CLASSES, "ignore"]), min_size=2))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    stored = rng.choice(np.array(list(values), np.uint8), (9, 11))
    expected = [[(*CLASSES, "ignore").index(values[int(v)]) for v in row] for row in stored]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.png"
        write_png(path, stored)
        said = stored_values("x", CLASSES, {str(value): name for value, name in values.items()}, None)
        if all(index == len(CLASSES) for row in expected for index in row):
            with pytest.raises(InputError, match="every pixel is ignored"):
                read_classes(path, said)
            return
        found = read_classes(path, said)
    np.testing.assert_array_equal(np.where(found == IGNORED, len(CLASSES), found), expected)


def test_without_labels_csv_every_image_with_a_mask_is_a_frame(
    minimal: Minimal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_frames(tmp_path / "own" / "wrapper", np.array([0, 1, 2, 0]), frames=12)
    (root / "masks/f3.png").unlink()
    (root / "images/.hidden").touch()
    made = settings_of(minimal, root.parent, {"classes": CLASSES}, split="by_sequence", test=["mine_f1", "mine_f10"])
    Path("study.yaml").write_text(yaml.safe_dump(made))
    assert run("doctor") == 0
    assert "1 frames are left out: the image has no mask" in capsys.readouterr().out
    assert run("step", "build_dataset", "--dataset", "mine") == 0
    card = json.loads(Path("data/datasets/mine/dataset.json").read_text())
    assert card["frames_by_split"] == {"test": 2, "train": 9}
    assert [(group["frames"], group["what"]) for group in card["left_out"]] == [(["mine_f3"], "absent")]
    with pytest.raises(InputError, match=r"labels\.csv: missing, but the study lists activities"):
        plain.read_tree(plain.find_tree({"plain": root}), ("cut",))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(root / "images/f3.tif")
    write_png(root / "masks/f3.png", np.zeros((4, 4), np.uint8))
    (root / "images/f3.png").unlink()
    with pytest.raises(
        InputError, match=r"f3\.tif: the name is 'f3\.tif'; expected the name of a PNG or JPEG file in images/"
    ):
        plain.read_tree(plain.find_tree({"plain": root}), ())
    (root / "images/f3.tif").rename(root / "images/f1.jpg")
    with pytest.raises(InputError, match=r"f1\.png: 'f1\.jpg' in the same folder has the same name"):
        plain.read_tree(plain.find_tree({"plain": root}), ())


def test_a_tree_without_masks_or_without_a_split_is_named(tmp_path: Path, minimal: Minimal) -> None:
    root = write_frames(tmp_path / "own", np.array([0, 1, 2, 0]))
    made = settings_of(minimal, root, {"classes": CLASSES})
    del made["datasets"]["mine"]["split"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(made))
    study = load_study(tmp_path / "study.yaml")
    with pytest.raises(InputError, match=r"split: given, but the frame mine_f0 has no given split"):
        split_of(study, "mine", collect(study, "mine")[0].samples)
    for mask in (root / "masks").iterdir():
        mask.unlink()
    with pytest.raises(
        InputError, match=r"images: none of 6 images has a mask in .*masks, and there is no labels\.csv"
    ):
        plain.read_tree(plain.find_tree({"plain": root}), ())


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("quoted", [False, True])
def test_commas_semicolons_or_tabs_separate_columns(tmp_path: Path, mark: str, start: str, quoted: bool) -> None:
    rows = [["activity", "name", "split"], ["cut, deep", "a.png", "test"], ["idle", "b.jpg", "train"], ["", "", ""]]
    text = "\r\n".join(mark.join(f'"{f}"' if quoted or mark in f else f for f in row) for row in rows)
    (tmp_path / "labels.csv").write_text(start + text, encoding="utf-8")
    frames = plain.read_tree(plain.find_tree({"plain": tmp_path}), ("cut, deep", "idle"))
    assert [(f.name, f.activity, f.split) for f in frames] == [
        ("a.png", "cut, deep", "test"),
        ("b.jpg", "idle", "train"),
    ]


def labelled(root: Path, activities: list[str]) -> None:
    rows = [f"f{index}.png,{activity}" for index, activity in enumerate(activities)]
    (root / "labels.csv").write_text("\n".join(["name,activity", *rows]) + "\n")


@pytest.mark.parametrize(
    ("activities", "dataset", "select_on", "message"),
    [
        (
            ["cut"] * 4 + ["idle"] * 2,
            {},
            "last",
            "the split rule random_by_activity puts none of 6 frames into the test split (cut 4, idle 2). This rule takes a fifth",
        ),
        (
            ["cut"] * 6,
            {"split": "by_sequence", "test": [f"mine_f{i}" for i in range(5)]},
            "last",
            "leaves 1 of 6 frames to train on",
        ),
        (
            ["cut"] * 5 + ["idle"],
            {},
            "val",
            "0 of 5 training frames are for validation (cut 4, idle 1); select_on: val needs",
        ),
    ],
)
def test_doctor_and_build_report_too_few_frames_for_the_split(
    minimal: Minimal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    activities: list[str],
    dataset: dict[str, Any],
    select_on: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_frames(tmp_path / "own", np.array([0, 1, 2, 0]))
    labelled(root, activities)
    made = settings_of(minimal, root, {"classes": CLASSES, "activities": ["cut", "idle"]}, **dataset)
    made["training"]["select_on"] = select_on
    Path("study.yaml").write_text(yaml.safe_dump(made))
    assert run("doctor") == 1
    assert message in capsys.readouterr().out
    assert run("step", "build_dataset", "--dataset", "mine") == 1
    assert message in capsys.readouterr().err and not Path("data/datasets/mine").exists()


def test_activities_without_test_frames_are_reported_before_training(
    minimal: Minimal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_frames(tmp_path / "own", np.array([0, 1, 2, 0]))
    labelled(root, ["cut"] * 5 + ["idle"])
    own = {"classes": CLASSES, "activities": ["cut", "idle"]}
    message = "split: random_by_activity gives no test frame to idle (1 frames). The rule draws a fifth of each activity's frames"
    Path("study.yaml").write_text(yaml.safe_dump(settings_of(minimal, root, own)))
    assert run("doctor") == 0 and message in capsys.readouterr().out
    assert run("step", "build_dataset", "--dataset", "mine") == 0 and message in capsys.readouterr().err
    made = settings_of(minimal, root, own, split="by_sequence", test=["mine_f5"])
    Path("study.yaml").write_text(yaml.safe_dump(made))
    assert run("doctor") == 0
    said = capsys.readouterr().out
    assert "split: by_sequence gives no test frame to cut (5 frames). No score includes these activities." in said
    assert "split: by_sequence gives no training frame to idle (1 frames). No model can learn these activities." in said


@pytest.fixture(scope="module")
def part() -> Split:
    """Pictures of blocks whose masks have ignored pixels."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.integers(0, 4, (5, 8, 8), np.uint8), np.ones((5, 5), np.uint8))
    images = 60 * np.repeat(masks[..., None], 3, axis=3) + rng.integers(0, 60, (5, 40, 40, 3), np.uint8)
    masks[:, :9] = IGNORED
    return Split([f"f{i}" for i in range(5)], ["a"] * 5, images.astype(np.uint8), masks, None)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SEVERITIES))
def test_corruptions_move_ignored_pixels_like_those_of_a_class(seed: int, severity: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (40, 48, 3), np.uint8)
    mask = np.kron(rng.integers(0, 3, (8, 8), np.uint8), np.ones((5, 6), np.uint8))
    as_ignored = np.where(mask == 2, np.uint8(IGNORED), mask)
    of_class, moved = (corrupt_pair(image, m, "elastic_transform", severity, seed=seed)[1] for m in (mask, as_ignored))
    np.testing.assert_array_equal(np.where(of_class == 2, IGNORED, of_class), moved)


def test_predictions_on_ignored_pixels_change_no_row_under_any_corruption(part: Split, tmp_path: Path) -> None:
    labels = plain_labels(ESD.classes[:4], ())
    conditions = Conditions(("elastic_transform", "gaussian_noise"), (1, 5), seed=3)

    def model(other: bool) -> Callable[[CorruptedBatch, int], Prediction]:
        def answer(piece: CorruptedBatch, position: int) -> Prediction:
            assert piece.images is not None
            masks = (piece.images[position].mean(axis=3) // 64).astype(np.uint8)
            # Of a corruption that moves pixels the rows are against moved masks and against the others.
            ignored = (piece.masks[position] == IGNORED) & (part.masks[list(piece.index)] == IGNORED)
            return None, np.where(ignored & other, (masks + 1) % 4, masks).astype(np.uint8)

        return answer

    rows = []
    for other in (False, True):
        folder = tmp_path / str(other)
        folder.mkdir()
        subject = ModelUnderTest(str(other), model(other), folder)
        evaluate([subject], part, labels, conditions, workers=0)
        rows.append(gather(subject, conditions)[0])
    pd.testing.assert_frame_equal(*rows)
    counted = rows[0][[f"truth_{i}" for i in range(4)]].sum(axis=1)
    assert (counted[rows[0]["corruption"] == ""] == 40 * 31).all()
    assert (counted < 40 * 40).all(), "what is ignored moves along and is left out under every condition"
    scores = scores_by_condition(rows[0], labels)
    assert {
        (s["corruption"], s["severity"], s["mask_warped"]) for s in scores if s["metric"] == "miou" and s["value"] > 0.5
    }


def test_reference_rows_and_scores_leave_ignored_pixels_out(part: Split) -> None:
    labels = plain_labels(ESD.classes[:4], ())
    prediction = np.where(part.masks == IGNORED, 3, part.masks).astype(np.uint8)
    scores = scores_of(measure(part, part.masks, labels, None, prediction), labels)
    found = {score["metric"]: score["value"] for score in scores if not score["class"]}
    assert found["miou"] == found["dice"] == found["ssim"] == 1 and found["hd"] == found["surface_missing"] == 0


@pytest.mark.slow
def test_a_study_with_ignored_pixels_is_trained_measured_and_drawn(
    minimal: Minimal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = write_frames(tmp_path / "own", NUMBERS, frames=10)
    values = {0: "background", 255: "tool", 7: "tissue", 9: "ignore"}
    made = settings_of(minimal, root, {"classes": CLASSES, "values": values})
    made["training"]["augmentation"] = {"flip_horizontal": 0.5, "rotation": 20}
    made["robustness"] = {"cells": [{}], "corruptions": ["elastic_transform"], "severities": [5]}
    Path("study.yaml").write_text(yaml.safe_dump(made))
    cell = "mine/resnet/single_segmentation/equal/r4-s0"
    steps = [
        ("step", "build_dataset", "--dataset", "mine"),
        *((name, "--cell", cell) for name in ("train", "evaluate", "robustness")),
    ]
    steps += [
        ("step", "score_references", "--dataset", "mine"),
        *(("step", n) for n in ("collect_results", "make_tables", "draw_figures", "draw_datasets", "make_page")),
    ]
    for step in steps:
        assert run(*step) == 0, step
    folder = Path("results/toy/cells") / cell
    history = pd.read_csv(folder / "history.csv")
    assert np.isfinite(history["loss_segmentation"]).all()
    rows = pd.read_parquet(folder / "eval/mine/per_image.parquet")
    assert (rows[[f"truth_{i}" for i in range(3)]].sum(axis=1) == 56 * 42).all()
    page = Path("results/toy/report/index.html").read_text()
    assert "Ignored pixels" in page and '"ignored"' in page
    assert run("verify") == 0
