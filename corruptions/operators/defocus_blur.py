"""Defocus blur: every point becomes a disc with a slightly smoothed rim."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled
from corruptions.filters import Field, padded_indices, rounded, separable, weighted_shifts
from corruptions.registry import Image, register_corruption

# Radius of the disc and sigma of its rim, both in pixels.
RADIUS_RIM = ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))


@register_corruption("defocus_blur", "blur")
def defocus_blur(image: Image, severity: int, prepared: None) -> Image:
    """Filter by the disc with running sums (one per row of the disc), smooth the result, and correct it to the reference's kernel.

    The two kernels differ, because the reference smooths the disc within a frame (8 pixels or the radius in each direction) and mirrors it
    at the frame's border.
    """
    radius, rim = RADIUS_RIM[severity - 1]
    smoothing = _half_gaussian(1 if radius <= 8 else 2, rim)
    sums = disc_sums(image, radius)
    sums /= np.float32(disc(radius, radius).sum())
    blurred = separable(sums, smoothing, smoothing, "reflect_101")
    del sums
    correction = _kernel(radius, rim) - _smoothed(radius, smoothing)
    places = np.argwhere(np.abs(correction) > 1e-6)
    if len(places):
        weights = correction[tuple(places.T)].astype(np.float32)
        blurred += weighted_shifts(image, places - len(correction) // 2, weights, "reflect_101")
    return rounded(blurred)


def disc(radius: int, reach: int) -> NDArray[np.float64]:
    """Return 1 inside a circle around the middle of a square of 2 reach + 1 pixels, 0 outside."""
    side = np.arange(-reach, reach + 1)
    return (side[:, None] ** 2 + side[None, :] ** 2 <= radius**2).astype(np.float64)


def _half_gaussian(reach: int, sigma: float) -> Field:
    """Return half of a Gaussian kernel, centre first."""
    weights = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    return (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)


def _kernel(radius: int, rim: float) -> NDArray[np.float64]:
    """Return the reference's kernel: the disc in a frame of at least 8 pixels, smoothed within it, with a margin of 2 pixels."""
    small = radius <= 8
    drawn = disc(radius, max(radius, 8)).astype(np.float32)
    drawn /= drawn.sum()
    size = (3, 3) if small else (5, 5)
    return np.pad(cv2.GaussianBlur(drawn, size, rim).astype(np.float64), 2)


def _smoothed(radius: int, smoothing: Field) -> NDArray[np.float64]:
    """Return the disc smoothed without a frame, at the size of `_kernel`."""
    drawn = disc(radius, max(radius, 8) + 2)
    line = np.concatenate([smoothing[:0:-1], smoothing]).astype(np.float64)
    for axis in (0, 1):
        drawn = np.apply_along_axis(np.convolve, axis, drawn, line, mode="same")
    return drawn / disc(radius, radius).sum()


def disc_sums(image: Image, radius: int) -> Field:
    """Return the exact sum over a disc around each pixel, float32 (H, W, C); the image is mirrored at its border pixels."""
    height, width, channels = image.shape
    rows, columns = padded_indices(height, radius, "reflect_101"), padded_indices(width, radius, "reflect_101")
    half = np.array([int((radius**2 - dy**2) ** 0.5) for dy in range(-radius, radius + 1)])
    padded = image[:, columns].reshape(height, -1)
    result = np.empty((height, width * channels), np.float32)
    _disc_sums(padded, channels, rows, half, result)
    return result.reshape(image.shape)


@compiled
def _disc_sums(
    padded: NDArray[np.uint8], channels: int, rows: NDArray[np.int64], half: NDArray[np.int64], result: Field
) -> None:
    width, size = result.shape[1], half.size
    radius = size // 2
    # running[k, i]: the sum of one channel of a row over all positions before i. There is one entry per row of the disc; they are
    # reused in turn.
    running = np.zeros((size, padded.shape[1] + channels), np.int32)
    total = np.empty(width, np.int32)
    for place in range(rows.size):
        source, sums = padded[rows[place]], running[place % size]
        for i in range(source.size):
            sums[i + channels] = sums[i] + np.int32(source[i])
        y = place - size + 1
        if y < 0:
            continue
        total[:] = 0
        for k in range(size):
            sums = running[(y + k) % size]
            after, before = sums[(radius + half[k] + 1) * channels :], sums[(radius - half[k]) * channels :]
            for i in range(width):
                total[i] += after[i] - before[i]
        for i in range(width):
            result[y, i] = np.float32(total[i])
