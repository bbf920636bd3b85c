"""Predicting files of one's own: what is written is what the model says, and what cannot be read is told by name."""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from corruptions.pictures import resize_image
from endoarss.backbones.timm_model import bare_timm_model
from endoarss.checkpoints import load_checkpoint, save_checkpoint
from endoarss.inference.media import Source, count_frames, read_frames
from endoarss.models import MultiTaskModel, build_model
from endoarss.prediction import Predictions, predict
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, WeightsSettings
from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.inference.overlay import OverlayDrawer, distinct_palette
from pipeline.inference.predict_files import palette_of, predict_files
from pipeline.io.hashing import sha256_of
from pipeline.io.images import write_png
from pipeline.labels.classes import ESD

SIZE = 56


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("models")

    def make(architecture: str) -> Path:
        path = folder / f"{architecture}.safetensors"
        if not path.exists():
            torch.manual_seed(1)
            backbone = BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)})
            given = ("resnet", architecture, ESD.classes, ESD.activities, SIZE, backbone)
            model = build_model(ModelSettings(*given, heads=HeadSettings(16, 16)))
            balance(model)
            save_checkpoint(model, path, {"synthetic": True})
        return path

    return make


@torch.no_grad()
def balance(model: MultiTaskModel) -> None:
    """An untrained model says the same everywhere; after this each class is somewhere the likeliest."""
    images = torch.from_numpy(np.stack([scene(SIZE, SIZE, seed) for seed in range(8)])).permute(0, 3, 1, 2) / 64 - 2
    for logits in model.eval()(images).values():
        bias = [parameter for parameter in model.parameters() if parameter.shape == (logits.shape[1],)][-1]
        bias -= logits.transpose(0, 1).flatten(1).mean(dim=1)


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Callable[[str], Path]) -> Path:
    return make_checkpoint("hps")


