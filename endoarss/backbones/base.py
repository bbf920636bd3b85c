"""What every backbone is to the rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from endoarss.lora import LoRALinear, StreamBatchNorm2d, StreamConv2d, owned_parameters


class Backbone(nn.Module):
    """An optional front on the image, then encoders that together give one feature map a stream.

    Args:
        encoders: each takes its streams' inputs one after the other, (S * B, 3, H, W), and gives (S * B, C, h, w).
        streams: S of each encoder. out_channels: C. map_size: h, w. front: runs once, before every encoder.
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
        """(B, 3, H, W) -> one (B, C, h, w) a stream."""
        return self.encode(self.stack(self.front(images)))

    def stack(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (S * B, 3, H, W), one copy per stream, in the same memory format."""
        return images if self.streams == 1 else torch.cat([images] * self.streams)

    def encode(self, stacked: Tensor) -> list[Tensor]:
        """What the front gave, once a stream (S * B, 3, H, W) -> one (B, C, h, w) a stream of each encoder."""
        return [part for encoder in self.encoders for part in encoder(stacked).chunk(self.streams)]

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """Return the trained parameters of one stream alone: its adapters, or its encoder where each stream has one."""
        encoder = self.encoders[stream // self.streams]
        if self.streams == 1 and len(self.encoders) > 1:
            return [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        return owned_parameters(encoder, stream % self.streams)

    @property
    def takes_copies(self) -> bool:
        """Whether each trained parameter of the encoders may be replaced by one copy per stream (see `endoarss.lora`)."""
        layers = [m for m in self.encoders.modules() if isinstance(m, LoRALinear | StreamConv2d | StreamBatchNorm2d)]
        # A linear layer takes copies of its adapters alone: below them it is frozen.
        able = {id(p) for m in layers for name, p in m.named_parameters() if not _is_linear_base(m, name)}
        return all(id(p) in able for p in self.encoders.parameters() if p.requires_grad)


def _is_linear_base(layer: nn.Module, name: str) -> bool:
    return isinstance(layer, LoRALinear) and name.startswith("base.")
