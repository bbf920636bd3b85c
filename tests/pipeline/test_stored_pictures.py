"""Each way to store a picture or mask, in each place that takes one: doctor, build, predict, masks from elsewhere, corruptions apply."""

from __future__ import annotations

import csv
import json
import re
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from corruptions.command.cli import main as corruptions_command
from endoarss.checkpoints import save_checkpoint
from endoarss.inference.media import Source, read_frames
from endoarss.models import build_model
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from pipeline.cli import main
from tests.stored_pictures import KINDS, LOSSY, MORE, TOLERANCE, Array, Kind, ids_of, png_of, saved, shades

CLASSES = ["background", "knife", "forceps"]
IDS = ids_of(40, 48)
IMAGE = saved(Image.fromarray(shades(IDS)), "PNG")
MASK = png_of(IDS, 8, 0)


class Read(NamedTuple):
    """What a place made of a file: pixels, or what it said of it."""

    pixels: Array | None
    said: str


def check(kind: str, read: Read, wanted: Any, of: Array = IDS) -> None:
    if isinstance(wanted, str):
        assert read.pixels is None and re.search(wanted, read.said, re.DOTALL), read
    else:
        assert read.pixels is not None, read.said
        expected = wanted(of)
        tolerance = TOLERANCE if kind in LOSSY else 0
        assert read.pixels.shape == expected.shape and np.abs(read.pixels.astype(int) - expected).max() <= tolerance


def as_mask(how: Kind) -> Any:
    """What a mask of the three classes is read as: an id beyond them is refused too."""
    if isinstance(how.ids, str):
        return how.ids
    return how.ids if how.ids(IDS).max() < len(CLASSES) else str(how.ids(IDS).max())


def pixels_of(path: Path) -> Array:
    return np.asarray(Image.open(path))


class Built(NamedTuple):
    """The study, what was built of each frame, and which frames the doctor says cannot be, by decoding all and by their headers."""

    study: Path
    images: dict[str, Read]
    masks: dict[str, Read]
    doctor: set[str]
    by_headers: set[str]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A dataset of one's own with two frames of each kind: one whose image is stored so, and one whose mask is."""
    root = tmp_path_factory.mktemp("kinds")
    own = root / "own"
    (own / "images").mkdir(parents=True)
    (own / "masks").mkdir()
    names = []
    for kind, how in KINDS.items():
        for name, image, mask in (
            (f"image-{kind}{how.suffix}", how.content(IDS), MASK),
            (f"mask-{kind}.png", IMAGE, how.content(IDS)),
        ):
            (own / "images" / name).write_bytes(image)
            (own / "masks" / name).with_suffix(".png").write_bytes(mask)
            names.append(name)
    lines = ["name,split", *(f"{name},{'test' if index % 2 else 'train'}" for index, name in enumerate(names))]
    (own / "labels.csv").write_text("\n".join(lines) + "\n")
    study = root / "study.yaml"
    study.write_text(
        yaml.safe_dump(
            {
                "study": "kinds",
                "title": "Kinds",
                "datasets": {
                    "mine": {"plain": {"root": str(own), "classes": CLASSES, "activities": []}, "skip_bad": True}
                },
                "input_size": 40,
                "backbones": {"resnet": {"label": "R", "model": "resnet26", "weights": "none"}},
                "training": {"schedules": {"mine": {"epochs": 1, "learning_rate": 0.001}}},
                "cells": [
                    {
                        "datasets": ["mine"],
                        "backbones": ["resnet"],
                        "architectures": ["single_segmentation"],
                        "weightings": ["equal"],
                    }
                ],
                "robustness": {"cells": [{}], "corruptions": ["brightness"], "severities": [1]},
            }
        )
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["doctor", "--study", "study.yaml", "--deep", "--json", "doctor.json"]) == 0
        assert main(["doctor", "--study", "study.yaml", "--json", "headers.json"]) == 0
        assert main(["step", "build_dataset", "--study", "study.yaml", "--dataset", "mine"]) == 0
    folder = root / "data/datasets/mine"
    left_out = {
        frame: group["reason"]
        for group in json.loads((folder / "dataset.json").read_text())["left_out"]
        for frame in group["frames"]
    }

    def read(of: str, frame: str) -> Read:
        frame_id = f"mine_{frame}"
        if frame_id in left_out:
            return Read(None, left_out[frame_id])
        return Read(pixels_of(folder / of / f"{frame_id}.png"), "")

    images = {kind: read("images", f"image-{kind}") for kind in KINDS}
    masks = {kind: read("masks", f"mask-{kind}") for kind in KINDS}
    return Built(study, images, masks, named_in(root / "doctor.json"), named_in(root / "headers.json"))


