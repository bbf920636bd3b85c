"""Run several models stage by stage and mix their streams after each stage, as cross-stitch networks need.

Misra, Shrivastava, Gupta, Hebert: Cross-stitch networks for multi-task learning, CVPR 2016, arXiv:1604.03539.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from endoarss.errors import SettingsError

_OWN_SHARE = 0.9  # initial weight of a stream in itself; the other streams share the rest


class CrossStitch(nn.Module):
    """One cross-stitch unit: stream s becomes sum_r alpha_sr x_r, where x_r is stream r.

    The trained matrix alpha (S, S) starts at 0.9 on its diagonal, and its rows sum to 1 at the start.

    Args:
        streams: S, the number of streams.
    """

    def __init__(self, streams: int) -> None:
        super().__init__()
        share = (1 - _OWN_SHARE) / max(1, streams - 1)
        self.alpha = nn.Parameter(torch.full((streams, streams), share) + (_OWN_SHARE - share) * torch.eye(streams))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed streams (S * B, ...), of the same shape as the input."""
        return (self.alpha @ x.reshape(len(self.alpha), -1)).view_as(x)


class PerStream(nn.Module):
    """One module per stream; each is applied to its part of the batch.

    Args:
        modules: the modules, in the order of the streams.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.streams = nn.ModuleList(modules)

    def forward(self, x: Tensor, *others: Any, **named: Any) -> Tensor:
        """Return the outputs of all streams (S * B, ...); further arguments are passed to every module."""
        parts = x.chunk(len(self.streams))
        return torch.cat([module(part, *others, **named) for module, part in zip(self.streams, parts, strict=True)])


class Stitched(nn.Module):
    """A stage, followed by a cross-stitch unit.

    Args:
        stage: a module that runs all streams.
        streams: the number of streams.
    """

    def __init__(self, stage: nn.Module, streams: int) -> None:
        super().__init__()
        self.stage, self.unit = stage, CrossStitch(streams)

    def forward(self, x: Tensor, *others: Any, **named: Any) -> Tensor:
        """Return the mixed outputs of the stage (S * B, ...)."""
        return self.unit(self.stage(x, *others, **named))


def in_lockstep(models: Sequence[nn.Module], stages: Sequence[str]) -> nn.Module:
    """Join models of the same structure, one per stream, into a model that runs all streams and mixes them after each stage.

    Args:
        models: the first model is changed in place, and the modules of the others are added to it. Parameters of the first model itself,
            such as position embeddings, are shared by all streams.
        stages: names of the modules after which the streams are mixed; each module has one tensor as input and one as output.

    Returns:
        The first model.

    Raises:
        SettingsError: if the model has no stages of these names.
    """
    known = dict(models[0].named_modules())
    unknown = [stage for stage in stages if stage not in known]
    if unknown or not stages:
        raise SettingsError(
            f"cross-stitch units in a {type(models[0]).__name__}: timm lists no stages of it, or stages that are not modules "
            f"({', '.join(unknown) or 'none'}). Choose another backbone or another architecture."
        )
    _join(models, "", frozenset(stages))
    return models[0]


def _join(parents: Sequence[nn.Module], prefix: str, stages: frozenset[str]) -> None:
    """Replace each child of the first parent by the children of that name of all parents."""
    for name, child in list(parents[0].named_children()):
        children, path = [getattr(parent, name) for parent in parents], prefix + name
        if path in stages:
            setattr(parents[0], name, Stitched(PerStream(children), len(parents)))
        elif any(stage.startswith(f"{path}.") for stage in stages):
            _join(children, f"{path}.", stages)
        elif next(child.parameters(), None) is not None:
            setattr(parents[0], name, PerStream(children))
