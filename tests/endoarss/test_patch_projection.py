"""The patch embedding as a matrix product equals torch's convolution; other convolutions are left as they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from endoarss.backbones.patch_projection import PatchProjection, project_patches


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(28, 42), (30, 43)])
def test_values_and_gradients_are_those_of_the_convolution(
    size: tuple[int, int], memory_format: torch.memory_format, bias: bool
) -> None:
    """Also if pixels are left over at the lower and right edge."""
    convolution = nn.Conv2d(3, 5, 14, stride=14, bias=bias).double()
    random = torch.get_rng_state()
    projection = project_patches(convolution.eval())
    assert torch.equal(torch.get_rng_state(), random) and not projection.training
    assert isinstance(projection, PatchProjection)
    assert projection.state_dict().keys() == convolution.state_dict().keys()
    images = torch.rand(2, 3, *size, dtype=torch.float64).contiguous(memory_format=memory_format).requires_grad_()
    inputs = [images, *convolution.parameters()]
    maps = [layer(images) for layer in (projection, convolution)]
    mine, theirs = (torch.autograd.grad(m.sin().sum(), inputs) for m in maps)
    torch.testing.assert_close(maps[0], maps[1], rtol=1e-12, atol=1e-12)
    for gradient, expected in zip(mine, theirs, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


class Doubled(nn.Conv2d):
    """A convolution with another forward."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 4, 7, stride=4, padding=3),
        nn.Conv2d(3, 4, 8, stride=4),
        nn.Conv2d(3, 3, 4, stride=4, groups=3),
        nn.Conv2d(3, 4, 4, stride=4, dilation=2),
        nn.Conv2d(3, 4, 4, stride=1, padding="same"),
        Doubled(3, 4, 4, stride=4),
        nn.Linear(3, 4),
    ],
)
def test_other_layers_are_unchanged(layer: nn.Module) -> None:
    """Overlapping, padded, dilated and grouped patches need a convolution."""
    assert project_patches(layer) is layer
