"""Low-rank adapters over several streams: on linear layers, a fused qkv projection among them, and on convolutions.

A module with S streams takes a batch that is S equally long parts, one a stream. Adapters are shared by all streams,
owned by one, or both. Hu et al. 2021, arXiv:2106.09685; EndoARSS section III-C, equations 2 and 3.

A parameter that all streams share may be replaced by S copies of it, stacked in a new first dimension: stream s then uses copy s.
That is how one backward pass gives each task's own gradient of it (see `endoarss.gradients`).
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
    """How many streams a backbone runs and which adapters they have.

    count: number of streams. shared: one adapter trained by all. owned: one adapter a stream. merged: one dense update in place of
    adapters, which nothing trains. stitched: a `CrossStitch` after each stage mixes the streams.
    """

    count: int = 1
    shared: bool = True
    owned: bool = False
    merged: bool = False
    stitched: bool = False


class LoRALinear(nn.Module):
    """A frozen linear layer with low-rank updates of some of its equal blocks of outputs.

    Block j of the output becomes W_j x + b_j + s B_j A_j x; blocks without an adapter pass unchanged, bit for bit. A is
    kaiming-uniform(a = sqrt 5), B zero, so that nothing changes at first.

    With random vectors u (r) and v (width), drawn once from -1 to 1 and not trained, B_j A_j becomes diag(v) B_j diag(u) A_j. It is what
    the authors' code trains: its DV-LoRA would train u and v in a second phase, which never comes.

    Args:
        base: the layer, of `count` blocks of out_features / count outputs. Its parameters are frozen.
        rank: r. scale: s = alpha / r. streams: their number and which adapters there are.
        blocks: which blocks are adapted: (0, 2) of 3 are q and v of a fused qkv projection of timm.
        count: how many blocks there are. random_vectors: whether there are u and v, of each adapter its own.
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
        for name, there, copies in (("shared", streams.shared, 1), ("owned", streams.owned, streams.count)):
            for vector, length in (("u", rank), ("v", width)):
                drawn = torch.empty(copies, len(self.blocks), length, 1) if random_vectors and there else None
                self.register_buffer(f"{name}_{vector}", None if drawn is None else drawn.uniform_(-1, 1))

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """The adapter that belongs to one stream."""
        return [self.owned_a[stream], self.owned_b[stream]] if len(self.owned_a) else []

    def _factors(self) -> tuple[Tensor, Tensor]:
        """A (S, blocks, R, in) and B (S, blocks, width, R) of all streams, shared and owned ranks side by side."""
        down, up = [], []
        if self.shared_a is not None and self.shared_b is not None:
            down.append(_scaled(_per_stream_copies(self.shared_a, self.streams, 3), self.shared_u))
            up.append(_scaled(_per_stream_copies(self.shared_b, self.streams, 3), self.shared_v))
        if len(self.owned_a):
            down.append(_scaled(torch.stack(list(self.owned_a)), self.owned_u))
            up.append(_scaled(torch.stack(list(self.owned_b)), self.owned_v))
        return torch.cat(down, dim=2), torch.cat(up, dim=3)

    def delta(self, stream: int) -> Tensor:
        """The dense update (blocks, width, in) of the adapted rows of one stream: s B A."""
        a, b = self._factors()
        return self.scale * b[stream] @ a[stream]

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, N, in) -> (S * B, N, out)."""
        a, b = self._factors()
        width = b.shape[2]
        # One product for all adapted blocks: what B adds to the others is zero.
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
    """A frozen linear layer with a dense update of some of its equal blocks of outputs: what merging several `LoRALinear` gives.

    Args:
        base: the layer, of `count` blocks. blocks: which of them are updated.
    """

    def __init__(self, base: nn.Linear, blocks: Sequence[int] = (0,), count: int = 1) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.blocks, self.count = tuple(blocks), count
        self.delta: Tensor
        self.register_buffer("delta", torch.zeros(len(self.blocks), base.out_features // count, base.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, in) -> (B, N, out). Rows of other blocks are the base's, bit for bit."""
        rows = list(self.base.weight.chunk(self.count))
        for block, delta in zip(self.blocks, self.delta, strict=True):
            rows[block] = rows[block] + delta
        return F.linear(x, torch.cat(rows), self.base.bias)