def named_in(report: Path) -> set[str]:
    (found,) = json.loads(report.read_text())["datasets"]
    return {file for finding in found["findings"] for file in finding["files"]}


@pytest.mark.parametrize("kind", KINDS)
def test_build(built: Built, kind: str) -> None:
    check(kind, built.images[kind], KINDS[kind].rgb)
    check(kind, built.masks[kind], as_mask(KINDS[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_doctor(built: Built, kind: str) -> None:
    for of, reads in (("image", built.images), ("mask", built.masks)):
        frame, refused = f"mine_{of}-{kind}", reads[kind].pixels is None
        assert (frame in built.doctor) == refused
        if kind != "png_late_exif":  # whose pixels a header is read without
            assert refused or frame not in built.by_headers


def test_the_doctor_tells_by_headers_what_is_neither_image_nor_mask(built: Built) -> None:
    both = [kind for kind, how in KINDS.items() if isinstance(how.ids, str) and isinstance(how.rgb, str)]
    assert len(both) >= 7
    told = {f"mine_{of}-{kind}" for of in ("image", "mask") for kind in both if kind != "grey16_large"}
    assert told <= built.by_headers


def test_a_built_image_is_upright_for_every_program(built: Built) -> None:
    """An image that asks to be turned is stored turned, not copied with its EXIF."""
    folder = built.study.parent / "data/datasets/mine/images"
    assert all(not Image.open(path).getexif() for path in folder.iterdir())
    copied = folder / "mine_mask-grey8.png"
    assert copied.read_bytes() == IMAGE, "what needs nothing is copied byte for byte"


# Masks from elsewhere


@pytest.fixture(scope="module")
def predicted(built: Built) -> tuple[Path, list[str]]:
    """A folder of masks for the test frames, and which frames these are."""
    root = built.study.parent
    with (root / "data/datasets/mine/manifest.csv").open() as stream:
        frames = [row["frame_id"] for row in csv.DictReader(stream) if row["split"] == "test"]
    for condition in ("clean/0", "brightness/1"):
        (root / "predicted" / condition).mkdir(parents=True)
        for frame in frames:
            (root / "predicted" / condition / f"{frame}.png").write_bytes(png_of(ids_of(40, 40), 8, 0))
    return root / "predicted", frames


def evaluate(root: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tested = ["robustness", "--study", "study.yaml", "--dataset", "mine", "--workers", "0"]
        return main([*tested, "--predictions", "predicted", "--out", "out"])


READ_AS_THE_SAME = [kind for kind, how in KINDS.items() if not isinstance(how.ids, str) and (how.ids(IDS) == IDS).all()]


@pytest.mark.slow
def test_masks_from_elsewhere_score_the_same_however_they_are_stored(predicted: tuple[Path, list[str]]) -> None:
    folder, frames = predicted
    table = folder.parent / "out/robustness/per_image.parquet"
    assert evaluate(folder.parent) == 0
    rows = pd.read_parquet(table)
    assert len(READ_AS_THE_SAME) >= 9
    for place, frame in enumerate(frames):
        how = KINDS[READ_AS_THE_SAME[place % len(READ_AS_THE_SAME)]]
        (folder / f"brightness/1/{frame}.png").write_bytes(how.content(ids_of(40, 40)))
    assert evaluate(folder.parent) == 0
    pd.testing.assert_frame_equal(pd.read_parquet(table), rows)


@pytest.mark.parametrize("kind", [kind for kind, how in KINDS.items() if isinstance(as_mask(how), str)])
def test_masks_from_elsewhere_are_refused(
    predicted: tuple[Path, list[str]], kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, frames = predicted
    path = folder / f"clean/0/{frames[0]}.png"
    whole = path.read_bytes()
    path.write_bytes(KINDS[kind].content(ids_of(40, 40)))
    try:
        assert evaluate(folder.parent) == 1
    finally:
        path.write_bytes(whole)
    said = capsys.readouterr().err
    assert path.name in said and re.search(as_mask(KINDS[kind]), said, re.DOTALL) and "Traceback" not in said


# Pictures that are predicted


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str], str]:
    """A folder of all kinds of pictures, which of them got a prediction, and what was said of the others."""
    root = tmp_path_factory.mktemp("told")
    (root / "frames").mkdir()
    for kind, how in {**KINDS, **MORE}.items():
        if kind != "gif":
            (root / "frames" / f"{kind}{how.suffix}").write_bytes(how.content(IDS))
    backbone = BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)})
    given = ("resnet", "single_segmentation", tuple(CLASSES), (), 40, backbone)
    save_checkpoint(build_model(ModelSettings(*given, heads=HeadSettings(16, 16))), root / "m.safetensors", {})
    command = [
        "predict",
        str(root / "m.safetensors"),
        str(root / "frames"),
        "--out",
        str(root / "out"),
        "--no-overlays",
    ]
    with redirect_stderr(StringIO()) as said:
        assert main(command) == 1
    with (root / "out/predictions.csv").open() as stream:
        done = {Path(row["source"]).name for row in csv.DictReader(stream)}
    return root / "frames", done, said.getvalue()


