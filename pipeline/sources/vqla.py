"""Reader of the question-answer texts of EndoVis-18-VQLA and EndoVis-17-VQLA.

One question a line, `question|answer|x1, y1, x2, y2`; blank lines are ignored and the third field may be absent. Only the
lines "What is the state of X?" are used: they say what each instrument does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.activities import activity_of_action, normalise
from pipeline.errors import InputError

WHERE_TO_ASK = "https://github.com/longbai1006/Surgical-VQLA (EndoVis-18-VQLA and EndoVis-17-VQLA)"

_STATE = re.compile(r"What is the state of (?P<instrument>.+?)\s*\?", re.IGNORECASE)
_FOLDERS_2018 = ("vqla/label", "vqla/Classification", "vqa/Classification")


@dataclass(frozen=True)
class State:
    """What one instrument does in one frame, names in lower case with underscores."""

    instrument: str
    action: str


def read_states(path: Path) -> tuple[State, ...]:
    """The instruments of one frame and what they do, in the order of the text.

    Raises:
        InputError: naming file and line, if a line is malformed or an action is unknown.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a UTF-8 text ({error.reason} at byte {error.start}).") from None
    states = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split("|")]
        if len(fields) not in (2, 3) or not fields[0] or not fields[1]:
            raise InputError(
                f"{path}, line {number}: found {line.strip()!r}; expected question|answer or question|answer|x1, y1, x2, y2."
            )
        if len(fields) == 3 and fields[2]:
            _check_box(path, number, fields[2])
        match = _STATE.fullmatch(fields[0])
        if match is None and fields[0].lower().startswith("what is the state of"):
            raise InputError(f"{path}, line {number}: found {fields[0]!r}; expected 'What is the state of X?'.")
        if match:
            try:
                activity_of_action(fields[1])
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from None
            states.append(State(normalise(match["instrument"]), normalise(fields[1])))
    return tuple(states)


def _check_box(path: Path, number: int, text: str) -> None:
    numbers = text.split(",")
    if len(numbers) != 4 or not all(re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", part) for part in numbers):
        raise InputError(f"{path}, line {number}: found the box {text!r}; expected four numbers x1, y1, x2, y2.")


def find_2018(root: Path) -> dict[tuple[int, int], Path]:
    """Texts of EndoVis-18-VQLA below `root` by (sequence, frame number).

    Raises:
        InputError: if there are none.
    """
    found: dict[tuple[int, int], Path] = {}
    for folder in _FOLDERS_2018:
        for path in sorted(root.rglob(f"seq_*/{folder}/frame*_QA.txt")):
            sequence = next(part for part in reversed(path.parts) if re.fullmatch(r"seq_\d+", part))
            number = re.fullmatch(r"frame(\d+)_QA", path.stem)
            if number is not None:
                found.setdefault((int(sequence.removeprefix("seq_")), int(number[1])), path)
    if not found:
        raise InputError(
            f"{root}: no EndoVis-18-VQLA text below it. Expected EndoVis-18-VQLA/seq_2/vqla/label/frame000_QA.txt; "
            f"ask for it at {WHERE_TO_ASK}."
        )
    return found


def find_2017(root: Path) -> dict[tuple[int, int], Path]:
    """Texts of EndoVis-17-VQLA below `root` by (sequence, frame number).

    Raises:
        InputError: if there are none.
    """
    found: dict[tuple[int, int], Path] = {}
    for folder in ("vqla/label", "vqla/Classification"):
        for path in sorted(root.rglob(f"{folder}/seq*_frame*.txt")):
            match = re.fullmatch(r"seq(\d+)_frame(\d+)(_QA)?", path.stem)
            if match is not None:
                found.setdefault((int(match[1]), int(match[2])), path)
    if not found:
        raise InputError(
            f"{root}: no EndoVis-17-VQLA text below it. Expected EndoVis-17-VQLA/vqla/label/seq1_frame015.txt; "
            f"ask for it at {WHERE_TO_ASK}."
        )
    return found
