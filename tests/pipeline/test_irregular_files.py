"""Pipes, devices, sockets and folders that have the name of a file: told at once, wherever a file is opened."""

from __future__ import annotations

import os
import signal
import socket
import zipfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corruptions.command.cli import main as corruptions_command
from endoarss.checkpoints import load_checkpoint, read_header, save_checkpoint
from endoarss.errors import MediaError
from endoarss.inference.media import Source, read_frames
from endoarss.models import build_model
from endoarss.resume import ResumeFolder
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, SettingsError
from pipeline.cli import main
from pipeline.datasets.card import read_card
from pipeline.datasets.manifest import read_manifest
from pipeline.errors import InputError
from pipeline.io import images
from pipeline.io.files import read_json, read_text
from pipeline.io.hashing import sha256_of
from pipeline.io.saved_files import read_history, read_table
from pipeline.labels.classes import plain_labels
from pipeline.results.gallery import read_gallery
from pipeline.results.predictions import read_predictions
from pipeline.sources import endovis2018, plain, vqla
from pipeline.sources.archives import find_archives, prepare_root
from pipeline.study.loading import load_study

KINDS = ("a named pipe", "a folder", "a device", "a socket")


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """Whatever waits for a pipe ends here."""

    def stop(*_: object) -> None:
        raise TimeoutError("waited")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make(path: Path, kind: str) -> Path:
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as opened, chdir(path.parent):  # a socket's path is short
            opened.bind(path.name)
    return path


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "image": ("a.png", images.read_rgb),
    "mask": ("a.png", images.read_ids),
    "colours": ("a.png", images.read_colours),
    "header": ("a.png", images.read_header),
    "picture": ("a.webp", lambda path: list(read_frames(Source(path, "a")))),
    "video": ("a.mp4", lambda path: list(read_frames(Source(path, "a")))),
    "text": ("a.txt", read_text),
    "json": ("a.json", read_json),
    "digest": ("a.bin", sha256_of),
    "study": ("a.yaml", load_study),
    "history": ("a.csv", read_history),
    "table": ("a.parquet", read_table),
    "predictions": ("a.npz", lambda path: read_predictions(path, [], plain_labels(["a"], []))),
    "gallery": ("a.npz", read_gallery),
    "label list": ("labels.json", lambda path: endovis2018.read_label_lists([path])),
    "annotation": ("frame000_QA.txt", vqla.read_states),
    "manifest": ("manifest.csv", lambda path: read_manifest(path.parent)),
    "card": ("dataset.json", lambda path: read_card(path.parent)),
    "labels": ("labels.csv", plain.read_labels),
    "checkpoint": ("a.safetensors", read_header),
    "model": ("a.safetensors", load_checkpoint),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_tells_it_at_once(tmp_path: Path, reader: str, kind: str) -> None:
    name, read = READERS[reader]
    path = make(tmp_path / name, kind)
    with pytest.raises((OSError, InputError, MediaError, SettingsError), match=name):
        read(path)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "a folder"])
def test_an_archive(tmp_path: Path, kind: str) -> None:
    path = make(tmp_path / "release.zip", kind)
    assert find_archives(tmp_path) == [path]
    with pytest.raises(InputError, match=rf"release.zip: not a readable .zip \({kind}; expected a regular file\)"):
        prepare_root(tmp_path)


@pytest.mark.parametrize("kind", ["a named pipe", "a link"])
def test_the_lock_of_an_archive(tmp_path: Path, kind: str) -> None:
    """A tree may bring what has the lock's name: nothing waits for it, and nothing is written through it."""
    outside, tree = tmp_path / "precious", tmp_path / "tree"
    outside.write_text("precious")
    tree.mkdir()
    lock = tree / ".release.zip.lock"
    if kind == "a link":
        lock.symlink_to(outside)
    else:
        os.mkfifo(lock)
    with zipfile.ZipFile(tree / "release.zip", "w") as packed:
        packed.writestr("a/b.txt", "text")
    try:
        prepare_root(tree)
    except InputError as error:
        assert "release.zip: cannot be extracted" in str(error)
    assert outside.read_text() == "precious"


def test_states_of_a_training(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "epoch-000003.safetensors")
    assert ResumeFolder(tmp_path, "key").load() is None


def fill(folder: Path) -> list[str]:
    """One good picture and one of each kind of strangers; their names."""
    folder.mkdir()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(folder / "good.png")
    names = ["pipe.png", "zero.png", "socket.png", "pipe.mp4"]
    for name, kind in zip(names, ("a named pipe", "a device", "a socket", "a named pipe"), strict=True):
        make(folder / name, kind)
    make(folder / "folder.png", "a folder")
    return names


def test_predict_does_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = fill(tmp_path / "in")
    backbone = BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)})
    given = ("resnet", "single_segmentation", ("background", "knife"), (), 40, backbone)
    save_checkpoint(build_model(ModelSettings(*given, heads=HeadSettings(16, 16))), tmp_path / "m.safetensors", {})
    command = ["predict", str(tmp_path / "m.safetensors"), "--out", str(tmp_path / "out"), "--no-overlays"]
    assert main([*command, str(tmp_path / "in"), str(tmp_path / "in/pipe.mp4")]) == 1
    said = capsys.readouterr().err
    assert all(f"in/{name}: a " in said for name in names) and "4 of 5 inputs" in said and "Traceback" not in said
    assert (tmp_path / "out/masks/good.png").is_file()
    assert main([*command, "--overwrite", str(tmp_path / "in/pipe.png")]) == 1
    assert "pipe.png: a named pipe; expected a regular file" in capsys.readouterr().err


def test_corruptions_apply_does_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in fill(tmp_path / "in") if name.endswith(".png")]
    options = ["--corruption", "brightness", "--severity", "1", "--workers", "1"]
    assert corruptions_command(["apply", str(tmp_path / "in"), str(tmp_path / "out"), *options]) == 1
    said = capsys.readouterr().err
    assert all(f"{name}: a " in said for name in names) and "3 of 4 images were left out" in said
    assert (tmp_path / "out/brightness/1/images/good.png").is_file()
    listing = make(tmp_path / "list.txt", "a named pipe")
    assert corruptions_command(["apply", str(tmp_path / "in"), str(tmp_path / "x"), "--only", str(listing)]) == 1
    assert "list.txt: it is not a readable text file (a named pipe; expected a regular file)" in capsys.readouterr().err
