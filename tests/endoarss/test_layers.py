"""LoRA on a fused projection and on convolutions, SMA, heads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from endoarss.errors import SettingsError
from endoarss.heads import rates_for_map
from endoarss.lora import LoRALinear, StreamConv2d, Streams
from endoarss.sma import SpatiallyAwareMultiScaleAttention, fold_patches, unfold_patches


def make_qkv(streams: Streams, rank: int = 3) -> LoRALinear:
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(12, 36).double(), rank, 1.7, streams, blocks=(0, 2), count=3).double()
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "_b" in name:
                parameter.normal_()
    return layer


@pytest.mark.parametrize(
    "streams", [Streams(), Streams(2, shared=True, owned=True), Streams(3, shared=False, owned=True)]
)
def test_qkv_adapter_equals_dense_weights(streams: Streams) -> None:
    layer = make_qkv(streams)
    x = torch.randn(streams.count * 2, 5, 12, dtype=torch.float64)
    output = layer(x)
    for stream, (part, found) in enumerate(zip(x.chunk(streams.count), output.chunk(streams.count), strict=True)):
        q, v = layer.delta(stream)
        dense = layer.base.weight + torch.cat([q, torch.zeros_like(q), v])
        torch.testing.assert_close(found, part @ dense.T + layer.base.bias)
        assert torch.equal(found[..., 12:24], layer.base(x)[..., 12:24].chunk(streams.count)[stream]), (
            "k must not change"
        )


def test_qkv_delta_is_the_sum_of_shared_and_owned() -> None:
    layer = make_qkv(Streams(2, shared=True, owned=True))
    shared = layer.scale * layer.shared_b @ layer.shared_a
    for stream in range(2):
        owned = layer.scale * layer.owned_b[stream] @ layer.owned_a[stream]
        torch.testing.assert_close(layer.delta(stream), shared + owned)


@pytest.mark.parametrize("streams", [Streams(), Streams(2, shared=True, owned=True), Streams(3, False, owned=True)])
def test_random_vectors_scale_the_rows_of_both_factors(streams: Streams) -> None:
    """s diag(v) B diag(u) A, u and v drawn from -1 to 1 and not trained, every adapter's its own."""
    torch.manual_seed(0)
    layer = LoRALinear(nn.Linear(12, 20), 3, 1.7, streams, random_vectors=True)
    x = torch.randn(streams.count, 5, 12)
    torch.testing.assert_close(layer(x), layer.base(x))
    vectors = dict(layer.named_buffers())
    assert not set(vectors) & {name for name, _ in layer.named_parameters()}
    drawn = torch.cat([vector.flatten() for vector in vectors.values()])
    assert drawn.abs().max() <= 1 and drawn.min() < -0.6 and drawn.max() > 0.6 and len(drawn.unique()) == len(drawn)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "_b" in name:
                parameter.normal_()
    for stream in range(streams.count):
        expected = torch.zeros(20, 12)
        if streams.shared:
            u, v = layer.shared_u[0, 0], layer.shared_v[0, 0]
            expected = expected + 1.7 * (layer.shared_b[0] * v) @ (layer.shared_a[0] * u)
        if streams.owned:
            u, v = layer.owned_u[stream, 0], layer.owned_v[stream, 0]
            expected = expected + 1.7 * (layer.owned_b[stream][0] * v) @ (layer.owned_a[stream][0] * u)
        torch.testing.assert_close(layer.delta(stream)[0], expected)
        torch.testing.assert_close(layer(x)[stream], layer.base(x)[stream] + x[stream] @ expected.T)