@pytest.fixture
def frozen_checkpoint(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint on a frozen ViT, and the file of its frozen weights in another folder."""
    weights = tmp_path / "weights" / "vit.safetensors"
    weights.parent.mkdir()
    arguments = {"embed_dim": 24, "depth": 2, "num_heads": 2}
    vit = bare_timm_model("vit_small_patch14_dinov2", arguments, img_size=SIZE)
    save_file({name: tensor.contiguous() for name, tensor in vit.state_dict().items()}, weights)
    source = WeightsSettings("file", str(weights), sha256_of(weights))
    backbone = BackboneSettings("vit_small_patch14_dinov2", arguments, source)
    given = ("dinov2", "tesla", ESD.classes, ESD.activities, SIZE, backbone)
    path = tmp_path / "model.safetensors"
    save_checkpoint(build_model(ModelSettings(*given, heads=HeadSettings(16, 16))), path, {"synthetic": True})
    return path, weights


def scene(width: int, height: int, seed: int) -> np.ndarray:
    """Blobs of colour, so that a model does not say the same everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Pictures of several sizes, modes and formats in a folder with a folder in it."""
    folder = tmp_path / "frames"
    (folder / "inner").mkdir(parents=True)
    for name, (width, height), mode in (
        ("a.png", (70, 50), "RGB"),
        ("b.jpg", (33, 120), "RGB"),
        ("c.png", (56, 56), "L"),
        ("d.png", (64, 48), "RGBA"),
        ("e.bmp", (40, 40), "RGB"),
        ("f.tif", (41, 30), "P"),
        ("inner/a.png", (3, 5), "RGB"),
        ("inner/one.png", (1, 1), "RGB"),
    ):
        Image.fromarray(scene(width, height, len(name) + width)).convert(mode).save(folder / name)
    (folder / ".hidden.png").write_bytes(b"not a picture")
    (folder / ".cache").mkdir()
    (folder / ".cache/x.png").write_bytes(b"not a picture")
    (folder / "notes.txt").write_text("not a picture")
    return folder


def write_video(path: Path, frames: int = 12, codec: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(scene(64, 48, index))
    writer.release()
    return path


def table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "predictions.csv", dtype={"frame": "Int64"})


def run(*arguments: object) -> int:
    return main(["predict", *map(str, arguments)])


def nearest(large: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Where a mask holds what the smaller one holds under each pixel's centre; between two pixels, either is right."""
    centres = [(np.arange(n) + 0.5) * len(small) / n for n in large.shape]
    right = np.zeros(large.shape, bool)
    for down, across in itertools.product((-1e-3, 1e-3), repeat=2):
        rows, columns = (centres[0] + down).astype(int), (centres[1] + across).astype(int)
        right |= large == small[rows][:, columns]
    return right


def answers(checkpoint: Path, pixels: np.ndarray) -> Predictions:
    model = load_checkpoint(checkpoint)
    return predict(model, resize_image(pixels, SIZE)[None], torch.device("cpu"), 1)


def test_what_is_written_is_what_the_model_says(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(checkpoint, frames, "--out", out, "--batch-size", 3) == 0
    said = capsys.readouterr()
    assert "8 images;" in said.out and "in the model" in said.out and "synthetic data" in said.out
    assert "8/8" in said.err and "images/s" in said.err

    rows = table(out)
    names = ["a.png", "b.jpg", "c.png", "d.png", "e.bmp", "f.tif", "inner/a.png", "inner/one.png"]
    assert rows["source"].tolist() == [str(frames / name) for name in names]
    assert rows["frame"].isna().all()
    shares = rows[[f"p_{name}" for name in ESD.activities]].to_numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=3e-6)
    assert rows["activity"].tolist() == [ESD.activities[index] for index in shares.argmax(axis=1)]
    np.testing.assert_array_equal(rows["probability"], shares.max(axis=1))

    seen = set()
    for row, share in zip(rows.itertuples(), shares, strict=True):
        source = Path(row.source)
        pixels = np.asarray(Image.open(source).convert("RGB"))
        expected = answers(checkpoint, pixels)
        assert expected.activity is not None and expected.masks is not None
        np.testing.assert_allclose(share, expected.activity[0], atol=1e-5)
        assert row.mask == f"masks/{source.relative_to(frames).with_suffix('.png').as_posix()}"
        stored = Image.open(out / row.mask)
        assert stored.mode == "P" and stored.size == (row.width, row.height) == pixels.shape[1::-1]
        assert nearest(np.asarray(stored), expected.masks[0]).all()
        seen |= set(np.unique(np.asarray(stored)))
        np.testing.assert_array_equal(
            np.asarray(stored.convert("RGB")), np.asarray(ESD.palette, np.uint8)[np.asarray(stored)]
        )
        assert (out / "overlays" / source.relative_to(frames)).with_suffix(".jpg").is_file()
    assert len(seen) > 2, "a mask of one class would prove little"

    legend = pd.read_csv(out / "legend.csv")
    assert legend["name"].tolist() == list(ESD.classes) and legend["colour"][3] == "#d55e00"
    about = json.loads((out / "predictions.json").read_text())
    assert about["trained"] == {"synthetic": True} and about["tasks"] == ["activity", "segmentation"]
    assert not [path for path in out.rglob("*") if "partial" in path.name]


def test_batches_and_order_change_nothing(checkpoint: Path, frames: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.avi", 5)
    assert run(checkpoint, frames, video, "--out", tmp_path / "x", "--batch-size", 1) == 0
    assert run(checkpoint, video, frames, "--out", tmp_path / "y", "--batch-size", 64, "--no-overlays") == 0
    x, y = (table(tmp_path / name).sort_values(["source", "frame"], ignore_index=True) for name in "xy")
    pd.testing.assert_frame_equal(x, y, rtol=0, atol=1e-5)
    for mask in x["mask"]:
        np.testing.assert_array_equal(*(np.asarray(Image.open(tmp_path / name / mask)) for name in "xy"))
    assert not (tmp_path / "y/overlays").exists()


@pytest.mark.parametrize(
    ("name", "codec"), [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("v.mkv", "mp4v"), ("v.MOV", "mp4v")]
)
def test_a_video_gives_its_frames(checkpoint: Path, tmp_path: Path, name: str, codec: str) -> None:
    video, out = write_video(tmp_path / name, 12, codec), tmp_path / "out"
    assert run(checkpoint, video, "--out", out, "--every", 5) == 0
    rows = table(out)
    assert rows["frame"].tolist() == [0, 5, 10]
    assert rows["mask"].tolist() == [f"masks/{name}/{index:06d}.png" for index in (0, 5, 10)]
    assert (rows["width"] == 64).all() and (rows["height"] == 48).all()
    capture = cv2.VideoCapture(str(video))
    decoded = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB) for _ in range(12)]
    for index, mask in zip((0, 5, 10), rows["mask"], strict=True):
        expected = answers(checkpoint, decoded[index]).masks
        assert expected is not None
        enlarged = cv2.resize(expected[0], (64, 48), interpolation=cv2.INTER_NEAREST_EXACT)
        np.testing.assert_array_equal(np.asarray(Image.open(out / mask)), enlarged)
    assert count_frames([Source(video, "v")], 5) == 3


