"""Weightings of gradients against torchjd's aggregators; where those want a solver or stop early, against the problem itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares, nnls
from torch import Tensor
from torchjd import aggregation

from endoarss.registry import WEIGHTINGS
from endoarss.weightings.base import GradientWeighting

Array = NDArray[np.float64]
CLOSE = 1e-6


def made(name: str, count: int, **settings: float) -> GradientWeighting:
    weighting = WEIGHTINGS.get(name)([f"task {index}" for index in range(count)], 9, **settings)
    assert isinstance(weighting, GradientWeighting)
    return weighting


def problems(count: int, seeds: int = 12) -> Iterator[Tensor]:
    """Yield gradients of lengths from 0.1 to 10: at random, almost opposite, and almost parallel."""
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(count, 12)) * 10.0 ** rng.uniform(-1, 1, (count, 1))
        if count > 1 and seed % 3:
            rows[1] = (-0.7 if seed % 3 == 1 else 0.7) * rows[0] + 0.1 * rows[1]
        yield torch.from_numpy(rows)


def combined(weighting: GradientWeighting, rows: Tensor) -> tuple[Tensor, Array, Array]:
    """The update, the weights and the products; the update is the weighted sum."""
    update, weights = weighting.combine(rows, torch.ones(len(rows), dtype=torch.float64))
    torch.testing.assert_close(update, weights @ rows)
    return update, weights.numpy(), (rows @ rows.T).numpy()


def assert_near(found: Tensor, expected: Tensor | Array, scale: float) -> None:
    """No entry differs by more than 1e-6, relative to a length."""
    expected = torch.as_tensor(expected)
    assert float((found - expected).abs().max()) <= CLOSE * scale, (found, expected)


def longest(rows: Tensor) -> float:
    return float(rows.norm(dim=1).max())


@pytest.mark.parametrize("count", [2, 3])
def test_imtl_g_is_torchjds(count: int) -> None:
    for rows in problems(count):
        update, weights, _ = combined(made("imtl_g", count), rows)
        assert_near(update, aggregation.IMTLG()(rows), longest(rows) * max(1, abs(weights).max()))
        projections = rows @ update / rows.norm(dim=1)
        assert_near(projections, projections.mean().expand(count), longest(rows) * max(1, abs(weights).max()))


def test_imtl_is_both_balances() -> None:
    """IMTL-G of torchjd on the scaled gradients, and IMTL-L of torchjd for the scales, over ten steps of one optimizer each."""
    from torchjd.scalarization import IMTLL

    weighting, peer = made("imtl", 2), IMTLL(2).double()
    (ours,) = weighting.parameters()
    ours.data = ours.data.double()
    optimizers = [torch.optim.Adam([one], lr=0.1) for one in (ours, peer.log_scale)]
    for rows in problems(2, 10):
        losses = rows.abs().sum(dim=1)
        for optimizer in optimizers:
            optimizer.zero_grad()
        scales = peer.log_scale.detach().exp()
        update, _ = weighting.combine(rows, losses)
        assert_near(update, aggregation.IMTLG()(scales.unsqueeze(1) * rows), longest(rows))
        torch.testing.assert_close(weighting.owned_scales(losses), scales)
        peer(losses).backward()
        torch.testing.assert_close(ours.grad, peer.log_scale.grad)
        for optimizer in optimizers:
            optimizer.step()
    assert ours.abs().min() > 0.01


@pytest.mark.parametrize("name", ["pcgrad", "gradvac"])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_orders_are_drawn_for_several_tasks_alone(name: str, count: int) -> None:
    """With two tasks the seed does not matter, with more it does; the same seed gives the same update."""
    rows = torch.randn(count, 5, generator=torch.Generator().manual_seed(1)).double()
    rows[1:] -= 2 * rows[0]
    updates = []
    for seed in (0, 0, 1, 2, 3, 4):
        weighting = made(name, count)
        weighting.seed(seed)
        updates.append(weighting.combine(rows, torch.ones(count))[0])
    assert torch.equal(updates[0], updates[1])
    assert all(torch.equal(updates[0], one) for one in updates) == (count == 2)


def test_pcgrad_is_torchjds() -> None:
    for rows in problems(2):
        assert_near(combined(made("pcgrad", 2), rows)[0], aggregation.PCGrad()(rows), longest(rows))


def test_pcgrad_is_an_order_of_torchjds_for_three_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each task takes one of the two orders of the others: the update is one of eight."""
    found = set()
    for seed, rows in enumerate(problems(3)):
        weighting = made("pcgrad", 3)
        weighting.seed(seed)
        update, _, _ = combined(weighting, rows)
        differences = []
        for first in range(8):
            orders = iter([torch.tensor([2, 1, 0] if first >> task & 1 else [0, 1, 2]) for task in range(3)])
            with monkeypatch.context() as patch:
                patch.setattr(torch, "randperm", lambda *_, orders=orders: next(orders))
                differences.append(float((update - aggregation.PCGrad()(rows)).abs().max()))
        assert min(differences) <= CLOSE * longest(rows)
        found.add(int(np.argmin(differences)))
    assert len(found) > 3


