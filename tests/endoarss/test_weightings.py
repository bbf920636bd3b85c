"""Each weighting against golden vectors of a script of its own, and against another library."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from endoarss import list_weightings
from endoarss.errors import SettingsError
from endoarss.registry import WEIGHTINGS
from endoarss.training import TrainingSettings, make_weighting
from endoarss.weightings.aligned_mtl import alignment
from endoarss.weightings.base import GradientWeighting, Weighting
from endoarss.weightings.moco import project_onto_simplex

GOLDEN = Path(__file__).parent / "golden"
KEPT = json.loads((GOLDEN / "weightings.json").read_text(encoding="utf-8"))
TASKS = ("activity", "segmentation")


class Toy:
    """The script's problem: quadratic losses over shared values, and values that each task owns."""

    def __init__(self, tasks: int) -> None:
        given = {
            name: torch.tensor(values, dtype=torch.float64) for name, values in KEPT["problems"][str(tasks)].items()
        }
        self.a, self.b, self.c, self.d, self.v = (given[name] for name in ("A", "b", "c", "d", "v"))
        self.theta, self.owned = given["theta"].clone(), given["u"].clone()

    def losses(self) -> Tensor:
        residuals = self.a @ self.theta - self.b
        squares = residuals.pow(2).sum(dim=1) + (self.owned - self.v).pow(2).sum(dim=1)
        return self.c * squares / 2 + self.d

    def step(self, weighting: Weighting) -> dict[str, Tensor]:
        """What a weighting makes of the losses here: losses, direction, owned gradients, weights."""
        self.theta.requires_grad_(), self.owned.requires_grad_()
        losses = self.losses()
        if isinstance(weighting, GradientWeighting):
            rows = torch.stack([torch.autograd.grad(loss, self.theta, retain_graph=True)[0] for loss in losses])
            (owned,) = torch.autograd.grad(losses.sum(), self.owned)
            direction, weights = weighting.combine(rows, losses.detach())
            scales = weighting.owned_scales(losses.detach())
            owned = owned if scales is None else owned * scales.unsqueeze(1)
        else:
            loss, weights = weighting.combine(losses)
            direction, owned = torch.autograd.grad(loss, [self.theta, self.owned])
        self.theta, self.owned = self.theta.detach(), self.owned.detach()
        return {"losses": losses.detach(), "direction": direction, "owned": owned, "weights": weights}

    def descend(self, found: dict[str, Tensor], rate: float) -> None:
        self.theta = self.theta - rate * found["direction"]
        self.owned = self.owned - rate * found["owned"]


def _name(run: dict[str, Any]) -> str:
    return f"{run['weighting']}-{run['tasks']}-{','.join(f'{k}={v}' for k, v in run['settings'].items())}"


@pytest.mark.parametrize("run", KEPT["runs"], ids=_name)
def test_ten_steps_against_golden_vectors(run: dict[str, Any]) -> None:
    tasks = [f"task {index}" for index in range(run["tasks"])]
    weighting = WEIGHTINGS.get(run["weighting"])(tasks, run["epochs"], **run["settings"])
    toy = Toy(run["tasks"])
    assert len(run["steps"]) == 10
    for number, expected in enumerate(run["steps"]):
        if number % run["steps_per_epoch"] == 0:
            weighting.start_epoch(number // run["steps_per_epoch"])
        found = toy.step(weighting)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-6, atol=1e-9, err_msg=f"{name}, {number}")
        toy.descend(found, run["learning_rate"])


def test_every_documented_weighting_has_golden_vectors_or_another_check() -> None:
    """The paper's weightings have golden vectors; the others are held to other libraries' code in tests/endoarss/weightings."""
    page = (Path(__file__).parents[2] / "docs/weightings.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \| (?:losses|gradients) \|", page, re.MULTILINE))
    assert {run["weighting"] for run in KEPT["runs"]} < documented <= set(list_weightings())
    checks = "".join(
        path.read_text(encoding="utf-8") for path in (Path(__file__).parent / "weightings").glob("test_*.py")
    )
    unchecked = {name for name in documented if f"def test_{name}_is_" not in checks}
    assert {run["weighting"] for run in KEPT["runs"]} == unchecked


def test_the_kept_vectors_are_what_the_script_gives() -> None:
    spec = importlib.util.spec_from_file_location("make_weightings", GOLDEN / "make_weightings.py")
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def compare(one: Any, other: Any) -> None:
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            for key in one:
                compare(one[key], other[key])
        elif isinstance(one, list) and one and isinstance(one[0], dict):
            for a, b in zip(one, other, strict=True):
                compare(a, b)
        elif isinstance(one, str):
            assert one == other
        else:
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)

    compare(script.make(), KEPT)


