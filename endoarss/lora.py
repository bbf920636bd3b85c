"""Low-rank adapters for several streams, on linear layers (including fused qkv projections) and on convolutions.

The batch of a module with S streams consists of S parts of B images, one part per stream. A layer has adapters that all streams share,
adapters that belong to one stream, or both. Hu et al. 2021, arXiv:2106.09685; EndoARSS section III-C, equations 2 and 3.

A parameter that all streams share can be replaced by S copies, stacked in a new first dimension; each stream then uses its own copy. So one
backward pass gives the gradient of each task with respect to the parameter (see `endoarss.gradients`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import Attention, AttentionRope
from timm.models.eva import EvaAttention
from torch import Tensor, nn
from torch.nn import functional as F

from endoarss.errors import SettingsError
from endoarss.settings import LoRASettings


@dataclass(frozen=True)
class Streams:
    """The number of streams that an architecture needs from a backbone, and the adapters they have.

    Attributes:
        count: the number of streams.
        shared: whether there are adapters that all streams share.
        owned: whether each stream has its own adapters.
        merged: whether there is a dense update, which is not trained, instead of adapters.
        stitched: whether a `CrossStitch` mixes the streams after each stage.
    """

    count: int = 1
    shared: bool = True
    owned: bool = False
    merged: bool = False
    stitched: bool = False


class LoRALinear(nn.Module):
    """A frozen linear layer whose outputs are divided into blocks of equal size, with low-rank updates of some blocks.

    For an input x, block j of the output becomes W_j x + b_j + s B_j A_j x. W_j and b_j are the block's frozen weight and bias. A_j (r, in)
    and B_j (width, r) are trained; width is the size of a block. Blocks without an adapter do not change by a single bit. A_j is
    initialised kaiming-uniform(a = sqrt 5) and B_j with zeros, so that the output does not change at first.

    With random vectors u (r) and v (width), which are drawn once from [-1, 1] and not trained, B_j A_j becomes diag(v) B_j diag(u) A_j.
    The authors' code trains this form. Its DV-LoRA has a second phase that would train u and v, but that phase never runs.

    Args:
        base: the layer; it is frozen.
        rank: r, the rank of an adapter.
        scale: s = alpha / r.
        streams: the number of streams, and which adapters there are.
        blocks: the numbers of the adapted blocks. In a fused qkv projection of timm, which has three blocks, (0, 2) are q and v.
        count: the number of blocks.
        random_vectors: whether each adapter has its own u and v.
    """

    def __init__(
        self,
        base: nn.Linear,
        rank: int,
        scale: float,
        streams: Streams,
        blocks: Sequence[int] = (0,),
        count: int = 1,
        random_vectors: bool = False,
    ) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = scale
        self.streams = streams.count
        self.blocks, self.count = tuple(blocks), count
        width = base.out_features // count

        def down() -> nn.Parameter:
            a = torch.empty(len(self.blocks), rank, base.in_features)
            for block in a:
                nn.init.kaiming_uniform_(block, a=math.sqrt(5))
            return nn.Parameter(a)

        def up() -> nn.Parameter:
            return nn.Parameter(torch.zeros(len(self.blocks), width, rank))

        self.shared_a = down() if streams.shared else None
        self.shared_b = up() if streams.shared else None
        self.owned_a = nn.ParameterList([down() for _ in range(streams.count)] if streams.owned else [])
        self.owned_b = nn.ParameterList([up() for _ in range(streams.count)] if streams.owned else [])
        self.shared_u: Tensor | None
        self.shared_v: Tensor | None
        self.owned_u: Tensor | None
        self.owned_v: Tensor | None
        for name, exists, copies in (("shared", streams.shared, 1), ("owned", streams.owned, streams.count)):
            for vector, length in (("u", rank), ("v", width)):
                drawn = torch.empty(copies, len(self.blocks), length, 1) if random_vectors and exists else None
                self.register_buffer(f"{name}_{vector}", None if drawn is None else drawn.uniform_(-1, 1))

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """Return the parameters of the adapter that one stream owns.

        Args:
            stream: the number of the stream.
        """
        return [self.owned_a[stream], self.owned_b[stream]] if len(self.owned_a) else []

    def _factors(self) -> tuple[Tensor, Tensor]:
        """Return A (S, blocks, R, in) and B (S, blocks, width, R) of all streams; R is r, or 2 r with both shared and own adapters."""
        down, up = [], []
        if self.shared_a is not None and self.shared_b is not None:
            down.append(_scaled(_per_stream_copies(self.shared_a, self.streams, 3), self.shared_u))
            up.append(_scaled(_per_stream_copies(self.shared_b, self.streams, 3), self.shared_v))
        if len(self.owned_a):
            down.append(_scaled(torch.stack(list(self.owned_a)), self.owned_u))
            up.append(_scaled(torch.stack(list(self.owned_b)), self.owned_v))
        return torch.cat(down, dim=2), torch.cat(up, dim=3)

    def delta(self, stream: int) -> Tensor:
        """Return the dense update s B A of one stream, (blocks, width, in).

        Args:
            stream: the number of the stream.
        """
        a, b = self._factors()
        return self.scale * b[stream] @ a[stream]

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (S * B, N, out) for inputs (S * B, N, in) of N tokens."""
        a, b = self._factors()
        width = b.shape[2]
        # One product covers all blocks; for blocks without an adapter B is padded with zeros.
        rows = [
            F.pad(b[:, i].transpose(1, 2), (block * width, (self.count - 1 - block) * width))
            for i, block in enumerate(self.blocks)
        ]
        low = x.reshape(self.streams, -1, x.shape[-1]) @ a.flatten(1, 2).transpose(1, 2)
        y = self.base(x)
        return torch.baddbmm(y.view(self.streams, -1, y.shape[-1]), low, torch.cat(rows, 1), alpha=self.scale).view_as(
            y
        )


