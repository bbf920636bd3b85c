"""What only a GPU can show. On a machine without one, the same code compares a CPU with itself wherever that makes sense.

`python -m benchmarks.gpu` runs this file first, so it imports nothing beyond the packages of benchmarks/gpu_parts/packages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from endoarss import build_model, list_backbones, list_weightings, training
from endoarss.data import LabelledImages, normalise, to_input
from endoarss.devices import choose_kernels
from endoarss.errors import TrainingError
from endoarss.labels import IGNORED
from endoarss.lora import adapted_layers
from endoarss.merging.features import representations
from endoarss.merging.fit_surgery import SurgerySettings, mean_l1
from endoarss.merging.merge import apply_surgery, check_mergeable, merge
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from endoarss.registry import MERGERS, list_mergers
from endoarss.resume import ResumeFolder
from endoarss.settings import ModelSettings
from endoarss.training import History, TrainingSettings, seed_everything, task_losses, train

Make = Callable[..., ModelSettings]
CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # switching oneDNN off says so
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
on_gpu = pytest.param("cuda", marks=needs_gpu)
DEVICES = ["cpu", on_gpu]
# Every weighting on a GPU; on a CPU one of each kind, where other tests have them all.
ON_CPU = ("equal", "db_mtl", "stch", "uncertainty", "famo")
WEIGHTINGS = [
    *((name, "cpu") for name in ON_CPU),
    *(pytest.param(name, "cuda", marks=needs_gpu) for name in list_weightings()),
]
# Where a result is compared with the CPU's: without oneDNN, a CPU computes convolutions and products by other kernels.
ELSEWHERE = ["cpu without oneDNN", on_gpu]


@pytest.fixture(autouse=True)
def full_float32() -> Iterator[None]:
    """Compute float32 in float32 on a GPU too, as studies do."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@contextmanager
def elsewhere(name: str) -> Iterator[torch.device]:
    """Give the device of an entry of `ELSEWHERE`."""
    if name == "cuda":
        yield torch.device("cuda")
    else:
        with torch.backends.mkldnn.flags(enabled=False):
            yield CPU


@contextmanager
def waiting_is_an_error(device: str) -> Iterator[None]:
    """Let whatever waits for the GPU in the block raise."""
    if device == "cpu":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def plain(epochs: int, weighting: str = "db_mtl", batch: int = 8, **others: Any) -> TrainingSettings:
    """Return settings of a training that is not compiled, in float32 unless told otherwise."""
    given = {"warmup_epochs": 0} if weighting == "stch" else {}
    return TrainingSettings(
        epochs, 1e-4, batch, weighting, given, **{"precision": "float32", "compile": False, **others}
    )


def trained(
    make_settings: Make,
    data: LabelledImages,
    backbone: str,
    device: torch.device,
    settings: TrainingSettings,
    architecture: str = "tesla",
) -> tuple[MultiTaskModel, History]:
    """Train a model from seed 0 without dropout, which draws other numbers on other devices."""
    seed_everything(0)
    model = build_model(make_settings(backbone, architecture))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model, train(model, data, settings, device)


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("backbone", list_backbones())
def test_float32_gradients_follow_the_cpu(backbone: str, place: str, make_settings: Make, data: LabelledImages) -> None:
    """One step; its gradients are still there after it.

    Parameters themselves cannot be compared closely: Adam's first step has the same length whatever the gradient, so where the
    gradient is rounding alone (a bias before batch normalisation), its sign differs from device to device.
    """
    settings = plain(1, batch=len(data))
    expected, _ = trained(make_settings, data, backbone, CPU, settings)
    with elsewhere(place) as device:
        found, _ = trained(make_settings, data, backbone, device, settings)
    gradients = {name: p.grad for name, p in expected.named_parameters() if p.grad is not None}
    whole = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    assert whole > 0
    others = {name: p.grad for name, p in found.named_parameters() if p.grad is not None}
    assert others.keys() == gradients.keys()
    for name, gradient in gradients.items():
        # Sums of some thousand float32 terms agree to about 1e-5; a wrong kernel or TF32 (1e-3) is far beyond.
        assert (others[name].cpu() - gradient).norm() <= 2e-4 * gradient.norm() + 2e-5 * whole, name


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("backbone", list_backbones())
def test_float32_losses_follow_the_cpu(backbone: str, place: str, make_settings: Make, data: LabelledImages) -> None:
    _, expected = trained(make_settings, data, backbone, CPU, plain(3))
    with elsewhere(place) as device:
        _, found = trained(make_settings, data, backbone, device, plain(3))
    assert len(found) == 3
    for one, other in zip(expected, found, strict=True):
        losses = {key: value for key, value in one.items() if key.startswith("loss_")}
        assert len(losses) == 2
        assert {key: other[key] for key in losses} == pytest.approx(losses, rel=2e-3)