@pytest.mark.parametrize("kind", [kind for kind in {**KINDS, **MORE} if kind != "gif"])
def test_predict(told: tuple[Path, set[str], str], kind: str) -> None:
    folder, done, said = told
    how = {**KINDS, **MORE}[kind]
    path = folder / f"{kind}{how.suffix}"
    lines = [line for line in said.splitlines() if f"{path}: " in line]
    assert (path.name in done) == (not lines)
    pixels = next(read_frames(Source(path, kind))).pixels if path.name in done else None
    check(kind, Read(pixels, "".join(lines)), how.rgb)


# Pictures and masks that are corrupted


@pytest.fixture(scope="module")
def corrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The copy of a folder with all kinds of images and masks, and why some were left out."""
    root = tmp_path_factory.mktemp("corrupted")
    for kind, how in {**KINDS, **MORE}.items():
        for name, image, mask in (("image", how.content(IDS), MASK), ("mask", IMAGE, how.content(IDS))):
            (root / "in" / name).mkdir(parents=True, exist_ok=True)
            (root / "masks" / name).mkdir(parents=True, exist_ok=True)
            (root / "in" / name / f"{kind}.png").write_bytes(image)
            (root / "masks" / name / f"{kind}.png").write_bytes(mask)
    options = ["--corruption", "brightness", "--severity", "1", "--workers", "1"]
    assert (
        corruptions_command(["apply", str(root / "in"), str(root / "out"), "--masks", str(root / "masks"), *options])
        == 1
    )
    left_out = json.loads((root / "out/corruptions.json").read_text())["left_out"]
    return root / "out/clean/0", dict(line.split(": ", 1) for line in left_out)


@pytest.mark.parametrize("kind", {**KINDS, **MORE})
def test_corruptions_apply(corrupted: tuple[Path, dict[str, str]], kind: str) -> None:
    folder, left_out = corrupted
    how = {**KINDS, **MORE}[kind]
    for name, of, wanted in (("image", "images", how.rgb), ("mask", "masks", how.ids)):
        path = folder / of / name / f"{kind}.png"
        read = Read(pixels_of(path) if path.exists() else None, left_out.get(f"{name}/{kind}.png", ""))
        check(kind, read, wanted)
