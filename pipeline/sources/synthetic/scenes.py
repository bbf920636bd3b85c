"""Laparoscopic scenes: tissue, the trace of an activity, and instruments that act or rest, with their exact masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sources.synthetic.cues import OVER, UNDER, Site
from pipeline.sources.synthetic.instruments import Pose, draw_instrument, reach
from pipeline.sources.synthetic.tissue import TissueStyle, endoscope_light, render_tissue

ACTORS: dict[str, tuple[str, ...]] = {
    "retraction": ("prograsp_forceps", "bipolar_forceps"),
    "grasping": ("prograsp_forceps", "bipolar_forceps"),
    "manipulation": ("bipolar_forceps", "large_needle_driver", "prograsp_forceps"),
    "cutting": ("monopolar_curved_scissors",),
    "cauterization": ("monopolar_curved_scissors", "bipolar_forceps"),
    "suction": ("suction",),
    "ultrasound_sensing": ("ultrasound_probe",),
    "looping": ("large_needle_driver", "bipolar_forceps"),
    "clipping": ("clip_applier",),
    "stapling": ("stapler",),
    "suturing": ("large_needle_driver",),
}
BYSTANDERS = ("bipolar_forceps", "prograsp_forceps", "large_needle_driver", "monopolar_curved_scissors")
_OPENING = {"manipulation": 0.7, "cutting": 0.55, "looping": 0.2, "clipping": 0.5, "idle": 0.0}


@dataclass(frozen=True)
class Doing:
    """One instrument of a frame and what it does there (an activity name)."""

    instrument: str
    action: str


@dataclass(frozen=True)
class Drawn:
    """One drawn instrument: what it does and where its parts are visible (uint8 (H, W), 0 elsewhere)."""

    doing: Doing
    parts: NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A rendered frame: uint8 RGB (H, W, 3) and its instruments, those in front last, occlusion resolved."""

    image: NDArray[np.uint8]
    instruments: tuple[Drawn, ...]


def cast_frame(activity: str, rng: np.random.Generator) -> tuple[Doing, ...]:
    """Choose the instruments of a frame whose rarest action is `activity`; the acting one comes first."""
    if activity == "idle":
        chosen = rng.permutation(BYSTANDERS)[: int(rng.integers(1, 3))]
        return tuple(Doing(str(kind), "idle") for kind in chosen)
    actor = str(rng.choice(ACTORS[activity]))
    cast = [Doing(actor, activity)]
    others = [kind for kind in BYSTANDERS if kind != actor]
    if activity == "stapling" or rng.random() < 0.6:
        cast.append(Doing(str(rng.choice(others)), "idle"))
    return tuple(cast)


def _entry_angle(side: int, rng: np.random.Generator) -> float:
    """The direction an instrument points in that enters from the left (0), the right (1) or below (2)."""
    centre = (0.15, np.pi - 0.15, -np.pi / 2)[side]
    return float(centre + rng.uniform(-0.38, 0.38))


def render_scene(
    cast: tuple[Doing, ...], style: TissueStyle, height: int, width: int, rng: np.random.Generator
) -> Scene:
    """Render one frame.

    Args:
        cast: the instruments and what they do; those that act work at a site near the middle, idle ones keep away.
        style: the tissue of the sequence.
        height, width: size in pixels.
        rng: decides poses and details.

    Returns:
        The picture and, for each member of the cast, the mask of its visible parts.
    """
    unit = height / 256
    shift = (float(rng.uniform(-1, 1)) * width / 9, float(rng.uniform(-1, 1)) * height / 9)
    image = render_tissue(style, height, width, shift)
    sides = list(rng.permutation(3))
    placed: list[tuple[Doing, Pose]] = []
    over: list[tuple[str, Site]] = []
    for doing in cast:
        side = int(sides.pop())
        angle = _entry_angle(side, rng)
        heading = np.array([np.cos(angle), np.sin(angle)])
        if doing.action == "idle":
            # The tip stays in the outer part of its own side.
            anchor = np.array([(0.20, 0.55), (0.80, 0.55), (0.5, 0.84)][side]) * (width, height)
            joint = anchor + rng.normal(0, 9, 2) * unit
        else:
            anchor = np.array([(0.52, 0.50), (0.48, 0.50), (0.5, 0.50)][side]) * (width, height)
            tip = anchor + rng.normal(0, 12, 2) * unit
            joint = tip - heading * reach(doing.instrument) * unit
            site = Site(float(tip[0]), float(tip[1]), angle, float(rng.uniform(0.9, 1.1)))
            if doing.action in UNDER:
                UNDER[doing.action](image, site, rng)
            if doing.action in OVER:
                over.append((doing.action, site))
        opening = _OPENING.get(doing.action, 0.12) * float(rng.uniform(0.8, 1.2))
        placed.append((doing, Pose(float(joint[0]), float(joint[1]), angle, opening)))
    drawn: list[Drawn] = []
    for doing, pose in placed:
        parts = draw_instrument(image, doing.instrument, pose)
        drawn = [Drawn(other.doing, np.where(parts > 0, 0, other.parts).astype(np.uint8)) for other in drawn]
        drawn.append(Drawn(doing, parts))
    for action, site in over:
        OVER[action](image, site, rng)
    return Scene(to_uint8(endoscope_light(image), rng), tuple(drawn))


def to_uint8(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Quantise a float image in [0, 1] with a little sensor noise."""
    noisy = image * 255 + rng.normal(0, 1.5, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
