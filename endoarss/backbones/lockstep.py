"""Streams side by side, stage by stage: what cross-stitch networks need, whose units mix the streams after each stage.

Misra, Shrivastava, Gupta, Hebert: Cross-stitch networks for multi-task learning, CVPR 2016, arXiv:1604.03539.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from endoarss.errors import SettingsError

_KEPT = 0.9  # what a stream keeps of itself at first; the others share the rest


class CrossStitch(nn.Module):
    """One cross-stitch unit: stream s becomes sum_r alpha_sr x_r. alpha (S, S) starts at 0.9 on the diagonal, its rows sum to 1."""

    def __init__(self, streams: int) -> None:
        super().__init__()
        share = (1 - _KEPT) / max(1, streams - 1)
        self.alpha = nn.Parameter(torch.full((streams, streams), share) + (_KEPT - share) * torch.eye(streams))

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, ...) -> the same shape."""
        return (self.alpha @ x.reshape(len(self.alpha), -1)).view_as(x)


class PerStream(nn.Module):
    """One module per stream, each on its own part of the batch."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.streams = nn.ModuleList(modules)

    def forward(self, x: Tensor, *others: Any, **named: Any) -> Tensor:
        """(S * B, ...) -> (S * B, ...); further arguments are the same for all streams."""
        parts = x.chunk(len(self.streams))
        return torch.cat([one(part, *others, **named) for one, part in zip(self.streams, parts, strict=True)])


class Stitched(nn.Module):
    """A stage, followed by a cross-stitch unit."""

    def __init__(self, stage: nn.Module, streams: int) -> None:
        super().__init__()
        self.stage, self.unit = stage, CrossStitch(streams)

    def forward(self, x: Tensor, *others: Any, **named: Any) -> Tensor:
        """(S * B, ...) -> (S * B, ...)."""
        return self.unit(self.stage(x, *others, **named))


def in_lockstep(models: Sequence[nn.Module], stages: Sequence[str]) -> nn.Module:
    """Join alike models, one per stream, into one that runs all streams and mixes them after each stage.

    Args:
        models: the first is changed, and takes over the others' modules. Parameters that belong to no module below it, such as position
            embeddings, stay the first model's and are shared.
        stages: names of the modules after which streams are mixed; each takes and gives one tensor.

    Returns:
        The first model.

    Raises:
        SettingsError: if a model has no stage of a name.
    """
    known = dict(models[0].named_modules())
    lacking = [stage for stage in stages if stage not in known]
    if lacking or not stages:
        raise SettingsError(
            f"cross-stitch units in a {type(models[0]).__name__}: timm names no stages of it, or not as modules "
            f"({', '.join(lacking) or 'none'}). Choose another backbone or another architecture."
        )
    _join(models, "", frozenset(stages))
    return models[0]


def _join(parents: Sequence[nn.Module], prefix: str, stages: frozenset[str]) -> None:
    for name, child in list(parents[0].named_children()):
        alike, path = [getattr(parent, name) for parent in parents], prefix + name
        if path in stages:
            setattr(parents[0], name, Stitched(PerStream(alike), len(parents)))
        elif any(stage.startswith(f"{path}.") for stage in stages):
            _join(alike, f"{path}.", stages)
        elif next(child.parameters(), None) is not None:
            setattr(parents[0], name, PerStream(alike))
