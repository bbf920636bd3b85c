"""Each weighting against its formula, computed apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from endoarss import list_weightings
from endoarss.errors import SettingsError
from endoarss.registry import WEIGHTINGS
from endoarss.training import TrainingSettings, make_weighting

TASKS = ("activity", "segmentation")


class Toy(nn.Module):
    """Two tasks over five shared values, each with two of its own; losses are quadratic, so gradients are known."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shared = nn.Parameter(torch.randn(5, dtype=torch.float64))
        self.owned = nn.ParameterList([nn.Parameter(torch.randn(2, dtype=torch.float64)) for _ in TASKS])
        self.targets = torch.randn(2, 5, dtype=torch.float64)
        self.scales = torch.tensor([1.0, 30.0], dtype=torch.float64)

    def losses(self) -> dict[str, Tensor]:
        values = self.scales * ((self.shared - self.targets) ** 2).sum(dim=1)
        return {task: values[i] + (self.owned[i] ** 2).sum() + 0.1 for i, task in enumerate(TASKS)}

    def shared_parameters(self) -> list[nn.Parameter]:
        return [self.shared]

    def task_parameters(self, task: str) -> list[nn.Parameter]:
        return [self.owned[TASKS.index(task)]]

    def numpy_losses_and_gradients(self) -> tuple[np.ndarray, np.ndarray]:
        shared, targets, scales = self.shared.detach().numpy(), self.targets.numpy(), self.scales.numpy()
        owned = np.array([(o.detach().numpy() ** 2).sum() for o in self.owned])
        losses = scales * ((shared - targets) ** 2).sum(axis=1) + owned + 0.1
        return losses, 2 * scales[:, None] * (shared - targets)

    def descend(self) -> None:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter -= 0.003 * parameter.grad
                parameter.grad = None


def test_equal_is_the_gradient_of_the_sum() -> None:
    toy = Toy()
    weights = WEIGHTINGS.get("equal")(TASKS, 3).backward(toy.losses(), toy)
    _, gradients = toy.numpy_losses_and_gradients()
    np.testing.assert_allclose(toy.shared.grad, gradients.sum(axis=0))
    assert weights == {"activity": 1.0, "segmentation": 1.0}


def test_db_mtl_over_ten_steps() -> None:
    """b_t <- g_t + beta / k^sigma (b_t - g_t); update sum_t max|b| / (|b_t| + 1e-8) b_t, in NumPy float64."""
    toy, weighting = Toy(), WEIGHTINGS.get("db_mtl")(TASKS, 3, beta=0.9, beta_sigma=0.5)
    buffer = np.zeros((2, 5))
    for step in range(1, 11):
        losses, gradients = toy.numpy_losses_and_gradients()
        gradients = gradients / (losses + 1e-8)[:, None]
        buffer = gradients + 0.9 / step**0.5 * (buffer - gradients)
        norms = np.linalg.norm(buffer, axis=1)
        expected = (norms.max() / (norms + 1e-8)) @ buffer
        owned = [2 * o.detach().numpy() / loss for o, loss in zip(toy.owned, losses, strict=True)]
        weighting.backward(toy.losses(), toy)
        np.testing.assert_allclose(toy.shared.grad, expected, rtol=2e-5)  # the Gram step runs in float32
        for parameter, gradient in zip(toy.owned, owned, strict=True):
            np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-6)
        toy.descend()


def test_db_mtl_gives_every_task_the_same_length() -> None:
    toy, weighting = Toy(), WEIGHTINGS.get("db_mtl")(TASKS, 3, beta=0.0)
    weights = weighting.backward(toy.losses(), toy)
    losses, gradients = toy.numpy_losses_and_gradients()
    lengths = [weights[t] * np.linalg.norm(g / loss) for t, g, loss in zip(TASKS, gradients, losses, strict=True)]
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-5)


