"""Each task's gradient, told apart in one backward pass or in one a task, against separate passes in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from endoarss import build_model, list_architectures, list_backbones, list_weightings
from endoarss.data import LabelledImages, to_input
from endoarss.gradients import (
    Losses,
    TrainedParameters,
    backward,
    gradients_by_task,
    norms_and_cosines,
    one_pass,
    per_task_backward,
)
from endoarss.models import MultiTaskModel
from endoarss.registry import ARCHITECTURES, WEIGHTINGS
from endoarss.settings import ModelSettings, SMASettings
from endoarss.training import seed_everything, task_losses
from endoarss.weightings.base import GradientWeighting

Make = Callable[..., ModelSettings]
CPU = torch.device("cpu")
TRAINED = [name for name in list_architectures() if ARCHITECTURES.get(name).trained]
MULTI = [name for name in TRAINED if not name.startswith("single_")]
PAIRS = list(product(list_backbones(), MULTI))


def make(settings: ModelSettings) -> MultiTaskModel:
    """In float64, without dropout, and nothing at zero: what starts there passes no signal on."""
    seed_everything(3)
    model = build_model(settings).double().train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.05)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def problem(model: MultiTaskModel, data: LabelledImages) -> tuple[Tensor, Losses]:
    images = to_input(data.images[:2], CPU).double()
    masks, activities = torch.from_numpy(data.masks[:2]).long(), torch.from_numpy(data.activities[:2])

    def losses_of(outputs: dict[str, Tensor]) -> list[Tensor]:
        losses = task_losses(outputs, masks, activities)
        return [losses[task] for task in model.tasks]

    return images, losses_of


def separate_passes(model: MultiTaskModel, images: Tensor, losses_of: Losses) -> tuple[Tensor, list[list[Tensor]]]:
    """The plain way: a forward and a backward pass for each task, over all its parameters."""
    rows, owned = [], []
    for index, task in enumerate(model.tasks):
        shared, own = model.shared_parameters(), model.task_parameters(task)
        loss = losses_of(model(images))[index]
        gradients = torch.autograd.grad(loss, [*shared, *own], allow_unused=True)
        filled = [torch.zeros_like(p) if g is None else g for p, g in zip([*shared, *own], gradients, strict=True)]
        rows.append(torch.cat([g.flatten() for g in filled[: len(shared)]]))
        owned.append(filled[len(shared) :])
    return torch.stack(rows), owned


@pytest.mark.parametrize(("backbone", "architecture"), PAIRS)
def test_tasks_are_told_apart(backbone: str, architecture: str, make_settings: Make, data: LabelledImages) -> None:
    model = make(make_settings(backbone, architecture))
    images, losses_of = problem(model, data)
    expected, owned = separate_passes(model, images, losses_of)
    found = gradients_by_task(model, TrainedParameters(model), images, losses_of)
    scale = expected.abs().max()
    assert expected.abs().sum(dim=1).min() > 0
    torch.testing.assert_close(found.shared / scale, expected / scale, rtol=0, atol=1e-13)
    for task, gradients in zip(model.tasks, owned, strict=True):
        for parameter, gradient in zip(model.task_parameters(task), gradients, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("backbone", list_backbones())
def test_one_pass_is_taken_where_tasks_have_streams(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    """One pass and two give the same on TESLA; an architecture without a stream a task is not asked for one."""
    model = make(make_settings(backbone, "tesla"))
    # A ConvNeXt has trained layers, such as its normalisations, that cannot be replaced by a copy per stream.
    if backbone in ("resnet", "dinov2", "endoarss", "timm_vit"):
        assert model.per_task_streams
    if not model.per_task_streams:
        pytest.skip("its trained layers take no copies: one pass per task")
    images, losses_of = problem(model, data)
    one = one_pass(model, TrainedParameters(model), images, losses_of)
    two = per_task_backward(model, TrainedParameters(model), images, losses_of)
    torch.testing.assert_close(one.losses, two.losses)
    torch.testing.assert_close(one.shared, two.shared, rtol=1e-8, atol=1e-12 * float(two.shared.abs().max()))
    assert not any(
        build_model(make_settings(backbone, name)).per_task_streams for name in {*MULTI} - {"tesla", "task_adapters"}
    )


def test_one_pass_with_a_frozen_front(make_settings: Make, data: LabelledImages) -> None:
    """The authors' code's SMA stays as drawn: then nothing before the streams has a gradient."""
    settings = make_settings("endoarss", "tesla")
    frozen = replace(settings.backbone_settings, sma=SMASettings(2, trained=False, residual=False))
    model = make(replace(settings, backbone_settings=frozen))
    trained = TrainedParameters(model)
    assert not trained.front_parameters and model.parameters_by_part()["front"][0] == 0
    images, losses_of = problem(model, data)
    expected, _ = separate_passes(model, images, losses_of)
    torch.testing.assert_close(one_pass(model, trained, images, losses_of).shared, expected, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize(
    ("architecture", "weighting"),
    # Weightings know no models: each meets one, and each model meets one of either kind.
    sorted({*product(MULTI, ("equal", "db_mtl")), *product(("hps",), list_weightings())}),
)
def test_a_step_sets_every_trained_gradient(
    architecture: str, weighting: str, make_settings: Make, data: LabelledImages
) -> None:
    """The update is the weighting's, of separately computed gradients; owned parameters get theirs, scaled as it says."""
    model = make(make_settings("dinov2", architecture))  # with SMA where nothing else is shared
    images, losses_of = problem(model, data)
    rows, owned = separate_passes(model, images, losses_of)
    losses = torch.stack(losses_of(model(images))).detach()
    rule, peer = WEIGHTINGS.get(weighting)(model.tasks, 9), WEIGHTINGS.get(weighting)(model.tasks, 9)
    rule.start_epoch(0)
    peer.start_epoch(0)
    trained = TrainedParameters(model)
    step = backward(model, trained, rule, images, losses_of, measure=True)
    if isinstance(peer, GradientWeighting):
        update, _ = peer.combine(rows, losses)
        scales = peer.owned_scales(losses)
        scales = torch.ones(2, dtype=torch.float64) if scales is None else scales
    else:
        leaves = losses.clone().requires_grad_()
        peer.combine(leaves)[0].backward()
        scales, update = leaves.grad, leaves.grad @ rows
    assert torch.equal(step.losses, losses) and step.gram is not None
    torch.testing.assert_close(step.gram, rows @ rows.T, rtol=1e-7, atol=1e-12)
    found = torch.cat([p.grad.flatten() for p in model.shared_parameters()])
    torch.testing.assert_close(found, update, rtol=1e-5, atol=1e-6 * float(update.abs().max()))
    for task, gradients, scale in zip(model.tasks, owned, scales, strict=True):
        for parameter, gradient in zip(model.task_parameters(task), gradients, strict=True):
            torch.testing.assert_close(parameter.grad, scale * gradient, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("weighting", ["equal", "db_mtl"])
@pytest.mark.parametrize(("backbone", "architecture"), PAIRS)
def test_gradients_lie_in_memory_as_their_parameters(
    backbone: str, architecture: str, weighting: str, make_settings: Make, data: LabelledImages
) -> None:
    """The optimiser's fused kernel does not look at strides: Adam's fused step equals the plain one."""
    model = make(make_settings(backbone, architecture))
    images, losses_of = problem(model, data)
    backward(model, TrainedParameters(model), WEIGHTINGS.get(weighting)(model.tasks, 9), images, losses_of)
    parameters = [p for p in model.parameters() if p.requires_grad]
    for p in parameters:  # the stride of a dimension of one entry is nowhere used
        assert p.grad is not None
        assert all(
            found == own for size, found, own in zip(p.shape, p.grad.stride(), p.stride(), strict=True) if size > 1
        )
    before = [p.detach().clone() for p in parameters]
    torch.optim.Adam(parameters, lr=1e-3, fused=True).step()
    fused = [p.detach().clone() for p in parameters]
    for parameter, value in zip(parameters, before, strict=True):
        parameter.data.copy_(value)
    torch.optim.Adam(parameters, lr=1e-3, foreach=False).step()
    for parameter, value in zip(parameters, fused, strict=True):
        torch.testing.assert_close(value, parameter.detach())


def test_frozen_parameters_get_no_gradient(make_settings: Make, data: LabelledImages) -> None:
    model = make(make_settings("endoarss", "tesla"))
    images, losses_of = problem(model, data)
    backward(model, TrainedParameters(model), WEIGHTINGS.get("db_mtl")(model.tasks, 9), images, losses_of)
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())


