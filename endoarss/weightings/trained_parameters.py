"""Find tensors of a weighting that require gradients although nothing trains them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from endoarss.errors import SettingsError
from endoarss.weightings.base import Weighting


def check_all_trained(name: str, weighting: Weighting, trained: Iterable[Tensor]) -> None:
    """Raise an error if a weighting has a tensor with `requires_grad` that neither the training's optimizer nor its own optimizer trains.

    Args:
        name: the name of the weighting, for the message.
        weighting: the weighting; tensors and modules are searched in its attributes, also inside lists and dicts.
        trained: the tensors of the weighting that the training's optimizer trains.

    Raises:
        SettingsError: if there is such a tensor; the message names it and says what to do.
    """
    known = {id(tensor) for tensor in trained}
    optimizers = [value for value in vars(weighting).values() if isinstance(value, Optimizer)]
    known |= {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for where, value in _with_gradients(vars(weighting), ""):
        if id(value) not in known:
            raise SettingsError(
                f"weighting {name!r}: {type(weighting).__name__} has {where}, which requires a gradient, but nothing trains it. "
                "Create it in the constructor and return it from parameters(), or create it without requires_grad."
            )


def check_gradients_set(name: str, parameters: Iterable[nn.Parameter]) -> None:
    """Raise an error if a trained parameter of a weighting got no gradient in a step.

    Args:
        name: the name of the weighting, for the message.
        parameters: the trained parameters of the weighting.

    Raises:
        SettingsError: if a parameter has no gradient; the message says what to do.
    """
    if any(parameter.grad is None for parameter in parameters):
        raise SettingsError(
            f"weighting {name!r}: a parameter that parameters() returns got no gradient in a step, so it is not trained. The loss of a "
            "LossWeighting must depend on its parameters; the combine method of a GradientWeighting must set their .grad."
        )


def _with_gradients(value: object, where: str) -> Iterator[tuple[str, Tensor]]:
    """Yield name and value of every tensor that requires a gradient, in a value and in its elements."""
    if isinstance(value, Tensor):
        if value.requires_grad and value.is_leaf:
            yield where, value
    elif isinstance(value, nn.Module):
        yield from ((f"{where}.{key}", p) for key, p in value.named_parameters() if p.requires_grad)
    elif isinstance(value, Mapping):
        for key, element in value.items():
            yield from _with_gradients(element, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, element in enumerate(value):
            yield from _with_gradients(element, f"{where}[{index}]")