@pytest.mark.parametrize(
    ("backbone", "weighting", "device"),
    [
        # Weightings know no models: on a CPU each meets one, and each model one of gradients.
        *((backbone, "db_mtl", "cpu") for backbone in list_backbones()),
        *(("resnet", name, "cpu") for name in ON_CPU if name != "db_mtl"),
        *(pytest.param(*pair, "cuda", marks=needs_gpu) for pair in product(list_backbones(), list_weightings())),
    ],
)
def test_bf16_trains(backbone: str, weighting: str, device: str, make_settings: Make, data: LabelledImages) -> None:
    settings = plain(2, weighting, precision="bf16")
    model, history = trained(make_settings, data, backbone, torch.device(device), settings)
    assert all(p.isfinite().all() for p in model.parameters())
    assert all(p.dtype == torch.float32 and p.device.type == device for p in model.parameters())
    assert history[-1]["memory_mib"] > 0


@needs_gpu
@pytest.mark.parametrize(
    ("backbone", "weighting", "images"), [("endoarss", "db_mtl", 17), ("resnet", "equal", 16), ("dinov2", "stch", 16)]
)
def test_the_defaults_train(
    backbone: str,
    weighting: str,
    images: int,
    make_settings: Make,
    data: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """bf16 and compiled. 17 images in batches of 8 make batches of 8 and 9, each with a graph of its own."""
    some = LabelledImages(data.images[:images], data.masks[:images], data.activities[:images])
    settings = plain(2, weighting, precision="auto", compile=None)
    original = training._Run._step

    def step(run: Any, epoch: Any, *arguments: Any, **keywords: Any) -> None:
        # The first epoch compiles, and tries kernels; in the second nothing waits.
        with waiting_is_an_error("cuda") if epoch.number else nullcontext():
            original(run, epoch, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(training._Run, "_step", step)
        model, history = trained(make_settings, some, backbone, torch.device("cuda"), settings)
    torch.compiler.reset()
    assert all(p.isfinite().all() for p in model.parameters())
    _, expected = trained(make_settings, some, backbone, torch.device("cuda"), plain(2, weighting, precision="bf16"))
    for key in ("loss_activity", "loss_segmentation"):
        # bf16 has 8 bits; compiled code rounds at other places.
        assert history[-1][key] == pytest.approx(expected[-1][key], rel=0.05), key


@pytest.mark.parametrize(("weighting", "device"), WEIGHTINGS)
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize(("backbone", "architecture"), [("endoarss", "tesla"), ("resnet", "hps")])
def test_no_step_waits_for_the_device(
    backbone: str,
    architecture: str,
    weighting: str,
    precision: str,
    device: str,
    make_settings: Make,
    data: LabelledImages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end of an epoch reads its means, which waits; the steps of the epoch do not."""
    steps = []
    original = training._Run._step

    def step(*arguments: Any, **keywords: Any) -> None:
        with waiting_is_an_error(device):
            original(*arguments, **keywords)
        steps.append(device)

    monkeypatch.setattr(training._Run, "_step", step)
    normalise(torch.zeros(1, 3, 2, 2, device=device), "imagenet")  # made once per device, before the first step
    settings = plain(2, weighting, precision=precision)
    trained(make_settings, data, backbone, torch.device(device), settings, architecture)
    assert len(steps) == 4


@needs_gpu
def test_images_that_do_not_fit_are_taken_from_the_host(
    make_settings: Make, data: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come in their turn, from pinned memory that is used again: with the same losses."""
    _, expected = trained(make_settings, data, "dinov2", torch.device("cuda"), plain(3))
    monkeypatch.setattr("endoarss.data._LARGEST_SHARE", 0.0)
    _, found = trained(make_settings, data, "dinov2", torch.device("cuda"), plain(3))
    for key in ("loss_activity", "loss_segmentation"):
        assert found[-1][key] == pytest.approx(expected[-1][key], rel=1e-3), key


@needs_gpu
@pytest.mark.parametrize("backbone", list_backbones())
def test_deterministic_runs_give_the_same_bits(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    settings = plain(2, deterministic=True)
    try:
        runs = [trained(make_settings, data, backbone, torch.device("cuda"), settings) for _ in range(2)]
    finally:
        choose_kernels(deterministic=False)
    (one, _), (other, _) = runs
    differing = [
        name
        for (name, first), second in zip(one.named_parameters(), other.parameters(), strict=True)
        if not torch.equal(first, second)
    ]
    # torch has no deterministic gradient of max-pooling, with which a ResNet begins.
    assert not differing or backbone in ("resnet", "timm_features"), differing[:5]


@pytest.mark.parametrize("device", DEVICES)
def test_a_stopped_training_goes_on(device: str, make_settings: Make, data: LabelledImages, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            raise Stopped

    def model(seed: int) -> MultiTaskModel:
        seed_everything(seed)
        built = build_model(make_settings("dinov2", "tesla"))
        for module in built.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return built

    place, settings = torch.device(device), plain(4, "moco")
    _, whole = trained(make_settings, data, "dinov2", place, settings)
    with pytest.raises(Stopped):
        train(model(0), data, settings, place, resume=ResumeFolder(tmp_path, "k"), observe=stop)
    # Another model, whose weights the saved state replaces.
    history = train(model(1), data, settings, place, resume=ResumeFolder(tmp_path, "k"))
    assert len(history) == 4
    for key in ("loss_activity", "loss_segmentation"):
        # A GPU adds in another order each time; a state that was not restored differs by far more.
        assert history[-1][key] == pytest.approx(whole[-1][key], rel=1e-3 if device == "cuda" else 0), key


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("backbone", list_backbones())
def test_predictions_follow_the_cpu(backbone: str, place: str, make_settings: Make, data: LabelledImages) -> None:
    model, _ = trained(make_settings, data, backbone, CPU, plain(1))
    expected = predict(model, data.images, CPU)
    with torch.inference_mode():
        logits = model(to_input(data.images, CPU))
    with elsewhere(place) as device:
        found = predict(model, data.images, device)
        with torch.inference_mode():
            others = model(to_input(data.images, device))
    for task, values in logits.items():
        torch.testing.assert_close(others[task].cpu(), values, rtol=1e-3, atol=1e-4)
    assert found.activity == pytest.approx(expected.activity, abs=1e-4)
    # Where two classes are equally likely, the last bit decides.
    assert (found.masks == expected.masks).mean() > 0.999


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("backbone", list_backbones())
def test_bf16_predicts_what_float32_does(backbone: str, device: str, make_settings: Make, data: LabelledImages) -> None:
    place = torch.device(device)
    model, _ = trained(make_settings, data, backbone, place, plain(1))
    expected = predict(model, data.images, place)
    model.precision = "bf16"
    found = predict(model, data.images, place)
    assert found.activity.dtype == "float32" and found.activity == pytest.approx(expected.activity, abs=0.05)
    assert (found.activity != expected.activity).any()
    assert (found.masks == expected.masks).mean() > 0.9


@needs_gpu
def test_memory_that_runs_out_is_told_with_figures(make_settings: Make, data: LabelledImages) -> None:
    model = build_model(make_settings("resnet", "hps"))
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-6)
    try:
        with pytest.raises(TrainingError, match=r"toy: out of memory in .+ were needed; .+ MiB held here, .+ MiB free"):
            train(model, data, plain(1), torch.device("cuda"), label="toy")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("device", DEVICES)
def test_sma_convolves_with_channels_last(
    device: str, precision: str, make_settings: Make, data: LabelledImages
) -> None:
    model = build_model(make_settings("endoarss", "tesla")).to(device)
    model.precision = precision
    seen = []

    def look(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        seen.append(given[0].is_contiguous(memory_format=torch.channels_last))

    for name in ("local", "expand"):
        model.backbone.front.get_submodule(name).register_forward_pre_hook(look)
    model(to_input(data.images, torch.device(device)))
    assert seen == [True, True]


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize("name", list_mergers())
def test_merging_and_surgery_follow_the_cpu(name: str, place: str, make_settings: Make, data: LabelledImages) -> None:
    def biases(device: torch.device) -> list[float]:
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
        apply_surgery(model, z, own, 4, SurgerySettings(iterations=20))
        with torch.no_grad():
            after = [model.surgery[task](z.to(device)).cpu() for task in own]
        return [mean_l1(one, other) for one, other in zip(after, own.values(), strict=True)]

    with elsewhere(place) as device:
        found = biases(device)
    assert found == pytest.approx(biases(CPU), rel=0.02)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_ignored_pixels_have_no_gradient_and_the_loss_waits_for_nothing(share: float, device: str) -> None:
    torch.manual_seed(0)
    masks = torch.randint(0, 4, (2, 16, 16), device=device)
    masks[torch.rand(masks.shape, device=device) < share] = IGNORED
    logits = torch.randn(2, 4, 16, 16, device=device, requires_grad=True)
    with waiting_is_an_error(device):
        loss = task_losses({"segmentation": logits}, masks, None, ignores=True)["segmentation"]
        loss.backward()
    assert logits.grad is not None and not logits.grad.permute(0, 2, 3, 1)[masks == IGNORED].any()
    assert (loss == 0) == (share == 1) and loss.isfinite()
