"""Reader of raw EndoVis 2018: the four releases and the instrument types annotated on the same frames.

    <release>/seq_N/{left_frames,labels}/frameNNN.png      frames and official colour labels
    <release>/labels.json                                  colours; each release lists its own classes alone
    <release>/seq_N/instrument_labels_2017/frameNNN_class{C}_inst{I}.png   types (also `instrument_labels/`)

A wrapper folder may stand doubled and `__MACOSX` may lie about. Suction and ultrasound probe come from the colour labels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.images import check_same_size, read_channels, read_ids

TYPES_FROM = "https://github.com/BCV-Uniandes/ISINet"
WHERE_TO_ASK = "https://endovissub2018-roboticscenesegmentation.grand-challenge.org (register, then Downloads)"

# Native type ids of 2018: 1 Bipolar Forceps, 2 Prograsp Forceps, 3 Large Needle Driver, 4 Monopolar Curved Scissors,
# 5 Ultrasound Probe, 6 Suction Instrument, 7 Clip Applier.
NATIVE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7}
COMPATIBLE_2017 = {1: 1, 2: 2, 3: 3, 6: 4, 7: 5, 8: 6, 9: 7}
SCHEMES = {"native2018": NATIVE, "compatible2017": COMPATIBLE_2017}
_FROM_COLOUR = {"ultrasound-probe": 5, "suction-instrument": 6}
_TYPE_FOLDERS = ("instrument_labels_2017", "instrument_labels")
_MASK_NAME = re.compile(r"(?P<frame>frame\d+)_class(?P<type>\d+)_inst\d+\.png")


@dataclass(frozen=True)
class Frame2018:
    """One labelled frame: its sequence (1 to 16), number, files, and (type id as written, file) of each instrument.

    `instruments` is None where the sequence has no folder of instrument types at all.
    """

    sequence: int
    number: int
    image: Path
    label: Path
    instruments: tuple[tuple[int, Path], ...] | None


@dataclass(frozen=True)
class Tree2018:
    """A read tree: its frames by (sequence, number), the union of the label colours, and the id scheme of the types."""

    root: Path
    frames: dict[tuple[int, int], Frame2018]
    colours: dict[str, tuple[int, int, int]]
    scheme: str


def read_tree(root: Path, scheme: str = "detect") -> Tree2018:
    """List what a raw tree holds, without decoding a picture.

    Args:
        root: the folder that holds the releases.
        scheme: "native2018", "compatible2017", or "detect".

    Raises:
        InputError: if there is no sequence, a label or every type mask is missing, or the id scheme cannot be told.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. EndoVis 2018 is expected here; ask for it at {WHERE_TO_ASK}.")
    # The challenge's test_data has the same folder names but is no part of the releases.
    folders = [
        folder
        for folder in sorted(root.rglob("seq_*/left_frames"))
        if not {"__MACOSX", "test_data"} & set(folder.relative_to(root).parts)
    ]
    if not folders:
        raise InputError(
            f"{root}: no seq_*/left_frames below it. Expected the releases of EndoVis 2018 "
            f"(miccai_challenge_2018_release_1/seq_1/left_frames/frame000.png); ask for them at {WHERE_TO_ASK}."
        )
    frames: dict[tuple[int, int], Frame2018] = {}
    type_folder = _choose_type_folder([folder.parent for folder in folders])
    for folder in folders:
        for frame in _read_sequence(folder.parent, type_folder):
            other = frames.setdefault((frame.sequence, frame.number), frame)
            if other is not frame:
                raise InputError(f"{frame.image}: the same frame as {other.image}. Expected every release once.")
    written = {type_id for frame in frames.values() for type_id, _ in frame.instruments or ()}
    if not written:
        raise InputError(
            f"{root}: no instrument type mask in any sequence. Expected those of BCV-Uniandes (ISINet) beside the frames, "
            f"seq_1/{_TYPE_FOLDERS[0]}/frame000_class1_inst0.png; ask for them at {TYPES_FROM}."
        )
    return Tree2018(root, frames, _read_colours(root), _settle_scheme(root, scheme, written))


