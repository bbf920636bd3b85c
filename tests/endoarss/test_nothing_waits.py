"""Everything of an epoch on torch's meta device, which has no numbers: whatever waits for the device, or mixes devices, raises there.

That is what can be known of a training on a GPU without one. A copy from the host's memory to the device waits as well unless it is made
by `endoarss.data.upload`; a dispatch mode counts those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from endoarss import augmentation, build_model, data, list_architectures, list_backbones, list_weightings
from endoarss.augmentation import AugmentationSettings
from endoarss.data import LabelledImages, normalise
from endoarss.labels import IGNORED
from endoarss.merging.adamerging import AdaMerging
from endoarss.merging.base import Feedback
from endoarss.merging.fit_surgery import SurgerySettings, fit_surgery
from endoarss.merging.merge import entropy_of_model
from endoarss.merging.surgery import Surgery
from endoarss.models import MultiTaskModel
from endoarss.registry import ARCHITECTURES, MERGERS, list_mergers
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, SMASettings, WeightsSettings
from endoarss.training import TrainingSettings, _Run, make_weighting
from endoarss.weightings.base import GradientWeighting, LossWeighting
from tests.endoarss.small_backbones import small_settings
from tests.sampled import one_in

META = torch.device("meta")
SIZE = 56
VIT = BackboneSettings(
    "vit_small_patch14_dinov2",
    {"embed_dim": 24, "depth": 1, "num_heads": 2},
    WeightsSettings("checkpoint"),
    sma=SMASettings(width=2),
)
RESNET = BackboneSettings("resnet10t", {"channels": (8, 8, 12, 16)})
TRAINED = [name for name in list_architectures() if ARCHITECTURES.get(name).trained]
# All architectures with a fully trained backbone and with a frozen one behind a front; all backbones with one and with several streams.
PAIRS = [*product(("resnet", "endoarss"), TRAINED), *product(list_backbones(), ("mmoe", "tesla"))]
PAIRS = list(dict.fromkeys([*PAIRS, ("timm_features", "cross_stitch"), ("timm_features", "task_adapters")]))
EVERYTHING = AugmentationSettings(0.5, 0.5, 10.0, 0.1, 0.1, 0.1)


class Copies(TorchDispatchMode):
    """Counts copies from the host's memory to another device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        given = [value for value in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        moved = isinstance(result, Tensor) and result.device == META
        if moved and any(value.device.type == "cpu" and value.ndim for value in given):
            self.found.append(str(function))
        return result


