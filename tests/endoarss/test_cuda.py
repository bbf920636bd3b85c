"""What only a GPU can show; passed over where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from endoarss import build_model, list_backbones, list_weightings
from endoarss.data import LabelledImages
from endoarss.models import MultiTaskModel
from endoarss.resume import ResumeFolder
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train

Make = Callable[..., ModelSettings]
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def run(
    make_settings: Make, data: LabelledImages, backbone: str, device: str, settings: TrainingSettings
) -> MultiTaskModel:
    seed_everything(0)
    model = build_model(make_settings(backbone, "tesla"))
    train(model, data, settings, torch.device(device))
    return model


@pytest.mark.parametrize("backbone", list_backbones())
def test_float32_follows_the_cpu(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    settings = TrainingSettings(3, 1e-3, 8, "db_mtl", precision="float32", compile=False)
    on_cpu, on_gpu = (run(make_settings, data, backbone, device, settings) for device in ("cpu", "cuda"))
    for one, other in zip(on_cpu.parameters(), on_gpu.parameters(), strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=0.05, atol=5e-3)


@pytest.mark.parametrize("weighting", list_weightings())
@pytest.mark.parametrize("backbone", list_backbones())
def test_bf16_and_compilation_train(backbone: str, weighting: str, make_settings: Make, data: LabelledImages) -> None:
    """The defaults on a GPU; 17 images in batches of 8 make batches of 8 and 9."""
    given = {"warmup_epochs": 0} if weighting == "stch" else {}
    model = run(make_settings, data, backbone, "cuda", TrainingSettings(3, 1e-3, 8, weighting, given))
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_stopped_training_goes_on(make_settings: Make, data: LabelledImages, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Stopped

    seed_everything(0)
    model = build_model(make_settings("dinov2", "tesla"))
    settings = TrainingSettings(4, 1e-3, 8, "moco")
    with pytest.raises(Stopped):
        train(model, data, settings, torch.device("cuda"), resume=ResumeFolder(tmp_path, "k"), observe=stop)
    history = train(model, data, settings, torch.device("cuda"), resume=ResumeFolder(tmp_path, "k"))
    assert len(history) == 4