def test_stch_phases_and_formula_over_ten_steps() -> None:
    mu, warmup = 0.7, 1
    toy, weighting = Toy(), WEIGHTINGS.get("stch")(TASKS, 9, mu=mu, warmup_epochs=warmup)
    recorded: list[np.ndarray] = []
    for epoch in range(5):
        weighting.start_epoch(epoch)
        for _ in range(2):
            losses, gradients = toy.numpy_losses_and_gradients()
            if epoch <= warmup:
                if epoch == warmup:
                    recorded.append(losses)
                weights = 1 / losses
            else:
                nadir = np.mean(recorded, axis=0)
                scaled = np.exp((np.log(losses / nadir)) / mu)
                weights = 2 * scaled / scaled.sum() / losses  # T mu d/dl log sum exp(log(l / nadir) / mu)
            owned = [2 * w * o.detach().numpy() for w, o in zip(weights, toy.owned, strict=True)]
            weighting.backward(toy.losses(), toy)
            np.testing.assert_allclose(toy.shared.grad, weights @ gradients, rtol=1e-6)
            for parameter, gradient in zip(toy.owned, owned, strict=True):
                np.testing.assert_allclose(parameter.grad, gradient, rtol=1e-6)
            toy.descend()


def test_stch_against_torchjd() -> None:
    """torchjd's STCH scalarisation with weights of one, on log(l / nadir), times T: values agree up to a constant."""
    from torchjd.scalarization import STCH

    toy, weighting = Toy(), WEIGHTINGS.get("stch")(TASKS, 9, mu=1.0, warmup_epochs=0)
    weighting.start_epoch(0)
    weighting.backward(toy.losses(), toy)
    nadir = torch.tensor(toy.numpy_losses_and_gradients()[0]).float()  # recorded in float32
    toy.descend()
    weighting.start_epoch(1)
    weighting.backward(toy.losses(), toy)
    found = toy.shared.grad.clone()
    values = torch.stack(list(toy.losses().values()))
    peer = len(TASKS) * STCH(mu=1.0, weights=torch.ones(2, dtype=torch.float64))((values / nadir).log())
    (expected,) = torch.autograd.grad(peer, [toy.shared])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", list_weightings())
def test_task_order_does_not_matter(name: str) -> None:
    gradients = []
    for tasks in (TASKS, TASKS[::-1]):
        toy = Toy()
        weighting = WEIGHTINGS.get(name)(tasks, 9)
        weighting.start_epoch(0)
        weighting.backward(toy.losses(), toy)
        gradients.append(toy.shared.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", list_weightings())
def test_state_goes_on_where_it_stopped(name: str) -> None:
    def steps(weighting: object, toy: Toy, epochs: range) -> None:
        for epoch in epochs:
            weighting.start_epoch(epoch)
            weighting.backward(toy.losses(), toy)
            toy.descend()

    one, through = WEIGHTINGS.get(name)(TASKS, 9), Toy()
    steps(one, through, range(8))
    first, halted = WEIGHTINGS.get(name)(TASKS, 9), Toy()
    steps(first, halted, range(5))
    second = WEIGHTINGS.get(name)(TASKS, 9)
    second.load_state_dict(first.state_dict())
    steps(second, halted, range(5, 8))
    assert torch.equal(through.shared, halted.shared)


def test_bad_settings_are_named() -> None:
    def make(weighting: str, epochs: int = 9, **given: object) -> object:
        return make_weighting(TrainingSettings(epochs, 1e-3, 16, weighting, given), TASKS)

    with pytest.raises(SettingsError, match="5 epochs with warmup_epochs 4; expected more than 5"):
        make("stch", epochs=5)
    with pytest.raises(SettingsError, match="mu 0"):
        make("stch", mu=0)
    with pytest.raises(SettingsError, match="beta 1"):
        make("db_mtl", beta=1)
    with pytest.raises(SettingsError, match="unexpected keyword argument 'speed'"):
        make("db_mtl", speed=1)
    with pytest.raises(SettingsError, match="unknown weighting 'pcgrad'; known: db_mtl, equal, stch"):
        make("pcgrad")
