"""Task adapters in fully trained models: every stream has its own low-rank updates and batch statistics."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from endoarss.errors import SettingsError
from endoarss.lora import LoRALinear, StreamBatchNorm2d, StreamConv2d, Streams
from endoarss.settings import BackboneSettings


def separate_streams(model: nn.Module, adapted: Collection[str], settings: BackboneSettings, streams: int) -> None:
    """Add one adapter per stream to layers, and separate statistics per stream to every batch normalisation.

    The layers themselves stay shared and trained.

    Args:
        model: the model, which is changed in place.
        adapted: names of the convolutions and linear layers that may be adapted. The first convolution (on the image), convolutions with
            several groups or a kernel that is not square, and subclasses of these layers are not adapted.
        settings: model and rank.
        streams: the number of streams.

    Raises:
        SettingsError: if no layer can be adapted, or the model has another kind of normalisation that would mix the images of the streams.
    """
    has_adapters = False
    for path, parent in list(model.named_modules()):
        for name, child in list(parent.named_children()):
            if f"{path}.{name}".lstrip(".") in adapted and _is_adaptable(child):
                setattr(parent, name, _adapted(child, settings, streams))
                has_adapters = True
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _separated(child, streams))
            elif isinstance(child, _BatchNorm):
                raise SettingsError(
                    f"task adapters in {settings.model}: its {type(child).__name__} {path}.{name} would mix the tasks' statistics. "
                    "Choose another model, or hps, mmoe or dselect_k."
                )
    if not has_adapters:
        raise SettingsError(
            f"task adapters in {settings.model}: none of its layers can have an adapter. Choose another model."
        )


def _is_adaptable(layer: nn.Module) -> bool:
    if type(layer) is nn.Conv2d:
        plain = layer.groups == 1 and layer.padding_mode == "zeros" and layer.kernel_size[0] == layer.kernel_size[1]
        return plain and layer.in_channels != 3
    return type(layer) is nn.Linear


def _adapted(layer: nn.Module, settings: BackboneSettings, streams: int) -> nn.Module:
    rank, scale = settings.lora.rank, settings.lora.scale
    if isinstance(layer, nn.Conv2d):
        return StreamConv2d(layer, streams, rank, scale)
    assert isinstance(layer, nn.Linear), "_is_adaptable accepts only these two"
    adapted = LoRALinear(layer, rank, scale, Streams(streams, shared=False, owned=True))
    adapted.base.requires_grad_(True)  # all streams share and train it
    return adapted


def _separated(layer: nn.BatchNorm2d, streams: int) -> nn.Module:
    """Return a normalisation with statistics per stream, followed by the dropout and activation that some of timm's normalisations have."""
    ends = [end for end in (getattr(layer, "drop", None), getattr(layer, "act", None)) if end is not None]
    separated = StreamBatchNorm2d(layer, streams)
    return nn.Sequential(separated, *ends) if ends else separated
