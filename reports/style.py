"""What all figures share. They come as PNG and PDF, byte-identical from the same content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
}


def save_figure(figure: Figure, png: Path, pdf: Path) -> None:
    """Write a figure as PNG and PDF."""
    # Without a time stamp, the same results give the same bytes.
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    figure.savefig(pdf, format="pdf", dpi=150, metadata={"CreationDate": None})


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8], palette: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Paint a mask half transparent over an image, the background left as it is: uint8 (H, W, 3)."""
    colours = np.asarray(palette, np.float32)[mask]
    mixed = np.where(mask[..., None] > 0, 0.45 * image + 0.55 * colours, image)
    return np.rint(mixed).astype(np.uint8)