def test_qkv_adapter_starts_as_nothing_and_learns_b_first() -> None:
    layer = LoRALinear(nn.Linear(12, 36), 3, 1.0, Streams(), blocks=(0, 2), count=3)
    x = torch.randn(2, 5, 12)
    assert torch.equal(layer(x), layer.base(x))
    layer(x).pow(2).sum().backward()
    assert not layer.shared_a.grad.any() and layer.shared_b.grad.any()
    assert all(not p.requires_grad for p in layer.base.parameters())


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(1, 1, 1), (3, 2, 1), (3, 1, 2)])
def test_conv_adapter_equals_dense_kernels(kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    base = nn.Conv2d(4, 6, kernel, stride, padding=dilation * (kernel // 2), dilation=dilation, bias=False).double()
    layer = StreamConv2d(base, streams=2, rank=2, scale=0.5).double()
    x = torch.randn(6, 4, 9, 9, dtype=torch.float64)
    assert torch.equal(layer(x), base(x))
    nn.init.normal_(layer.owned_b[1])
    assert torch.equal(layer(x)[:3], base(x)[:3]) and not torch.allclose(layer(x)[3:], base(x)[3:])
    assert torch.linalg.matrix_rank(layer.delta(1).reshape(6 * kernel, 4 * kernel)) <= 2 * kernel
    dense = nn.functional.conv2d(x[3:], base.weight + layer.delta(1), None, stride, dilation * (kernel // 2), dilation)
    torch.testing.assert_close(layer(x)[3:], dense)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 7]))
def test_fold_is_the_inverse_of_unfold(batch: int, width: int, rows: int, columns: int, patch: int) -> None:
    x = torch.randn(batch, width, rows * patch, columns * patch)
    unfolded = unfold_patches(x, patch)
    assert unfolded.shape == (batch, patch * patch, rows * columns, width)
    assert torch.equal(fold_patches(unfolded, patch, rows * patch, columns * patch), x)


def test_unfold_puts_neighbouring_patches_side_by_side() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    unfolded = unfold_patches(x, 2)
    # Position 0 inside every patch: the top left pixels of the four patches.
    assert unfolded[0, 0, :, 0].tolist() == [0, 2, 8, 10]


def test_sma_starts_as_the_identity_and_trains_everything() -> None:
    torch.manual_seed(0)
    sma = SpatiallyAwareMultiScaleAttention(width=4)
    x = torch.randn(2, 3, 28, 42)
    assert torch.equal(sma(x), x)
    nn.init.constant_(sma.gamma, 0.5)
    sma(x).pow(2).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in sma.parameters())
    with pytest.raises(SettingsError, match="multiples of 7"):
        sma(torch.randn(1, 3, 28, 30))


def test_attention_written_out() -> None:
    """The cross-spatial attention of Ouyang et al. 2023, one group, position by position in NumPy."""
    import numpy as np

    from endoarss.sma import MultiScaleAttention

    torch.manual_seed(0)
    layer = MultiScaleAttention(4).double().eval()
    x = torch.randn(1, 4, 5, 3, dtype=torch.float64)
    a = x[0].numpy()
    w1, b1 = layer.pointwise.weight.detach().numpy()[:, :, 0, 0], layer.pointwise.bias.detach().numpy()
    w3, b3 = layer.local.weight.detach().numpy(), layer.local.bias.detach().numpy()

    def sigmoid(z: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-z))

    def softmax(z: np.ndarray) -> np.ndarray:
        return np.exp(z) / np.exp(z).sum()

    rows, columns = w1 @ a.mean(axis=2) + b1[:, None], w1 @ a.mean(axis=1) + b1[:, None]
    gated = a * sigmoid(rows)[:, :, None] * sigmoid(columns)[:, None, :]
    mean, var = gated.mean(axis=(1, 2), keepdims=True), gated.var(axis=(1, 2), keepdims=True)
    x1 = (gated - mean) / np.sqrt(var + layer.norm.eps)
    padded = np.pad(a, ((0, 0), (1, 1), (1, 1)))
    x2 = np.zeros_like(a)
    for i in range(5):
        for j in range(3):
            x2[:, i, j] = np.einsum("ockl,ckl->o", w3, padded[:, i : i + 3, j : j + 3]) + b3
    plane = np.tensordot(softmax(x1.mean(axis=(1, 2))), x2, 1) + np.tensordot(softmax(x2.mean(axis=(1, 2))), x1, 1)
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), a * sigmoid(plane), rtol=1e-9)


