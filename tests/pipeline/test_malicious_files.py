"""A file with a program in it, at every place that takes files: it is refused by name, and the program does not run."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from endoarss.resume import ResumeFolder
from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.io.images import read_ids
from pipeline.labels.classes import plain_labels
from pipeline.results.gallery import read_gallery
from pipeline.results.predictions import read_predictions
from pipeline.results.provenance import TYPES

CELL = "mtlesd/resnet/hps/equal/r4-s0"
FOLDER = Path("results/toy/cells") / CELL


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.mark), "w")


def as_pickle(payload: Payload) -> bytes:
    return pickle.dumps(payload)


def as_torch(payload: Payload) -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": torch.zeros(2), "run": payload}, stream)
    return stream.getvalue()


def as_npy(payload: Payload) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([payload], object), allow_pickle=True)
    return stream.getvalue()


def as_npz(payload: Payload) -> bytes:
    stream = io.BytesIO()
    names = ("frame_id", "masks", "activity", "confidence", "corruption", "severity")
    np.savez(stream, **{name: np.array([payload], object) for name in names})
    return stream.getvalue()


FORMS: list[Callable[[Payload], bytes]] = [as_pickle, as_torch, as_npy, as_npz]


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that a payload would create."""
    return tmp_path / "it-ran"


@pytest.fixture(params=FORMS, ids=lambda form: form.__name__)
def content(request: pytest.FixtureRequest, mark: Path) -> bytes:
    """The payload in each form that some loader would run."""
    made: bytes = request.param(Payload(mark))
    return made


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


def test_the_payload_would_run(mark: Path) -> None:
    pickle.loads(as_pickle(Payload(mark))).close()
    assert mark.exists()
    mark.unlink()
    np.load(io.BytesIO(as_npy(Payload(mark))), allow_pickle=True)[0].close()
    assert mark.exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_as_weights_of_a_backbone(
    study_file: Path, content: bytes, mark: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_bytes(content)
    settings = yaml.safe_load(study_file.read_text())
    settings["backbones"]["resnet"]["weights"] = {"file": name}
    study_file.write_text(yaml.safe_dump(settings))
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    assert run(study_file, "train", "--cell", CELL) == 1
    expected = (
        "it is not a safetensors file"
        if name.endswith(".safetensors")
        else "it (is neither|contains more than|is not a complete file)"
    )
    said = capsys.readouterr().err
    assert re.search(f"{name}: {expected}", said) and "Traceback" not in said
    assert not mark.exists()


@pytest.mark.parametrize(
    "arguments",
    [("evaluate", "--again", "--cell", CELL), ("robustness", "--workers", "0", "--cell", CELL), ("predict",)],
    ids=lambda arguments: arguments[0],
)
def test_as_a_checkpoint(
    study_file: Path, content: bytes, mark: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = FOLDER / "model.safetensors"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(content)
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    if arguments == ("predict",):
        picture = next(Path("data/datasets/mtlesd/images").iterdir())
        assert main(["predict", str(checkpoint), str(picture), "--out", "out"]) == 1
        expected = "model.safetensors: it is not a complete safetensors file"
    else:
        # Without the provenance of a training it is not even opened; with one that fits, it is no checkpoint.
        assert run(study_file, *arguments) == 1
        assert "provenance.json: missing" in capsys.readouterr().err
        lies = {key: kind() for key, kind in TYPES.items()} | {"checkpoint_sha256": hashlib.sha256(content).hexdigest()}
        (FOLDER / "provenance.json").write_text(json.dumps(lies))
        assert run(study_file, *arguments) == 1
        expected = "model.safetensors: it is not a complete safetensors file"
    said = capsys.readouterr().err
    assert expected in said and "Traceback" not in said and not mark.exists()


def test_as_predictions_and_kept_masks(tmp_path: Path, content: bytes, mark: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.npz: no saved predictions"):
        read_predictions(path, ["a"], plain_labels(["a", "b"], []))
    with pytest.raises(InputError, match=r"x\.npz: the saved masks cannot be used"):
        read_gallery(path)
    assert not mark.exists()


def test_as_a_state_to_go_on_from(
    tmp_path: Path, content: bytes, mark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "states").mkdir()
    (tmp_path / "states/epoch-000007.safetensors").write_bytes(content)
    assert ResumeFolder(tmp_path / "states", "key").load() is None
    assert (
        "epoch-000007.safetensors: this saved state is not used and was deleted" in capsys.readouterr().err
        and not mark.exists()
    )


def test_as_kept_arrays_of_a_dataset(
    study_file: Path, content: bytes, mark: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
        and run(study_file, "step", "pack_dataset", "--dataset", "mtlesd") == 0
    )
    for path in Path("data/datasets/mtlesd/arrays").rglob("masks.npy"):
        path.write_bytes(content)
    capsys.readouterr()
    assert run(study_file, "train", "--cell", CELL) == 1
    assert "arrays/56: was changed after pack_dataset made it" in capsys.readouterr().err
    Path("data/datasets/mtlesd/arrays/56.done.json").unlink()  # whoever gave the arrays gave no record of them
    assert run(study_file, "train", "--cell", CELL) == 1
    said = capsys.readouterr().err
    assert "masks.npy: not an array of pixels" in said and "Traceback" not in said and not mark.exists()


def test_as_rows_and_pictures(study_file: Path, content: bytes, mark: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
        and run(study_file, "step", "score_references", "--dataset", "mtlesd") == 0
    )
    rows = FOLDER / "eval/mtlesd/per_image.parquet"
    rows.parent.mkdir(parents=True)
    rows.write_bytes(content)
    (FOLDER / "provenance.json").write_text("{}")
    assert run(study_file, "step", "collect_results") == 1
    Path("mask.png").write_bytes(content)
    with pytest.raises(InputError, match="not a readable image"):
        read_ids(Path("mask.png"))
    assert not mark.exists() and "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:builtins.open [{mark}, w]", "!!python/object/new:io.open {{args: [{mark}, w]}}"]
)
def test_as_a_study(study_file: Path, mark: Path, tag: str, capsys: pytest.CaptureFixture[str]) -> None:
    study_file.write_text(f"{study_file.read_text()}\ncomponents: {tag.format(mark=mark)}\n")
    assert run(study_file, "list") == 1
    said = capsys.readouterr().err
    assert "not YAML" in said and "Traceback" not in said and not mark.exists()
