"""`predict` prepares frames as training did: cropped where training frames were, resized alike, and it says what looks unlike them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from corruptions.pictures import resize_image
from endoarss.checkpoints import load_checkpoint, read_header, save_checkpoint
from endoarss.inference.frame_kinds import FrameKinds, enlarge_mask
from endoarss.inference.preprocessing import Crop, Preprocessing
from endoarss.models import build_model
from endoarss.prediction import predict
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from pipeline.cli import main
from pipeline.datasets.load import load_split
from pipeline.datasets.manifest import COLUMNS, manifest_text, read_manifest
from pipeline.datasets.preprocessing import preprocessing_of
from pipeline.inference.predict_files import MORE_KINDS
from pipeline.io.images import Pixels, read_rgb
from pipeline.labels.classes import PARTS
from pipeline.sources.endovis2017 import crop
from pipeline.sources.official_crop import crop_window
from tests.endoarss.inference.test_frame_kinds import DA_VINCI, OFFICIAL, OWN, SIZE, frame, raw

PARTS_CELL = "endovis2017_parts/resnet/single_segmentation/equal/r4-s0"
TEST_SEQUENCE = "instrument_dataset_9"


@given(st.integers(2, 3000), st.integers(2, 3000))
def test_the_recorded_crop_is_that_of_the_reader(width: int, height: int) -> None:
    window = OFFICIAL.window(height, width)
    assert (window or (0, height, 0, width)) == crop_window(height, width)


@pytest.fixture(scope="module")
def built(trees: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of three datasets, built, and one trained cell."""
    folder = tmp_path_factory.mktemp("preprocessing")
    sources = {name: str(trees / name) for name in ("endovis2017", "endovis2018", "esd")}
    settings = {
        "study": "toy",
        "title": "Toy",
        "raw": {**sources, "vqla2018": sources["endovis2018"]},
        "datasets": {
            "mtlesd": {},
            "mtlendovis": {},
            "endovis2017_parts": {"split": "by_sequence", "test": [TEST_SEQUENCE]},
        },
        "input_size": SIZE,
        "heads": {"segmentation_channels": 8, "activity_channels": 8},
        "backbones": {
            "resnet": {"label": "R", "model": "resnet26", "arguments": {"channels": [8, 8, 8, 8]}, "weights": "none"}
        },
        "training": {"schedules": {"endovis2017_parts": {"epochs": 1, "learning_rate": 0.001}}},
        "cells": [
            {
                "datasets": ["endovis2017_parts"],
                "backbones": ["resnet"],
                "architectures": ["single_segmentation"],
                "weightings": ["equal"],
            }
        ],
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for dataset in settings["datasets"]:
            assert main(["step", "build_dataset", "--study", "study.yaml", "--dataset", dataset, "--workers", "1"]) == 0
        assert main(["train", "--study", "study.yaml", "--cell", PARTS_CELL]) == 0
    return folder


@pytest.mark.parametrize(
    ("dataset", "source", "expected"),
    [("mtlesd", "esd", None), ("mtlendovis", "endovis2018", OFFICIAL), ("endovis2017_parts", "endovis2017", OFFICIAL)],
)
def test_a_datasets_preprocessing_is_recorded(built: Path, dataset: str, source: str, expected: Crop | None) -> None:
    folder = built / "data/datasets" / dataset
    found = preprocessing_of(folder, load_split(folder, "train", SIZE).images)
    rows = [row for row in read_manifest(folder) if row["split"] == "train"]
    assert found.sources == (source,) and found.crop == expected
    assert set(found.sizes) == {(int(row["width"]), int(row["height"])) for row in rows}
    assert all(0 <= least <= most < 0.2 for least, most in found.borders)
    assert Preprocessing.from_dict(json.loads(json.dumps(found.to_dict())), "m") == found


def test_a_training_writes_it_into_its_checkpoint(built: Path) -> None:
    folder = built / "data/datasets/endovis2017_parts"
    said = read_header(built / "results/toy/cells" / PARTS_CELL / "model.safetensors").provenance["preprocessing"]
    assert said == preprocessing_of(folder, load_split(folder, "train", SIZE).images).to_dict()


def save_model(path: Path, preprocessing: Preprocessing | None, size: int = SIZE) -> Path:
    """An untrained segmentation model whose masks have several classes."""
    torch.manual_seed(3)
    backbone = BackboneSettings("resnet26", {"channels": (8, 8, 8, 8)})
    given_settings = ("resnet", "single_segmentation", PARTS.classes, (), size, backbone)
    model = build_model(ModelSettings(*given_settings, heads=HeadSettings(8, 8)))
    with torch.no_grad():
        images = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, size, size)).astype(np.float32))
        logits = model.eval()(images)["segmentation"]
        bias = [parameter for parameter in model.parameters() if parameter.shape == (logits.shape[1],)][-1]
        bias -= logits.transpose(0, 1).flatten(1).mean(dim=1)
    save_checkpoint(model, path, {"preprocessing": preprocessing.to_dict()} if preprocessing else {})
    return path


def masks_of(checkpoint: Path, *inputs: Path, out: Path) -> dict[str, Pixels]:
    assert main(["predict", str(checkpoint), *map(str, inputs), "--out", str(out), "--no-overlays"]) == 0
    rows = pd.read_csv(out / "predictions.csv")
    return {row.source: np.asarray(Image.open(out / row.mask)) for row in rows.itertuples()}


