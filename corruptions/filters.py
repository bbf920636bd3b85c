"""Filters with the border rules of the reference's libraries; every processor gives the same bytes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from corruptions.compiled import compiled

Field = NDArray[np.float32]
# How an image continues beyond its border: aaa|abcd|ddd, cba|abcd|dcb, dcb|abcd|cba.
Border = Literal["nearest", "reflect", "reflect_101"]


def gaussian_weights(sigma: float, truncate: float = 4.0) -> Field:
    """Return half of a Gaussian kernel, centre first, as in scipy and scikit-image: the radius is int(truncate sigma + 0.5)."""
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    return (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)


def gaussian(pixels: NDArray, sigma: float | tuple[float, float], border: Border, truncate: float = 4.0) -> Field:
    """Return the image blurred by a Gaussian.

    Args:
        pixels: uint8 or float32 (H, W) or (H, W, C).
        sigma: in pixels; a pair gives the sigma along the height and the sigma along the width.
        border: how the image continues beyond its border.
        truncate: where the kernel ends, in sigmas.

    Returns:
        float32, same shape.
    """
    down, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    return separable(pixels, gaussian_weights(down, truncate), gaussian_weights(across, truncate), border)


def separable(pixels: NDArray, down: Field, across: Field, border: Border) -> Field:
    """Filter by symmetric kernels along the height and the width; return float32, same shape.

    Args:
        pixels: uint8 or float32 (H, W) or (H, W, C).
        down: half of the kernel along the height, centre first.
        across: half of the kernel along the width, centre first.
        border: how the image continues beyond its border.
    """
    height, width = pixels.shape[:2]
    volume = np.ascontiguousarray(pixels).reshape(height, width, -1)
    result = np.empty(volume.shape, np.float32)
    rows = padded_indices(height, len(down) - 1, border)
    columns = padded_indices(width, len(across) - 1, border)
    _separable(volume.reshape(height, -1), volume.shape[2], down, across, rows, columns, result.reshape(height, -1))
    return result.reshape(pixels.shape)


def padded_indices(count: int, reach: int, border: Border) -> NDArray[np.int64]:
    """Return the index of the pixel at each position from -reach to count - 1 + reach, for a side of `count` pixels."""
    places = np.arange(-reach, count + reach)
    if border == "nearest":
        return np.clip(places, 0, count - 1)
    period = 2 * count if border == "reflect" else max(1, 2 * count - 2)
    folded = places % period
    return np.where(folded < count, folded, period - folded - (border == "reflect"))


@compiled
def _separable(
    pixels: NDArray,
    channels: int,
    down: Field,
    across: Field,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    result: Field,
) -> None:
    height, width = result.shape
    reach_down, reach_across = down.size - 1, across.size - 1
    line = np.empty(width, np.float32)
    padded = np.empty(columns.size * channels, np.float32)
    for y in range(height):
        centre = pixels[rows[y + reach_down]]
        for i in range(width):
            line[i] = down[0] * np.float32(centre[i])
        for j in range(1, reach_down + 1):
            above, below, weight = pixels[rows[y + reach_down - j]], pixels[rows[y + reach_down + j]], down[j]
            for i in range(width):
                line[i] += weight * (np.float32(above[i]) + np.float32(below[i]))
        for i in range(columns.size):
            for channel in range(channels):
                padded[i * channels + channel] = line[columns[i] * channels + channel]
        target = result[y]
        middle = padded[reach_across * channels :]
        for i in range(width):
            target[i] = across[0] * middle[i]
        for j in range(1, reach_across + 1):
            left, right = padded[(reach_across - j) * channels :], padded[(reach_across + j) * channels :]
            weight = across[j]
            for i in range(width):
                target[i] += weight * (left[i] + right[i])


def rounded(values: Field) -> NDArray[np.uint8]:
    """Round to the nearest integer from 0 to 255: uint8, same shape."""
    result = np.empty(values.shape, np.uint8)
    _to_bytes(values.reshape(-1), np.float32(0.5), result.reshape(-1))
    return result


def truncated(values: Field) -> NDArray[np.uint8]:
    """Round down to an integer from 0 to 255: uint8, same shape. Values just below an integer, by a rounding error, become that integer."""
    result = np.empty(values.shape, np.uint8)
    _to_bytes(values.reshape(-1), np.float32(1e-3), result.reshape(-1))
    return result


@compiled
def _to_bytes(values: Field, offset: np.float32, result: NDArray[np.uint8]) -> None:
    for i in range(values.size):
        result[i] = np.uint8(min(max(values[i] + offset, np.float32(0)), np.float32(255)))


def weighted_shifts(image: NDArray[np.uint8], shifts: NDArray[np.int64], weights: Field, border: Border) -> Field:
    """Return a weighted sum of shifted copies: out[y, x] = sum over k of weights[k] image[y + shifts[k, 0], x + shifts[k, 1]].

    Args:
        image: uint8 (H, W, C).
        shifts: int (K, 2), rows and columns.
        weights: float32 (K,).
        border: how the image continues beyond its border.

    Returns:
        float32 (H, W, C).
    """
    height, width, channels = image.shape
    reach = np.abs(shifts).max(axis=0, initial=0)
    rows, columns = padded_indices(height, int(reach[0]), border), padded_indices(width, int(reach[1]), border)
    result = np.zeros((height, width * channels), np.float32)
    padded = image[:, columns].reshape(height, -1)
    _weighted_shifts(padded, rows, shifts[:, 0] + reach[0], (shifts[:, 1] + reach[1]) * channels, weights, result)
    return result.reshape(image.shape)


@compiled
def _weighted_shifts(
    padded: NDArray[np.uint8],
    rows: NDArray[np.int64],
    down: NDArray[np.int64],
    across: NDArray[np.int64],
    weights: Field,
    result: Field,
) -> None:
    height, width = result.shape
    for y in range(height):
        target = result[y]
        for k in range(weights.size):
            source, weight = padded[rows[y + down[k]]][across[k] :], weights[k]
            for i in range(width):
                target[i] += weight * np.float32(source[i])