def test_alignment_of_parallel_gradients() -> None:
    """Rank 1 of 2: the component that is there keeps its length, none is made of rounding."""
    given = KEPT["aligned_rank_one"]
    gradients = torch.tensor(given["G"], dtype=torch.float32)
    direction, weights = WEIGHTINGS.get("aligned_mtl")(TASKS, 3).combine(gradients, torch.ones(2))
    np.testing.assert_allclose(weights.numpy(), given["alpha"], rtol=1e-5)
    np.testing.assert_allclose(direction.numpy(), given["direction"], rtol=1e-5)


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_alignment_against_its_definition(tasks: int, rank: int) -> None:
    """B 1 with B = sqrt(l_min) V L^-1/2 V^T of the eigenvalues that are not negligible, by numpy in float64."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(tasks, min(rank, tasks))) @ rng.normal(size=(min(rank, tasks), 40))
        scaled = rows * 10.0 ** rng.uniform(-1, 1, (tasks, 1))
        gram = scaled @ scaled.T
        values, vectors = np.linalg.eigh(gram)
        used = values > values.max() * tasks * np.finfo(np.float64).eps
        values, vectors = values[used], vectors[:, used]
        expected = np.sqrt(values.min()) * (vectors / np.sqrt(values)) @ vectors.sum(axis=0)
        np.testing.assert_allclose(alignment(torch.from_numpy(gram)).numpy(), expected, rtol=1e-6, atol=1e-7)


def test_alignment_without_any_gradient() -> None:
    for tasks in (2, 3):
        assert torch.equal(alignment(torch.zeros(tasks, tasks)), torch.zeros(tasks))
        assert alignment(torch.full((tasks, tasks), float("nan"))).isnan().all()
    one = torch.diag(torch.tensor([4.0, 0.0]))
    assert torch.equal(alignment(one), torch.tensor([1.0, 0.0])), "the task that has a gradient keeps it"


@pytest.mark.parametrize("tasks", [2, 3])
def test_aligned_mtl_against_torchjd(tasks: int) -> None:
    """Its preference vector is of ones: the default is 1 / T."""
    from torchjd.aggregation import AlignedMTL

    torch.manual_seed(tasks)
    gradients = torch.randn(tasks, 20, dtype=torch.float64) * torch.tensor([1.0, 30.0, 0.2]).double()[:tasks, None]
    found, _ = WEIGHTINGS.get("aligned_mtl")([f"{t}" for t in range(tasks)], 3).combine(gradients, torch.ones(tasks))
    peer = AlignedMTL(pref_vector=torch.ones(tasks, dtype=torch.float64))(gradients)
    torch.testing.assert_close(found, peer, rtol=1e-9, atol=1e-9)


def test_stch_against_torchjd() -> None:
    """torchjd's STCH scalarisation with weights of one, on log(l / nadir), times T."""
    from torchjd.scalarization import STCH

    toy, weighting = Toy(2), WEIGHTINGS.get("stch")(TASKS, 9, mu=1.0, warmup_epochs=0)
    weighting.start_epoch(0)
    nadir = toy.losses()
    toy.descend(toy.step(weighting), 0.01)
    weighting.start_epoch(1)
    found = toy.step(weighting)["direction"]
    theta = toy.theta.clone().requires_grad_()
    toy.theta = theta
    peer = len(TASKS) * STCH(mu=1.0, weights=torch.ones(2, dtype=torch.float64))((toy.losses() / nadir).log())
    (expected,) = torch.autograd.grad(peer, [theta])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("epoch", [0, 2])
def test_stch_of_a_loss_that_is_zero(epoch: int) -> None:
    """A task that is solved to the last bit has no logarithm; its gradient stays a number."""
    weighting = WEIGHTINGS.get("stch")(TASKS, 9, warmup_epochs=0)
    for earlier in range(epoch + 1):
        weighting.start_epoch(earlier)
        logits = torch.tensor([0.0, 1.0], requires_grad=True)
        loss, weights = weighting.combine(logits * 1.0)
    loss.backward()
    assert logits.grad is not None and logits.grad.isfinite().all() and weights.isfinite().all()


def test_stch_of_a_task_that_was_solved_in_the_nadir_epoch() -> None:
    """Its loss of 0 is no scale: what it is afterwards is compared with 1e-4 instead."""
    weighting = WEIGHTINGS.get("stch")(TASKS, 9, warmup_epochs=0)
    weighting.start_epoch(0)
    weighting.combine(torch.tensor([0.0, 0.5]))
    weighting.start_epoch(1)
    _, weights = weighting.combine(torch.tensor([1e-4, 0.5]))
    torch.testing.assert_close(weights, torch.ones(2))


def test_db_mtl_gives_every_task_the_same_length() -> None:
    gradients, losses = torch.randn(2, 9) * torch.tensor([[1.0], [40.0]]), torch.tensor([0.3, 7.0])
    _, weights = WEIGHTINGS.get("db_mtl")(TASKS, 3, beta=0.0).combine(gradients, losses)
    lengths = weights * (gradients / losses.unsqueeze(1)).norm(dim=1)
    torch.testing.assert_close(lengths[0], lengths[1])


