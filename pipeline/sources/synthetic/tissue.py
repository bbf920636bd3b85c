"""Renders tissue as float32 RGB in [0, 1]: colour, folds, vessels, highlights and the light of an endoscope."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating[Any]]

# Base colours of organ surfaces (linear-looking sRGB triples), from dark liver to yellowish fat.
_SURFACES = np.array(
    [[0.62, 0.28, 0.24], [0.72, 0.38, 0.32], [0.78, 0.48, 0.40], [0.66, 0.33, 0.33], [0.80, 0.56, 0.40]], np.float32
)


@dataclass(frozen=True)
class TissueStyle:
    """The properties of tissue that are constant within a sequence: colour of the organ, relief and vessels."""

    surface: tuple[float, float, float]  # red, green and blue in [0, 1]
    fold_scale: float  # number of folds across the width
    vessels: int  # number of vessels
    wetness: float  # strength of the reflections, in [0, 1]
    seed: int


def sample_style(rng: np.random.Generator) -> TissueStyle:
    """Draw a random tissue style for one sequence."""
    red, green, blue = np.clip(_SURFACES[rng.integers(len(_SURFACES))] + rng.normal(0, 0.025, 3), 0.1, 0.95).tolist()
    return TissueStyle(
        surface=(red, green, blue),
        fold_scale=float(rng.uniform(2.0, 4.5)),
        vessels=int(rng.integers(3, 8)),
        wetness=float(rng.uniform(0.35, 0.8)),
        seed=int(rng.integers(2**31)),
    )


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cells: float, octaves: int = 4, gain: float = 0.5
) -> Image:
    """Return smooth noise with zero mean and unit standard deviation. Its first octave has `cells` bumps across the width."""
    total = np.zeros((height, width), np.float32)
    amplitude = 1.0
    for octave in range(octaves):
        columns = max(2, round(cells * 2**octave))
        rows = max(2, round(columns * height / width))
        coarse = rng.standard_normal((rows + 3, columns + 3)).astype(np.float32)
        total += amplitude * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        amplitude *= gain
    total -= total.mean()
    return (total / (total.std() + 1e-6)).astype(np.float32)


def blend(image: Image, cover: Image, colour: tuple[float, float, float]) -> None:
    """Blend a colour (R, G, B) into an image in place, with the opacity `cover` (H, W)."""
    image += cover[..., None] * (np.array(colour, np.float32) - image)


def _vessel_layer(rng: np.random.Generator, height: int, width: int, count: int) -> Image:
    """Return the opacity of branching vessels, which are smooth random walks of decreasing thickness."""
    layer = np.zeros((height, width), np.float32)
    unit = height / 256
    # Plain Python numbers, because numpy is ten times slower for two values, and a layer has 700 steps.
    for _ in range(count):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        heading = rng.uniform(0, 2 * np.pi)
        thickness = rng.uniform(2.0, 4.5) * unit
        branches = [(x, y, heading, thickness, 60)]
        while branches:
            x, y, heading, thickness, steps = branches.pop()
            end = round(x * 8), round(y * 8)
            for _ in range(steps):
                heading += rng.normal(0, 0.16)
                x, y = x + 7 * unit * math.cos(heading), y + 7 * unit * math.sin(heading)
                start, end = end, (round(x * 8), round(y * 8))
                cv2.line(layer, start, end, 1.0, max(1, round(thickness)), cv2.LINE_AA, 3)
                thickness *= 0.99
                if thickness > 1.6 * unit and rng.random() < 0.04:
                    turned = heading + float(rng.choice([-1, 1])) * rng.uniform(0.4, 0.9)
                    branches.append((x, y, turned, thickness * 0.6, 30))
    return cv2.GaussianBlur(layer, (0, 0), 0.8 * unit)


def render_tissue(style: TissueStyle, height: int, width: int, shift: tuple[float, float] = (0.0, 0.0)) -> Image:
    """Render the tissue of one sequence as the camera sees it after a shift.

    Args:
        style: style of the sequence.
        height: height in pixels.
        width: width in pixels.
        shift: shift of the camera over the surface, in pixels (x, y); at most an eighth of the size in each direction.

    Returns:
        Float32 array (height, width, 3) in [0, 1].
    """
    surface = _render_surface(style, height, width)
    window = np.array([[1, 0, -(width // 8) - shift[0]], [0, 1, -(height // 8) - shift[1]]], np.float32)
    return cv2.warpAffine(surface, window, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


@lru_cache(maxsize=8)
def _render_surface(style: TissueStyle, height: int, width: int) -> Image:
    """Return the whole surface of a sequence: the view and an additional eighth on every side."""
    rng = np.random.default_rng(style.seed)
    rows, columns = height + 2 * (height // 8), width + 2 * (width // 8)
    relief = fractal_noise(rng, rows, columns, style.fold_scale, octaves=4, gain=0.45)
    grain = fractal_noise(rng, rows, columns, 40, octaves=2)
    blotches = fractal_noise(rng, rows, columns, 3, octaves=3)
    vessels = _vessel_layer(rng, rows, columns, style.vessels)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=5) * width / 9000
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=5) * width / 9000
    facing = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)

    image = np.array(style.surface, np.float32) * (1 + 0.10 * blotches + 0.035 * grain)[..., None]
    image[..., 1:] *= (1 - 0.05 * blotches)[..., None]
    image *= (0.45 + 0.55 * facing + 0.10 * np.tanh(relief))[..., None]
    blood = np.array([0.42, 0.10, 0.12], np.float32)
    image += (0.55 * vessels)[..., None] * (blood - image)
    # Wet tissue reflects the lamp where the surface faces it.
    shine = np.clip(relief * 0.5 + grain * 0.35 - 1.05 + 0.2 * facing, 0, None) * style.wetness
    image += cv2.GaussianBlur(shine, (0, 0), height / 256)[..., None]
    return np.clip(image, 0, 1).astype(np.float32)


def endoscope_light(image: Image) -> Image:
    """Return an image that is darker towards the corners, as under a lamp next to the lens."""
    height, width = image.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    falloff = 1.08 - 0.42 * (x**2 + y**2) ** 0.9 / 2**0.9 - 0.10 * (x**2 + y**2)
    return np.clip(image * falloff[..., None], 0, 1).astype(np.float32)
