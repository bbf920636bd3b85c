"""A training that is stopped ends as one that was not: the same bits on a CPU."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from endoarss import build_model, list_weightings
from endoarss.augmentation import AugmentationSettings, ImageCorruption
from endoarss.checkpoints import tensors_sha256
from endoarss.data import LabelledImages
from endoarss.models import MultiTaskModel
from endoarss.resume import ResumeFolder, TrainingState
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train
from tests.sampled import quick_or_slow

Make = Callable[..., ModelSettings]
CPU = torch.device("cpu")
EPOCHS = 6


class Stopped(Exception):
    """What stops a training in these tests."""


def fade(image: np.ndarray, mask: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A corruption by random numbers."""
    return (image * draws[0]).astype(np.uint8), mask


def settings_of(weighting: str) -> TrainingSettings:
    given = {"warmup_epochs": 1} if weighting == "stch" else {}
    changes = AugmentationSettings(flip_horizontal=0.5, brightness=0.2)
    return TrainingSettings(
        *(EPOCHS, 1e-3, 8, weighting, given),
        decay_every=2,
        decay_factor=0.5,
        augmentation=changes,
        corruption=ImageCorruption(fade, 0.5),
    )


def digest(model: MultiTaskModel) -> str:
    return tensors_sha256(model.state_dict().items())


def run(
    make_settings: Make,
    data: LabelledImages,
    weighting: str,
    resume: ResumeFolder | None = None,
    stop_after: int = 0,
    validate: bool = False,
) -> tuple[str, list[dict[str, float]]]:
    """Train from the seed on; `stop_after` epochs it is stopped, the next run goes on."""
    seed_everything(5)
    model = build_model(make_settings("endoarss", "tesla"))

    def observe(row: dict[str, float]) -> None:
        if row["epoch"] == stop_after:
            raise Stopped

    def score(model: MultiTaskModel) -> float:
        return float(model.state_dict()["heads.activity.5.bias"].sum())

    settings = settings_of(weighting)
    validated = score if validate else None
    history = train(model, data, settings, CPU, "toy", validated, resume=resume, observe=observe)
    return digest(model), history


@pytest.mark.parametrize("weighting", ["db_mtl", "stch"])
def test_a_stopped_training_ends_with_the_same_bits(
    weighting: str, make_settings: Make, data: LabelledImages, tmp_path: Path
) -> None:
    expected, through = run(make_settings, data, weighting)
    for stop in (1, 4):
        with pytest.raises(Stopped):
            run(make_settings, data, weighting, ResumeFolder(tmp_path, "key"), stop)
    found, history = run(make_settings, data, weighting, ResumeFolder(tmp_path, "key"))
    assert found == expected and len(history) == EPOCHS
    varying = ("seconds", "images_per_second", "memory_mib")
    for one, other in zip(history, through, strict=True):
        assert {k: v for k, v in one.items() if k not in varying} == {
            k: v for k, v in other.items() if k not in varying
        }


STATES = ("famo", "moco", "rlw", "stch", "uncertainty")  # measured after the step, tracked, drawn, in phases, trained


@pytest.mark.parametrize("weighting", quick_or_slow(STATES, list_weightings()))
def test_every_weighting_goes_on_with_the_same_bits(weighting: str, tmp_path: Path) -> None:
    """What it tracks, trains and draws: a small model, stopped where a method with phases is in its last."""
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (4, 32, 32, 3), np.uint8), rng.integers(0, 3, (4, 32, 32), np.uint8)
    data = LabelledImages(pixels, masks, rng.integers(0, 4, 4))
    narrow, heads = BackboneSettings("resnet10t", {"channels": (8, 8, 8, 8)}), HeadSettings(8, 8)
    settings = ModelSettings("resnet", "hps", ("b", "x", "y"), ("i", "c", "s", "l"), 32, narrow, heads=heads)
    given = {"warmup_epochs": 0} if weighting == "stch" else {}

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Stopped

    def trained(
        folder: ResumeFolder | None = None, observe: Callable[[dict[str, float]], None] | None = None
    ) -> tuple[str, list[float]]:
        seed_everything(3)
        model = build_model(settings)
        schedule = TrainingSettings(3, 1e-2, 2, weighting, given, seed=3, weight_decay=0.1)
        history = train(model, data, schedule, CPU, resume=folder, observe=observe)
        return digest(model), [row["weight_activity"] for row in history]

    with pytest.raises(Stopped):
        trained(ResumeFolder(tmp_path, "key"), stop)
    assert trained(ResumeFolder(tmp_path, "key")) == trained()