@pytest.mark.parametrize("tasks", [1, 2, 3, 6])
def test_the_projection_is_the_nearest_point_of_the_simplex(tasks: int) -> None:
    """Against the optimality conditions of the quadratic program, and against every other point that is drawn."""
    rng = np.random.default_rng(tasks)
    for scale in (0.01, 1, 30):
        values = scale * rng.normal(size=tasks)
        found = project_onto_simplex(torch.from_numpy(values)).numpy()
        assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-12)
        # Lagrange: values - found is one number where found > 0, and at most that number elsewhere.
        rest = values - found
        np.testing.assert_allclose(rest[found > 0], rest.max(), atol=1e-10 * max(scale, 1))
        others = rng.dirichlet(np.full(tasks, 0.5), size=200)
        assert (np.linalg.norm(others - values, axis=1) >= np.linalg.norm(found - values) - 1e-12).all()


@pytest.mark.parametrize(("simplex", "expected"), [("projection", 100 / 101), ("softmax", 0.545)])
def test_moco_reaches_the_shortest_vector_by_the_projection_alone(simplex: str, expected: float) -> None:
    """Tracked gradients of lengths 1 and 10 at right angles: the shortest vector of their hull has the weights 100/101 and 1/101."""
    weighting = WEIGHTINGS.get("moco")(TASKS, 3, simplex=simplex)
    gradients, losses = torch.eye(2, dtype=torch.float64), torch.tensor([1.0, 10.0], dtype=torch.float64)
    for _ in range(3000):
        _, weights = weighting.combine(gradients, losses)
    assert float(weights[0]) == pytest.approx(expected, abs=0.005)


def test_moco_turns_away_from_the_longer_gradient() -> None:
    """Lambda moves towards the shortest vector of the hull: weight leaves a task whose tracked gradient is long."""
    weighting = WEIGHTINGS.get("moco")(TASKS, 3)
    for _ in range(20):
        _, weights = weighting.combine(torch.eye(2), torch.tensor([1.0, 3.0]))
    assert weights[0] > weights[1] and float(weights.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("name", list_weightings())
def test_task_order_does_not_matter(name: str) -> None:
    def direction(order: list[int]) -> Tensor:
        toy, weighting = Toy(2), WEIGHTINGS.get(name)([TASKS[i] for i in order], 9)
        toy.a, toy.b, toy.c, toy.d, toy.v, toy.owned = (
            values[order] for values in (toy.a, toy.b, toy.c, toy.d, toy.v, toy.owned)
        )
        weighting.start_epoch(0)
        return toy.step(weighting)["direction"]

    torch.testing.assert_close(direction([0, 1]), direction([1, 0]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", list_weightings())
def test_state_goes_on_where_it_stopped(name: str) -> None:
    def steps(weighting: Weighting, toy: Toy, epochs: range) -> None:
        for epoch in epochs:
            weighting.start_epoch(epoch)
            toy.descend(toy.step(weighting), 0.002)
            if weighting.losses_after_step:
                weighting.after_step(toy.losses())

    one, through = WEIGHTINGS.get(name)(TASKS, 9), Toy(2)
    steps(one, through, range(8))
    first, halted = WEIGHTINGS.get(name)(TASKS, 9), Toy(2)
    steps(first, halted, range(5))
    second = WEIGHTINGS.get(name)(TASKS, 9)
    second.load_state_dict(first.state_dict())
    steps(second, halted, range(5, 8))
    assert torch.equal(through.theta, halted.theta)


def test_bad_settings_are_named() -> None:
    def make(weighting: str, epochs: int = 9, **given: object) -> Weighting:
        return make_weighting(TrainingSettings(epochs, 1e-3, 16, weighting, given), TASKS)

    with pytest.raises(SettingsError, match="5 epochs with warmup_epochs 4; expected more than 5"):
        make("stch", epochs=5)
    with pytest.raises(SettingsError, match="warmup_epochs: -1 is not allowed; expected a whole number from 0"):
        make("stch", warmup_epochs=-1)
    with pytest.raises(SettingsError, match="stch.mu: 0 is not allowed"):
        make("stch", mu=0)
    with pytest.raises(SettingsError, match="beta: 1 is not allowed; expected a number from 0 to below 1"):
        make("db_mtl", beta=1)
    with pytest.raises(SettingsError, match="gamma: 0 is not allowed"):
        make("moco", gamma=0)
    with pytest.raises(SettingsError, match="rho: -1 is not allowed"):
        make("moco", rho=-1)
    with pytest.raises(SettingsError, match="simplex: 'sort' is not allowed; expected one of 'projection', 'softmax'"):
        make("moco", simplex="sort")
    with pytest.raises(SettingsError, match="weightings.db_mtl: unknown setting 'speed'"):
        make("db_mtl", speed=1)
    with pytest.raises(SettingsError, match=f"unknown weighting 'nobodys'. Known: {', '.join(list_weightings())}"):
        make("nobodys")


def test_a_momentum_that_decays_goes_on_where_it_stopped() -> None:
    gradients, losses = torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([1.0, 2.0])
    whole, resumed = (WEIGHTINGS.get("db_mtl")(("a", "b"), 3, beta_sigma=1.0) for _ in range(2))
    for sign in (1, -1):
        whole.combine(sign * gradients, losses)
    resumed.load_state_dict(whole.state_dict())
    assert torch.equal(resumed.combine(2 * gradients, losses)[0], whole.combine(2 * gradients, losses)[0])