@pytest.mark.parametrize("beta", [0.01, 0.5])
def test_gradvac_is_torchjds(beta: float) -> None:
    """Twenty steps with the same usual cosines."""
    weighting, peer = made("gradvac", 2, beta=beta), aggregation.GradVac(beta=beta)
    for rows in problems(2):
        assert_near(combined(weighting, rows)[0], peer(rows), longest(rows))


def test_gradvac_is_torchjds_for_three_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten steps in the same orders."""
    weighting, peer = made("gradvac", 3), aggregation.GradVac()
    weighting.seed(3)
    generator = torch.Generator().manual_seed(3)
    draw = torch.randperm
    for rows in problems(3, 10):
        update, _, _ = combined(weighting, rows)
        with monkeypatch.context() as patch:
            patch.setattr(torch, "randperm", lambda count: draw(count, generator=generator))
            assert_near(update, peer(rows), longest(rows))


def test_mgda_is_torchjds() -> None:
    """With two tasks one step of torchjd's Frank-Wolfe search is exact."""
    for rows in problems(2):
        assert_near(combined(made("mgda", 2), rows)[0], aggregation.MGDA(epsilon=1e-9)(rows), longest(rows))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_mgda_is_the_shortest_vector_of_the_hull(count: int) -> None:
    """By the optimality condition d . g_t >= |d|^2 with equality where a task takes part."""
    for rows in problems(count):
        update, weights, _ = combined(made("mgda", count), rows)
        assert weights.min() >= 0 and weights.sum() == pytest.approx(1, abs=1e-9)
        excess = (rows @ update - update @ update).numpy() / longest(rows) ** 2
        assert excess.min() >= -CLOSE and abs(excess[weights > CLOSE]).max() <= CLOSE


def project(rows: Array, target: Array) -> Array:
    """The nearest vector with no negative product with a row: target + sum_j y_j g_j with the y >= 0 that make it shortest."""
    return target + rows.T @ nnls(rows.T, -target)[0]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_upgrad_is_the_mean_of_projections(count: int) -> None:
    """scipy's non-negative least squares; torchjd's own needs quadprog, and solves a problem with 1e-4 added to the diagonal."""
    for rows in problems(count):
        update, _, _ = combined(made("upgrad", count), rows)
        expected = np.mean([project(rows.numpy(), row) for row in rows.numpy()], axis=0)
        assert_near(update, expected, longest(rows))
        assert float((rows @ update).min()) >= -CLOSE * longest(rows) ** 2, "it conflicts with no task"


def test_upgrad_is_half_of_pcgrad_for_two_tasks() -> None:
    for rows in problems(2):
        assert_near(combined(made("upgrad", 2), rows)[0], aggregation.PCGrad()(rows) / 2, longest(rows))