def test_compiled_models_give_the_same(make_settings: Make, data: LabelledImages) -> None:
    """Copies a stream are put into a compiled model as well as into a plain one."""
    model = make(make_settings("dinov2", "tesla"))
    images, losses_of = problem(model, data)
    plain = gradients_by_task(model, TrainedParameters(model), images, losses_of)
    model.compile(backend="aot_eager")
    compiled = gradients_by_task(model, TrainedParameters(model), images, losses_of)
    torch.testing.assert_close(compiled.shared, plain.shared, rtol=1e-7, atol=1e-12)


def test_norms_and_cosines() -> None:
    gradients = torch.tensor([[3.0, 4.0], [0.0, -2.0], [0.0, 0.0]])
    norms, cosines = norms_and_cosines(gradients @ gradients.T)
    torch.testing.assert_close(norms, torch.tensor([5.0, 2.0, 0.0]))
    torch.testing.assert_close(cosines[0], torch.tensor([1.0, -0.8, 0.0]))


@pytest.mark.parametrize("architecture", [name for name in MULTI if name != "tesla"])
def test_a_task_goes_backward_through_no_head_but_its_own(
    architecture: str, make_settings: Make, data: LabelledImages
) -> None:
    """The zeros that would go through the other head change no gradient, and cost as much as any."""
    model = make(make_settings("resnet", architecture))
    images, losses_of = problem(model, data)
    passes: dict[str, int] = dict.fromkeys(model.tasks, 0)
    for task, head in model.heads.items():

        def count(module: nn.Module, given: object, found: object, task: str = task) -> None:
            passes[task] += 1

        head[0].register_full_backward_hook(count)
    per_task_backward(model, TrainedParameters(model), images, losses_of)
    assert passes == dict.fromkeys(model.tasks, 1)


@pytest.mark.parametrize("backbone", list_backbones())
def test_copies_per_stream_keep_the_memory_format(backbone: str, make_settings: Make) -> None:
    model = build_model(make_settings(backbone, "tesla"))
    images = torch.rand(2, 3, 56, 56)
    last = images.contiguous(memory_format=torch.channels_last)
    assert model.stack(last).is_contiguous(memory_format=torch.channels_last) and model.stack(images).is_contiguous()
    torch.testing.assert_close(model.stack(last), images.repeat(2, 1, 1, 1))
    assert build_model(make_settings(backbone, "hps")).stack(last) is last
