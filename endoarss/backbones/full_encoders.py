"""The encoders of a backbone that is trained in full, as its streams ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from endoarss.backbones.lockstep import in_lockstep
from endoarss.errors import SettingsError
from endoarss.lora import Streams


def count_encoders(streams: Streams) -> int:
    """Return how many encoders a backbone that is trained in full has: one for all streams, or one per expert."""
    return streams.count if streams.count > 1 and not streams.shared else 1


def build_encoders(
    create: Callable[[], nn.Module],
    separate: Callable[[nn.Module], None],
    stages: Sequence[str],
    streams: Streams,
) -> tuple[list[nn.Module], int]:
    """Build the models of a backbone that is trained in full, as its streams ask.

    Args:
        create: makes one model. separate: gives one its task adapters. stages: modules after which cross-stitch units may stand.
        streams: what the architecture asks for.

    Returns:
        The models, and how many streams each runs.

    Raises:
        SettingsError: if a merged model is asked for.
    """
    if streams.merged:
        raise SettingsError("a merged model needs a frozen backbone with adapters; this one is trained in full.")
    models = [create() for _ in range(count_encoders(streams))]
    if streams.stitched:
        return [in_lockstep(models, stages)], streams.count
    if streams.shared and streams.owned:
        separate(models[0])
    return models, streams.count // len(models)
