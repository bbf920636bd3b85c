"""Build the encoders of a fully trained backbone, depending on the streams that the architecture needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from endoarss.backbones.lockstep import in_lockstep
from endoarss.errors import SettingsError
from endoarss.lora import Streams


def count_encoders(streams: Streams) -> int:
    """Return the number of encoders of a fully trained backbone: one per stream if the streams have no shared adapters,
    otherwise one.

    Args:
        streams: the streams that the architecture needs.
    """
    return streams.count if streams.count > 1 and not streams.shared else 1


def build_encoders(
    create: Callable[[], nn.Module],
    separate: Callable[[nn.Module], None],
    stages: Sequence[str],
    streams: Streams,
) -> tuple[list[nn.Module], int]:
    """Build the models of a fully trained backbone.

    Args:
        create: builds one model.
        separate: adds task adapters to a model.
        stages: names of the modules after which cross-stitch units can be added.
        streams: the streams that the architecture needs.

    Returns:
        The models, and the number of streams that each model runs.

    Raises:
        SettingsError: if the architecture is a merged model, or the models do not have the stages.
    """
    if streams.merged:
        raise SettingsError("a merged model needs a frozen backbone with adapters, but this backbone is fully trained.")
    models = [create() for _ in range(count_encoders(streams))]
    if streams.stitched:
        return [in_lockstep(models, stages)], streams.count
    if streams.shared and streams.owned:
        separate(models[0])
    return models, streams.count // len(models)
