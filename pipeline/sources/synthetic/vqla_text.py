"""Writes the annotations of the VQLA editions for generated frames: question-answer texts, and the XML they come from.

The variants of the releases occur: blank lines, answers without a box, names with hyphens or spaces, Windows line ends and a
byte order mark.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from pipeline.sources.synthetic.scenes import Drawn, Scene

Box = tuple[int, int, int, int]


def write_text(path: Path, scene: Scene, variant: int = 0) -> None:
    """Write one frame's text: a line for the organ, and for each instrument one for its state and one for its place.

    Args:
        path: where. scene: whose instruments. variant: any number; it chooses how names, line ends and file begin.
    """
    lines = ["What organ is being operated?|kidney", ""]
    for drawn in scene.instruments:
        box = _box(drawn, scene)
        place = f"|{', '.join(map(str, box))}" if box else ""
        name = drawn.doing.instrument.replace("_", ("_", " ", "_", "-")[variant % 4])
        lines.append(f"What is the state of {name}?|{drawn.doing.action.title()}{place if variant % 5 else ''}")
        if box:
            side = ("left" if box[0] + box[2] < 1280 else "right", "top" if box[1] + box[3] < 1024 else "bottom")
            lines.append(f"Where is {name} located?|{'-'.join(side)}{place}")
    path.parent.mkdir(parents=True, exist_ok=True)
    end = "\r\n" if variant % 7 == 3 else "\n"
    path.write_bytes((end.join(lines) + end).encode("utf-8-sig" if variant % 7 == 5 else "utf-8"))


def write_xml(path: Path, scene: Scene) -> None:
    """Write one frame's XML: the organ, then each instrument with what it does and where it is."""
    objects = [_object("kidney", "", (1, 1, 1280, 1024))]
    for drawn in scene.instruments:
        objects.append(_object(drawn.doing.instrument, drawn.doing.action.title(), _box(drawn, scene)))
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "\n".join(objects)
    path.write_text(f"<annotation>\n  <filename>{path.stem}.png</filename>\n{body}\n</annotation>\n", encoding="utf-8")


def _object(name: str, action: str, box: Box | None) -> str:
    inner = f"<name>{escape(name)}</name>" + (f"<interaction>{escape(action)}</interaction>" if action else "")
    if box:
        corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        inner += f"<bndbox>{''.join(f'<{tag}>{value}</{tag}>' for tag, value in corners)}</bndbox>"
    return f"  <objects>{inner}</objects>"


def _box(drawn: Drawn, scene: Scene) -> Box | None:
    """Boxes are given on 1280x1024, 1-based, whatever the size of the picture; None for what is hidden."""
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
