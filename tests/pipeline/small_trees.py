"""Raw trees in the real layouts with pictures of some pixels: quick to write at the real number of frames, exact to compare with.

Instrument k of a frame covers row k of its picture, so that the mask that must be built is known without drawing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from pipeline.io.images import Pixels
from pipeline.labels.splits import TEST_2018
from pipeline.sources.endovis2017 import ANNOTATED_FRAMES
from pipeline.sources.endovis2018 import BUILT_SET, COMPATIBLE_2017, NATIVE, RAW_SETS, SEQUENCES, STAPLER
from pipeline.sources.synthetic.casts import Cast, read_casts
from pipeline.sources.synthetic.endovis2018_tree import NATIVE_IDS
from pipeline.sources.vqla import SURPLUS_2018, State

Key = tuple[int, int]
HEIGHT, WIDTH = 12, 16
IMAGE = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
RELEASES = {
    "miccai_challenge_2018_release_1": range(1, 5),
    "miccai_challenge_release_2/miccai_challenge_release_2": range(5, 8),
    "miccai_challenge_release_3": range(9, 13),
    "miccai_challenge_release_4": range(13, 17),
}
COLOURS = {
    "background-tissue": (0, 0, 0),
    "instrument-shaft": (0, 255, 0),
    "suction-instrument": (123, 15, 175),
    "ultrasound-probe": (12, 255, 141),
}
FROM_COLOUR = {"suction": "suction-instrument", "ultrasound_probe": "ultrasound-probe"}
REPAIRED = [(1, 42), (1, 43), (1, 44), (1, 73), (4, 135), (4, 137), (4, 138)]


@cache
def _png(shape: tuple[int, ...], content: bytes) -> bytes:
    pixels = np.frombuffer(content, np.uint8).reshape(shape)
    return bytes(cv2.imencode(".png", pixels if len(shape) == 2 else pixels[..., ::-1])[1])


def put(path: Path, pixels: Pixels) -> Path:
    """Write a PNG; the same pixels are encoded once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_png(pixels.shape, pixels.tobytes()))
    return path


