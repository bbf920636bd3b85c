"""Finds values of a weighting that ask for gradients although nobody trains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from endoarss.errors import SettingsError
from endoarss.weightings.base import Weighting


def check_all_trained(name: str, weighting: Weighting, trained: Iterable[Tensor]) -> None:
    """Refuse a weighting that holds a value with `requires_grad` that neither the training's optimizer nor its own moves.

    Args:
        name: of the weighting, for the message.
        weighting: its attributes are searched: tensors, modules, and lists and dicts of them.
        trained: what the training's optimizer has.

    Raises:
        SettingsError: naming the value and what to do.
    """
    known = {id(one) for one in trained}
    held = vars(weighting).values()
    known |= {
        id(p) for one in held if isinstance(one, Optimizer) for group in one.param_groups for p in group["params"]
    }
    for where, value in _with_gradients(vars(weighting), ""):
        if id(value) not in known:
            raise SettingsError(
                f"weighting {name!r}: {type(weighting).__name__} holds {where}, which asks for a gradient, but nothing trains it. "
                "Make it in the constructor and return it from parameters(), or make it without requires_grad."
            )


def check_gradients_set(name: str, parameters: Iterable[nn.Parameter]) -> None:
    """Refuse a weighting whose trained parameters had no gradient in a step.

    Raises:
        SettingsError: saying how they get one.
    """
    if any(parameter.grad is None for parameter in parameters):
        raise SettingsError(
            f"weighting {name!r}: what its parameters() returns got no gradient in a step, so that nothing trains it. A "
            "LossWeighting's must be part of its loss; a GradientWeighting's combine sets their .grad."
        )


def _with_gradients(value: object, where: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the names and values of all that asks for gradients, in a value and in what it holds."""
    if isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf:
            yield where, value
    elif isinstance(value, nn.Module):
        yield from ((f"{where}.{key}", one) for key, one in value.named_parameters() if one.requires_grad)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _with_gradients(one, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _with_gradients(one, f"{where}[{index}]")
