"""Task adapters in models that are trained in full: every stream has low-rank updates and batch statistics of its own."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from endoarss.errors import SettingsError
from endoarss.lora import LoRALinear, StreamBatchNorm2d, StreamConv2d, Streams
from endoarss.settings import BackboneSettings


def separate_streams(model: nn.Module, adapted: Collection[str], settings: BackboneSettings, streams: int) -> None:
    """Give layers an adapter per stream, and every batch normalisation statistics per stream. What they adapt stays shared and trained.

    Args:
        model: changed in place. adapted: names of the convolutions and linear layers that may be adapted. Of these, the first
            convolution (of the image), those of several groups, and those of another make stay as they are.
        settings: model and rank. streams: their number.

    Raises:
        SettingsError: if no layer can be adapted, or the model couples its images in another way.
    """
    some = False
    for path, parent in list(model.named_modules()):
        for name, child in list(parent.named_children()):
            if f"{path}.{name}".lstrip(".") in adapted and _is_adaptable(child):
                setattr(parent, name, _adapted(child, settings, streams))
                some = True
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _separated(child, streams))
            elif isinstance(child, _BatchNorm):
                raise SettingsError(
                    f"task adapters in {settings.model}: its {type(child).__name__} {path}.{name} would mix the tasks' statistics. "
                    "Choose another model, or hps, mmoe or dselect_k."
                )
    if not some:
        raise SettingsError(
            f"task adapters in {settings.model}: it has no layer that could carry one. Choose another model."
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
    assert isinstance(layer, nn.Linear), "what _is_adaptable lets through"
    adapted = LoRALinear(layer, rank, scale, Streams(streams, shared=False, owned=True))
    adapted.base.requires_grad_(True)  # it is what the streams share
    return adapted


def _separated(layer: nn.BatchNorm2d, streams: int) -> nn.Module:
    """Statistics per stream, then what some of timm's normalisations end with: dropout and activation."""
    ends = [end for end in (getattr(layer, "drop", None), getattr(layer, "act", None)) if end is not None]
    separated = StreamBatchNorm2d(layer, streams)
    return nn.Sequential(separated, *ends) if ends else separated
