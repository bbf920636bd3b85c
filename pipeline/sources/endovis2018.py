"""Reads raw EndoVis 2018: the four releases, and the instrument types annotated on the same frames (ISINet).

    <release>/seq_N/{left_frames,labels}/frameNNN.png       frames and official colour labels
    <release>/labels.json                                   colours; each release lists only its own classes
    <release>/seq_N/instrument_labels_2017/frameNNN_class{C}_inst{I}.png     types, raw set: one mask per instrument
    <release>/seq_N/instrument_labels/frameNNN_class{C}_inst{I}.png          types, another raw set
    {train,val}/{images,annotations}/seqN_frameNNN.png      types, built set: an image and one mask of type ids per frame
    repairs/seq_N_frameNNN.png                              corrected colour labels, which replace those of the release

Wrapper folders are allowed, and `__MACOSX` is ignored. Masks of ultrasound probe and suction instrument come from the colour labels. The
three sets of types may have different id schemes. A frame's types come from the first set that has them. Some sets hold the stapler, which
becomes background. The challenge's test frames (sequences without labels) are skipped in any folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.io.files import read_text
from pipeline.io.images import check_same_size, read_colours, read_ids
from pipeline.io.raw_trees import walk
from pipeline.sources.contacts import CONTACTS
from pipeline.sources.frame_files import VQLA_FOLDER, frame_files, jpeg_note, mask_files, missing_file

TYPES_FROM = "https://github.com/BCV-Uniandes/ISINet"
WHERE_TO_ASK = CONTACTS["endovis2018"]

# The labelled frames: 15 sequences of 149 frames each. There is no seq_8.
SEQUENCES = (*range(1, 8), *range(9, 17))
FRAMES_PER_SEQUENCE = 149

# Native type ids of 2018: 1 Bipolar Forceps, 2 Prograsp Forceps, 3 Large Needle Driver, 4 Monopolar Curved Scissors,
# 5 Ultrasound Probe, 6 Suction Instrument, 7 Clip Applier.
NATIVE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7}
COMPATIBLE_2017 = {1: 1, 2: 2, 3: 3, 6: 4, 7: 5, 8: 6, 9: 7}
SCHEMES = {"native2018": NATIVE, "compatible2017": COMPATIBLE_2017}
# The stapler's id in sets that hold it (ISINet's script with --stapler). It is not a class of the benchmark.
STAPLER = {"native2018": 8, "compatible2017": 10}
RAW_SETS = ("instrument_labels_2017", "instrument_labels")
BUILT_SET = "annotations"
# Types whose masks come from the colour labels.
_FROM_COLOUR = {"ultrasound-probe": 5, "suction-instrument": 6}
_MASK_NAME = re.compile(r"(?P<frame>frame\d{1,6})_class(?P<type>\d{1,3})_inst\d{1,6}\.png")
_FRAME_NAME = re.compile(r"seq_?(?P<sequence>\d{1,4})_frame(?P<frame>\d{1,6})\.png")
# The test frames come as seq_N-<time of the download>-001/seq_N, with 250 frames per sequence.
_TEST_FOLDER = re.compile(r"seq_\d{1,4}-.+")
_DIGITS = re.compile(r"\d{1,6}$")
_UNKNOWN = 255

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Frame2018:
    """One frame with its annotations.

    Attributes:
        sequence: 1 to 16.
        number: number of the frame in its sequence.
        image: file of the image.
        label: the official colour label, or None.
        types: the set that the instrument types come from; None if the sequence has no set.
        masks: (type id as stored, file) of each instrument of a raw set.
        annotation: the mask of a built set.
    """

    sequence: int
    number: int
    image: Path
    label: Path | None
    types: str | None = None
    masks: tuple[tuple[int, Path], ...] = ()
    annotation: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the frame is read from."""
        paths = (self.image, self.label, self.annotation, *(path for _, path in self.masks))
        return tuple(path for path in paths if path is not None)


@dataclass(frozen=True)
class Scheme:
    """The id scheme of one set of types, and the reason why it was selected."""

    name: str
    reason: str


