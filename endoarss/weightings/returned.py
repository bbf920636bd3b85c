"""Check the values that the methods of a weighting return, so that a mistake in a weighting is named before torch fails elsewhere."""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor

from endoarss.errors import SettingsError, shown


class ReturnedValueError(SettingsError):
    """A value that a method of a weighting returned and that cannot be used."""


def check_loss(returned: object, tasks: int) -> tuple[Tensor, Tensor]:
    """Return what `LossWeighting.combine` returned. The values of tensors are not read, because that would wait for the device.

    Args:
        returned: the returned value.
        tasks: the number of tasks T.

    Raises:
        ReturnedValueError: if it is not a scalar with a gradient and the weights (T,).
    """
    loss, weights = _pair(returned)
    if _fits(loss, ()) and loss.requires_grad and _fits(weights, (tasks,)):
        return loss, weights
    raise _unfit("combine", returned, f"the loss to minimise, a scalar with a gradient, and {_weights(tasks)}")


def check_update(returned: object, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Return what `GradientWeighting.combine` returned.

    Args:
        returned: the returned value.
        gradients: the gradients that were combined (T, P).

    Raises:
        ReturnedValueError: if it is not a gradient (P,) of the same dtype and the weights (T,).
    """
    tasks, values = gradients.shape
    update, weights = _pair(returned)
    if _fits(update, (values,)) and update.dtype == gradients.dtype and _fits(weights, (tasks,)):
        return update, weights
    dtype = str(gradients.dtype).removeprefix("torch.")
    wanted = f"the gradient to descend along, {dtype} (P,) with P = {values}, and {_weights(tasks)}"
    raise _unfit("combine", returned, wanted)


def check_factors(method: str, returned: object, tasks: int) -> Tensor:
    """Return what a method returned that gives one number per task.

    Args:
        method: the name of the method.
        returned: the returned value.
        tasks: the number of tasks T.

    Raises:
        ReturnedValueError: if it is not a tensor (T,).
    """
    if _fits(returned, (tasks,)):
        return returned
    raise _unfit(method, returned, f"one number per task, a tensor (T,) with T = {tasks}")


def _pair(returned: object) -> tuple[object, object]:
    return (returned[0], returned[1]) if isinstance(returned, tuple | list) and len(returned) == 2 else (None, None)


def _fits(value: object, shape: tuple[int, ...]) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.shape == shape


def _weights(tasks: int) -> str:
    return f"the weight of each task in it, (T,) with T = {tasks}"


def _unfit(method: str, returned: object, wanted: str) -> ReturnedValueError:
    return ReturnedValueError(f"{method} returned {_described(returned)}; expected {wanted}.")


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        dtype, without = str(value.dtype).removeprefix("torch."), "" if value.requires_grad else " without a gradient"
        return f"a {dtype} tensor of shape {tuple(value.shape)}{without}"
    if isinstance(value, tuple | list) and len(value) <= 4:
        return f"({', '.join(map(_described, value))})"
    return shown(value)
