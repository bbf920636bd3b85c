"""Low-rank adapters over several streams: on a fused qkv projection, and on convolutions.

A module with S streams takes a batch that is S equally long parts, one a stream. Adapters are shared by all streams,
owned by one, or both. Hu et al. 2021, arXiv:2106.09685; EndoARSS section III-C, equations 2 and 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endoarss.errors import SettingsError


@dataclass(frozen=True)
class Streams:
    """How many streams a backbone runs and which adapters they have.

    count: number of streams. shared: one adapter trained by all. owned: one adapter a stream.
    """

    count: int = 1
    shared: bool = True
    owned: bool = False


class LoRAQKV(nn.Module):
    """A frozen fused qkv projection (output order q, k, v) with low-rank updates of q and v.

    y_q += s B_q A_q x and y_v += s B_v A_v x; k passes unchanged. A is kaiming-uniform(a = sqrt 5), B zero, so that
    nothing changes at first.

    Args:
        base: the projection, in_features d, out_features 3 d. Its parameters are frozen.
        rank: r. scale: s = alpha / r.
        streams: their number and which adapters there are.
    """

    def __init__(self, base: nn.Linear, rank: int, scale: float, streams: Streams) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale
        self.streams = streams.count
        width = base.in_features

        def down() -> nn.Parameter:
            a = torch.empty(2, rank, width)
            for projection in a:
                nn.init.kaiming_uniform_(projection, a=math.sqrt(5))
            return nn.Parameter(a)

        def up() -> nn.Parameter:
            return nn.Parameter(torch.zeros(2, width, rank))

        self.shared_a = nn.ParameterList([down()] if streams.shared else [])
        self.shared_b = nn.ParameterList([up()] if streams.shared else [])
        self.owned_a = nn.ParameterList([down() for _ in range(streams.count)] if streams.owned else [])
        self.owned_b = nn.ParameterList([up() for _ in range(streams.count)] if streams.owned else [])

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """The adapter that belongs to one stream."""
        return [self.owned_a[stream], self.owned_b[stream]] if len(self.owned_a) else []

    def _factors(self, stream: int) -> tuple[Tensor, Tensor]:
        """A (2, R, d) and B (2, d, R) of one stream, its shared and owned ranks side by side."""
        a = [*self.shared_a, *self.owned_a[stream : stream + 1]]
        b = [*self.shared_b, *self.owned_b[stream : stream + 1]]
        return torch.cat(a, dim=1), torch.cat(b, dim=2)

    def delta(self, stream: int) -> Tensor:
        """The dense update (2, d, d) of the q and v rows of one stream: s B A."""
        a, b = self._factors(stream)
        return self.scale * b @ a

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, N, d) -> (S * B, N, 3 d)."""
        factors = [self._factors(stream) for stream in range(self.streams)]
        a = torch.stack([a for a, _ in factors])  # S, 2, R, d
        b = torch.stack([b for _, b in factors])  # S, 2, d, R
        parts = x.reshape(self.streams, 1, -1, x.shape[-1])
        low = parts @ a.transpose(-1, -2)  # S, 2, B N, R
        q_delta, v_delta = (self.scale * low @ b.transpose(-1, -2)).unbind(1)
        q, k, v = self.base(x).chunk(3, dim=-1)
        return torch.cat([q + q_delta.reshape(q.shape), k, v + v_delta.reshape(v.shape)], dim=-1)


class LoRAConv2d(nn.Module):
    """A trained convolution, shared by all streams, with one low-rank update a stream.

    dW = (B A) viewed as (C_out, C_in, k, k) times s, A of shape (r k, C_in k), B of shape (C_out k, r k); the
    convolutional form of loralib. The paper leaves TESLA on a ResNet open.
    """

    def __init__(self, base: nn.Conv2d, rank: int, scale: float, streams: int) -> None:
        super().__init__()
        if base.groups != 1:
            raise SettingsError(f"low-rank adapters on a convolution of {base.groups} groups; expected 1.")
        self.base = base
        self.scale = scale
        self.streams = streams
        k = base.kernel_size[0]
        self.owned_a = nn.ParameterList()
        self.owned_b = nn.ParameterList()
        for _ in range(streams):
            a = torch.empty(rank * k, base.in_channels * k)
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
            self.owned_a.append(nn.Parameter(a))
            self.owned_b.append(nn.Parameter(torch.zeros(base.out_channels * k, rank * k)))

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """The adapter that belongs to one stream."""
        return [self.owned_a[stream], self.owned_b[stream]]

    def delta(self, stream: int) -> Tensor:
        """The update of the kernel (C_out, C_in, k, k) of one stream."""
        return self.scale * (self.owned_b[stream] @ self.owned_a[stream]).view_as(self.base.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, C_in, H, W) -> (S * B, C_out, H', W')."""
        conv = self.base
        outputs = [
            F.conv2d(part, conv.weight + self.delta(s), conv.bias, conv.stride, conv.padding, conv.dilation)
            for s, part in enumerate(x.chunk(self.streams))
        ]
        return torch.cat(outputs)


class StreamBatchNorm2d(nn.Module):
    """Batch normalisation that keeps streams apart: each by its own batch statistics, with running ones of its own.

    The affine parameters are the base's and shared. Statistics over all streams would couple the tasks.
    """

    def __init__(self, base: nn.BatchNorm2d, streams: int) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        self.eps, self.momentum = base.eps, base.momentum if base.momentum is not None else 0.1
        assert base.running_mean is not None and base.running_var is not None
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", base.running_mean.repeat(streams, 1))
        self.register_buffer("running_var", base.running_var.repeat(streams, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, C, H, W), normalised stream by stream."""
        outputs = [
            F.batch_norm(part, mean, variance, self.weight, self.bias, self.training, self.momentum, self.eps)
            for part, mean, variance in zip(
                x.chunk(len(self.running_mean)), self.running_mean, self.running_var, strict=True
            )
        ]
        return torch.cat(outputs)


def owned_parameters(module: nn.Module, stream: int) -> list[nn.Parameter]:
    """All adapters in `module` that belong to one stream."""
    return [
        parameter
        for layer in module.modules()
        if isinstance(layer, LoRAQKV | LoRAConv2d)
        for parameter in layer.owned_parameters(stream)
    ]
