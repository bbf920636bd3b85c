"""Finding the mask and the sequence of each image from names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.sources.frame_pairs import pair_frames, sequences_of


def touch(root: Path, *names: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def pairs(tmp_path: Path, images: list[str], masks: list[str]) -> dict[str, str | None]:
    folders = touch(tmp_path / "i", *images), touch(tmp_path / "m", *masks)
    return {
        name: mask.relative_to(folders[1]).as_posix() if mask else None for name, mask in pair_frames(*folders).items()
    }


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.jpg", "a.png"),
        ("a.JPG", "a_mask.PNG"),
        ("a.png", "mask_a.png"),
        ("a.png", "a-Segmentation.png"),
        ("a_frame.png", "a_mask.png"),
        ("frame_007.png", "mask_007.png"),
        ("frame_007_endo.png", "frame_007_endo_mask.png"),
        ("frame.png", "frame_mask.png"),
        ("v1/a.png", "v1/a.png"),
        ("v1/images/a.png", "v1/masks/a_gt.png"),
        ("a.png", "deep/in/a.png"),
        ("a.b_1.png", "a.b_1.png"),
    ],
)
def test_names_that_mean_the_same_frame(tmp_path: Path, image: str, mask: str) -> None:
    assert pairs(tmp_path, [image], [mask, "other.png", ".hidden.png", "a.txt"]) == {image: mask}


@pytest.mark.parametrize(("image", "mask"), [("a.png", "b.png"), ("a.png", "a1.png"), ("frame.png", "mask.png")])
def test_names_that_mean_different_frames(tmp_path: Path, image: str, mask: str) -> None:
    assert pairs(tmp_path, [image], [mask]) == {image: None}


def test_folders_keep_frames_of_one_name_apart(tmp_path: Path) -> None:
    names = ["v1/0.png", "v2/0.png"]
    assert pairs(tmp_path, names, names) == dict(zip(names, names, strict=True))


def test_the_exact_name_and_png_are_preferred(tmp_path: Path) -> None:
    assert pairs(tmp_path, ["a.jpg"], ["a.tif", "a.png", "a_mask.png"]) == {"a.jpg": "a.png"}


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["a.jpg", "a.png"], ["a.png"], r"i/a\.png: 'a\.jpg' in the same folder has the same name"),
        (["a.jpg"], ["a_mask.png", "a_seg.png"], r"i/a\.jpg: has two masks, .*a_mask\.png and .*a_seg\.png"),
        (["v1/0.jpg", "v2/0.jpg"], ["0.png"], r"m/0\.png: matches .*v1/0\.jpg and .*v2/0\.jpg"),
    ],
)
def test_ambiguous_names_are_refused(tmp_path: Path, images: list[str], masks: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        pairs(tmp_path, images, masks)


def test_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    folder = touch(tmp_path, "a.png", "a_mask.png", "v1/images/b.png", "v1/masks/b.png", "c.png")
    found = {name: mask and mask.relative_to(folder).as_posix() for name, mask in pair_frames(folder, folder).items()}
    assert found == {"a.png": "a_mask.png", "c.png": None, "v1/images/b.png": "v1/masks/b.png"}


@pytest.mark.parametrize(
    ("names", "sequences"),
    [
        (["case1_0.png", "case1_1.png", "case2_0.png", "case2_1.png"], ["case1", "case1", "case2", "case2"]),
        (["s_1_frame0.png", "s_1_frame1.png", "s_2_frame0.png", "s_2_frame1.png"], ["s_1", "s_1", "s_2", "s_2"]),
        (["v1/a.png", "v1/b.png", "v2/images/a.png", "v2/images/b.png"], ["v1", "v1", "v2", "v2"]),
        (["v1/a.png", "v1/b.png", "case2_1.png", "case2_2.png"], ["v1", "v1", "case2", "case2"]),
        (["frame_1.png", "frame_2.png", "frame_3.png"], [""] * 3),  # one sequence is none
        (["1.png", "2.png", "case_1.png", "case_2.png"], [""] * 4),
        (["a_1.png", "b_1.png", "c_1.png"], [""] * 3),  # a sequence for each frame is none
        (["frame1.png", "frame2.png"], [""] * 2),
    ],
)
def test_sequences_by_names(names: list[str], sequences: list[str]) -> None:
    assert sequences_of(names) == dict(zip(names, sequences, strict=True))
