"""Weightings of losses against torchjd's scalarisers, in float64, and against LibMTL's formulas where torchjd has another one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchjd import scalarization

from endoarss.registry import WEIGHTINGS
from endoarss.weightings.base import LossWeighting

TASKS = ("a", "b", "c")
EXACT = {"rtol": 1e-9, "atol": 1e-12}


def made(name: str, count: int = 3, **settings: float) -> LossWeighting:
    weighting = WEIGHTINGS.get(name)(TASKS[:count], 9, **settings)
    assert isinstance(weighting, LossWeighting)
    return weighting


def drawn(seed: int, count: int = 3) -> Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 + 0.05


def compare(ours: Callable[[Tensor], tuple[Tensor, Tensor]], peer: Callable[[Tensor], Tensor], losses: Tensor) -> None:
    """The same loss, the same gradient, and weights that are the gradient."""
    one, other = losses.clone().requires_grad_(), losses.clone().requires_grad_()
    value, weights = ours(one)
    expected = peer(other)
    value.backward()
    expected.backward()
    assert one.grad is not None and other.grad is not None
    torch.testing.assert_close(value, expected, **EXACT)
    torch.testing.assert_close(one.grad, other.grad, **EXACT)
    torch.testing.assert_close(weights.detach(), other.grad, **EXACT)


def test_uncertainty_is_torchjds() -> None:
    """The loss, the gradient of the losses, and that of the log variances, over ten steps of one optimizer each."""
    weighting, peer = made("uncertainty"), scalarization.UW(3).double()
    (ours,) = weighting.parameters()
    ours.data = ours.data.double()
    optimizers = [torch.optim.Adam([one], lr=0.1) for one in (ours, peer.log_var)]
    for step in range(10):
        for optimizer in optimizers:
            optimizer.zero_grad()
        compare(weighting.combine, peer, drawn(step))
        for optimizer in optimizers:
            optimizer.step()
        torch.testing.assert_close(ours.data, peer.log_var.data, **EXACT)
    assert ours.abs().min() > 0.01


def test_uncertainty_finds_the_losses_own_scale() -> None:
    """Losses that stay have exp(s_t) = l_t in the end: the derivative 1 - l exp(-s) is 0."""
    weighting = made("uncertainty", 2)
    optimizer, losses = torch.optim.Adam(weighting.parameters(), lr=0.05), torch.tensor([0.2, 5.0])
    for _ in range(600):
        optimizer.zero_grad()
        weighting.combine(losses)[0].backward()
        optimizer.step()
    (found,) = weighting.parameters()
    torch.testing.assert_close(found.detach().exp(), losses, rtol=1e-3, atol=0)


def test_dwa_is_torchjds() -> None:
    """Five epochs of three steps; weights of 1 in the first two."""
    weighting, peer = made("dwa", temperature=1.5), scalarization.DWA(temperature=1.5)
    for epoch in range(5):
        weighting.start_epoch(epoch)
        for step in range(3):
            compare(weighting.combine, peer, drawn(10 * epoch + step))
        peer.step()
    weighting.start_epoch(5)
    _, weights = weighting.combine(drawn(0))
    assert (weights - 1).abs().min() > 0.01 and float(weights.sum()) == pytest.approx(3)


def test_dwa_of_a_task_that_was_solved() -> None:
    """A mean of 0 is no scale: the weights stay numbers."""
    weighting = made("dwa", 2)
    for epoch in range(4):
        weighting.start_epoch(epoch)
        _, weights = weighting.combine(torch.tensor([0.0 if epoch < 2 else 1.0, 0.5]))
        assert weights.isfinite().all()


def test_gls_is_torchjds() -> None:
    """The geometric mean; also LibMTL's power of the product."""
    for seed in range(5):
        losses = drawn(seed)
        compare(made("gls").combine, scalarization.GeometricMean(), losses)
        torch.testing.assert_close(made("gls").combine(losses)[0], losses.prod() ** (1 / 3), **EXACT)


def test_gls_of_a_loss_that_is_zero() -> None:
    losses = torch.tensor([0.0, 2.0], requires_grad=True)
    value, weights = made("gls", 2).combine(losses)
    value.backward()
    assert losses.grad is not None and losses.grad.isfinite().all() and weights.isfinite().all()


def test_rlw_is_torchjds_of_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchjd draws from torch's global generator: it is given the numbers of ours."""
    weighting, generator = made("rlw"), torch.Generator().manual_seed(4)
    weighting.seed(4)
    found = []
    for step in range(5):
        numbers = torch.randn(3, generator=generator, dtype=torch.float64)
        with monkeypatch.context() as patch:
            peer, draw = scalarization.Random(), torch.randn
            patch.setattr(
                torch, "randn", lambda *a, given=numbers, draw=draw, **k: draw(*a, **k) if "generator" in k else given
            )
            compare(weighting.combine, peer, drawn(step))
        found.append(numbers.softmax(dim=0))
    assert (found[0] - found[1]).abs().max() > 0.01, "each step draws anew"


def test_rlw_of_another_seed_draws_other_weights() -> None:
    weights = []
    for seed in (1, 1, 2):
        weighting = made("rlw")
        weighting.seed(seed)
        weights.append(weighting.combine(drawn(0))[1])
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_famo_is_torchjds() -> None:
    """Loss, gradient and logits over ten steps, each with the losses after the step."""
    weighting, peer = made("famo", rate=0.05, decay=0.01), scalarization.FAMO(3, lr=0.05, weight_decay=0.01).double()
    for step in range(10):
        compare(weighting.combine, peer, drawn(step))
        weighting.after_step(drawn(100 + step))
        peer.update(drawn(100 + step))
        torch.testing.assert_close(weighting.logits, peer._w.detach(), **EXACT)  # type: ignore[attr-defined]
    assert weighting.logits.abs().min() > 0.01  # type: ignore[attr-defined]


def test_famo_turns_to_the_task_that_gains_least() -> None:
    weighting = made("famo", 2)
    for _ in range(20):
        _, weights = weighting.combine(torch.tensor([1.0, 1.0]))
        weighting.after_step(torch.tensor([0.9, 0.5]))
    assert weights[0] > weights[1] and float(weights.sum()) == pytest.approx(1)