def test_frames_stream(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more frames were read than written, but for three batches."""
    from pipeline.inference import predict_files as step

    read = 0
    ahead: list[int] = []

    def counted(source: Source, every: int) -> object:
        nonlocal read
        for frame in read_frames(source, every):
            read += 1
            yield frame

    def painted(self: OverlayDrawer, *arguments: object) -> np.ndarray:
        ahead.append(read - len(ahead))
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(step, "read_frames", counted)
    monkeypatch.setattr(OverlayDrawer, "draw", painted)
    assert run(checkpoint, write_video(tmp_path / "v.avi", 40), "--out", tmp_path / "out", "--batch-size", 4) == 0
    assert len(ahead) == 40 and max(ahead) <= 12


def test_the_rest_is_done_and_what_failed_is_named(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "b.jpg").write_bytes((frames / "b.jpg").read_bytes()[:-300])
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(frames / "deep.png")
    (frames / "f.tif").write_bytes(b"torn")
    stack = [Image.fromarray(scene(9, 9, seed)) for seed in (0, 1)]
    stack[0].save(frames / "stack.tiff", save_all=True, append_images=stack[1:])
    video = write_video(frames / "torn.avi", 30)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    (frames / "junk.mp4").write_bytes(b"junk")
    out = tmp_path / "out"
    assert run(checkpoint, frames, "--out", out, "--no-overlays") == 1
    said = capsys.readouterr().err
    assert "6 of 12 inputs could not be read completely; all other frames are predicted:" in said
    for message in (
        "b.jpg: it is not a readable image",
        "deep.png: grey of 16 bits per channel; expected RGB, grey or a palette with 8",
        "f.tif: it is not a readable image",
        "stack.tiff: it holds several images; expected one",
        "frames could be decoded, expected 30",
        "junk.mp4: not a readable video",
    ):
        assert f"{message}" in said
    rows = table(out)
    torn = rows[rows["source"] == str(video)]
    assert 0 < len(torn) < 30 and torn["frame"].tolist() == list(range(len(torn)))
    assert sorted(set(rows["source"]) - {str(video)}) == [
        str(frames / name) for name in ("a.png", "c.png", "d.png", "e.bmp", "inner/a.png", "inner/one.png")
    ]
    assert len(list((out / "masks").rglob("*.png"))) == len(rows)


def test_nothing_readable_gives_no_table(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert run(checkpoint, tmp_path / "a.png", "--out", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "no frame could be read:" in said and "a.png: it is not a readable image" in said
    assert not (tmp_path / "out/predictions.csv").exists()


@pytest.mark.parametrize(
    ("architecture", "columns"),
    [
        ("single_segmentation", ["source", "frame", "width", "height", "mask"]),
        (
            "single_activity",
            ["source", "frame", "width", "height", "activity", "probability", *(f"p_{n}" for n in ESD.activities)],
        ),
    ],
)
def test_a_model_of_one_task(
    make_checkpoint: Callable[[str], Path], frames: Path, tmp_path: Path, architecture: str, columns: list[str]
) -> None:
    out = tmp_path / "out"
    assert run(make_checkpoint(architecture), frames, "--out", out) == 0
    assert list(table(out).columns) == columns
    assert len(list((out / "overlays").rglob("*.jpg"))) == 8
    segments = architecture == "single_segmentation"
    assert (out / "masks").exists() == (out / "legend.csv").exists() == segments


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(9, 9, 0)).save(path)
    return path


def test_a_run_is_not_written_over(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert run(checkpoint, frames, "--out", out) == 0
    before = (out / "predictions.csv").read_bytes()
    assert run(checkpoint, frames / "a.png", "--out", out) == 1
    assert "predictions.csv, masks, overlays, legend.csv, predictions.json of an earlier run" in capsys.readouterr().err
    assert run(tmp_path / "no.safetensors", frames / "a.png", "--out", out, "--overwrite") == 1
    assert (out / "predictions.csv").read_bytes() == before, "a run that cannot begin takes nothing away"
    assert run(checkpoint, frames / "a.png", "--out", out, "--overwrite") == 0
    assert len(table(out)) == 1 and (out / "mine.txt").exists()
    assert [path.name for path in (out / "masks").rglob("*")] == ["a.png"]


def test_a_second_run_into_a_folder_is_refused_while_the_first_one_writes(
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, link = tmp_path / "out", tmp_path / "link"
    link.symlink_to(out)
    draw, codes = OverlayDrawer.draw, []

    def painted(self: OverlayDrawer, *arguments: object) -> np.ndarray:
        if not codes:
            for place in (out, link):
                codes.append(run(checkpoint, frames / "c.png", "--out", place, "--overwrite"))
        return draw(self, *arguments)

    monkeypatch.setattr(OverlayDrawer, "draw", painted)
    assert run(checkpoint, frames, "--out", out, "--batch-size", 1) == 0
    assert codes == [1, 1]
    said = capsys.readouterr().err
    assert f"--out {out}: process {os.getpid()}, which predicts with {checkpoint} (since " in said
    assert said.count("writes to it. Wait until that process ends, or choose another folder.") == 2
    assert len(table(out)) == 8 and {path.name for path in out.iterdir()} == {
        *("predictions.csv", "predictions.json", "legend.csv", "masks", "overlays")
    }
    assert run(checkpoint, frames / "a.png", "--out", out, "--overwrite") == 0, "the lock went with the run"


def test_a_run_that_was_killed_keeps_nobody_out(checkpoint: Path, frames: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.predict.lock").write_text(json.dumps({"pid": 1, "does": "predicts"}))
    assert run(checkpoint, frames / "a.png", "--out", tmp_path / "out") == 0


def test_masks_of_somebody_else_are_never_replaced(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = picture(tmp_path / "own/masks/a.png")
    assert run(checkpoint, frames, "--out", tmp_path / "own", "--overwrite") == 1
    assert "holds masks, but no predictions.json, so `predict` did not write them" in capsys.readouterr().err
    assert precious.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{model}", "missing.png"), "missing.png: no such file or folder"),
        (("no.safetensors", "frames"), "no.safetensors: there is no such checkpoint"),
        (("frames", "frames"), "frames: a folder; expected a checkpoint, such as frames/model.safetensors"),
        (("frames/a.png", "frames"), "frames/a.png: it is not a complete safetensors file"),
        (("{model}", "empty"), "empty: no image or video in this folder"),
        (("{model}", "frames/notes.txt"), "notes.txt: neither an image nor a video by its name"),
        (("{model}", "frames", "--out", "frames"), "--out frames: is the input frames or lies in it"),
        (("{model}", "frames", "--out", "frames/inner/out"), "is the input frames or lies in it"),
        (("{model}", "frames/a.png", "--out", "frames/a.png"), "is the input frames/a.png or lies in it"),
        (("{model}", "frames/a.png", "--out", "frames/b.jpg"), "--out frames/b.jpg: a file; expected a folder"),
        (("{model}", "old/masks", "--out", "old"), "its results would be written over the input old/masks"),
        (("{model}", "frames", "--batch-size", "0"), "--batch-size: '0': expected a whole number of at least 1."),
        (("{model}", "frames", "--every", "-1"), "--every: '-1': expected a whole number of at least 1."),
    ],
)
def test_what_cannot_be_used_is_refused(
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    picture(Path("old/masks/a.png"))
    before = sorted(tmp_path.rglob("*"))
    given_arguments = [argument.format(model=checkpoint) for argument in arguments]
    if "--out" not in arguments:
        given_arguments += ["--out", "out"]
    assert run(*given_arguments) == (2 if "whole number" in message else 1)
    said = capsys.readouterr().err
    assert said.startswith("endoarss predict: ") and message in said
    assert sorted(tmp_path.rglob("*")) == before, "nothing was written"


def test_a_torn_checkpoint_is_refused(
    checkpoint: Path, frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(checkpoint.read_bytes()[:-100])
    assert run(torn, frames, "--out", tmp_path / "out") == 1
    assert "torn.safetensors: it is not a complete safetensors file" in capsys.readouterr().err


def test_an_interrupted_run_leaves_no_table(
    checkpoint: Path, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(OverlayDrawer, "draw", interrupted)
    assert run(checkpoint, frames, "--out", tmp_path / "out", "--batch-size", 2) == 130
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_told_and_keeps_what_an_earlier_run_wrote(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = write_video(tmp_path / "v.avi", 12), tmp_path / "out"
    assert run(checkpoint, video, "--out", out) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if "000005" in path.name:
            write(path, content[:9])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    capsys.readouterr()
    assert run(checkpoint, video, "--out", out, "--batch-size", 4, "--overwrite") == 1
    said = capsys.readouterr().err
    assert "000005.jpg: " in said and "No space left on device" in said and ".partial: " not in said
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in out.iterdir()) == [
        *("legend.csv", "masks", "overlays", "predictions.csv", "predictions.json")
    ]


def test_half_precision_is_for_gpus(
    checkpoint: Path,
    frames: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run(checkpoint, frames, "--out", tmp_path / "out", "--half") == 1
    assert "--half: needs a GPU, and torch finds none. Leave the option out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(checkpoint, frames, "--out", tmp_path / "out") == 0
    assert json.loads((tmp_path / "out/predictions.json").read_text())["precision"] == "float32"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_half_precision_predicts_on_a_gpu(checkpoint: Path, frames: Path, tmp_path: Path) -> None:
    shares = {}
    for name, options in (("float32", ()), ("bf16", ("--half",))):
        assert run(checkpoint, frames, "--out", tmp_path / name, *options) == 0
        assert json.loads((tmp_path / name / "predictions.json").read_text())["precision"] == name
        shares[name] = table(tmp_path / name)[[f"p_{activity}" for activity in ESD.activities]].to_numpy()
    np.testing.assert_allclose(shares["bf16"], shares["float32"], atol=0.05)
    assert (shares["bf16"] != shares["float32"]).any()


def test_a_model_in_half_precision_gives_float32_probabilities_and_ids(checkpoint: Path) -> None:
    model, images = load_checkpoint(checkpoint), np.stack([scene(SIZE, SIZE, seed) for seed in range(3)])
    whole = predict(model, images, torch.device("cpu"))
    model.precision = "bf16"
    half = predict(model, images, torch.device("cpu"), 2)
    assert half.activity is not None and whole.activity is not None and half.masks is not None
    assert half.activity.dtype == np.float32 and half.masks.dtype == np.uint8
    np.testing.assert_allclose(half.activity, whole.activity, atol=0.05)
    assert (half.activity != whole.activity).any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 7), (320, 256), (300, 9), (9, 700), (1280, 1024)])
def test_a_painted_frame_is_readable_and_covers_no_background(width: int, height: int) -> None:
    pixels = scene(width, height, 0)
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 3, : width // 3] = 2
    painter = OverlayDrawer(ESD.classes, ESD.palette)
    painted = painter.draw(pixels, mask, ("dissection", 0.5))
    scale = max(1, 320 // max(width, height))
    assert painted.dtype == np.uint8 and painted.shape[1] == max(320, width * scale)
    strip = painted[height * scale :]
    assert 50 < len(strip) < 116 + height // 5 and (strip > 200).any(), "words below the frame"
    left = (painted.shape[1] - width * scale) // 2
    far = (slice(height * scale // 2, height * scale), slice(left + width * scale // 2, left + width * scale))
    enlarged = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    np.testing.assert_array_equal(painted[far], enlarged[height * scale // 2 :, width * scale // 2 :])
    if mask.any():
        assert (painted == ESD.palette[2]).all(axis=2).any()
    empty = painter.draw(pixels, np.zeros_like(mask), ("marking", 1.0))
    assert empty.shape == painted.shape, "frames of a video give pictures of one size"
    assert OverlayDrawer().draw(pixels, None, ("marking", 0.1)).shape[0] < painted.shape[0]


def test_many_classes_and_long_names_are_painted() -> None:
    classes = ("background", *(f"an instrument with a long name of its own, number {index}" for index in range(60)))
    mask = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 61
    painted = OverlayDrawer(classes, distinct_palette(classes)).draw(
        scene(64, 64, 0), mask.astype(np.uint8), ("an activity with a name much longer than anybody would read", 0.25)
    )
    assert painted.shape[1] == 320 and painted.shape[0] < 450


def test_palettes() -> None:
    assert palette_of(ESD.classes) == ESD.palette
    colours = palette_of([f"c{index}" for index in range(40)])
    assert len(set(colours)) == 40 and colours[0] == (0, 0, 0)
    assert colours[:12] == palette_of([f"other {index}" for index in range(12)]), "more classes change no colour"
    assert len(palette_of([str(index) for index in range(256)])) == 256


def test_a_run_that_cannot_read_anything_leaves_what_an_earlier_one_made(checkpoint: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out", tmp_path / "a.png"
    write_png(picture, scene(60, 50, 0))
    predict_files(checkpoint, [picture], out)
    before = {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    picture.write_bytes(b"torn")
    with pytest.raises(InputError, match="no frame could be read"):
        predict_files(checkpoint, [picture], out, overwrite=True)
    assert {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_checkpoint_works_from_any_folder_alone(
    frozen_checkpoint: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copied alone it says which file it needs; beside that file, with the option, or standalone it predicts the same."""
    checkpoint, weights = frozen_checkpoint
    picture, sent = tmp_path / "a.png", tmp_path / "sent"
    write_png(picture, scene(60, 50, 0))
    sent.mkdir()
    copied = Path(shutil.copy(checkpoint, sent))
    monkeypatch.chdir(sent)

    def predicts(name: str, *options: str) -> int:
        return main(["predict", str(copied), str(picture), "--out", name, *options])

    assert predicts("none") == 1
    assert "needs the frozen weights 'vit.safetensors'" in capsys.readouterr().err and not Path("none").exists()
    assert predicts("option", "--weights", str(weights)) == 0
    assert main(["predict", str(copied), "--weights", str(weights), "--standalone", "whole.safetensors"]) == 0
    assert main(["predict", "whole.safetensors", str(picture), "--out", "whole"]) == 0
    shutil.copy(weights, sent / "another_name.safetensors")
    assert predicts("beside") == 0
    tables = {Path(name, "predictions.csv").read_text() for name in ("option", "whole", "beside")}
    assert len(tables) == 1
    assert main(["predict", str(copied), "--standalone", "whole.safetensors"]) == 1
    assert "this file exists, and it is not replaced" in capsys.readouterr().err
    for needless in ([], ["a.png"], ["--out", "x"], ["a.png", "--standalone", "x"]):
        assert main(["predict", str(copied), *needless]) == 1
        assert "at least one INPUT together with --out DIR, or --standalone FILE, or both" in capsys.readouterr().err


def test_weights_of_the_project_are_found_from_any_working_directory(
    frozen_checkpoint: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, weights = frozen_checkpoint
    project, elsewhere, picture = tmp_path / "project", tmp_path / "elsewhere", tmp_path / "a.png"
    cell = project / "results/toy/cells/x"
    for folder in (cell, project / "data/weights", elsewhere):
        folder.mkdir(parents=True)
    shutil.copy(weights, project / "data/weights/any.safetensors")
    trained = Path(shutil.copy(checkpoint, cell / "model.safetensors"))
    (cell / "provenance.json").write_text(json.dumps({"checkpoint_sha256": sha256_of(trained)}))
    write_png(picture, scene(60, 50, 0))
    monkeypatch.chdir(elsewhere)
    assert main(["predict", str(trained), str(picture), "--out", "a"]) == 0
    # What else lies beside a provenance.json is another file than the one it is of.
    whole = cell / "whole.safetensors"
    assert main(["predict", str(trained), "--standalone", str(whole)]) == 0
    assert main(["predict", str(whole), str(picture), "--out", "b"]) == 0
    assert Path("a/predictions.csv").read_text() == Path("b/predictions.csv").read_text()
    trained.write_bytes(whole.read_bytes())
    assert main(["predict", str(trained), str(picture), "--out", "c"]) == 1
