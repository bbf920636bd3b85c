"""The sizes of everything that the GPU benchmark measures: the paper's, and tiny ones for a dry run on a CPU."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.train_step import ARCHITECTURE_NAMES
from endoarss.settings import BackboneSettings, SMASettings


@dataclass(frozen=True)
class Sizes:
    """Sizes of models and data, and the duration of a measurement.

    Attributes:
        side: the side of the square input, in pixels.
        batch: images per step.
        largest_batch: batch at which the search for the best batch ends.
        vit: the ViT, without weights.
        resnet: the ResNet, without weights.
        matrix: the side of the matrices whose product gives the card's peak.
        window_s: seconds of one window, in which a step is repeated.
        windows: windows per measurement. A speed is their median.
        images: images of the training loop.
        epochs: epochs of the training loop.
        scenes: training and test images of the small study.
        architectures: architectures of the part `models`.
        frames: PNG files of 1280x1024 pixels for the authors' loop.
        cells: the largest number of simultaneous trainings.
    """

    side: int
    batch: int
    largest_batch: int
    vit: BackboneSettings
    resnet: BackboneSettings
    matrix: int
    window_s: float
    windows: int
    images: int
    epochs: int
    scenes: tuple[int, int]
    architectures: tuple[str, ...]
    frames: int
    cells: int


PAPER = Sizes(
    side=224,
    batch=16,
    largest_batch=1024,
    vit=BackboneSettings("vit_base_patch14_dinov2"),
    resnet=BackboneSettings("resnet101"),
    matrix=8192,
    window_s=0.4,
    windows=5,
    images=1024,
    epochs=4,
    scenes=(64, 16),
    architectures=ARCHITECTURE_NAMES,
    frames=64,
    cells=3,
)
TINY = Sizes(
    side=42,
    batch=2,
    largest_batch=4,
    vit=BackboneSettings(
        "vit_small_patch14_dinov2",
        {"embed_dim": 24, "depth": 2, "num_heads": 2},
        sma=SMASettings(width=2),
    ),
    resnet=BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)}),
    matrix=256,
    window_s=0.01,
    windows=1,
    images=6,
    epochs=2,
    scenes=(6, 4),
    architectures=("tesla",),
    frames=4,
    cells=2,
)