def test_sma_sees_the_whole_picture() -> None:
    """A change in one corner reaches the opposite one."""
    torch.manual_seed(0)
    sma = SpatiallyAwareMultiScaleAttention(width=4).eval()
    nn.init.constant_(sma.gamma, 1.0)
    x = torch.randn(1, 3, 28, 28)
    y = x.clone()
    y[..., :3, :3] += 5
    assert (sma(x) - sma(y))[..., -3:, -3:].abs().max() > 0


@pytest.mark.parametrize(("side", "rates"), [(6, (1, 2, 2)), (16, (2, 4, 6)), (64, (8, 16, 24))])
def test_rates_follow_the_map(side: int, rates: tuple[int, int, int]) -> None:
    assert rates_for_map(side) == rates


@pytest.mark.parametrize("alpha", [4, 10])
def test_lora_against_peft_on_a_split_projection(alpha: int) -> None:
    """peft adapts whole linear layers: q and v apart, k left alone, with the same A and B, give the fused layer's output."""
    from peft import LoraConfig, inject_adapter_in_model

    torch.manual_seed(0)
    rank, width = 4, 12
    fused = nn.Linear(width, 3 * width)
    split = nn.ModuleDict({name: nn.Linear(width, width) for name in "qkv"})
    with torch.no_grad():
        for index, name in enumerate("qkv"):
            split[name].weight.copy_(fused.weight[index * width : (index + 1) * width])
            split[name].bias.copy_(fused.bias[index * width : (index + 1) * width])
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=["q", "v"], lora_dropout=0.0, init_lora_weights=False)
    peer = inject_adapter_in_model(config, split)
    ours = LoRALinear(fused, rank, alpha / rank, Streams(), blocks=(0, 2), count=3)
    with torch.no_grad():
        for index, name in enumerate("qv"):
            ours.shared_a[index].copy_(peer[name].lora_A["default"].weight)
            ours.shared_b[index].copy_(peer[name].lora_B["default"].weight)
    x = torch.randn(2, 5, width)
    expected = torch.cat([peer[name](x) for name in "qkv"], dim=-1)
    torch.testing.assert_close(ours(x), expected, rtol=1e-5, atol=1e-6)
    gradients = torch.autograd.grad(ours(x).pow(2).sum(), [ours.shared_a, ours.shared_b])
    expected.pow(2).sum().backward()
    for index, name in enumerate("qv"):
        torch.testing.assert_close(gradients[0][index], peer[name].lora_A["default"].weight.grad, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(gradients[1][index], peer[name].lora_B["default"].weight.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", ["linear", "convolution", "normalisation"])
def test_copies_a_stream_are_used_by_their_streams(layer: str) -> None:
    """Where S copies of a shared parameter stand in for it, stream s uses copy s."""
    from torch.func import functional_call

    from endoarss.lora import StreamBatchNorm2d

    torch.manual_seed(0)
    if layer == "linear":
        module: nn.Module = make_qkv(Streams(2, shared=True, owned=True))
        x, names = torch.randn(4, 5, 12, dtype=torch.float64), ["shared_a", "shared_b"]
    elif layer == "convolution":
        module = StreamConv2d(nn.Conv2d(3, 4, 3), streams=2, rank=0).double()
        x, names = torch.randn(4, 3, 6, 6, dtype=torch.float64), ["base.weight", "base.bias"]
    else:
        module = StreamBatchNorm2d(nn.BatchNorm2d(3), streams=2).double()
        x, names = torch.randn(4, 3, 6, 6, dtype=torch.float64), ["weight", "bias"]
    given = dict(module.named_parameters())
    other = {name: torch.randn_like(given[name]) for name in names}
    mixed = {name: torch.stack([given[name].detach(), other[name]]) for name in names}
    found = functional_call(module, mixed, (x,))
    torch.testing.assert_close(found[:2], module(x)[:2])
    torch.testing.assert_close(found[2:], functional_call(module, other, (x,))[2:])
