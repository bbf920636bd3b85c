"""Renders laparoscopic scenes: tissue, the trace of an activity, and active or idle instruments with their exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.synthetic.casts import Cast
from pipeline.sources.synthetic.cues import OVER, UNDER, Site
from pipeline.sources.synthetic.instruments import Pose, draw_instrument, reach
from pipeline.sources.synthetic.tissue import TissueStyle, endoscope_light, render_tissue
from pipeline.sources.vqla import State

# Opening of the jaws by activity, in radians.
_OPENING = {"manipulation": 0.7, "cutting": 0.55, "looping": 0.2, "clipping": 0.5, "idle": 0.0}


@dataclass(frozen=True)
class DrawnInstrument:
    """One drawn instrument: its state and the mask of its visible parts, uint8 (H, W), 0 elsewhere."""

    state: State
    parts: NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A rendered frame: uint8 RGB (H, W, 3) and its instruments from back to front, without occluded pixels."""

    image: NDArray[np.uint8]
    instruments: tuple[DrawnInstrument, ...]


# Directions (radians) of instruments that enter from the left, the right, below and above.
_ENTRY = (0.15, np.pi - 0.15, -np.pi / 2, np.pi / 2)
# Positions of the tips as fractions of width and height, by the side that the instrument enters from: idle instruments, the instrument
# with the frame's activity, and other active instruments.
_IDLE = ((0.20, 0.55), (0.80, 0.55), (0.5, 0.84), (0.5, 0.16))
_CENTRE = ((0.52, 0.50), (0.48, 0.50), (0.5, 0.50), (0.5, 0.50))
_OTHERS = ((0.30, 0.56), (0.70, 0.56), (0.5, 0.74), (0.5, 0.28))


def render_scene(cast: Cast, style: TissueStyle, height: int, width: int, rng: np.random.Generator) -> Scene:
    """Render one frame.

    Args:
        cast: up to four instruments with their actions. The first one works near the middle, other active ones work near it, and idle ones
            stay away.
        style: tissue of the sequence.
        height: height in pixels.
        width: width in pixels.
        rng: random generator of poses and details.

    Returns:
        The image and, for each instrument, the mask of its visible parts.
    """
    unit = height / 256
    shift = (float(rng.uniform(-1, 1)) * width / 9, float(rng.uniform(-1, 1)) * height / 9)
    image = render_tissue(style, height, width, shift)
    sides = [3, *rng.permutation(3)]
    poses: list[tuple[State, Pose]] = []
    sites: list[tuple[str, Site]] = []
    for index, state in enumerate(cast):
        side = int(sides.pop())
        angle = float(_ENTRY[side] + rng.uniform(-0.38, 0.38))
        heading = np.array([np.cos(angle), np.sin(angle)])
        if state.activity == "idle":
            # The tip stays near the edge of its own side.
            joint = np.array(_IDLE[side]) * (width, height) + rng.normal(0, 9, 2) * unit
        else:
            anchor = np.array(_CENTRE[side] if index == 0 else _OTHERS[side]) * (width, height)
            tip = anchor + rng.normal(0, 12, 2) * unit
            joint = tip - heading * reach(state.instrument) * unit
            sites.append((state.activity, Site(float(tip[0]), float(tip[1]), angle, float(rng.uniform(0.9, 1.1)))))
        opening = _OPENING.get(state.activity, 0.12) * float(rng.uniform(0.8, 1.2))
        poses.append((state, Pose(float(joint[0]), float(joint[1]), angle, opening)))
    for activity, site in reversed(sites):  # the trace of the first instrument's activity is drawn last, on top
        if activity in UNDER:
            UNDER[activity](image, site, rng)
    drawn: list[DrawnInstrument] = []
    for state, pose in poses:
        parts = draw_instrument(image, state.instrument, pose)
        drawn = [DrawnInstrument(other.state, np.where(parts > 0, 0, other.parts).astype(np.uint8)) for other in drawn]
        drawn.append(DrawnInstrument(state, parts))
    for activity, site in sites:
        if activity in OVER:
            OVER[activity](image, site, rng)
    return Scene(to_uint8(endoscope_light(image), rng), tuple(drawn))


def to_uint8(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a float image in [0, 1] as uint8, with a little sensor noise."""
    noisy = image * 255 + rng.normal(0, 1.5, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
