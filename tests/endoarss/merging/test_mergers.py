"""Mergers: worked examples, another implementation, and properties that hold for all."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from endoarss.errors import SettingsError, UnknownNameError
from endoarss.merging.adamerging import mean_entropy
from endoarss.merging.base import Feedback, Merger
from endoarss.merging.task_vectors import add_to_base, combine, task_vector
from endoarss.merging.ties import ties, trim
from endoarss.registry import MERGERS, list_mergers

QUICK: dict[str, dict[str, Any]] = {name: {"iterations": 5} for name in ("adamerging_task", "adamerging_layer")}


def vectors(tasks: int = 3, seed: int = 0) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a.weight": (4, 5), "a.bias": (4,), "b.weight": (2, 4, 3)}
    return [{name: torch.randn(shape, generator=generator) for name, shape in shapes.items()} for _ in range(tasks)]


def smallest(vector: dict[str, Tensor]) -> float:
    """A score that prefers vectors near zero."""
    return -float(sum((t**2).sum() for t in vector.values()))


FEEDBACK = Feedback(smallest, lambda vector, step: torch.stack([(t**2).mean() for t in vector.values()]).sum())


def make(name: str, **settings: Any) -> Merger:
    merger: Merger = MERGERS.get(name)(**{**QUICK.get(name, {}), **settings})
    return merger


def flat(vector: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in vector.values()])


@pytest.fixture(scope="module")
def peft() -> Any:
    """The mergers of another library, which takes seconds to import."""
    return import_module("peft.utils.merge_utils")


@pytest.mark.parametrize("name", list_mergers())
def test_every_merger_gives_a_vector_of_the_same_shapes_and_leaves_the_given_ones(name: str) -> None:
    given = vectors()
    kept = [{n: t.clone() for n, t in one.items()} for one in given]
    found = make(name).merge(given, FEEDBACK).vector
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in given[0].items()}
    assert all(torch.equal(one[n], t) for one, before in zip(given, kept, strict=True) for n, t in before.items())
    assert not any(t.requires_grad for t in found.values())


@pytest.mark.parametrize("name", list_mergers())
def test_the_order_of_models_does_not_matter(name: str) -> None:
    given = vectors()
    one, other = (make(name).merge(order, FEEDBACK).vector for order in (given, given[::-1]))
    torch.testing.assert_close(flat(one), flat(other))


@pytest.mark.parametrize("name", ["averaging", "task_arithmetic", "ties"])
def test_coefficient_one_with_one_task_gives_the_individual_model(name: str) -> None:
    given = vectors(1)
    settings = {
        "averaging": {},
        "task_arithmetic": {"coefficients": (1.0,)},
        "ties": {"coefficients": (1.0,), "keep": 1.0},
    }
    assert torch.equal(flat(make(name, **settings[name]).merge(given, FEEDBACK).vector), flat(given[0]))


def test_averaging_is_the_mean() -> None:
    given = vectors(4)
    torch.testing.assert_close(
        flat(make("averaging").merge(given, FEEDBACK).vector), torch.stack([flat(one) for one in given]).mean(0)
    )


def test_task_arithmetic_is_what_peft_computes(peft: Any) -> None:
    given = vectors()
    found = make("task_arithmetic", coefficients=(0.4,)).merge(given, FEEDBACK).vector
    expected = peft.task_arithmetic([flat(one) for one in given], torch.full((3,), 0.4))
    torch.testing.assert_close(flat(found), expected)


def test_ties_on_a_worked_example() -> None:
    # Of 5 values 3 stay: trimmed [5, -4, 3, 0, 0] and [-2, 0, 4, 6, 0]. Signs of the sums: +, -, +, +, 0.
    given = torch.tensor([[5.0, -4.0, 3.0, 1.0, -0.5], [-2.0, 1.0, 4.0, 6.0, 0.5]])
    assert trim(given[0], 0.6).tolist() == [5, -4, 3, 0, 0]
    assert ties(given, 0.6).tolist() == [5, -4, 3.5, 6, 0]


def test_ties_where_values_cancel_takes_the_sign_that_most_have() -> None:
    given = torch.tensor([[2.0, 1.0, 3.0], [-2.0, 1.0, 3.0]])
    assert ties(given, 1.0).tolist() == [2, 1, 3]
    assert ties(-given, 1.0).tolist() == [-2, -1, -3]


@pytest.mark.parametrize("keep", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_ties_is_what_peft_computes(peft: Any, keep: float, seed: int) -> None:
    given = torch.stack([flat(one) for one in vectors(3, seed)])  # of 48 values: both keep as many
    expected = peft.ties(list(given), torch.ones(3), density=keep)
    torch.testing.assert_close(ties(given, keep), expected)


def test_the_coefficient_is_the_one_with_the_best_score() -> None:
    given = vectors(2)
    target = flat(combine(given, [0.7, 0.7]))
    near = Feedback(lambda vector: -float((flat(vector) - target).norm()), FEEDBACK.entropy)
    found = make("task_arithmetic").merge(given, near)
    assert found.coefficients["coefficient"] == 0.7
    assert len(found.coefficients["validation"]) == 8
    torch.testing.assert_close(flat(found.vector), target)


def test_a_single_coefficient_asks_for_no_score() -> None:
    def never(vector: dict[str, Tensor]) -> float:
        raise AssertionError("asked")

    make("ties", coefficients=(1.0,)).merge(vectors(), Feedback(never, FEEDBACK.entropy))


def adam(gradient: Any, start: np.ndarray, steps: int, rate: float) -> np.ndarray:
    """Adam in NumPy float64 (Kingma and Ba 2015, algorithm 1)."""
    x, m, v = start.astype(np.float64), np.zeros_like(start, np.float64), np.zeros_like(start, np.float64)
    for step in range(1, steps + 1):
        g = gradient(x)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return x


@pytest.mark.parametrize("name", ["adamerging_task", "adamerging_layer"])
def test_adamerging_takes_the_steps_of_adam_on_the_coefficients(name: str) -> None:
    given = [{n: t.double() for n, t in one.items()} for one in vectors(2)]
    names = list(given[0])
    stacked = [np.stack([one[n].numpy().ravel() for one in given]) for n in names]
    by_layer = name == "adamerging_layer"

    def gradient(c: np.ndarray) -> np.ndarray:  # of the sum over tensors of the mean of squares
        wide = c if by_layer else np.repeat(c, len(names), axis=1)
        each = [2 * s @ (s.T @ wide[:, i]) / s.shape[1] for i, s in enumerate(stacked)]
        of_layers = np.stack(each, axis=1)
        return of_layers if by_layer else of_layers.sum(axis=1, keepdims=True)

    expected = adam(gradient, np.full((2, len(names) if by_layer else 1), 0.3), 20, 0.005)
    found = make(name, iterations=20, learning_rate=0.005).merge(given, FEEDBACK)
    np.testing.assert_allclose(found.coefficients["coefficients"], expected, rtol=2e-4)
    assert found.coefficients["entropy"]["last"] < found.coefficients["entropy"]["first"]


def test_adamerging_holds_coefficients_between_0_and_1() -> None:
    grow = Feedback(smallest, lambda vector, step: -sum((t * torch.sign(t.detach())).sum() for t in vector.values()))
    found = make("adamerging_layer", iterations=100, learning_rate=0.1).merge(vectors(2), grow)
    assert np.max(found.coefficients["coefficients"]) == 1.0


def test_entropy_is_alike_for_images_and_pixels() -> None:
    logits = torch.randn(6, 4)
    pixels = logits.reshape(2, 3, 4).permute(0, 2, 1)[..., None]  # the same rows, as pixels
    torch.testing.assert_close(mean_entropy(logits), mean_entropy(pixels))
    torch.testing.assert_close(mean_entropy(torch.zeros(3, 12)), torch.tensor(1.0))
    assert mean_entropy(torch.tensor([[1000.0, 0.0]])) == 0
    expected = torch.distributions.Categorical(logits=logits).entropy().mean() / np.log(4)
    torch.testing.assert_close(mean_entropy(logits), expected)


def test_state_dicts_of_models_trained_in_full_merge_too() -> None:
    torch.manual_seed(0)
    base = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict()
    tuned = {n: t + 1 if t.is_floating_point() else t + 5 for n, t in base.items()}
    vector = task_vector(tuned, base)
    assert "1.num_batches_tracked" not in vector
    whole = add_to_base(base, vector)
    assert all(torch.equal(whole[n], tuned[n]) for n in vector)
    assert torch.equal(whole["1.num_batches_tracked"], base["1.num_batches_tracked"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], ["there are no task vectors"]),
        (
            [{"a": torch.zeros(2)}, {"b": torch.zeros(2)}],
            ["task vector 1 has the tensor 'a'", "task vector 2 does not have it"],
        ),
        ([{"a": torch.zeros(2)}, {"a": torch.zeros(3)}], ["(2,) in task vector 1", "(3,) in task vector 2"]),
    ],
)
def test_vectors_of_other_models_are_refused_naming_both(given: Sequence[dict[str, Tensor]], words: list[str]) -> None:
    with pytest.raises(SettingsError) as error:
        make("averaging").merge(given, FEEDBACK)
    assert all(word in str(error.value) for word in words)


def test_a_base_that_is_another_model_is_refused_naming_both() -> None:
    with pytest.raises(SettingsError, match="the base has the tensor 'b', but the fine-tuned model does not have it"):
        task_vector({"a": torch.zeros(1)}, {"a": torch.zeros(1), "b": torch.zeros(1)})
    with pytest.raises(SettingsError, match="the base has no tensor 'c'"):
        add_to_base({"a": torch.zeros(1)}, {"c": torch.zeros(1)})


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("ties", {"keep": 0}, "ties.keep: 0 is not allowed; expected a number above 0 and at most 1"),
        ("ties", {"coefficients": []}, r"ties.coefficients: \[\] is not allowed; expected a list"),
        ("task_arithmetic", {"coefficients": [-1.0]}, r"coefficients: \[-1.0\] is not allowed; .* each above 0"),
        ("adamerging_task", {"start": 2.0}, "adamerging.start: 2.0 is not allowed; expected a number from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        make(name, **settings)


def test_an_unknown_merger_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown merger 'tie'. Did you mean 'ties'\\? Known: .*ties"):
        MERGERS.get("tie")