@pytest.mark.parametrize("c", [0.0, 0.3, 0.5, 0.9])
def test_cagrad_is_the_lowest_point_of_the_line_between_two(c: float) -> None:
    """The root of the derivative by bisection; torchjd's needs cvxpy."""
    for rows in problems(2):
        update, _, gram = combined(made("cagrad", 2, c=c), rows)
        mean, radius = gram.mean(axis=0), c * np.sqrt(gram.mean())

        def slope(x: float, gram: Array = gram, mean: Array = mean, radius: float = radius) -> float:
            w, d = np.array([x, 1 - x]), np.array([1.0, -1.0])
            return float(mean @ d + radius * (w @ gram @ d) / np.sqrt(w @ gram @ w))

        x = 0.0 if slope(0) >= 0 else 1.0 if slope(1) <= 0 else brentq(slope, 0, 1, xtol=1e-15)
        w = np.array([x, 1 - x])
        expected = rows.numpy().mean(axis=0) + radius / np.sqrt(w @ gram @ w) * (w @ rows.numpy())
        assert_near(update, expected, longest(rows))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_cagrad_is_optimal(count: int) -> None:
    """Within the ball around the mean gradient no direction serves the worst-served task better.

    The tasks that take part are the worst served: min_t g_t . d is reached at each of them, and d lies on the ball's surface.
    """
    for rows in problems(count):
        update, weights, gram = combined(made("cagrad", count), rows)
        part = weights - 1 / count
        served = (rows @ update).numpy()
        scale = longest(rows) ** 2
        assert part.min() >= -CLOSE and abs(served[part > 1e-5 * part.max()] - served.min()).max() <= CLOSE * scale
        assert np.sqrt(part @ gram @ part) == pytest.approx(0.5 * np.sqrt(gram.mean()), rel=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_fairgrad_is_the_equations_solution(count: int, alpha: float) -> None:
    """G w = w^(-1 / alpha), which has one solution above 0."""
    for rows in problems(count):
        _, weights, gram = combined(made("fairgrad", count, alpha=alpha), rows)
        assert weights.min() > 0
        np.testing.assert_allclose((gram @ weights) * weights ** (1 / alpha), np.ones(count), atol=CLOSE)


def test_fairgrad_is_torchjds() -> None:
    """Its solver, scipy's, stops at 1e-8 of the cost: with a stricter one both agree to 1e-6."""

    def strictly(*given: object, **how: object) -> object:
        return least_squares(*given, **{**how, "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15})  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchjd.aggregation._fairgrad.least_squares", strictly)
        for rows in problems(2):
            update, _, _ = combined(made("fairgrad", 2, alpha=2.0), rows)
            expected = aggregation.FairGrad(alpha=2.0)(rows)
            assert_near(update, expected, float(expected.norm()))


EDGES = {
    "all zero": torch.zeros(2, 3),
    "one zero": torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, -1.0]]),
    "the same": torch.tensor([[1.0, 2.0, -1.0], [1.0, 2.0, -1.0]]),
    "opposite": torch.tensor([[1.0, 2.0, -1.0], [-2.0, -4.0, 2.0]]),
    "cancelling": torch.tensor([[1.0, 2.0, -1.0], [-1.0, -2.0, 1.0]]),
    "tiny": torch.tensor([[1e-12, 2e-12, 0.0], [0.0, 1e-12, 3e-12]]),
    "far apart": torch.tensor([[1e-9, 0.0, 0.0], [0.0, 1e6, 0.0]]),
}
NAMES = ["imtl_g", "imtl", "pcgrad", "gradvac", "cagrad", "mgda", "upgrad", "fairgrad"]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_at_the_edge_give_numbers(name: str, edge: str, count: int) -> None:
    rows = torch.cat([EDGES[edge], EDGES[edge][:1]])[:count]
    update, weights = made(name, count).combine(rows, torch.ones(count))
    assert update.isfinite().all() and weights.isfinite().all()
    if edge == "all zero":
        assert not update.any()


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_that_is_not_finite_is_seen(name: str) -> None:
    """The training says so at the epoch's end: nothing may hide it, nor end it with another library's error."""
    for count in (2, 3):
        rows = torch.ones(count, 4)
        rows[0, 0] = torch.nan
        assert made(name, count).combine(rows, torch.ones(count))[0].isnan().any()


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_three_tasks_does_not_matter(name: str) -> None:
    rows = next(problems(3))
    updates = []
    for order in permutations(range(3)):
        weighting = WEIGHTINGS.get(name)([f"task {index}" for index in order], 9)
        weighting.seed(5)
        updates.append(weighting.combine(rows[list(order)], torch.ones(3).double())[0])
    for update in updates[1:]:
        assert_near(update, updates[0], longest(rows))