@dataclass(frozen=True)
class Tree2018:
    """The content of a raw tree.

    Attributes:
        root: folder of the tree.
        frames: frames by (sequence, number).
        colours: label colours of all releases by class name.
        schemes: id scheme of each set of types.
        lists: files of the label lists.
        unmatched: masks and labels without a frame.
        notes: notes for the user on how the tree was read, by keyword.
    """

    root: Path
    frames: dict[tuple[int, int], Frame2018]
    colours: dict[str, Rgb]
    schemes: dict[str, Scheme]
    lists: tuple[Path, ...] = ()
    unmatched: tuple[Path, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Listing:
    """The folders and files of a tree that are read.

    Attributes:
        sequences: sequences of the releases.
        tests: sequences of the challenge's test frames.
        built: folders of the built types.
        label_lists: label lists of the releases.
        test_lists: label lists of the test frames.
        repairs: corrected labels.
    """

    sequences: list[Path] = field(default_factory=list)
    tests: list[Path] = field(default_factory=list)
    built: list[Path] = field(default_factory=list)
    label_lists: list[Path] = field(default_factory=list)
    test_lists: list[Path] = field(default_factory=list)
    repairs: list[Path] = field(default_factory=list)


def read_tree(root: Path, scheme: str = "detect") -> Tree2018:
    """List the content of a raw tree. No image is decoded, except masks of a built set until its id scheme is known.

    Args:
        root: the folder that holds the releases, the built types, or both.
        scheme: "detect", or "native2018" or "compatible2017" for a set whose ids fit both schemes.

    Raises:
        InputError: if there is no frame or no type, if a frame occurs twice, or if an id scheme cannot be determined.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder. EndoVis 2018 is expected here; it is available from {WHERE_TO_ASK}.")
    listing = _list_folders(root)
    frames: dict[tuple[int, int], Frame2018] = {}
    unmatched: list[Path] = []
    for folder in listing.sequences:
        for frame in _read_sequence(folder, unmatched):
            other = frames.setdefault((frame.sequence, frame.number), frame)
            if other is not frame:
                raise InputError(f"{frame.image}: is the same frame as {other.image}. Expected every release once.")
    notes = {**_repair(frames, listing.repairs, unmatched), **_note_on_test_frames(root, listing.tests)}
    _add_built(frames, listing.built, unmatched)
    if not frames:
        instead = f" Found only test frames: {notes['test_frames']}." if listing.tests else ""
        raise InputError(
            f"{root}: contains no seq_*/left_frames. Expected the releases of EndoVis 2018 "
            f"(miccai_challenge_2018_release_1/seq_1/left_frames/frame000.png); they are available from {WHERE_TO_ASK}.{instead}"
        )
    if not any(frame.masks or frame.annotation for frame in frames.values()):
        raise InputError(
            f"{root}: no sequence has instrument type masks. Expected those of BCV-Uniandes (ISINet) in the folders of the sequences, "
            f"seq_1/{RAW_SETS[0]}/frame000_class1_inst0.png; they are available from {TYPES_FROM}."
        )
    used = {frame.types for frame in frames.values()}
    ids_of_set = {name: _stored_ids(name, frames) for name in (*RAW_SETS, BUILT_SET) if name in used}
    schemes = {
        name: settle_scheme(root, name, scheme, ids, {f.sequence for f in frames.values() if f.types == name})
        for name, ids in ids_of_set.items()
    }
    notes |= _drop_stapler(frames, schemes, ids_of_set)
    notes |= jpeg_note((frame.image for frame in frames.values()), root)
    colours = {**_colours_of_test_frames(listing.test_lists), **read_label_lists(listing.label_lists)}
    if not colours and any(frame.label for frame in frames.values()):
        raise InputError(
            f"{root}: no release has a labels.json, which lists the colours of the official labels. Get it again."
        )
    return Tree2018(
        root, dict(sorted(frames.items())), colours, schemes, tuple(listing.label_lists), tuple(unmatched), notes
    )


def check_annotated(tree: Tree2018, frame: Frame2018) -> None:
    """Raise InputError if a frame has no instrument types, or a type id that is not known, or raw types but no official label."""
    folder = frame.image.parents[1]
    if frame.types is None:
        raise InputError(
            f"{folder}: has no folder {' or '.join(RAW_SETS)}. Expected the instrument types of BCV-Uniandes (ISINet) in it, "
            f"{RAW_SETS[0]}/{frame.image.stem}_class1_inst0.png; they are available from {TYPES_FROM}."
        )
    if frame.label is None and frame.annotation is None:
        label = folder / "labels" / f"{frame.image.stem}.png"
        raise InputError(missing_file(label, f"the official label of {frame.image}", f"Get it at {WHERE_TO_ASK}."))
    for stored_id, path in frame.masks:
        _native_ids(np.array([stored_id]), tree.schemes[frame.types].name, path)


def type_mask(tree: Tree2018, frame: Frame2018) -> NDArray[np.uint8]:
    """Return the instrument types of a frame as native 2018 ids: uint8 (H, W), 0 where there is no instrument.

    Raises:
        InputError: if the frame has no types or no label, if a file cannot be read or has another size, if a colour is in no label list,
            or if a type id does not belong to the scheme.
    """
    check_annotated(tree, frame)
    assert frame.types is not None
    scheme = tree.schemes[frame.types]
    reference = frame.label or frame.annotation
    assert reference is not None, "a frame with types has a label or an annotation"
    mask = _types_from_colours(tree, frame.label) if frame.label is not None else np.zeros_like(read_ids(reference))
    masks: list[tuple[int | None, Path]] = list(frame.masks)
    if frame.annotation is not None:
        masks.append((None, frame.annotation))
    for stored_id, path in masks:
        values = read_ids(path)
        check_same_size(mask, values, reference, path)
        is_instrument = values > 0
        if stored_id is None:
            is_instrument &= values != STAPLER[scheme.name]
        ids = values[is_instrument] if stored_id is None else np.array([stored_id])
        mask[is_instrument] = _native_ids(ids, scheme.name, path)
    return mask


def _native_ids(stored_ids: NDArray[Any], scheme: str, path: Path) -> NDArray[np.uint8]:
    """Return type ids of a scheme as native 2018 ids. `path` is the file that they come from, for messages."""
    ids = SCHEMES[scheme]
    table = np.full(1000, _UNKNOWN, np.uint8)
    table[list(ids)] = list(ids.values())
    native = table[stored_ids]
    if (native == _UNKNOWN).any():
        raise InputError(
            f"{path}: has the type id {stored_ids[native == _UNKNOWN][0]}; the id scheme {scheme} has {', '.join(map(str, ids))}, and "
            f"{STAPLER[scheme]} for the stapler. Remove masks without an instrument, or state the scheme in the study: "
            "raw: endovis2018_scheme."
        )
    return native


def _types_from_colours(tree: Tree2018, path: Path) -> NDArray[np.uint8]:
    label = read_colours(path)
    codes = label[..., 0].astype(np.uint32)
    for channel in (1, 2):
        codes <<= 8
        codes |= label[..., channel]
    mask = _colour_table(tuple(sorted(tree.colours.items())))[codes]
    unknown = mask == _UNKNOWN
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise InputError(
            f"{path}: the colour {tuple(label[row, column].tolist())} at row {row}, column {column} is in no label list; "
            f"known: {', '.join(f'{name} {rgb}' for name, rgb in sorted(tree.colours.items()))}."
        )
    return mask


@lru_cache(maxsize=2)
def _colour_table(colours: tuple[tuple[str, Rgb], ...]) -> NDArray[np.uint8]:
    """Return a table of type ids by colour (as one number): 0 for classes without a type id, `_UNKNOWN` for unlisted colours."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for name, (red, green, blue) in colours:
        table[(red << 16) | (green << 8) | blue] = _FROM_COLOUR.get(name, 0)
    return table


def _list_folders(root: Path) -> _Listing:
    listing = _Listing()
    sequences: list[Path] = []
    for path, folders, files in walk(root):
        # The VQLA editions may hold copies of frames. The challenge's test_data has the same folder names but does not belong to the
        # releases; only its label list is used.
        folders[:] = [folder for folder in folders if not VQLA_FOLDER.match(folder)]
        inside_test_data = "test_data" in path.relative_to(root).parts
        if "labels.json" in files:
            (listing.test_lists if inside_test_data else listing.label_lists).append(path / "labels.json")
        if "left_frames" in folders and path.name.startswith("seq_"):
            sequences.append(path)
            folders[:] = []
        elif BUILT_SET in folders and path.name in ("train", "val") and not inside_test_data:
            listing.built.append(path)
            folders[:] = []
        elif path.name == "repairs":
            listing.repairs += mask_files(path)
            lossy = [file for file in frame_files(path) if file.suffix.lower() != ".png"]
            if lossy:
                raise InputError(
                    f"{lossy[0]}: a corrected label stored as JPEG, which changes its values; expected a PNG. Get it again."
                )
    listing.label_lists.sort()
    listing.test_lists.sort()
    annotated = {path: any(mask_files(path / name) for name in ("labels", *RAW_SETS)) for path in sequences}
    released = {path.name for path in sequences if annotated[path]}
    for path in sequences:
        (listing.tests if _is_test(root, path, annotated[path], released) else listing.sequences).append(path)
    return listing


def _is_test(root: Path, sequence: Path, annotated: bool, released: Set[str]) -> bool:
    """Return whether a sequence holds the challenge's test frames.

    It does if it lies in test_data. It also does if it has no labels and one of three signs shows that it is not from a release: its
    folder's name, its frame numbers, or a labelled sequence of the same number.
    """
    parts = sequence.relative_to(root).parts
    if "test_data" in parts:
        return True
    frame_numbers = [
        int(digits[0])
        for path in frame_files(sequence / "left_frames", "frame")
        if (digits := _DIGITS.search(path.stem))
    ]
    return not annotated and (
        sequence.name in released
        or any(_TEST_FOLDER.fullmatch(part) for part in parts)
        or max(frame_numbers, default=0) >= FRAMES_PER_SEQUENCE
    )


def _colours_of_test_frames(lists: list[Path]) -> dict[str, Rgb]:
    """Return the colours in the label lists of the test frames; an unreadable list is not an error."""
    try:
        return read_label_lists(lists)
    except InputError:
        return {}


def _note_on_test_frames(root: Path, tests: list[Path]) -> dict[str, str]:
    if not tests:
        return {}
    count = sum(len(frame_files(path / "left_frames", "frame")) for path in tests)
    first = tests[0].relative_to(root).as_posix()
    return {
        "test_frames": f"{count} frames without labels do not belong to the releases and are not used, e.g. in {first}"
    }


def _read_sequence(folder: Path, unmatched: list[Path]) -> Iterator[Frame2018]:
    """Yield the frames of a sequence, and append its masks and labels without a frame to `unmatched`."""
    number = re.fullmatch(r"seq_(\d{1,4})", folder.name)
    if number is None:
        raise InputError(f"{folder}: expected a folder name like seq_1.")
    sets = [name for name in RAW_SETS if (folder / name).is_dir()]
    types = next((name for name in sets if mask_files(folder / name)), sets[0] if sets else None)
    masks: dict[str, list[tuple[int, Path]]] = {}
    for path in mask_files(folder / types) if types else ():
        match = _MASK_NAME.fullmatch(path.name)
        if match is None:
            raise InputError(f"{path}: expected a name like frame000_class1_inst0.png.")
        masks.setdefault(match["frame"], []).append((int(match["type"]), path))
    labels = {path.stem: path for path in mask_files(folder / "labels") if path.name.startswith("frame")}
    for image in frame_files(folder / "left_frames", "frame"):
        digits = re.fullmatch(r"frame(\d{1,6})", image.stem)
        if digits is None:
            raise InputError(f"{image}: expected a name like frame000.png.")
        of_frame = tuple(masks.pop(image.stem, ()))
        yield Frame2018(int(number[1]), int(digits[1]), image, labels.pop(image.stem, None), types, of_frame)
    unmatched += [path for remaining in masks.values() for _, path in remaining] + list(labels.values())


def _repair(frames: dict[tuple[int, int], Frame2018], repairs: Iterable[Path], unmatched: list[Path]) -> dict[str, str]:
    """Replace labels of the release by their corrected versions, and return a note."""
    taken: dict[tuple[int, int], Path] = {}
    for path in repairs:
        match = _FRAME_NAME.fullmatch(path.name)
        key = (int(match["sequence"]), int(match["frame"])) if match else None
        if key is None or key not in frames:
            unmatched.append(path)
            continue
        other = taken.setdefault(key, path)
        if other != path:
            raise InputError(f"{path}: corrects the same label as {other}. Expected one corrected label per frame.")
        frames[key] = replace(frames[key], label=path)
    if not taken:
        return {}
    listed = ", ".join(f"seq_{sequence} frame{number:03d}" for sequence, number in sorted(taken))
    return {"corrected_labels": f"{len(taken)} labels come from repairs/ instead of the release: {listed}"}


def _add_built(frames: dict[tuple[int, int], Frame2018], folders: Iterable[Path], unmatched: list[Path]) -> None:
    """Add the types of the built set to frames without raw types, and add its images if a release is absent."""
    taken: dict[tuple[int, int], Path] = {}
    for folder in folders:
        for path in mask_files(folder / BUILT_SET):
            match = _FRAME_NAME.fullmatch(path.name)
            if match is None:
                raise InputError(f"{path}: expected a name like seq1_frame000.png.")
            key = int(match["sequence"]), int(match["frame"])
            if key in taken:
                raise InputError(f"{path}: is the same frame as {taken[key]}. Expected every frame once.")
            taken[key] = path
            frame = frames.get(key)
            image = next(
                (i for i in (folder / "images" / path.name, folder / "images" / f"{path.stem}.jpg") if i.is_file()),
                None,
            )
            if frame is not None and frame.types is None:
                frames[key] = replace(frame, types=BUILT_SET, annotation=path)
            elif frame is None and image is not None:
                frames[key] = Frame2018(*key, image, None, BUILT_SET, annotation=path)
            elif frame is None:
                unmatched.append(path)


def read_label_lists(paths: Iterable[Path]) -> dict[str, Rgb]:
    """Return the colours by class name of several labels.json files.

    Raises:
        InputError: if a file is not a label list, or if two lists give one name different colours.
    """
    colours: dict[str, Rgb] = {}
    for path in paths:
        try:
            listed = json.loads(read_text(path, 1 << 20))
            entries = listed["classes"] if isinstance(listed, dict) else listed
            for entry in entries:
                red, green, blue = (int(value) for value in entry["color"][:3])
                if not all(0 <= value <= 255 for value in (red, green, blue)):
                    raise ValueError(f"colour {entry['color']}")
                name = str(entry["name"])
                if colours.setdefault(name, (red, green, blue)) != (red, green, blue):
                    raise InputError(
                        f"{path}: {name} is {(red, green, blue)}, but {colours[name]} in another list; expected one colour."
                    )
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise InputError(
                f"{path}: not a label list ({type(error).__name__}: {error}). Expected a JSON list of "
                '{"name": ..., "color": [r, g, b], "classid": ...}.'
            ) from None
    return colours


def _stored_ids(name: str, frames: Mapping[tuple[int, int], Frame2018]) -> set[int]:
    """Return the type ids that occur in one set. Masks of a built set are read until an id shows the scheme."""
    of_set = [frame for frame in frames.values() if frame.types == name]
    if name != BUILT_SET:
        return {stored_id for frame in of_set for stored_id, _ in frame.masks}
    ids: set[int] = set()
    for frame in sorted(of_set, key=lambda frame: (frame.number, frame.sequence)):
        assert frame.annotation is not None
        try:
            values = read_ids(frame.annotation)
        except InputError:
            continue  # reading the frame itself reports the error
        ids |= set(np.flatnonzero(np.bincount(values.ravel(), minlength=1)).tolist()) - {0}
        if ids & (_NATIVE_ONLY | _COMPATIBLE_ONLY):
            break
    return ids


def _drop_stapler(
    frames: dict[tuple[int, int], Frame2018], schemes: Mapping[str, Scheme], ids_of_set: Mapping[str, set[int]]
) -> dict[str, str]:
    """Remove the stapler's masks from the frames, and return a note."""
    dropped = 0
    for key, frame in frames.items():
        if frame.masks and frame.types:
            remaining = tuple(mask for mask in frame.masks if mask[0] != STAPLER[schemes[frame.types].name])
            dropped += len(frame.masks) - len(remaining)
            frames[key] = replace(frame, masks=remaining)
    with_stapler = [
        f"{name} (id {STAPLER[schemes[name].name]})"
        for name in ids_of_set
        if STAPLER[schemes[name].name] in ids_of_set[name]
    ]
    if not with_stapler:
        return {}
    counted = f", {dropped} raw masks" if dropped else ""
    return {
        "stapler": f"the stapler in {', '.join(with_stapler)} becomes background, because it is not a class of the benchmark{counted}"
    }


# Ids that only one of the schemes has. 8 is the stapler in one scheme and suction in the other.
_NATIVE_ONLY, _COMPATIBLE_ONLY = {4, 5}, {9, 10}


def settle_scheme(
    root: Path, set_name: str, scheme: str, stored_ids: set[int], sequences: Set[int] = frozenset()
) -> Scheme:
    """Determine the id scheme of a set from the ids in it; `scheme` decides if the ids fit both schemes.

    Args:
        root: the raw tree, for messages.
        set_name: name of the set, for messages.
        scheme: the study's setting, "detect" or a name in `SCHEMES`.
        stored_ids: the ids in the set's masks.
        sequences: the sequences of the set, if known.

    Raises:
        InputError: if the ids fit both schemes and the study names none, if they fit no scheme, or if they contradict the study.
    """
    if scheme not in (*SCHEMES, "detect"):
        raise InputError(f"id scheme {scheme!r}: expected detect, {' or '.join(SCHEMES)}.")
    shown = f"{set_name}: ids {', '.join(map(str, sorted(stored_ids))) or 'none'}"
    native, compatible = stored_ids & _NATIVE_ONLY, stored_ids & _COMPATIBLE_ONLY
    detected = ""
    if native and compatible:
        raise InputError(
            f"{root}, {shown}: 4 or 5 belong to native2018, 9 or 10 to compatible2017; one set cannot have both. "
            "Expected the masks of one annotation."
        )
    if native:
        detected, why = "native2018", f"{sorted(native)} occur, which compatible2017 does not have"
    elif compatible:
        detected, why = "compatible2017", f"{sorted(compatible)} occur, which native2018 does not have"
    elif 6 in stored_ids and scheme == "detect" and not (set_name == BUILT_SET and len(sequences) == 1):
        # In the native scheme 6 is suction. Only one real sequence has suction, but neither scissors (4) nor probe (5). So any two
        # sequences of the native scheme together hold 4 or 5. Raw sets hold no suction.
        detected, why = "compatible2017", "6 occurs and 4 and 5 are absent across the set"
    if detected:
        if scheme not in ("detect", detected):
            raise InputError(
                f"{root}, {shown}: the study has endovis2018_scheme: {scheme}, but {why}. Set it to {detected}, or remove the key."
            )
        return Scheme(detected, f"{shown}; {why}")
    if scheme != "detect":
        return Scheme(scheme, f"{shown}; the study names this scheme")
    if not stored_ids & {6, 7, 8}:
        return Scheme("native2018", f"{shown}; both schemes have the same meaning for these ids")
    raise InputError(
        f"{root}, {set_name}: the instrument type ids {sorted(stored_ids)} fit both schemes: native2018 (4 is the curved scissors, "
        "6 suction, 7 the clip applier, 8 the stapler) and compatible2017 (6 is the curved scissors, 7 the ultrasound probe, "
        "8 suction). State the scheme in the study, raw: endovis2018_scheme: native2018 (or compatible2017)."
    )
