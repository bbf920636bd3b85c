"""What a weighting holds is trained, or refused: nothing stays at its first value in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from endoarss import build_model
from endoarss.data import LabelledImages
from endoarss.errors import SettingsError
from endoarss.models import MultiTaskModel
from endoarss.registry import WEIGHTINGS
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings
from endoarss.training import TrainingSettings, _Run, seed_everything, train
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting

CPU = torch.device("cpu")
SETTINGS = ModelSettings(
    "resnet",
    "hps",
    ("b", "x"),
    ("i", "c"),
    32,
    BackboneSettings("resnet10t", {"channels": (8, 8, 8, 8)}),
    heads=HeadSettings(8, 8),
)


@pytest.fixture
def data() -> LabelledImages:
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (4, 32, 32, 3), np.uint8), rng.integers(0, 2, (4, 32, 32), np.uint8)
    return LabelledImages(pixels, masks, rng.integers(0, 2, 4))


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Weighting]], TrainingSettings]:
    """Register a weighting for one test; returns settings that name it."""

    def register(weighting: type[Weighting]) -> TrainingSettings:
        monkeypatch.setitem(WEIGHTINGS._imported, "mine", weighting)
        return TrainingSettings(2, 1e-2, 2, "mine", weight_decay=0.5)

    return register


class Forgotten(LossWeighting):
    """Holds scales in the given place, and uses them."""

    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.scales = nn.Parameter(torch.ones(len(tasks)))

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        return (losses * self.scales).sum(), self.scales


class InAList(Forgotten):
    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.held = {"of": [self.__dict__.pop("scales")]}
        self.scales = self.held["of"][0].detach()


class InAModule(Forgotten):
    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.scales = torch.ones(2)
        self.net = nn.Linear(2, 2)


class IsAModule(LossWeighting, nn.Module):
    """Whose own parameters() comes before the module's."""

    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        nn.Module.__init__(self)
        super().__init__(tasks, epochs)
        self.scales = nn.Parameter(torch.ones(len(tasks)))

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        return (losses * self.scales).sum(), self.scales


class MadeInAStep(Forgotten):
    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        super().__init__(tasks, epochs)
        del self.scales

    def combine(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        self.scales = self.__dict__.get("scales", nn.Parameter(torch.ones_like(losses)))
        return super().combine(losses)


@pytest.mark.parametrize(
    ("weighting", "place"),
    [
        (Forgotten, "scales"),
        (InAList, r"held\.of\[0\]"),
        (InAModule, r"net\.weight"),
        (IsAModule, r"_parameters\.scales"),
        (MadeInAStep, "scales"),
    ],
)
def test_what_nobody_trains_is_refused(
    weighting: type[Weighting],
    place: str,
    registered: Callable[[type[Weighting]], TrainingSettings],
    data: LabelledImages,
) -> None:
    with pytest.raises(
        SettingsError,
        match=rf"weighting 'mine': {weighting.__name__} has {place}, which requires a gradient, but nothing",
    ):
        train(build_model(SETTINGS), data, registered(weighting), CPU)


def test_what_is_no_weighting_is_refused(
    registered: Callable[[type[Weighting]], TrainingSettings], data: LabelledImages
) -> None:
    class Neither(Weighting):
        pass

    with pytest.raises(
        SettingsError, match="weighting 'mine': Neither is not a weighting; expected a subclass of LossWeighting or"
    ):
        train(build_model(SETTINGS), data, registered(Neither), CPU)


def test_what_gets_no_gradient_is_refused(
    registered: Callable[[type[Weighting]], TrainingSettings], data: LabelledImages
) -> None:
    class Unused(GradientWeighting):
        def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
            super().__init__(tasks, epochs)
            self.scales = nn.Parameter(torch.ones(len(tasks)))

        def parameters(self) -> Iterator[nn.Parameter]:
            yield self.scales

        def combine(self, gradients: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
            return self.scales.detach() @ gradients, self.scales.detach()

    with pytest.raises(
        SettingsError, match="weighting 'mine': a parameter that parameters.. returns got no gradient in a step"
    ):
        train(build_model(SETTINGS), data, registered(Unused), CPU)


class WithItsOwnOptimizer(Forgotten):
    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        super().__init__(tasks, epochs)
        self.optimizer = torch.optim.SGD([self.scales])


class Trained(nn.Module, Forgotten):
    """A module whose parameters() is torch's."""

    def __init__(self, tasks: tuple[str, ...], epochs: int) -> None:
        nn.Module.__init__(self)
        Forgotten.__init__(self, tasks, epochs)


@pytest.mark.parametrize("weighting", [WithItsOwnOptimizer, Trained])
def test_what_is_trained_is_not_refused(
    weighting: type[Weighting], registered: Callable[[type[Weighting]], TrainingSettings], data: LabelledImages
) -> None:
    run = _Run(build_model(SETTINGS), data, registered(weighting), CPU, "toy")
    run.epoch(0, [""])
    assert isinstance(run.weighting, Forgotten)
    assert bool((run.weighting.scales != 1).all()) == (weighting is Trained)


@pytest.mark.parametrize("name", ["uncertainty", "imtl"])
def test_parameters_move_without_weight_decay(name: str, data: LabelledImages) -> None:
    """As Adam's first step without decay: by the learning rate, whatever the gradient."""
    run = _Run(build_model(SETTINGS), data, TrainingSettings(1, 1e-2, 4, name, weight_decay=0.5), CPU, "toy")
    (parameter,) = run.weighting.parameters()
    parameter.data.fill_(-0.1)
    run.epoch(0, [""])
    moved = parameter.detach() + 0.1
    assert parameter.grad is not None
    torch.testing.assert_close(moved, -1e-2 * parameter.grad.sign(), rtol=1e-3, atol=0)
    assert run.optimizer.param_groups[1]["weight_decay"] == 0


def test_the_seed_of_the_training_decides_what_is_drawn(data: LabelledImages) -> None:
    weights = [
        _Run(build_model(SETTINGS), data, TrainingSettings(1, 1e-3, 4, "rlw", seed=seed), CPU, "toy").epoch(0, [""])[
            "weight_activity"
        ]
        for seed in (0, 0, 1)
    ]
    assert weights[0] == weights[1] != weights[2]


def test_losses_after_the_step_are_of_the_same_batch(data: LabelledImages) -> None:
    """One forward pass more, after the optimizer's step: without a step it finds the same losses, with one others."""
    seed_everything(0)
    model, rates = build_model(SETTINGS), (0.0, 1e-3)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    first, last = (_losses_before_and_after(model, data, rate) for rate in rates)
    torch.testing.assert_close(*first)
    assert ((last[1] - last[0]).abs() > 1e-3).all()


def _losses_before_and_after(model: MultiTaskModel, data: LabelledImages, rate: float) -> tuple[Tensor, Tensor]:
    run, found = _Run(model, data, TrainingSettings(1, rate, 4, "famo"), CPU, "toy"), list[Tensor]()
    run.weighting.after_step = found.append  # type: ignore[method-assign]
    epoch = run.steps(0, [""])
    assert len(found) == len(epoch.steps) == 1 and not found[0].requires_grad
    return epoch.steps[0].losses, found[0]
