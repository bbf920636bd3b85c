"""The two heads: segmentation (the layers of DeepLabv3, arXiv:1706.05587) and activity classification."""

from __future__ import annotations

from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from endoarss.settings import HeadSettings


def rates_for_map(side: int) -> tuple[int, int, int]:
    """Return atrous rates that suit a feature map: an eighth, a quarter and three eighths of its side.

    Args:
        side: side of the square map in positions.

    Returns:
        Three rates of at least 1.
    """
    small, middle, large = (max(1, round(side * share)) for share in (1 / 8, 1 / 4, 3 / 8))
    return small, middle, large


class SegmentationHead(nn.Sequential):
    """ASPP, a 3 x 3 convolution, and a classifier of every position.

    Args:
        in_channels: C of the feature map.
        classes: the number of classes.
        side: side of the feature map in positions.
        settings: widths and atrous rates.
    """

    def __init__(self, in_channels: int, classes: int, side: int, settings: HeadSettings) -> None:
        channels = settings.segmentation_channels
        rates = settings.atrous_rates or rates_for_map(side)
        super().__init__(
            ASPP(in_channels, list(rates), channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, classes, 1),
        )


class ActivityHead(nn.Sequential):
    """A 3 x 3 convolution, global average pooling, and a linear classifier.

    Args:
        in_channels: C of the feature map.
        activities: the number of activities.
        settings: the width of the convolution.
    """

    def __init__(self, in_channels: int, activities: int, settings: HeadSettings) -> None:
        channels = settings.activity_channels
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, activities),
        )
