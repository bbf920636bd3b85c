"""Kept rows are read back only if they are what an evaluation of this test split leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from endoarss.metrics import Evaluator
from pipeline.datasets.load import Split
from pipeline.errors import InputError
from pipeline.evaluation.measure import measure
from pipeline.evaluation.scores import scores_of
from pipeline.labels.classes import ESD
from pipeline.results.gallery import read_gallery, representative, write_gallery
from pipeline.results.row_files import read_rows

CLASSES = len(ESD.classes)


def part(images: int = 6, seed: int = 0) -> Split:
    random = np.random.default_rng(seed)
    masks = random.integers(0, CLASSES, (images, 5, 5), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    names = [f"frame_{i}" for i in range(images)]
    activities = random.integers(0, len(ESD.activities), images)
    return Split(names, [""] * images, np.zeros((images, 40, 40, 3), np.uint8), masks, activities)


@pytest.fixture
def rows() -> pd.DataFrame:
    test, random = part(), np.random.default_rng(1)
    answers = random.integers(0, len(ESD.activities), 6)
    return measure(test, test.masks, ESD, answers, part(seed=2).masks, random.random(6).astype(np.float32))


def test_rows_give_the_scores_again(rows: pd.DataFrame, tmp_path: Path) -> None:
    rows.to_parquet(tmp_path / "per_image.parquet")
    again = read_rows(tmp_path / "per_image.parquet", part().frame_ids, ESD)
    for protocol in ("standard", "authors_code"):
        assert scores_of(again, ESD, protocol) == scores_of(rows, ESD, protocol)


def test_rows_and_the_evaluator_agree() -> None:
    test, predicted = part(), part(seed=2).masks
    answers = np.random.default_rng(3).dirichlet(np.ones(len(ESD.activities)), 6)
    kept = measure(test, test.masks, ESD, answers.argmax(axis=1), predicted, answers.max(axis=1))
    evaluator = Evaluator(ESD.classes, ESD.activities)
    assert test.activities is not None
    for i in reversed(range(6)):
        evaluator.add(mask=(test.masks[i], predicted[i]), activity=(int(test.activities[i]), answers[i]))
    for protocol in ("standard", "authors_code"):
        for one, other in zip(scores_of(kept, ESD, protocol), evaluator.scores(protocol), strict=True):
            assert (one["metric"], one["class"], one["n"]) == (other["metric"], other["class"], other["n"])
            assert one["value"] == pytest.approx(other["value"])


Spoil = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows.drop(columns="sequence"), r"lacks the column\(s\) sequence"),
        (lambda rows: rows.drop(columns="row_hd"), r"lacks the column\(s\) row_hd, because another version wrote it"),
        (lambda rows: rows.iloc[:-1], "the image 'frame_5' is missing; 6 test images were expected"),
        (
            lambda rows: rows.assign(frame_id=[f"other_{i}" for i in range(6)]),
            "is from another dataset or another build",
        ),
        (lambda rows: pd.concat([rows, rows.iloc[:1]]), "the image 'frame_0' occurs twice"),
        (lambda rows: rows.assign(truth_1=[1.0, np.nan, 1, 1, 1, 1]), "truth_1 of the image 'frame_1' is nan"),
        (
            lambda rows: rows.assign(activity_predicted=[0, 0, 9, 0, 0, 0]),
            "activity_predicted of the image 'frame_2' is 9",
        ),
        (lambda rows: rows.assign(both_0=[-1, 0, 0, 0, 0, 0]), "both_0 of the image 'frame_0' is -1"),
        (lambda rows: rows.assign(truth_1=rows["truth_1"] + 0.5), "truth_1 of the image 'frame_0' is"),
        (lambda rows: rows.assign(both_1=3 * rows["truth_1"] + 1), "both_1 of the image 'frame_0' is"),
        (lambda rows: rows.assign(hd_1=np.nan), "hd_1 of the image 'frame_.' is nan"),
        (lambda rows: rows.assign(assd_1=-1.0), "assd_1 of the image 'frame_.' is -1"),
        (lambda rows: rows.assign(hd95_1=np.inf), "hd95_1 of the image 'frame_.' is inf"),
        (lambda rows: rows.assign(activity_confidence=1.5), "activity_confidence of the image 'frame_0' is 1.5"),
        (
            lambda rows: rows.drop(columns="activity_true"),
            r"lacks the column\(s\) activity_true, because another version",
        ),
        (lambda rows: rows.drop(columns=["both_2", "hd95_2"]), r"lacks the column\(s\) both_2, hd95_2"),
        (lambda rows: rows.drop(columns="label_map_ssim"), r"lacks the column\(s\) label_map_ssim"),
        (lambda rows: rows.drop(columns=[f"pixels_{i}_0" for i in range(7)]), "pixels_4_0 and 2 others"),
        (lambda rows: rows.assign(corruption="smoke"), r"lacks the column\(s\) severity, mask_warped"),
    ],
)
def test_rows_that_are_not_of_this_part_are_named(
    rows: pd.DataFrame, tmp_path: Path, spoil: Spoil, message: str
) -> None:
    path = tmp_path / "per_image.parquet"
    spoil(rows).to_parquet(path)
    with pytest.raises(InputError, match=f"per_image.parquet: .*{message}"):
        read_rows(path, part().frame_ids, ESD)


def test_rows_of_two_datasets_in_one_file(rows: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "per_image.parquet"
    pd.concat([rows, rows.assign(frame_id=[f"other_{i}" for i in range(6)])]).to_parquet(path)
    with pytest.raises(InputError, match=r"per_image.parquet: the image 'other_0' is from another dataset"):
        read_rows(path, part().frame_ids, ESD)


def test_no_rows_and_torn_rows(tmp_path: Path) -> None:
    path = tmp_path / "per_image.parquet"
    with pytest.raises(InputError, match=r"per_image.parquet: missing. Evaluate the cell again"):
        read_rows(path, ["a"], ESD)
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match=r"per_image.parquet: not a table"):
        read_rows(path, ["a"], ESD)


def test_one_image_and_a_class_that_never_occurs() -> None:
    one = part(1)
    alone = replace(one, masks=np.where(one.masks == 2, 0, one.masks).astype(np.uint8))
    scores = {
        (s["metric"], s["class"]): s
        for s in scores_of(measure(alone, alone.masks, ESD, alone.activities, alone.masks), ESD)
    }
    assert scores["iou", ESD.classes[2]]["value"] is None and scores["hd", ESD.classes[2]]["n"] == 0
    assert scores["miou", ""]["value"] == 1 and scores["hd", ""]["value"] == 0 and scores["accuracy", ""]["value"] == 1


def test_the_gallery_is_kept_whole(tmp_path: Path) -> None:
    masks = part().masks[:2]
    keys = pd.DataFrame({"corruption": ["", "smoke"], "severity": [0, 3]})
    write_gallery(tmp_path / "gallery.npz", ["a", "b"], keys, np.stack([masks, masks[::-1]]))
    frames, found = read_gallery(tmp_path / "gallery.npz")
    assert frames == ["a", "b"] and list(found) == [("", 0), ("smoke", 3)]
    np.testing.assert_array_equal(found["smoke", 3], masks[::-1])
    whole = (tmp_path / "gallery.npz").read_bytes()
    for torn in (b"torn", whole[: len(whole) // 2]):
        (tmp_path / "gallery.npz").write_bytes(torn)
        with pytest.raises(InputError, match=r"gallery.npz: the saved masks cannot be used"):
            read_gallery(tmp_path / "gallery.npz")


def test_representative_images_differ_in_activity_first() -> None:
    test = part(9)
    assert test.activities is not None
    kinds = len(set(test.activities.tolist()))
    chosen = representative(test, kinds)
    assert len({int(test.activities[i]) for i in chosen}) == kinds
    assert len(set(representative(test, 20))) == 9
    none = representative(replace(test, activities=None), 3)
    richness = [len(np.unique(mask)) for mask in test.masks]
    assert [richness[i] for i in none] == sorted(richness, reverse=True)[:3]
