"""The patch embedding of a ViT as a matrix product."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PatchProjection(nn.Conv2d):
    """A convolution over patches that do not overlap, with the same parameters and values, computed as one matrix product.

    Training SMA needs the gradient with respect to the images. On a CPU, a convolution takes several times as long for it.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return the projected patches.

        Args:
            images: images or feature maps (B, channels, H, W). Pixels that do not fill a patch are left out.

        Returns:
            (B, C, h, w), one vector per patch.
        """
        height, width = self.kernel_size
        rows, columns = images.shape[2] // height, images.shape[3] // width
        images = images[:, :, : rows * height, : columns * width]
        patches = images.unflatten(3, (columns, width)).unflatten(2, (rows, height)).permute(0, 2, 4, 1, 3, 5)
        projected = F.linear(patches.flatten(3), self.weight.flatten(1), self.bias)
        return projected.permute(0, 3, 1, 2)


def project_patches(layer: nn.Module) -> nn.Module:
    """Return the projection of a patch embedding as a matrix product, if it is a convolution over patches that do not overlap.

    Args:
        layer: the projection of timm's patch embedding.

    Returns:
        A `PatchProjection` with the parameters of the layer; or the layer itself if it is no plain convolution, or if it overlaps, pads,
        dilates or groups.
    """
    if type(layer) is not nn.Conv2d or isinstance(layer.padding, str):
        return layer
    patch = layer.kernel_size[0], layer.kernel_size[1]
    channels = layer.in_channels, layer.out_channels
    # On the meta device no weights are drawn, so the layers that are built later start from the same weights.
    result = PatchProjection(*channels, patch, patch, bias=layer.bias is not None, device="meta")
    kinds = [(c.stride, c.padding, c.dilation, c.groups) for c in (layer, result)]
    if kinds[0] != kinds[1]:
        return layer
    result.weight, result.bias = layer.weight, layer.bias
    return result.train(layer.training)