class MergedLinear(nn.Module):
    """A frozen linear layer with a dense update of some blocks of its outputs. It results from merging several `LoRALinear` layers.

    Args:
        base: the layer; it is frozen.
        blocks: the numbers of the updated blocks.
        count: the number of blocks of equal size.
    """

    def __init__(self, base: nn.Linear, blocks: Sequence[int] = (0,), count: int = 1) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.blocks, self.count = tuple(blocks), count
        self.delta: Tensor
        self.register_buffer("delta", torch.zeros(len(self.blocks), base.out_features // count, base.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, N, out) for inputs (B, N, in) of N tokens; blocks without an update do not change by a single bit."""
        rows = list(self.base.weight.chunk(self.count))
        for block, delta in zip(self.blocks, self.delta, strict=True):
            rows[block] = rows[block] + delta
        return F.linear(x, torch.cat(rows), self.base.bias)


class StreamConv2d(nn.Module):
    """A trained convolution that all streams share, with one low-rank update per stream.

    The update of a k x k kernel is s B A, viewed as (C_out, C_in, k, k), with A of shape (r k, C_in k) and B of shape (C_out k, r k). This
    is the convolutional form of loralib; the paper does not define TESLA on a ResNet.

    Args:
        base: the convolution.
        streams: the number of streams.
        rank: r; 0 means no updates.
        scale: s, the factor of the updates.

    Raises:
        SettingsError: if the rank is not 0 and the convolution has several groups.
    """

    def __init__(self, base: nn.Conv2d, streams: int, rank: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        if rank and base.groups != 1:
            raise SettingsError(f"low-rank adapters on a convolution with {base.groups} groups; expected 1 group.")
        self.base = base
        self.scale = scale
        self.streams = streams
        k = base.kernel_size[0]
        self.owned_a = nn.ParameterList()
        self.owned_b = nn.ParameterList()
        for _ in range(streams if rank else 0):
            a = torch.empty(rank * k, base.in_channels * k)
            nn.init.kaiming_uniform_(a, a=math.sqrt(5))
            self.owned_a.append(nn.Parameter(a))
            self.owned_b.append(nn.Parameter(torch.zeros(base.out_channels * k, rank * k)))

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """Return the parameters of the adapter that one stream owns.

        Args:
            stream: the number of the stream.
        """
        return [self.owned_a[stream], self.owned_b[stream]] if len(self.owned_a) else []

    @property
    def weight(self) -> Tensor:
        """The shared kernel; some of timm's models read its device and dtype."""
        return self.base.weight

    def delta(self, stream: int) -> Tensor:
        """Return the update of the kernel for one stream, (C_out, C_in, k, k); the layer must have adapters.

        Args:
            stream: the number of the stream.
        """
        return self.scale * (self.owned_b[stream] @ self.owned_a[stream]).view(self.base.weight.shape[-4:])

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (S * B, C_out, H', W') for inputs (S * B, C_in, H, W)."""
        conv = self.base
        if not len(self.owned_a) and conv.weight.ndim == 4:
            return conv(x)
        kernels = _per_stream_copies(conv.weight, self.streams, 4)
        biases = [None] * self.streams if conv.bias is None else _per_stream_copies(conv.bias, self.streams, 1)
        outputs = []
        for stream, part in enumerate(x.chunk(self.streams)):
            kernel = kernels[stream] + self.delta(stream) if len(self.owned_a) else kernels[stream]
            outputs.append(
                F.conv2d(part, kernel, biases[stream], conv.stride, conv.padding, conv.dilation, conv.groups)
            )
        return torch.cat(outputs)


class StreamBatchNorm2d(nn.Module):
    """Batch normalisation with separate batch statistics and running statistics for each stream.

    Statistics over all streams would couple the tasks. The affine parameters are shared.

    Args:
        base: the normalisation whose parameters and running statistics are used.
        streams: the number of streams.

    Raises:
        SettingsError: if the normalisation has no running statistics or no momentum.
    """

    def __init__(self, base: nn.BatchNorm2d, streams: int) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        if base.momentum is None or base.running_mean is None or base.running_var is None:
            raise SettingsError("batch normalisation per stream: expected running statistics with a momentum.")
        self.eps, self.momentum = base.eps, base.momentum
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", base.running_mean.repeat(streams, 1))
        self.register_buffer("running_var", base.running_var.repeat(streams, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the inputs (S * B, C, H, W), normalised stream by stream."""
        streams = len(self.running_mean)
        weights = _per_stream_copies(self.weight, streams, 1)
        biases = _per_stream_copies(self.bias, streams, 1)
        outputs = [
            F.batch_norm(part, mean, variance, weight, bias, self.training, self.momentum, self.eps)
            for part, mean, variance, weight, bias in zip(
                x.chunk(streams), self.running_mean, self.running_var, weights, biases, strict=True
            )
        ]
        return torch.cat(outputs)


def _per_stream_copies(value: Tensor, streams: int, dimensions: int) -> Tensor:
    """Return (S, ...): the value itself if it is already a stack of copies, otherwise the value expanded to S copies.

    Args:
        value: a parameter, or a stack of its copies.
        streams: S.
        dimensions: the number of dimensions of the parameter.
    """
    return value if value.ndim > dimensions else value.expand(streams, *value.shape)


def _scaled(factor: Tensor, vector: Tensor | None) -> Tensor:
    """Return a factor (S, blocks, rows, columns) with its rows multiplied by a vector (1 or S, blocks, rows, 1), if there is one."""
    return factor if vector is None else factor * vector


def owned_parameters(module: nn.Module, stream: int) -> list[nn.Parameter]:
    """Return the parameters of all adapters in a module that one stream owns.

    Args:
        module: the module.
        stream: the number of the stream.
    """
    return [
        parameter
        for layer in module.modules()
        if isinstance(layer, LoRALinear | StreamConv2d)
        for parameter in layer.owned_parameters(stream)
    ]


def adapt_block(block: Any, settings: LoRASettings, streams: Streams) -> None:
    """Add adapters to a block of a timm ViT. Its q, k and v can be one layer or three, and its MLP can be plain or gated.

    Args:
        block: a frozen block, which is changed in place.
        settings: the settings of the adapters.
        streams: the number of streams, and which adapters there are.

    Raises:
        SettingsError: if the block's attention is not a standard one of timm.
    """
    attention, mlp = getattr(block, "attn", None), getattr(block, "mlp", None)
    if not isinstance(attention, Attention | AttentionRope | EvaAttention) or mlp is None:
        raise SettingsError(
            f"low-rank adapters on a {type(block).__name__}: its attention is not one of timm's standard ones. "
            "Choose another vision transformer, such as vit_small_patch14_dinov2 or vit_small_patch16_dinov3."
        )
    fused = attention.qkv is not None

    def adapted(layer: nn.Linear, blocks: Sequence[int], count: int) -> nn.Module:
        if streams.merged:
            return MergedLinear(layer, blocks, count)
        return LoRALinear(layer, settings.rank, settings.scale, streams, blocks, count, settings.random_vectors)

    qkv_blocks = [index for index, name in enumerate("qkv") if name in settings.targets]
    layers: list[tuple[nn.Module, str, Sequence[int], int]] = []
    if qkv_blocks and fused:
        # Without this, timm uses the layer's weight and does not call the layer if q and v have separate biases.
        attention.qkv_bias_separate = True
        layers.append((attention, "qkv", qkv_blocks, 3))
    projections = ["proj"] if fused else ["q_proj", "k_proj", "v_proj", "proj"]
    layers += [(attention, name, (0,), 1) for name in projections if name.removesuffix("_proj") in settings.targets]
    # A gated MLP has two layers instead of fc1, or one layer of twice the width.
    names = [name for name in ("fc1", "fc1_g", "fc1_x", "fc2") if hasattr(mlp, name)]
    layers += [(mlp, name, (0,), 1) for name in names if name[:3] in settings.targets]
    for parent, name, blocks, count in layers:
        setattr(parent, name, adapted(getattr(parent, name), blocks, count))


def adapted_layers(module: nn.Module) -> dict[str, LoRALinear]:
    """Return the linear layers with low-rank adapters in a module, by name.

    Args:
        module: the module.
    """
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LoRALinear)}
