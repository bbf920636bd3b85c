"""Reads the annotations of EndoVis-18-VQLA and EndoVis-17-VQLA, their Extend editions, and the XML they come from.

Texts have one question per line, `question|answer|x1, y1, x2, y2`; blank lines are ignored and the third field may be absent. Only the
lines "What is the state of X?" are used, because they give the action of each instrument. The Pascal-like XML has the same content:
`<objects><name>X</name><interaction>...</interaction><bndbox>...` for each instrument, and for the organ, which has no action.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.io.raw_trees import walk
from pipeline.labels.activities import activity_of_action, normalise
from pipeline.labels.splits import TEST_2018
from pipeline.sources.contacts import CONTACTS

WHERE_TO_ASK = CONTACTS["vqla2018"]

# Total number of annotated frames.
FRAMES_2018, FRAMES_2017 = 1996, 97
# Frames that only the first edition annotates (1,560 training + 447 test frames). Neither the Extend edition (1,560 + 436) nor the paper
# (1,996 frames) has them.
SURPLUS_2018 = frozenset((1, number) for number in range(11))

_MAX_BYTES = 1 << 20  # a frame's annotation has a few hundred bytes
_STATE = re.compile(r"What is the state of (?P<instrument>[^?]+)\?", re.IGNORECASE)
_NUMBER = re.compile(r"\s*-?\d{1,6}(\.\d{1,6})?\s*")
_TISSUES = ("kidney", "tissue")
_FOLDER = "(vqla/label|vqla/Classification|vqa/Classification|xml)"
_SEQUENCE = re.compile(r"seq_(\d{1,4})")
_FILE_2018 = re.compile(rf"(.*/)?seq_(?P<sequence>\d{{1,4}})/{_FOLDER}/frame_?(?P<frame>\d{{1,6}})(_QA)?\.(txt|xml)")
_FILE_2017 = re.compile(rf"(.*/)?{_FOLDER}/seq_?(?P<sequence>\d{{1,4}})_frame_?(?P<frame>\d{{1,6}})(_QA)?\.(txt|xml)")
# Folders of images and features, which hold many files but no annotations.
_WITHOUT_ANNOTATION = ("left_frames", "right_frames", "labels", "img_features", "instrument_labels_2017")

Key = tuple[int, int]  # sequence and frame number


@dataclass(frozen=True)
class State:
    """An instrument in one frame and its action, one of the 13 actions. Names are in lower case with underscores."""

    instrument: str
    action: str

    @property
    def activity(self) -> str:
        """The activity that the action belongs to."""
        return activity_of_action(self.action)


def read_states(path: Path) -> tuple[State, ...]:
    """Return the instruments of one frame with their actions, in the order of the text or XML.

    Raises:
        InputError: if a line or element is malformed, or if an action is unknown; the message names the file and the line or element.
    """
    text = read_text(path, _MAX_BYTES)
    return _states_of_xml(path, text) if path.suffix == ".xml" else _states_of_text(path, text)


def read_agreeing(paths: Iterable[Path]) -> tuple[State, ...]:
    """Return the states of one frame that several annotations describe.

    Raises:
        InputError: if two annotations differ, or if `read_states` raises it.
    """
    (first_path, first_states), *others = [(path, read_states(path)) for path in paths]
    for path, states in others:
        if Counter(states) != Counter(first_states):
            raise InputError(
                f"{path}: {_described(states)}; but {first_path}: {_described(first_states)}. Expected one edition, or editions that agree."
            )
    return first_states


def _described(states: Iterable[State]) -> str:
    return ", ".join(f"{state.instrument} {state.action}" for state in states) or "no instrument"


def _states_of_text(path: Path, text: str) -> tuple[State, ...]:
    states = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        shown = repr(line.strip()[:80])
        fields = [field.strip() for field in line.split("|")]
        if len(fields) not in (2, 3) or not fields[0] or not fields[1]:
            raise InputError(
                f"{path}, line {number}: found {shown}; expected question|answer or question|answer|x1, y1, x2, y2."
            )
        if len(fields) == 3 and fields[2]:
            _check_box(f"{path}, line {number}", fields[2].split(","))
        match = _STATE.fullmatch(fields[0])
        if match is None and fields[0].lower().startswith("what is the state of"):
            raise InputError(f"{path}, line {number}: found {fields[0][:80]!r}; expected 'What is the state of X?'.")
        if match:
            states.append(_state(f"{path}, line {number}", match["instrument"], fields[1]))
    return tuple(states)


def _states_of_xml(path: Path, text: str) -> tuple[State, ...]:
    # With entities a tiny XML file can fill the memory; annotations have none.
    if "<!" in text.replace("<!--", ""):
        raise InputError(f"{path}: contains a DOCTYPE or an entity; expected plain elements.")
    try:
        tree = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not XML ({error}). Expected <annotation> with <objects>.") from None
    states = []
    for number, element in enumerate([*tree.iter("objects"), *tree.iter("object")], start=1):
        where = f"{path}, object {number}"
        name, action = (element.findtext(tag, "").strip() for tag in ("name", "interaction"))
        if not name:
            raise InputError(f"{where}: no <name>; expected <name>, <interaction> and <bndbox>.")
        if normalise(name) in _TISSUES:
            continue
        if not action:
            raise InputError(f"{where}: {name} has no <interaction>; expected its action.")
        box = element.find("bndbox")
        if box is not None:
            _check_box(where, [box.findtext(tag, "") for tag in ("xmin", "ymin", "xmax", "ymax")])
        states.append(_state(where, name, action))
    return tuple(states)


def _state(where: str, instrument: str, action: str) -> State:
    try:
        activity_of_action(action)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return State(normalise(instrument), normalise(action))


def _check_box(where: str, numbers: list[str]) -> None:
    if len(numbers) != 4 or not all(map(_NUMBER.fullmatch, numbers)):
        raise InputError(
            f"{where}: found the box {', '.join(number.strip()[:20] for number in numbers[:8])!r}; expected four numbers x1, y1, x2, y2."
        )


def find_2018(root: Path) -> dict[Key, tuple[Path, ...]]:
    """Return the annotations of EndoVis 2018 frames below `root` by (sequence, frame number): texts, or the XML if there is no text.

    Texts are in seq_N/{vqla/label,vqla/Classification,vqa/Classification}/frameNNN_QA.txt, XML in seq_N/xml/frameNNN.xml.
    A frame that two editions annotate has one file of each edition.

    Raises:
        InputError: if there are no annotations.
    """
    return _find_annotations(root, _FILE_2018, "EndoVis-18-VQLA", "EndoVis-18-VQLA/seq_2/vqla/label/frame000_QA.txt")


def find_2017(root: Path) -> dict[Key, tuple[Path, ...]]:
    """Return the annotations of EndoVis 2017 frames below `root` by (sequence, frame number).

    Texts are in {vqla/label,vqla/Classification}/seqN_frameNNN.txt, XML in xml/seqN_frameNNN.xml.

    Raises:
        InputError: if there are no annotations.
    """
    return _find_annotations(root, _FILE_2017, "EndoVis-17-VQLA", "EndoVis-17-VQLA/vqla/label/seq1_frame015.txt")


def _find_annotations(root: Path, file: re.Pattern[str], title: str, example: str) -> dict[Key, tuple[Path, ...]]:
    paths_of: dict[Key, list[Path]] = {}
    for folder, folders, names in walk(root):
        folders[:] = [inner for inner in folders if inner not in _WITHOUT_ANNOTATION]
        for path in (folder / name for name in names):
            match = file.fullmatch(path.as_posix())
            if match:
                paths_of.setdefault((int(match["sequence"]), int(match["frame"])), []).append(path)
    if not paths_of:
        raise InputError(f"{root}: contains no {title} text. Expected {example}; it is available from {WHERE_TO_ASK}.")
    return {
        key: tuple(path for path in paths if path.suffix == ".txt") or tuple(paths)
        for key, paths in sorted(paths_of.items())
    }


def editions_2018(root: Path, annotations: Mapping[Key, tuple[Path, ...]]) -> list[str]:
    """Describe each edition of EndoVis-18-VQLA below `root`: its folder, its edition, and its numbers of frames.

    The first frames of seq_1 identify the edition, because only the first edition annotates them.
    """
    frames_of: dict[Path, set[Key]] = {}
    for key, paths in annotations.items():
        for path in paths:
            sequence = next(folder for folder in path.parents if _SEQUENCE.fullmatch(folder.name))
            frames_of.setdefault(sequence.parent, set()).add(key)
    descriptions = []
    for folder, keys in sorted(frames_of.items()):
        test = sum(sequence in TEST_2018 for sequence, _ in keys)
        surplus = sorted(number for _, number in keys & SURPLUS_2018)
        edition = "the first edition" if surplus else "the Extend edition"
        if not any(sequence == 1 for sequence, _ in keys):
            edition = "an edition that is unknown without seq_1"
        text = (
            f"{folder.relative_to(root).as_posix()} is {edition} ({len(keys) - test} training and {test} test frames)"
        )
        if surplus:
            text += f"; its {len(surplus)} frames seq_1 {surplus[0]:03d} to {surplus[-1]:03d} are left out: they are not in the paper"
        descriptions.append(text)
    return descriptions
