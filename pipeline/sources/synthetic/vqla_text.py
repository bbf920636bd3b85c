"""Writes the question-answer texts of the VQLA editions for generated frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.sources.synthetic.scenes import Scene

# Activities as the annotations spell the actions behind them.
_SPELLED = {"manipulation": "Tissue_Manipulation", "stapling": "Staple", "ultrasound_sensing": "Ultrasound_Sensing"}


def spelled_action(activity: str) -> str:
    """An activity's action as the annotations write it."""
    return _SPELLED.get(activity, activity.capitalize())


def write_annotations(path: Path, scene: Scene) -> None:
    """Write one frame's text: a line for the organ, and for each instrument one for its state and one for its place.

    Boxes are given on 1280x1024, 1-based, whatever the size of the picture; a blank line stands before the states,
    and the organ's line has no box: both occur in the releases.
    """
    height, width = scene.image.shape[:2]
    lines = ["What organ is being operated?|kidney", ""]
    for drawn in scene.instruments:
        rows, columns = np.nonzero(drawn.parts)
        if rows.size == 0:
            continue
        box = (
            int(columns.min() * 1280 / width) + 1,
            int(rows.min() * 1024 / height) + 1,
            int((columns.max() + 1) * 1280 / width),
            int((rows.max() + 1) * 1024 / height),
        )
        place = ", ".join(str(value) for value in box)
        name = drawn.doing.instrument
        lines.append(f"What is the state of {name}?|{spelled_action(drawn.doing.action)}|{place}")
        side = ("left" if columns.mean() < width / 2 else "right", "top" if rows.mean() < height / 2 else "bottom")
        lines.append(f"Where is {name} located?|{'-'.join(side)}|{place}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
