"""A trained model as a function: from wherever its checkpoint lies, of arrays, tensors, files and videos, at the size of the frame."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from corruptions.pictures import resize_image
from endoarss import load_checkpoint, load_predictor
from endoarss.backbones.timm_model import bare_timm_model
from endoarss.checkpoints import save_checkpoint, standalone
from endoarss.errors import MediaError, SettingsError
from endoarss.inference.media import _options_for_ffmpeg
from endoarss.inference.predictor import Prediction, Predictor
from endoarss.inference.preprocessing import Crop, Preprocessing
from endoarss.models import build_model
from endoarss.prediction import predict
from endoarss.pretrained.read_tensors import file_sha256
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, WeightsSettings
from pipeline.io.import_closure import import_closure

SIZE = 56
CLASSES, ACTIVITIES = ("background", "shaft", "jaw"), ("cutting", "idle")
NO_BORDER = ((0.0, 0.0),) * 4
PLAIN = Preprocessing(("plain",), ((90, 70),), NO_BORDER, None)
DA_VINCI = Preprocessing(("endovis2017",), ((1280, 1024),), NO_BORDER, Crop((1920, 1080), (320, 1600), (28, 1052)))


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(40, 256, (5, 6, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return path


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (90, 70))
    for index in range(frames):
        writer.write(scene(90, 70, index))
    writer.release()
    return path


def save(path: Path, preprocessing: Preprocessing | None = PLAIN, architecture: str = "hps") -> Path:
    """A model of random weights in which each class is somewhere the likeliest."""
    torch.manual_seed(1)
    backbone = BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)})
    settings = ModelSettings("resnet", architecture, CLASSES, ACTIVITIES, SIZE, backbone, heads=HeadSettings(16, 16))
    model = build_model(settings)
    images = torch.from_numpy(np.stack([scene(SIZE, SIZE, seed) for seed in range(8)])).permute(0, 3, 1, 2) / 64 - 2
    with torch.no_grad():
        for logits in model.eval()(images).values():
            bias = [parameter for parameter in model.parameters() if parameter.shape == (logits.shape[1],)][-1]
            bias -= logits.transpose(0, 1).flatten(1).mean(dim=1)
    save_checkpoint(model, path, {"preprocessing": preprocessing.to_dict()} if preprocessing else {})
    return path


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("cell") / "model.safetensors")


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return load_predictor(checkpoint, device="cpu")


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def assert_same(found: Prediction, expected: Prediction) -> None:
    assert found.activity == expected.activity and found.classes == expected.classes
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert found.mask is not None and expected.mask is not None
    np.testing.assert_array_equal(found.mask, expected.mask)


def test_a_frame_of_any_size_gives_what_the_model_says_at_its_size(checkpoint: Path, predictor: Predictor) -> None:
    seen = set()
    for width, height in ((90, 70), (270, 210), (180, 140)):
        image = scene(width, height)
        found = predictor(image)
        expected = predict(load_checkpoint(checkpoint), resize_image(image, SIZE)[None], torch.device("cpu"))
        assert expected.activity is not None and expected.masks is not None
        assert list(found.probabilities) == list(ACTIVITIES) and found.classes == CLASSES
        np.testing.assert_allclose(list(found.probabilities.values()), expected.activity[0], atol=1e-6)
        assert found.activity == ACTIVITIES[int(expected.activity[0].argmax())]
        assert found.mask is not None and found.mask.dtype == np.uint8 and found.mask.shape == (height, width)
        enlarged = cv2.resize(expected.masks[0], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        np.testing.assert_array_equal(found.mask, enlarged)
        assert found.image is image and found.path is None and found.index is None
        seen |= set(np.unique(found.mask))
    assert len(seen) > 1, "a mask of one class would prove little"


def test_arrays_tensors_and_pictures_are_the_same(predictor: Predictor, tmp_path: Path) -> None:
    image = scene(90, 70)
    expected, path = predictor(image), write(tmp_path / "a.png", image)
    for given in (
        torch.from_numpy(image),
        torch.from_numpy(image).permute(2, 0, 1),
        image[:, ::-1][:, ::-1],
        path,
        str(path),
    ):
        assert_same(predictor(given), expected)
    assert predictor(path).path == path
    np.testing.assert_array_equal(predictor(path).image, image)


def test_many_inputs_of_all_kinds_stream_in_their_order(predictor: Predictor, tmp_path: Path) -> None:
    folder, video = tmp_path / "frames", write_video(tmp_path / "v.avi", 5)
    # In one folder, names that could not be told apart in a folder of results.
    for name in ("a.png", "a.bmp", "a_png.png", "inner/b.png"):
        write(folder / name, scene(90, 70, len(name)))
    images = np.stack([scene(90, 70, seed) for seed in range(3)])
    given = [images[0], folder, torch.from_numpy(images[1]), str(video), video, folder / "a.png"]
    for batch_size in (1, 4, 64):
        found = list(predictor.stream(given, batch_size, every=2))
        pictures = [folder / name for name in ("a.bmp", "a.png", "a_png.png", "inner/b.png")]
        assert [one.path for one in found] == [None, *pictures, None, *[video] * 6, folder / "a.png"]
        assert [one.index for one in found][6:12] == [0, 2, 4, 0, 2, 4]
        for one in found:
            assert_same(one, predictor(one.image))
    for many in (images, torch.from_numpy(images), iter(images), torch.from_numpy(images).permute(0, 3, 1, 2)):
        for one, image in zip(predictor.stream(many), images, strict=True):
            np.testing.assert_array_equal(one.image, image)
    assert len(list(predictor.stream(video))) == 5 and len(list(predictor.stream(str(folder)))) == 4
    assert list(predictor.stream([])) == []


def test_a_stream_reads_no_further_than_a_batch(predictor: Predictor) -> None:
    read = []

    def images() -> Iterator[np.ndarray]:
        for seed in range(20):
            read.append(seed)
            yield scene(90, 70, seed)

    for count, _ in enumerate(predictor.stream(images(), batch_size=4)):
        assert len(read) <= count + 4


def test_what_was_read_before_an_error_is_predicted(predictor: Predictor, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "d.png"):
        write(tmp_path / name, scene(90, 70))
    (tmp_path / "c.png").write_bytes(b"torn")
    found = []
    with pytest.raises(MediaError, match="c.png: it is not a readable image"):
        for one in predictor.stream(tmp_path):
            found.append(one.path)
    assert found == [tmp_path / "a.png", tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"image of shape \(8, 8\) and type uint8; expected RGB as uint8 \(H, W, 3\)"),
        (np.zeros((8, 8, 4), np.uint8), r"shape \(8, 8, 4\)"),
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\) and type uint8.*A torch tensor may be \(3, H, W\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"shape \(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
        (torch.zeros(3, 8, 8), r"shape \(8, 8, 3\) and type float32; expected RGB as uint8"),
        ([np.zeros((8, 8, 3), np.uint8)], "a list; expected one image. `stream` predicts a sequence of images"),
        (None, "type object; expected RGB"),
        ("missing.png", "missing.png: no such file or folder"),
        ("model.txt", "model.txt: no such file|neither an image nor a video"),
        ("video.avi", "video.avi: a folder or a video; expected one image. `stream` predicts all frames"),
        (Path.cwd(), "a folder or a video; expected one image"),
    ],
)
def test_what_is_no_image_is_named(predictor: Predictor, given: object, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        predictor(given)


def test_what_cannot_be_streamed_is_named(predictor: Predictor) -> None:
    for name in ("batch_size", "every"):
        with pytest.raises(SettingsError, match=f"{name} 0; expected 1 or more"):
            predictor.stream([], **{name: 0})
    with pytest.raises(MediaError, match="int: expected paths, images, or a sequence of them"):
        predictor.stream(3)
    with pytest.raises(MediaError, match=r"shape \(90, 3\)"):  # one image where many are expected
        next(predictor.stream(scene(90, 70)))


@pytest.mark.parametrize("task", ["activity", "segmentation"])
def test_a_model_of_one_task(tmp_path: Path, task: str) -> None:
    found = load_predictor(save(tmp_path / "m.safetensors", architecture=f"single_{task}"))(scene(90, 70))
    assert (found.mask is None, found.classes == ()) == (task == "activity",) * 2
    assert (found.activity is None, found.probabilities == {}) == (task == "segmentation",) * 2


def test_raw_frames_are_cropped_and_said_once(tmp_path: Path) -> None:
    predictor = load_predictor(save(tmp_path / "m.safetensors", DA_VINCI))
    image = np.full((270, 480, 3), 15, np.uint8)
    image[7:263, 80:400] = scene(320, 256)
    with pytest.warns(
        UserWarning, match="dark border of raw EndoVis 2017 frames: they are cropped to rows 7 to 263"
    ) as said:
        found = [predictor(image), predictor(image)]
    assert len(said) == 1
    inside = load_predictor(save(tmp_path / "m.safetensors", DA_VINCI))(image[7:263, 80:400])
    for one in found:
        assert one.mask is not None and one.mask.shape == (270, 480) and inside.mask is not None
        np.testing.assert_array_equal(one.mask[7:263, 80:400], inside.mask)
        assert not one.mask[:, :80].any() and not one.mask[:7].any()


def test_frames_unlike_the_training_frames_are_warned_of(
    predictor: Predictor, checkpoint: Path, tmp_path: Path
) -> None:
    path = write(tmp_path / "wide.png", scene(300, 70))
    with pytest.warns(UserWarning, match=r"wide.png: frames of 300x70 do not look like the training frames") as said:
        list(predictor.stream([path, path, path]))
    assert len(said) == 1
    with pytest.warns(UserWarning, match="do not look like") as of_call:
        load_predictor(checkpoint)(path)
    assert {one.filename for one in (*said, *of_call)} == {__file__}, "a warning names the user's line"
    bordered = scene(90, 70)
    bordered[:, :20] = 0
    predictor(bordered)  # one dark frame proves nothing
    with pytest.warns(
        UserWarning, match="their dark border takes 21% at the left"
    ):  # at the end, for one frame proves nothing
        list(predictor.stream([bordered]))
    old = save(tmp_path / "old.safetensors", None)
    with pytest.warns(
        UserWarning, match="old.safetensors: this checkpoint does not say how its training frames were prepared"
    ):
        assert load_predictor(old)(scene(300, 70)).mask is not None


def test_values_that_are_no_numbers_are_told(checkpoint: Path) -> None:
    predictor = load_predictor(checkpoint)
    with torch.no_grad():
        next(predictor.model.heads["activity"].parameters()).fill_(float("nan"))
    with pytest.raises(SettingsError, match="image: the model returns probabilities that are not finite"):
        predictor(scene(90, 70))


def test_too_large_a_batch_is_told(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr("endoarss.inference.predictor.predict", full)
    with pytest.raises(
        MediaError, match="batch size 2: too many images for the memory of cpu. Choose a smaller batch size"
    ):
        list(predictor.stream([scene(90, 70)] * 2))


def frozen(folder: Path) -> tuple[Path, Path]:
    """A checkpoint on a frozen ViT in the folder of a cell, and its frozen weights elsewhere."""
    weights, cell = folder / "elsewhere/vit.safetensors", folder / "project/results/toy/cells/x"
    cell.mkdir(parents=True)
    weights.parent.mkdir()
    arguments = {"embed_dim": 24, "depth": 2, "num_heads": 2}
    vit = bare_timm_model("vit_small_patch14_dinov2", arguments, img_size=SIZE)
    save_file({name: tensor.contiguous() for name, tensor in vit.state_dict().items()}, weights)
    source = WeightsSettings("file", str(weights), file_sha256(weights))
    backbone = BackboneSettings("vit_small_patch14_dinov2", arguments, source)
    settings = ModelSettings("dinov2", "tesla", CLASSES, ACTIVITIES, SIZE, backbone, heads=HeadSettings(16, 16))
    save_checkpoint(build_model(settings), cell / "model.safetensors", {"preprocessing": PLAIN.to_dict()})
    return cell, weights


def test_a_model_is_loaded_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, weights = frozen(tmp_path)
    image = scene(90, 70)
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="needs the frozen weights 'vit.safetensors'"):
        load_predictor(cell)
    expected = load_predictor(cell, weights=weights)(image)
    for named in (str(weights), [weights.parent], (str(weights.parent),)):
        assert_same(load_predictor(str(cell / "model.safetensors"), weights=named)(image), expected)
    whole = tmp_path / "whole.safetensors"
    save_checkpoint(
        standalone(load_checkpoint(cell / "model.safetensors", [weights])), whole, {"preprocessing": PLAIN.to_dict()}
    )
    assert_same(load_predictor(whole)(image), expected)
    project = tmp_path / "project/data/weights"
    project.mkdir(parents=True)
    shutil.copy(weights, project / "any.safetensors")
    assert_same(load_predictor(cell)(image), expected)
    with pytest.raises(SettingsError, match=r"elsewhere: no model.safetensors in this folder. Expected a checkpoint"):
        load_predictor(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="no.safetensors: there is no such checkpoint"):
        load_predictor("no.safetensors")


def test_components_of_ones_own_are_imported(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_part_of_a_predictor.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for named in ("own_part_of_a_predictor", ["own_part_of_a_predictor"]):
        sys.modules.pop("own_part_of_a_predictor", None)
        with pytest.raises(SettingsError, match="own_part_of_a_predictor registers no component"):  # so it was imported
            load_predictor(checkpoint, components=named)


def test_the_device_is_chosen_and_threads_stay(checkpoint: Path) -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    assert load_predictor(checkpoint).device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    load_predictor(checkpoint, device=torch.device("cpu"))(scene(90, 70))
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before
    for wrong in ("gpu", "cuda:99"):
        with pytest.raises(SettingsError, match=rf"device '{wrong}': cannot be used \(.*Expected 'cpu', or 'cuda'"):
            load_predictor(checkpoint, device=wrong)


def test_videos_of_the_callers_own_code_are_opened_without_our_options(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    for value in (None, "rtsp_transport;udp"):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        with _options_for_ffmpeg():
            assert "format_whitelist" in os.environ[name]
        assert os.environ.get(name) == value


def test_a_predictor_needs_no_pipeline() -> None:
    files = import_closure("endoarss.inference.predictor")
    assert "endoarss/inference/media.py" in files
    assert {file.split("/")[0] for file in files} == {"corruptions", "endoarss"}