def put_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def grey(*rows: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """A mask with a value in each of its first rows, 0 below."""
    mask = np.zeros((height, width), np.uint8)
    for row, value in enumerate(rows):
        mask[row] = value
    return mask


def states_text(cast: Cast) -> str:
    lines = [f"What is the state of {doing.instrument}?|{doing.action}|1, 1, 9, 9" for doing in cast]
    return "\n".join(["What organ is being operated?|kidney", *lines, ""])


def expected_mask(cast: Cast) -> Pixels:
    """What must be built of a frame; the stapler is background."""
    return grey(*(NATIVE_IDS.get(doing.instrument, 0) for doing in cast))


def annotated_2018() -> dict[Key, Cast]:
    """The 1,996 annotated frames, as many of each sequence's part as there are, with the real casts in some order."""
    train = [number for number in SEQUENCES if number not in (*TEST_2018, 13)]
    keys = [(s, n) for i, s in enumerate(train) for n in range(149 - 7 - (i < 2))]
    keys += [(s, n) for s in TEST_2018 for n in range(149) if (s, n) not in SURPLUS_2018]
    casts = [cast for some in read_casts("endovis18").values() for cast, count in some for _ in range(count)]
    return dict(zip(keys, casts, strict=True))


def write_2018(
    root: Path,
    frames: Mapping[Key, Cast],
    types: str = RAW_SETS[0],
    scheme: str = "compatible2017",
    stapler: bool = False,
) -> Path:
    """Write the releases with labels and types of some frames.

    Args:
        root: the folder to fill. frames: who is in each. types: the set that types are written as.
        scheme: of its ids. stapler: whether its masks are in the set.
    """
    ids = {
        native: written for written, native in {"compatible2017": COMPATIBLE_2017, "native2018": NATIVE}[scheme].items()
    }
    for (sequence, number), cast in frames.items():
        release = next(name for name, numbers in RELEASES.items() if sequence in numbers)
        folder, name = root / release / f"seq_{sequence}", f"frame{number:03d}"
        put(folder / "left_frames" / f"{name}.png", IMAGE)
        put(folder / "labels" / f"{name}.png", colour_label(cast))
        written = [
            STAPLER[scheme]
            if stapler and doing.instrument == "stapler"
            else ids.get(NATIVE_IDS.get(doing.instrument, 0), 0)
            for doing in cast
        ]
        if types == BUILT_SET:
            put(root / "isinet/train" / BUILT_SET / f"seq{sequence}_{name}.png", grey(*written))
            continue
        (folder / types).mkdir(exist_ok=True)
        for row, (doing, type_id) in enumerate(zip(cast, written, strict=True)):
            if type_id and doing.instrument not in FROM_COLOUR:
                mask = grey(*(255 if other == row else 0 for other in range(row + 1)))
                put(folder / types / f"{name}_class{type_id}_inst{row}.png", mask)
    for release in {name for name, numbers in RELEASES.items() if any(sequence in numbers for sequence, _ in frames)}:
        listed = [
            {"name": name, "color": list(colour), "classid": i} for i, (name, colour) in enumerate(COLOURS.items())
        ]
        put_text(root / release / "labels.json", json.dumps(listed))
    return root


def colour_label(cast: Cast) -> Pixels:
    label = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for row, doing in enumerate(cast):
        label[row] = COLOURS[FROM_COLOUR.get(doing.instrument, "instrument-shaft")]
    return label


def write_repairs(root: Path, frames: Mapping[Key, Cast], keys: Iterable[Key] = tuple(REPAIRED)) -> None:
    """Write corrected labels, and over the release's labels what must not be read: a colour that no list names."""
    for sequence, number in keys:
        put(root / f"repairs/repairs/seq_{sequence}_frame{number:03d}.png", colour_label(frames[sequence, number]))
        (label,) = root.glob(f"miccai*/**/seq_{sequence}/labels/frame{number:03d}.png")
        put(label, np.full((HEIGHT, WIDTH, 3), 77, np.uint8))


TEST_LAYOUTS = {
    "test_data": "test_data/seq_{n}",
    "doubled": "test_data/test_data/seq_{n}-20190312T101500Z-001/seq_{n}",
    "stamped": "seq_{n}-20190312T101500Z-001/seq_{n}",
    "root": "seq_{n}",
    "one_deep": "seq_{n}-20190312T101500Z-001",
}


def write_tests(root: Path, layout: str, numbers: Iterable[int] = range(250)) -> None:
    """Write the challenge's test frames of sequences 1 to 4, which have no labels, in one of the layouts they come in."""
    for n in range(1, 5):
        for number in numbers:
            put(root / TEST_LAYOUTS[layout].format(n=n) / "left_frames" / f"frame{number:03d}.png", IMAGE)


def write_texts(folder: Path, frames: Mapping[Key, Cast], first_edition: bool = False) -> None:
    """Write the annotations of one edition; the first one has some frames more."""
    surplus = dict.fromkeys(SURPLUS_2018, (State("prograsp_forceps", "idle"),)) if first_edition else {}
    for (sequence, number), cast in {**frames, **surplus}.items():
        put_text(folder / f"seq_{sequence}/vqla/label/frame{number:03d}_QA.txt", states_text(cast))


def few_2018() -> dict[Key, Cast]:
    """Twelve frames of two sequences, half of them cutting."""
    cut = (State("monopolar_curved_scissors", "cutting"), State("suction", "suction"), State("bipolar_forceps", "idle"))
    idle = (State("prograsp_forceps", "idle"), State("stapler", "idle"))
    return {(s, 11 + n): (cut, idle)[n % 2] for s in (1, 5) for n in range(6)}


def write_few_2018(root: Path) -> Path:
    write_2018(root, few_2018())
    write_texts(root / "EndoVis-18-VQLA", few_2018())
    return root


def write_few_2017(root: Path) -> Path:
    """Two frames of each annotated sequence with both ground truths, half in one layout and half in the other, and their texts."""
    for sequence, numbers in ANNOTATED_FRAMES.items():
        folder = root / "train" / f"instrument_dataset_{sequence}"
        for number in numbers[:2]:
            name = f"frame{number:03d}.png"
            put(folder / "left_frames" / name, IMAGE)
            if sequence < 8:
                put(folder / "ground_truth/Left_Prograsp_Forceps_labels" / name, grey(10, 20, 30))
                put(folder / "ground_truth/Right_Prograsp_Forceps_labels" / name, grey(0, 0, 0, 10))
            else:
                put(folder / "TypeSegmentation" / name, grey(2, 2, 6))
                put(folder / "PartsSegmentation" / name, grey(10, 20, 30))
            cast = (State("prograsp_forceps", "grasping"),)
            put_text(root / f"EndoVis-17-VQLA/vqla/label/seq{sequence}_frame{number:03d}.txt", states_text(cast))
    return root


def write_few_released(root: Path, activities: int, values: tuple[int, ...]) -> Path:
    for split, count in (("train", 4), ("test", 1)):
        for k in range(1, activities + 1):
            for index in range(count):
                put(root / split / str(k) / f"image/{index:02d}.png", IMAGE)
                put(root / split / str(k) / f"mask/{index:02d}.png", grey(*values))
    return root


def write_few_own(root: Path) -> Path:
    """Twelve frames of three cases in two activities, case2 in the test split."""
    rows = ["name,activity,sequence,split"]
    for index in range(12):
        name = f"case{index % 3}_{index:02d}"
        put(root / f"images/{name}.png", IMAGE)
        put(root / f"masks/{name}.png", grey(1, 2))
        rows.append(f"{name}.png,{('cut', 'idle')[index % 2]},case{index % 3},{'test' if index % 3 == 2 else 'train'}")
    put_text(root / "labels.csv", "\n".join(rows) + "\n")
    return root
