"""What writes files says which one the disk does not take, under the name it was to have, and leaves nothing half written.

No disk is filled here: a process may be told how large its files may get, and write() then fails as on a full disk, without a name.
"""

from __future__ import annotations

import errno
import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from corruptions.command.files import write_whole
from corruptions.system_errors import explained
from endoarss.resume import ResumeFolder, TrainingState
from endoarss.saving import save_tensors
from endoarss.tensorboard import event_writer
from pipeline import cli
from pipeline.errors import InputError
from pipeline.inference.predict_files import _Writer
from pipeline.io.files import check_room, resumable_folder, whole_file, whole_files, whole_folder, write_text
from pipeline.io.images import write_png
from pipeline.results.cell_state import failure_recorded
from pipeline.results.gallery import write_gallery
from pipeline.results.paths import failure_file
from pipeline.results.predictions import SavedPredictions, write_predictions
from pipeline.sources.archives import extract
from pipeline.study.cells import cells_of
from pipeline.study.loading import load_study
from pipeline.workflow.failed_program import last_output
from reports.figures.datasets import Example, draw_contact_sheet

LIMIT = 20_000  # bytes; all that is written below is larger
NOISE = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
TENSORS = {"w": torch.arange(20_000.0)}


@contextmanager
def small_files() -> Iterator[None]:
    """No file may get larger than `LIMIT` in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def in_whole_file(write: Callable[[Path], object]) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with whole_file(path) as partial:
            write(partial)

    return run


def draw(partial: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4))
    figure.figimage(NOISE)
    figure.savefig(partial, format=partial.name.split(".")[2], dpi=100)


def print_rows(partial: Path) -> None:
    with partial.open("w", encoding="utf-8") as stream:  # small pieces: the last of them fail when it is closed
        for row in range(5000):
            stream.write(f"{row}\n")


def keep_state(path: Path) -> None:
    with ResumeFolder(path.parent, "key") as folder:
        folder.save(TrainingState(TENSORS, {}), 7)


def save_predictions(path: Path) -> None:
    with whole_files() as beside:
        write_predictions(beside(path), SavedPredictions(["a"], None, None, NOISE[None, ..., 0]))


def keep_gallery(path: Path) -> None:
    write_gallery(path, ["a"], pd.DataFrame({"corruption": [""], "severity": [0]}), NOISE[None, None, ..., 0])


def draw_sheet(partial: Path) -> None:
    card = {
        "title": "T",
        "palette": [(0, 0, 0), (9, 9, 9)],
        "classes": ["a", "b"],
        "frames_with_class": {"test": {"b": 1}},
    }
    draw_contact_sheet(card, {"b": [Example(NOISE, NOISE[..., 0] % 2, "c")]}, "mark", partial)


def keep_overlay(path: Path) -> None:
    predictor = SimpleNamespace(classes=(), activities=())
    _Writer(cast(Any, predictor), path.parents[1], True)._write_overlay(path.stem, NOISE)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "text": ("x.json", lambda path: write_text(path, "x" * 2 * LIMIT)),
    "rows": ("x.csv", in_whole_file(print_rows)),
    "checkpoint": ("model.safetensors", in_whole_file(lambda partial: save_tensors(TENSORS, partial))),
    "state": ("epoch-000007.safetensors", keep_state),
    "predictions": ("x.npz", save_predictions),
    "gallery": ("gallery.npz", keep_gallery),
    "table": ("x.parquet", in_whole_file(lambda partial: pd.DataFrame({"x": NOISE.ravel()}).to_parquet(partial))),
    "figure as PNG": ("x.png", in_whole_file(draw)),
    "figure as PDF": ("x.pdf", in_whole_file(draw)),
    "contact sheet": ("x.jpg", in_whole_file(draw_sheet)),
    "mask": ("x.png", in_whole_file(lambda partial: Image.fromarray(NOISE).save(partial, "PNG", compress_level=3))),
    "overlay": ("x.jpg", keep_overlay),
    "corrupted picture": ("x.png", in_whole_file(lambda partial: write_png(partial, NOISE))),
    "picture of corruptions": ("x.png", lambda path: write_whole(path, NOISE.tobytes(), path.parent)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_it_names_what_it_writes_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    name, write = WRITERS[kind]
    path = tmp_path / "overlays" / name
    path.parent.mkdir()
    with pytest.raises(OSError) as caught, small_files():
        write(path)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert explained(caught.value).startswith(f"{path}: the file is larger than allowed (File too large). ")
    assert list(path.parent.iterdir()) == []


def test_a_file_in_a_folder_is_named_by_the_folder(tmp_path: Path) -> None:
    for holder in (whole_folder, lambda path: resumable_folder(path, "key")):
        with pytest.raises(OSError) as caught, small_files(), holder(tmp_path / "made") as partial:
            (partial / "x").write_bytes(NOISE.tobytes())
        assert caught.value.filename == str(tmp_path / "made")
        with pytest.raises(OSError) as caught, holder(tmp_path / "made") as partial:
            (partial / "no/x").write_bytes(b"")
        assert caught.value.filename == str(tmp_path / "made/no/x"), "the name that it was to have"
    assert [path.name for path in tmp_path.iterdir() if path.name == "made"] == []


def test_an_archive_says_why_it_is_not_extracted(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x.bin", NOISE.tobytes())
    with (
        pytest.raises(InputError, match="x.zip: cannot be extracted. .*/x: the file is larger than allowed"),
        small_files(),
    ):
        extract(tmp_path / "x.zip", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_a_folder_is_asked_for_room_before_others_fill_it(tmp_path: Path) -> None:
    check_room(tmp_path / "made")
    for refused in (tmp_path / "made", tmp_path / "file/made"):
        (tmp_path / "file").touch()
        with pytest.raises(OSError) as caught, small_files():
            check_room(refused)
        assert caught.value.filename == str(refused)
    assert list((tmp_path / "made").iterdir()) == []


def test_events_are_named_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils.tensorboard import SummaryWriter

    def refuse(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    observe = event_writer(tmp_path / "tensorboard")
    monkeypatch.setattr(SummaryWriter, "flush", refuse)
    with pytest.raises(OSError) as caught:
        observe({"epoch": 1, "loss": 0.5})
    assert caught.value.filename == str(tmp_path / "tensorboard")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (
            "Traceback\n  File x\nOSError: [Errno 28] No space left on device\n\nUsing profile",
            ".snakemake: its disk is full",
        ),
        (
            "PermissionError: [Errno 13] Permission denied: '/x/latest.pkl'",
            "/x/latest.pkl: this user has no permission",
        ),
        (
            "ERROR: unexpected error - [Errno 28] No space left on device",
            ".snakemake: its disk is full",
        ),
        ("one\ntwo", "one\ntwo"),
    ],
)
def test_what_the_system_refuses_another_program_is_a_sentence_too(said: str, found: str) -> None:
    words = last_output(subprocess.CompletedProcess([], 1, "", said), ".snakemake")
    assert words.startswith(found) and "Traceback" not in words


def test_why_a_cell_failed_is_kept_in_the_same_words(study_file: Path) -> None:
    study = load_study(study_file)
    (cell,) = cells_of(study)
    with pytest.raises(OSError), failure_recorded(study, cell):
        raise OSError(errno.ENOSPC, "No space left on device", "x.npz")
    kept = json.loads(failure_file(study, cell).read_text())["message"]
    assert kept.startswith("x.npz: its disk is full (No space left on device). Free some space")


def test_a_command_says_it_in_a_sentence(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder for a study, a file where a folder is to be, and a disk that is full while a dataset is packed."""
    assert cli.main(["list", "--study", str(study_file.parent)]) == 1
    said = capsys.readouterr().err
    assert str(study_file.parent) in said and "disk" not in said
    assert cli.main(["step", "build_dataset", "--dataset", "mtlesd", "--study", str(study_file)]) == 0
    capsys.readouterr()
    with small_files():
        status = cli.main(["step", "pack_dataset", "--dataset", "mtlesd", "--study", str(study_file)])
    said = capsys.readouterr().err
    assert status == 1 and "endoarss step pack_dataset: data/datasets/mtlesd" in said and "File too large" in said
    assert not list(study_file.parent.glob("data/datasets/*/arrays/*/*"))
