"""Saved predictions: the same predictions give the same bytes, and are read in the requested order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.labels.classes import plain_labels
from pipeline.results.predictions import SavedPredictions, read_predictions, write_predictions

FRAMES = ["b", "a", "c"]
LABELS = plain_labels([f"class{i}" for i in range(12)], ["cut", "hold", "tie"])
KEPT = SavedPredictions(
    FRAMES,
    np.array([2, 0, 1]),
    np.array([0.5, 0.75, 1.0], np.float32),
    np.arange(12, dtype=np.uint8).reshape(3, 2, 2),
)


def test_predictions_are_read_in_the_requested_order(tmp_path: Path) -> None:
    path = tmp_path / "mtlesd.npz"
    write_predictions(path, KEPT)
    first = path.read_bytes()
    write_predictions(path, KEPT)
    assert path.read_bytes() == first
    found = read_predictions(path, ["a", "c"], LABELS)
    assert found.activity is not None and found.confidence is not None and found.masks is not None
    assert found.frame_ids == ["a", "c"] and found.activity.tolist() == [0, 1]
    assert found.confidence.tolist() == [0.75, 1.0] and (found.masks[0] == KEPT.masks[1]).all()  # type: ignore[index]


def test_predictions_of_a_single_task_are_saved(tmp_path: Path) -> None:
    write_predictions(tmp_path / "x.npz", SavedPredictions(FRAMES, None, None, KEPT.masks))
    found = read_predictions(tmp_path / "x.npz", FRAMES, LABELS)
    assert found.activity is None and found.confidence is None and found.masks is not None


def test_missing_images_damaged_files_and_pickles_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    write_predictions(path, KEPT)
    with pytest.raises(InputError, match=r"x\.npz: no saved predictions of these images \('z' is missing\)"):
        read_predictions(path, ["z"], LABELS)
    whole = path.read_bytes()
    for torn in (whole[:-1], b"", whole[: len(whole) // 2]):
        path.write_bytes(torn)
        with pytest.raises(InputError, match=r"x\.npz: no saved predictions"):
            read_predictions(path, FRAMES, LABELS)
    np.savez(path, frame_id=np.array(FRAMES), masks=np.array([{}, {}, {}], object))
    with pytest.raises(InputError, match="an array of objects"):
        read_predictions(path, FRAMES, LABELS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": np.full((3, 2, 2), 200, np.uint8)}, "masks of the image 'b' holds 200; expected 0 to 11"),
        (
            {"confidence": np.array([0.5, np.nan, 1], np.float32)},
            "confidence of the image 'a' holds nan; expected 0.0 to 1",
        ),
        ({"activity": np.array([0, 1, 3])}, "activity of the image 'c' holds 3; expected 0 to 2"),
        ({"activity": np.array([0, -1, 2])}, "activity of the image 'a' holds -1"),
        (
            {"activity": np.array([0.0, 1, 2])},
            r"activity is float64 of shape \(3,\); expected integers of shape \(3,\)",
        ),
        (
            {"masks": np.zeros((3, 4), np.uint8)},
            r"masks is uint8 of shape \(3, 4\); expected uint8 of shape \(3, height, width\)",
        ),
        ({"masks": np.zeros((3, 2, 2), np.uint16)}, "masks are uint16"),
    ],
)
def test_values_out_of_their_range_name_file_and_image(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "x.npz"
    write_predictions(path, replace(KEPT, **changes))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"x\.npz: {message}"):
        read_predictions(path, FRAMES, LABELS)
