"""The class that every backbone is an instance of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from endoarss.lora import LoRALinear, StreamBatchNorm2d, StreamConv2d, owned_parameters


class Backbone(nn.Module):
    """Encoders that together return one feature map per stream, and an optional module before them, the front.

    Args:
        encoders: modules that turn the concatenated inputs of their streams, (S * B, 3, H, W), into maps (S * B, C, h, w).
        streams: S, the number of streams of each encoder.
        out_channels: C, the number of channels of a map.
        map_size: h and w, the size of a map.
        front: a module that is applied once to the images, before all encoders; none by default. In this package it is SMA. Checkpoints
            contain the name `front`, so it cannot be changed.
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        streams: int,
        out_channels: int,
        map_size: tuple[int, int],
        front: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.front = front if front is not None else nn.Identity()
        self.encoders = nn.ModuleList(encoders)
        self.streams = streams
        self.out_channels = out_channels
        self.map_size = map_size

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return one map (B, C, h, w) per stream for images (B, 3, H, W)."""
        return self.encode(self.stack(self.front(images)))

    def stack(self, images: Tensor) -> Tensor:
        """Return images repeated once per stream, (S * B, 3, H, W), in the same memory format.

        Args:
            images: the output of the front (B, 3, H, W).
        """
        return images if self.streams == 1 else torch.cat([images] * self.streams)

    def encode(self, stacked: Tensor) -> list[Tensor]:
        """Return one map (B, C, h, w) per stream of each encoder.

        Args:
            stacked: the output of the front, repeated once per stream: (S * B, 3, H, W).
        """
        return [stream_map for encoder in self.encoders for stream_map in encoder(stacked).chunk(self.streams)]

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """Return the trained parameters that belong to one stream: its adapters, or its encoder if each stream has an encoder.

        Args:
            stream: the number of the stream.
        """
        encoder = self.encoders[stream // self.streams]
        if self.streams == 1 and len(self.encoders) > 1:
            return [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        return owned_parameters(encoder, stream % self.streams)

    @property
    def takes_copies(self) -> bool:
        """Whether every trained parameter of the encoders can be replaced by one copy per stream (see `endoarss.lora`)."""
        layers = [m for m in self.encoders.modules() if isinstance(m, LoRALinear | StreamConv2d | StreamBatchNorm2d)]
        # In a linear layer only the adapters can be replaced by copies; the layer itself is frozen.
        replaceable = {id(p) for m in layers for name, p in m.named_parameters() if not _is_linear_base(m, name)}
        return all(id(p) in replaceable for p in self.encoders.parameters() if p.requires_grad)


def _is_linear_base(layer: nn.Module, name: str) -> bool:
    return isinstance(layer, LoRALinear) and name.startswith("base.")
