"""What only a GPU can show; passed over where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from endoarss import build_model, list_backbones, list_weightings
from endoarss.data import LabelledImages
from endoarss.lora import adapted_layers
from endoarss.merging.features import representations
from endoarss.merging.fit_surgery import SurgerySettings, mean_l1
from endoarss.merging.merge import check_mergeable, merge, operate
from endoarss.models import MultiTaskModel
from endoarss.registry import MERGERS, list_mergers
from endoarss.resume import ResumeFolder
from endoarss.settings import IGNORED, ModelSettings
from endoarss.training import TrainingSettings, seed_everything, task_losses, train

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


@pytest.mark.parametrize("name", list_mergers())
def test_merging_and_surgery_follow_the_cpu(name: str, make_settings: Make, data: LabelledImages) -> None:
    biases = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        singles = {}
        for seed, architecture in enumerate(("single_activity", "single_segmentation")):
            seed_everything(seed)
            single = build_model(make_settings("dinov2", architecture)).eval()
            for layer in adapted_layers(single).values():
                assert layer.shared_b is not None
                torch.nn.init.normal_(layer.shared_b, std=0.3)
            singles[architecture] = single
        models = check_mergeable(singles)
        settings = {"iterations": 5} if MERGERS.get(name).adapts else {}
        model, _ = merge(models, MERGERS.get(name)(**settings), data.images, lambda model: 0.0, device)
        own = {task: representations(one, data.images, device) for task, one in models.items()}
        z = representations(model, data.images, device)
        operate(model, z, own, 4, SurgerySettings(iterations=20))
        with torch.no_grad():
            after = [model.surgery[task](z.to(device)).cpu() for task in own]
        biases.append([mean_l1(one, other) for one, other in zip(after, own.values(), strict=True)])
    assert biases[1] == pytest.approx(biases[0], rel=0.02)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_ignored_pixels_have_no_gradient_and_the_loss_waits_for_nothing(share: float) -> None:
    torch.manual_seed(0)
    masks = torch.randint(0, 4, (2, 16, 16), device="cuda")
    masks[torch.rand(masks.shape, device="cuda") < share] = IGNORED
    logits = torch.randn(2, 4, 16, 16, device="cuda", requires_grad=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = task_losses({"segmentation": logits}, masks, None, ignores=True)["segmentation"]
        loss.backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert logits.grad is not None and not logits.grad.permute(0, 2, 3, 1)[masks == IGNORED].any()
    assert (loss == 0) == (share == 1) and loss.isfinite()