def type_mask(tree: Tree2018, frame: Frame2018) -> NDArray[np.uint8]:
    """Instrument types of a frame as native 2018 ids: uint8 (H, W), 0 where none is.

    Raises:
        InputError: if a label cannot be read, differs in size, or holds a type id outside the scheme.
    """
    if frame.instruments is None:
        raise InputError(
            f"{frame.image.parents[1]}: no folder {' or '.join(_TYPE_FOLDERS)}. Expected the instrument types of BCV-Uniandes "
            f"(ISINet) beside the frames, {_TYPE_FOLDERS[0]}/{frame.image.stem}_class1_inst0.png; ask for them at {TYPES_FROM}."
        )
    label = read_channels(frame.label)
    if label.ndim != 3:
        raise InputError(f"{frame.label}: a grey picture; expected official colour labels (RGB or RGBA).")
    mask = np.zeros(label.shape[:2], np.uint8)
    for name, type_id in _FROM_COLOUR.items():
        if name in tree.colours:
            mask[(label[..., :3] == tree.colours[name]).all(axis=2)] = type_id
    ids = SCHEMES[tree.scheme]
    for written, path in frame.instruments:
        if written not in ids:
            raise InputError(
                f"{path}: type id {written}; the id scheme {tree.scheme} knows {', '.join(map(str, ids))}."
            )
        instrument = read_ids(path)
        check_same_size(label, instrument, frame.label, path)
        mask[instrument > 0] = ids[written]
    return mask


def _choose_type_folder(sequences: Sequence[Path]) -> str:
    """The one name of type folders in the tree: the two hold ids of different schemes and must not be mixed."""
    found = [name for name in _TYPE_FOLDERS if any((sequence / name).is_dir() for sequence in sequences)]
    return found[0] if found else _TYPE_FOLDERS[0]


def _read_sequence(folder: Path, type_folder: str) -> list[Frame2018]:
    number = re.fullmatch(r"seq_(\d+)", folder.name)
    if number is None:
        raise InputError(f"{folder}: expected a folder name like seq_1.")
    types: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted((folder / type_folder).glob("*.png")):
        if path.name.startswith("."):
            continue
        match = _MASK_NAME.fullmatch(path.name)
        if match is None:
            raise InputError(f"{path}: expected a name like frame000_class1_inst0.png.")
        types.setdefault(match["frame"], []).append((int(match["type"]), path))
    typed = (folder / type_folder).is_dir()
    frames = []
    for image in sorted((folder / "left_frames").glob("frame*.png")):
        label = folder / "labels" / image.name
        if not label.is_file():
            raise InputError(f"{label}: missing. Expected the official label of {image}; get it at {WHERE_TO_ASK}.")
        stem = image.stem
        instruments = tuple(types.get(stem, ())) if typed else None
        frames.append(Frame2018(int(number[1]), int(stem.removeprefix("frame")), image, label, instruments))
    return frames


def _read_colours(root: Path) -> dict[str, tuple[int, int, int]]:
    colours: dict[str, tuple[int, int, int]] = {}
    for path in sorted(root.rglob("labels.json")):
        if "__MACOSX" in path.parts:
            continue
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))
            entries: Sequence[dict] = listed["classes"] if isinstance(listed, dict) else listed
            for entry in entries:
                red, green, blue = entry["color"][:3]
                colours[str(entry["name"])] = (int(red), int(green), int(blue))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: not a label list ({type(error).__name__}: {error}). Expected a JSON list of "
                '{"name": ..., "color": [r, g, b], "classid": ...}.'
            ) from None
    if not colours:
        raise InputError(f"{root}: no labels.json in any release; it names the colours of the official labels.")
    return colours


def _settle_scheme(root: Path, scheme: str, written: set[int]) -> str:
    if scheme in SCHEMES:
        return scheme
    if scheme != "detect":
        raise InputError(f"id scheme {scheme!r}: expected detect, {' or '.join(SCHEMES)}.")
    if written & {8, 9} or (not written & {4, 5} and 6 in written):
        return "compatible2017"
    if written & {4, 5} and not written & {8, 9}:
        return "native2018"
    raise InputError(
        f"{root}: the instrument type ids {sorted(written)} fit both schemes: native2018 (4 is the curved scissors, 6 "
        "suction, 7 the clip applier) and compatible2017 (6 is the curved scissors, 7 the ultrasound probe). "
        "Say which in the study: raw: endovis2018_scheme."
    )