@pytest.fixture(autouse=True)
def fused_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fused optimiser of GPUs run here: torch lists the devices that have it."""
    adam = import_module("torch.optim.optimizer")
    devices = adam._get_fused_kernels_supported_devices()
    monkeypatch.setattr(adam, "_get_fused_kernels_supported_devices", lambda: [*devices, "meta"])


def watched(make: Callable[..., Tensor], copies: Copies) -> Callable[..., Tensor]:
    """Return a function that makes tensors of numbers, which are copied where they are made on the device."""

    def making(*given: Any, **how: Any) -> Tensor:
        made = make(*given, **how)
        if made.device == META:
            copies.found.append(make.__name__)
        return made

    return making


@contextmanager
def uploads_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """Fail if the block copies anything to the device, uploads apart; yields what was uploaded."""
    copies, uploaded = Copies(), list[Tensor]()
    normalise(torch.empty(1, 3, 1, 1, device=META), "imagenet")  # made once per device
    for owner, name in ((torch, "tensor"), (torch, "as_tensor"), (Tensor, "new_tensor")):
        monkeypatch.setattr(owner, name, watched(getattr(owner, name), copies))  # below what a dispatch mode sees

    def upload(tensor: Tensor, device: torch.device) -> Tensor:
        uploaded.append(tensor)
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=device)

    for module in (data, augmentation):
        monkeypatch.setattr(module, "upload", upload)
    with copies:
        yield uploaded
    assert not copies.found


@cache
def on_meta(backbone: str, architecture: str) -> MultiTaskModel:
    given = RESNET if backbone == "resnet" else small_settings(backbone) or VIT
    given = replace(given, sma=SMASettings(width=2), with_sma=architecture == "task_adapters")
    settings = ModelSettings(
        backbone, architecture, ("0", "1", "2"), ("a", "b"), SIZE, given, heads=HeadSettings(16, 16)
    )
    with META:
        return build_model(settings)


def images(count: int) -> LabelledImages:
    pixels, masks = np.zeros((count, SIZE, SIZE, 3), np.uint8), np.zeros((count, SIZE, SIZE), np.uint8)
    masks[:, :2] = IGNORED
    return LabelledImages(pixels, masks, np.zeros(count, np.int64))


@pytest.mark.parametrize(("backbone", "architecture"), one_in(2, PAIRS))
def test_no_step_of_an_epoch_waits(backbone: str, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking batches, the last one smaller, augmentation, forward, losses, weighting, optimiser, history.

    Weightings know no models, but models know whether one is of losses or of gradients: each takes one of both. One model takes those too
    that train parameters of their own or look at the losses after the step, for two steps.
    """
    model = on_meta(backbone, architecture)
    every = (backbone, architecture) == ("dinov2", "mmoe")
    steps, more = (2, ("uncertainty", "imtl", "famo")) if every else (1, ())
    for name in ("equal", "db_mtl", *more):
        settings = TrainingSettings(1, 1e-3, 2, name, augmentation=EVERYTHING, compile=False)
        run = _Run(model, images(2 * steps + steps // 2), settings, META, name)
        with monkeypatch.context() as patch, uploads_alone(patch) as uploaded:
            found = run.steps(0, [""])
            summary, length = found.summary(), run.sum_of_norms()
        assert len(found.steps) == steps and len(uploaded) == 1 + steps, "an epoch's order, and a step's augmentation"
        assert summary.device == length.device == META and len(summary) > steps


@pytest.mark.parametrize("name", list_weightings())
def test_no_weighting_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three epochs, which is as many phases as a weighting has, of two steps, the second of which differs from the first."""
    settings = TrainingSettings(3, 1e-3, 2, name, {"warmup_epochs": 0} if name == "stch" else {})
    with META:
        weighting = make_weighting(settings, ("activity", "segmentation"))
    for epoch in range(3):
        weighting.start_epoch(epoch)
        for _ in range(2):
            losses, rows = (torch.zeros(*shape, device=META) for shape in ((2,), (2, 9)))
            with monkeypatch.context() as patch, uploads_alone(patch) as uploaded:
                if isinstance(weighting, GradientWeighting):
                    update, weights = weighting.combine(rows, losses)
                    weighting.owned_scales(losses)
                else:
                    assert isinstance(weighting, LossWeighting)
                    update, weights = weighting.combine(losses.requires_grad_())
                    update.backward()
                weighting.after_step(losses.detach())
            assert update.device == weights.device == META and not uploaded


@pytest.mark.parametrize(("backbone", "architecture"), PAIRS)
def test_evaluation_mode_does_not_wait(backbone: str, architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation, prediction and robustness: everything before predictions are read."""
    model = on_meta(backbone, architecture).eval()
    with torch.inference_mode(), uploads_alone(monkeypatch) as uploaded:
        outputs = model(data.to_input(images(3).images, META))
    assert set(outputs) == set(model.tasks) and len(uploaded) == 1


@pytest.mark.parametrize("name", [name for name in list_mergers() if issubclass(MERGERS.get(name), AdaMerging)])
def test_no_step_of_adamerging_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = on_meta("dinov2", "merged").eval()
    vector = {name: delta for name, delta in model.named_buffers() if name.endswith("delta")}
    entropy = entropy_of_model(model, images(5).images, META, 0, 2)
    with uploads_alone(monkeypatch) as uploaded:
        coefficients, losses = MERGERS.get(name)(iterations=3).learn([vector, vector], Feedback(lambda _: 0.0, entropy))
    assert len(vector) == 1 and len(uploaded) == 3, "the numbers of the images that each step sees"
    assert coefficients.device == losses.device == META and len(losses) == 3


def test_no_step_of_surgery_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    surgery, z = Surgery(8, 4).to(META), torch.zeros(5, 2, 2, 8, device=META)
    with uploads_alone(monkeypatch) as uploaded:
        fit_surgery(surgery, z, z, SurgerySettings(iterations=3, batch_size=1, batches=1))
    assert len(uploaded) == 3, "the numbers of the images that each step sees"


def test_a_tensor_of_numbers_on_the_device_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As what watches over the steps must do."""
    for make in (
        lambda: torch.tensor([1.0], device=META),
        lambda: torch.zeros(2).to(META),
        lambda: torch.empty(2, device=META).new_tensor([1.0, 2.0]),
    ):
        with pytest.raises(AssertionError), monkeypatch.context() as patch, uploads_alone(patch):
            make()
