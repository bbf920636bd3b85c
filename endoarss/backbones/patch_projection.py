"""The patch embedding of a ViT as a matrix product."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PatchProjection(nn.Conv2d):
    """A convolution over patches that do not overlap, with the same parameters and values, computed as one matrix product.

    Training SMA needs the gradient with respect to the images. On a CPU, a convolution takes several times as long for it.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the projected patches (B, C, h, w) of images (B, 3, H, W); pixels that do not fill a patch are left out."""
        height, width = self.kernel_size
        rows, columns = images.shape[2] // height, images.shape[3] // width
        images = images[:, :, : rows * height, : columns * width]
        patches = images.unflatten(3, (columns, width)).unflatten(2, (rows, height)).permute(0, 2, 4, 1, 3, 5)
        projected = F.linear(patches.flatten(3), self.weight.flatten(1), self.bias)
        return projected.permute(0, 3, 1, 2)


def project_patches(convolution: nn.Module) -> nn.Module:
    """Return a convolution over patches that do not overlap as a `PatchProjection` with the same parameters; others unchanged.

    Args:
        convolution: the projection of timm's patch embedding.
    """
    if not isinstance(convolution, nn.Conv2d) or isinstance(convolution.padding, str):
        return convolution
    patch = convolution.kernel_size[0], convolution.kernel_size[1]
    channels = convolution.in_channels, convolution.out_channels
    result = PatchProjection(*channels, patch, patch, bias=convolution.bias is not None)
    kinds = [(c.stride, c.padding, c.dilation, c.groups) for c in (convolution, result)]
    if kinds[0] != kinds[1]:
        return convolution
    result.weight, result.bias = convolution.weight, convolution.bias
    return result