class StreamConv2d(nn.Module):
    """A trained convolution, shared by all streams, with one low-rank update a stream.

    dW = (B A) viewed as (C_out, C_in, k, k) times s, A of shape (r k, C_in k), B of shape (C_out k, r k); the
    convolutional form of loralib. The paper leaves TESLA on a ResNet open. Rank 0: no updates.
    """

    def __init__(self, base: nn.Conv2d, streams: int, rank: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        if rank and base.groups != 1:
            raise SettingsError(f"low-rank adapters on a convolution of {base.groups} groups; expected 1.")
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
        """The adapter that belongs to one stream."""
        return [self.owned_a[stream], self.owned_b[stream]] if len(self.owned_a) else []

    @property
    def weight(self) -> Tensor:
        """The shared kernel: some of timm's models ask a layer that they call for its device and type."""
        return self.base.weight

    def delta(self, stream: int) -> Tensor:
        """The update of the kernel (C_out, C_in, k, k) of one stream; it must have adapters."""
        return self.scale * (self.owned_b[stream] @ self.owned_a[stream]).view(self.base.weight.shape[-4:])

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, C_in, H, W) -> (S * B, C_out, H', W')."""
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
    """Batch normalisation that keeps streams apart: each by its own batch statistics, with running ones of its own.

    The affine parameters are the base's and shared. Statistics over all streams would couple the tasks.
    """

    def __init__(self, base: nn.BatchNorm2d, streams: int) -> None:
        super().__init__()
        self.weight, self.bias = base.weight, base.bias
        if base.momentum is None or base.running_mean is None or base.running_var is None:
            raise SettingsError("batch normalisation a stream: expected running statistics with a momentum.")
        self.eps, self.momentum = base.eps, base.momentum
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", base.running_mean.repeat(streams, 1))
        self.register_buffer("running_var", base.running_var.repeat(streams, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(S * B, C, H, W), normalised stream by stream."""
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
    """(S, ...): the copies that a caller put in, or the one shared value seen S times."""
    return value if value.ndim > dimensions else value.expand(streams, *value.shape)


def _scaled(factor: Tensor, vector: Tensor | None) -> Tensor:
    """(S, blocks, rows, columns), its rows times a vector (1 or S, blocks, rows, 1) where there is one."""
    return factor if vector is None else factor * vector


def owned_parameters(module: nn.Module, stream: int) -> list[nn.Parameter]:
    """All adapters in `module` that belong to one stream."""
    return [
        parameter
        for layer in module.modules()
        if isinstance(layer, LoRALinear | StreamConv2d)
        for parameter in layer.owned_parameters(stream)
    ]


def adapt_block(block: Any, settings: LoRASettings, streams: Streams) -> None:
    """Give a block of a timm ViT its adapters: one with q, k and v in one layer or in three, and with a plain or a gated MLP.

    Args:
        block: a frozen block. settings: of the adapters. streams: see `LoRALinear`.

    Raises:
        SettingsError: if the block is of another make, or has no layer of a target's name.
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

    parts = [index for index, name in enumerate("qkv") if name in settings.targets]
    if parts and fused:
        # timm takes the weight and leaves the layer out where q and v have biases of their own, unless these are added apart.
        attention.qkv_bias_separate = True
    wanted: list[tuple[nn.Module, str, Sequence[int], int]] = [(attention, "qkv", parts, 3)] if parts and fused else []
    projections = ["proj"] if fused else ["q_proj", "k_proj", "v_proj", "proj"]
    wanted += [(attention, name, (0,), 1) for name in projections if name.removesuffix("_proj") in settings.targets]
    # A gated MLP has two layers in the place of fc1, or one of twice the width.
    names = [name for name in ("fc1", "fc1_g", "fc1_x", "fc2") if hasattr(mlp, name)]
    wanted += [(mlp, name, (0,), 1) for name in names if name[:3] in settings.targets]
    for parent, name, blocks, count in wanted:
        setattr(parent, name, adapted(getattr(parent, name), blocks, count))


def adapted_layers(module: nn.Module) -> dict[str, LoRALinear]:
    """The layers with low-rank adapters, by name."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, LoRALinear)}