def expected_mask(checkpoint: Path, small: Pixels) -> Pixels:
    masks = predict(load_checkpoint(checkpoint), small[None], torch.device("cpu")).masks
    assert masks is not None
    return masks[0]


def test_raw_frames_give_the_predictions_of_the_built_dataset(
    built: Path, trees: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the model sees of a raw frame is, bit for bit, what it sees of the same frame in the test split."""
    checkpoint = built / "results/toy/cells" / PARTS_CELL / "model.safetensors"
    part = load_split(built / "data/datasets/endovis2017_parts", "test", SIZE)
    expected = predict(load_checkpoint(checkpoint), part.images, torch.device("cpu")).masks
    assert expected is not None and len(part.frame_ids) > 1
    frames = sorted((trees / "endovis2017").rglob(f"{TEST_SEQUENCE}/left_frames/*.png"))
    by_id = {f"endovis2017_{TEST_SEQUENCE}_{path.stem}": path for path in frames}
    found = masks_of(checkpoint, *frames, out=tmp_path / "out")
    for frame_id, mask in zip(part.frame_ids, expected, strict=True):
        height, width = read_rgb(by_id[frame_id]).shape[:2]
        top, bottom, left, right = crop_window(height, width)
        whole = found[str(by_id[frame_id])]
        assert whole.shape == (height, width)
        np.testing.assert_array_equal(whole[top:bottom, left:right], enlarge_mask(mask, right - left, bottom - top))
        outside = np.ones((height, width), bool)
        outside[top:bottom, left:right] = False
        assert not whole[outside].any()
    said = capsys.readouterr().err
    assert said.count("have the dark border of raw EndoVis 2017 frames: they are cropped to rows") == 1, "not per frame"
    assert "outside of this window masks are background" in said
    about = json.loads((tmp_path / "out/predictions.json").read_text())["frames"]
    assert len(about) == 1 and about[0]["count"] == len(frames) and about[0]["notes"]
    assert about[0]["cropped_to"] == {"rows": [top, bottom], "columns": [left, right]}


def test_real_raw_frames_are_cropped(sample_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = sorted((sample_data / "endovis2017/five_frames/left_frames").iterdir())
    checkpoint = save_model(tmp_path / "m.safetensors", DA_VINCI)
    found = masks_of(checkpoint, *frames, out=tmp_path / "out")
    assert capsys.readouterr().err.count("(1280x1024), as the benchmark crops EndoVis 2017; outside") == 1
    for path, mask in found.items():
        small = resize_image(crop(read_rgb(Path(path))), SIZE)
        np.testing.assert_array_equal(crop(mask), enlarge_mask(expected_mask(checkpoint, small), 1280, 1024))
        assert mask.shape == (1080, 1920) and not mask[:, :320].any() and len(np.unique(mask)) > 1


def test_an_earlier_checkpoint_works_as_before_with_one_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(raw(4)).save(tmp_path / "raw.png")
    Image.fromarray(frame(90, 50)).save(tmp_path / "other.png")
    checkpoint = save_model(tmp_path / "old.safetensors", None)
    found = masks_of(checkpoint, tmp_path / "raw.png", tmp_path / "other.png", out=tmp_path / "out")
    said = capsys.readouterr().err
    assert said.count("does not say how its training frames were prepared, because an earlier version wrote it") == 1
    assert "frames of" not in said
    small = resize_image(raw(4), SIZE)
    np.testing.assert_array_equal(
        found[str(tmp_path / "raw.png")], enlarge_mask(expected_mask(checkpoint, small), 480, 270)
    )


def test_many_sizes_are_said_in_few_lines() -> None:
    kinds = FrameKinds(OWN, SIZE, MORE_KINDS)
    said = [note for note in (kinds.prepare(frame(100 + 7 * index, 50))[2] for index in range(30)) if note]
    assert len(said) == 6 and said[-1].endswith("predictions.json lists all of them.")
    assert kinds.finish() == [] and all(len(kind["notes"]) == 1 for kind in kinds.summary())


def test_frames_of_very_many_sizes_leave_a_header_that_can_be_read(tmp_path: Path) -> None:
    """A checkpoint's header is bounded: of many sizes those stay that decide what looks like a training frame."""
    sizes = [(300 + index, 900 - index // 3) for index in range(500)] + [(1000, 90), (90, 1000)]
    row = dict.fromkeys(COLUMNS, "") | {"split": "train", "source": "plain"}
    rows = [
        row
        | {
            "frame_id": f"f{i}",
            "image": f"images/f{i}.png",
            "mask": f"masks/f{i}.png",
            "width": str(w),
            "height": str(h),
        }
        for i, (w, h) in enumerate(sizes)
    ]
    (tmp_path / "manifest.csv").write_text(manifest_text(rows))
    found = preprocessing_of(tmp_path, np.zeros((2, 8, 8, 3), np.uint8)).sizes
    assert len(found) <= 6 and set(found) <= set(sizes) and list(found) == sorted(found)
    for measure in (lambda size: size[0] / size[1], min, lambda size: size[0] * size[1]):
        assert {min(map(measure, found)), max(map(measure, found))} == {
            min(map(measure, sizes)),
            max(map(measure, sizes)),
        }
