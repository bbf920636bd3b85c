"""Writes VQLA annotations for generated frames: question-answer texts, and the XML they come from.

The texts include the variants of the releases: blank lines, answers without a box, names with hyphens or spaces, Windows line ends and a
byte order mark.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from pipeline.sources.synthetic.scenes import DrawnInstrument, Scene

Box = tuple[int, int, int, int]


def write_text(path: Path, scene: Scene, variant: int = 0) -> None:
    """Write one frame's text: a line for the organ, then per instrument a line for its state and, if it is visible, one for its place.

    Args:
        path: the file to write.
        scene: the scene with the instruments.
        variant: any number, which selects the form of names, the line ends, and whether states have boxes and the file a byte order mark.
    """
    lines = ["What organ is being operated?|kidney", ""]
    for drawn in scene.instruments:
        box = _box(drawn, scene)
        box_field = f"|{', '.join(map(str, box))}" if box else ""
        name = drawn.state.instrument.replace("_", ("_", " ", "_", "-")[variant % 4])
        lines.append(f"What is the state of {name}?|{drawn.state.action.title()}{box_field if variant % 5 else ''}")
        if box:
            side = ("left" if box[0] + box[2] < 1280 else "right", "top" if box[1] + box[3] < 1024 else "bottom")
            lines.append(f"Where is {name} located?|{'-'.join(side)}{box_field}")
    path.parent.mkdir(parents=True, exist_ok=True)
    end = "\r\n" if variant % 7 == 3 else "\n"
    path.write_bytes((end.join(lines) + end).encode("utf-8-sig" if variant % 7 == 5 else "utf-8"))


def write_xml(path: Path, scene: Scene) -> None:
    """Write one frame's XML: the organ, then each instrument with its action and its box."""
    objects = [_object("kidney", "", (1, 1, 1280, 1024))]
    for drawn in scene.instruments:
        objects.append(_object(drawn.state.instrument, drawn.state.action.title(), _box(drawn, scene)))
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(objects)
    path.write_text(f"<annotation>\n  <filename>{path.stem}.png</filename>\n{body}\n</annotation>\n", encoding="utf-8")


def _object(name: str, action: str, box: Box | None) -> str:
    inner = f"<name>{escape(name)}</name>" + (f"<interaction>{escape(action)}</interaction>" if action else "")
    if box:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        inner += f"<bndbox>{''.join(f'<{tag}>{value}</{tag}>' for tag, value in corners)}</bndbox>"
    return f"  <objects>{inner}</objects>"


def _box(drawn: DrawnInstrument, scene: Scene) -> Box | None:
    """Return an instrument's box in 1-based coordinates of a 1280x1024 image, or None if the instrument is hidden."""
    height, width = scene.image.shape[:2]
    rows, columns = np.nonzero(drawn.parts)
    if rows.size == 0:
        return None
    return (
        int(columns.min() * 1280 / width) + 1,
        int(rows.min() * 1024 / height) + 1,
        int((columns.max() + 1) * 1280 / width),
        int((rows.max() + 1) * 1024 / height),
    )