def test_the_best_epoch_so_far_is_kept(make_settings: Make, data: LabelledImages, tmp_path: Path) -> None:
    expected, _ = run(make_settings, data, "db_mtl", validate=True)
    with pytest.raises(Stopped):
        run(make_settings, data, "db_mtl", ResumeFolder(tmp_path, "key"), 4, validate=True)
    found, _ = run(make_settings, data, "db_mtl", ResumeFolder(tmp_path, "key"), validate=True)
    assert found == expected


def test_a_torn_state_is_passed_over(
    make_settings: Make, data: LabelledImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, _ = run(make_settings, data, "moco")
    with pytest.raises(Stopped):
        run(make_settings, data, "moco", ResumeFolder(tmp_path, "key"), 4)
    kept = sorted(tmp_path.glob("*.safetensors"))
    assert [path.stem for path in kept] == ["epoch-000003", "epoch-000004"]
    content = bytearray(kept[-1].read_bytes())
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    foreign = (tmp_path / "foreign.safetensors").read_bytes()
    for torn in (content[: len(content) // 2], content[:-64] + bytes(64), b"", b"\0" * len(content), foreign):
        kept[-1].write_bytes(torn)
        capsys.readouterr()
        state = ResumeFolder(tmp_path, "key").load()
        assert state is not None and len(state.facts["history"]) == 3
        assert "epoch-000004.safetensors: this saved state is not used and was deleted" in capsys.readouterr().err
    found, _ = run(make_settings, data, "moco", ResumeFolder(tmp_path, "key"))
    assert found == expected


def test_another_training_starts_anew(
    make_settings: Make, data: LabelledImages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped):
        run(make_settings, data, "equal", ResumeFolder(tmp_path, "one"), 2)
    assert ResumeFolder(tmp_path, "one").load() is not None
    folder = ResumeFolder(tmp_path, "other")
    assert folder.load() is None
    assert "other settings, data or code" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "what another training left must not pass for newer than what comes"
    folder.remove()
    assert not tmp_path.exists()


def test_a_state_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, where a folder should be")
    folder = ResumeFolder(tmp_path / "taken", "key")
    folder.save(TrainingState({"x": torch.zeros(2)}, {"history": []}), 1)
    with pytest.raises(OSError):
        folder.wait()


SCRIPT = """
import sys, numpy as np, torch
from pathlib import Path
from endoarss import build_model
from endoarss.checkpoints import tensors_sha256
from endoarss.data import LabelledImages
from endoarss.resume import ResumeFolder
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train

torch.set_num_threads(1)
rng = np.random.default_rng(0)
data = LabelledImages(
    rng.integers(0, 256, (24, 32, 32, 3), np.uint8), rng.integers(0, 3, (24, 32, 32), np.uint8), rng.integers(0, 4, 24)
)
seed_everything(0)
model = build_model(
    ModelSettings("resnet", "tesla", ("b", "x", "y"), ("i", "c", "s", "l"), 32,
                  BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)}), heads=HeadSettings(8, 8))
)
train(model, data, TrainingSettings(20, 1e-3, 8, "db_mtl"), torch.device("cpu"), resume=ResumeFolder(Path(sys.argv[1]), "k"))
print(tensors_sha256(model.state_dict().items()))
"""


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """kill -9 at random moments, while states are written too, and started again until it ends."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT]
    through = subprocess.run(
        [*command, str(tmp_path / "a")], env=environment, capture_output=True, text=True, check=True
    )
    moments, folder = random.Random(3), tmp_path / "b"

    def newest() -> int:
        return max((int(path.stem[-6:]) for path in folder.glob("epoch-*.safetensors")), default=0)

    for _ in range(3):
        before = newest()
        process = subprocess.Popen(
            [*command, str(folder)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        while newest() < before + 2:
            assert process.poll() is None, "the training ended before it could be killed"
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = subprocess.run([*command, str(folder)], env=environment, capture_output=True, text=True, check=True)
    assert again.stdout == through.stdout and len(again.stdout.strip()) == 64
