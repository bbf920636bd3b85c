"""Generates an EndoVis 2018 tree with instrument types and its EndoVis-18-VQLA annotations.

The tree includes the variants and irregularities of the real downloads:

- a wrapper folder nested twice, a zipped release, a `__MACOSX` folder, a right camera, the challenge's test frames in three places;
- label lists with only the classes of their release, RGB and RGBA labels, two labels that repairs/ corrects;
- types in two raw folders and in the built layout, in both id schemes, as masks of 0/1, of 0/255 and in RGB, with the stapler;
- a sequence that only the built layout has, no seq_8, no annotation of seq_13;
- texts in three folders, XML, two editions of one sequence.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipeline.io.images import write_png
from pipeline.labels.activities import ENDOVIS_COUNTS
from pipeline.sources.endovis2018 import BUILT_SET, COMPATIBLE_2017, NATIVE, RAW_SETS, STAPLER
from pipeline.sources.synthetic.archive import zip_away
from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.instruments import CLASPER, SHAFT, WRIST
from pipeline.sources.synthetic.scenes import Scene, render_scene
from pipeline.sources.synthetic.script import divide, episodes, proportional_counts
from pipeline.sources.synthetic.tissue import sample_style
from pipeline.sources.synthetic.vqla_text import write_text, write_xml


@dataclass(frozen=True)
class _Release:
    """A release: its folder, its sequences, the set of its instrument types, and their native ids by stored id."""

    folder: str
    sequences: tuple[int, ...]
    types: str
    ids: dict[int, int]


_RELEASES = (
    _Release("miccai_challenge_2018_release_1", (1, 2, 3, 4), RAW_SETS[0], COMPATIBLE_2017),
    _Release("miccai_challenge_release_2/miccai_challenge_release_2", (5, 6, 7), RAW_SETS[1], NATIVE),
    _Release("miccai_challenge_release_3", (9, 10, 11, 12), BUILT_SET, NATIVE),
    _Release("miccai_challenge_release_4", (13, 14, 15, 16), RAW_SETS[0], COMPATIBLE_2017),
)
_ZIPPED = "miccai_challenge_release_4"
_BUILT_ONLY = 12  # this sequence is in no release, only among the built types
_BUILT_VALIDATION = (9,)  # ISINet validates on the sequences 2, 5, 9 and 15, of which only 9 is built here
_NOT_ANNOTATED = 13  # the VQLA annotations lack this sequence
_TEXT_FOLDERS = {3: "vqla/Classification", 4: "vqa/Classification", 14: "vqla/Classification"}
_SEQUENCES_AS_XML = (7, 11)
_SEQUENCE_IN_TWO_EDITIONS = 5
_COLOURS = {
    "background-tissue": (0, 0, 0),
    "instrument-shaft": (0, 255, 0),
    "instrument-clasper": (0, 255, 255),
    "instrument-wrist": (125, 255, 12),
    "kidney-parenchyma": (255, 55, 0),
    "suction-instrument": (123, 15, 175),
    "ultrasound-probe": (12, 255, 141),
}
_PART_COLOUR = {SHAFT: "instrument-shaft", WRIST: "instrument-wrist", CLASPER: "instrument-clasper"}
# Native type ids; the stapler is not a class of the labels.
NATIVE_IDS = {
    "bipolar_forceps": 1,
    "prograsp_forceps": 2,
    "large_needle_driver": 3,
    "monopolar_curved_scissors": 4,
    "ultrasound_probe": 5,
    "suction": 6,
    "clip_applier": 7,
}
_COLOUR_ONLY = {"suction": "suction-instrument", "ultrasound_probe": "ultrasound-probe"}
_REPAIRED = (1, 4)  # sequences with one label that a file in repairs/ corrects
_FRAMES_NOT_ANNOTATED = 8  # frames without annotation: two of seq_1, six of seq_13


@dataclass
class _Tree:
    """The tree that is written: folder, frame size, random generator, and the number of pixels of each label in the current release."""

    root: Path
    height: int
    width: int
    rng: np.random.Generator
    used: Counter[str] = field(default_factory=Counter)


def generate_endovis2018(root: Path, frames: int, height: int, width: int, seed: int, floor: int = 5) -> None:
    """Write the tree `root` (releases, built types) and its annotations under `root`/EndoVis-18-VQLA*.

    Args:
        root: an existing folder to fill.
        frames: number of frames over all 15 sequences; 8 of these frames have no annotation.
        height: height of a frame in pixels.
        width: width of a frame in pixels.
        seed: random seed.
        floor: smallest number of frames per activity.
    """
    rng = np.random.default_rng(seed)
    counts = proportional_counts(ENDOVIS_COUNTS, frames - _FRAMES_NOT_ANNOTATED, floor)
    numbers = [number for release in _RELEASES for number in release.sequences]
    annotated = [number for number in numbers if number != _NOT_ANNOTATED]
    plan = dict(zip(annotated, divide(episodes(counts, rng), len(annotated)), strict=True))
    not_annotated = divide(["idle"] * _FRAMES_NOT_ANNOTATED, 4)
    plan[_NOT_ANNOTATED] = not_annotated[0] + not_annotated[1] + not_annotated[2]
    plan[1] = not_annotated[3] + plan[1]
    tree = _Tree(root, height, width, rng)
    with tqdm(total=frames, desc="generate endovis2018", unit="frame") as progress:
        for release in _RELEASES:
            tree.used.clear()
            for number in release.sequences:
                _write_sequence(tree, release, number, plan[number], progress)
            named = [name for name in _COLOURS if tree.used[name] or name == "background-tissue"]
            labels = [{"name": n, "color": list(_COLOURS[n]), "classid": i} for i, n in enumerate(named)]
            (root / release.folder / "labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")
    _write_unused_files(root)
    for number in _REPAIRED:
        _correct_label(root, number)
    zip_away(root / _ZIPPED)


def _write_unused_files(root: Path) -> None:
    """Write files that the downloads contain, but no dataset uses."""
    release = root / _RELEASES[1].folder
    system_files = release / "__MACOSX" / "seq_5" / "left_frames"
    system_files.mkdir(parents=True)
    (system_files / "._frame000.png").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (release / "seq_5" / "right_frames").mkdir()
    test_data = root / "test_data"
    download_suffix = "-20180912T090000Z-001"
    for folder in (
        test_data / "seq_1",
        test_data / f"test_data/seq_2{download_suffix}/seq_2",
        root / f"seq_3{download_suffix}/seq_3",
    ):
        write_png(folder / "left_frames" / "frame000.png", np.zeros((32, 40, 3), np.uint8))
    classes = [{"name": n, "color": [*c, 255], "classid": i} for i, (n, c) in enumerate(_COLOURS.items())]
    (test_data / "labels.json").write_text(json.dumps({"classes": classes}), encoding="utf-8")


def _correct_label(root: Path, number: int) -> None:
    """Move the last label of a sequence into repairs/, and replace it by a wrong label with an additional instrument."""
    label = sorted(root.glob(f"**/seq_{number}/labels/*.png"))[-1]
    corrected = root / "repairs" / "repairs" / f"seq_{number}_{label.name}"
    corrected.parent.mkdir(parents=True, exist_ok=True)
    label.rename(corrected)
    wrong = np.array(Image.open(corrected).convert("RGB"))
    wrong[:8, :8] = _COLOURS["suction-instrument"]
    write_png(label, wrong)


def _write_sequence(tree: _Tree, release: _Release, number: int, activities: list[str], progress: tqdm) -> None:
    """Write the frames of one sequence, one per activity in `activities`, with their labels, types and annotations."""
    folder = tree.root / release.folder / f"seq_{number}"
    style = sample_style(tree.rng)
    if number != _BUILT_ONLY:
        for name in ("left_frames", "labels", *([release.types] if release.types in RAW_SETS else [])):
            (folder / name).mkdir(parents=True)
        calibration = f"Width: {tree.width}\nHeight: {tree.height}\n"
        (folder / "camera_calibration.txt").write_text(calibration, encoding="utf-8")
    for index, activity in enumerate(activities):
        frame = _frame_number(number, index, len(activities))
        cast = cast_frame(activity, tree.rng)
        scene = render_scene(cast, style, tree.height, tree.width, tree.rng)
        name = f"frame{frame:03d}"
        if number != _BUILT_ONLY:
            write_png(folder / "left_frames" / f"{name}.png", scene.image)
            _write_colour_label(folder / "labels" / f"{name}.png", scene, frame % 3 == 0, tree.used)
        if release.types in RAW_SETS:
            _write_type_masks(folder / release.types, name, scene, frame, release.ids)
        else:
            split = "val" if number in _BUILT_VALIDATION else "train"
            _write_built(tree.root / "isinet" / split, f"seq{number}_{name}.png", scene, release.ids)
        if number != _NOT_ANNOTATED and not (number == 1 and frame < 11):
            _write_annotation(tree.root, number, frame, scene)
        progress.update()


def _frame_number(sequence: int, index: int, count: int) -> int:
    """Return the number of the frame `index` of `count` frames. In seq_1 two frames precede the first annotated frame, which is 011."""
    if sequence != 1:
        return index * (149 // count)
    return index * 5 if index < 2 else 11 + (index - 2) * (137 // count)


def _write_annotation(root: Path, sequence: int, frame: int, scene: Scene) -> None:
    inside = Path(f"seq_{sequence}") / _TEXT_FOLDERS.get(sequence, "vqla/label") / f"frame{frame:03d}_QA.txt"
    if sequence in _SEQUENCES_AS_XML:
        write_xml(root / "instruments18" / f"seq_{sequence}" / "xml" / f"frame{frame:03d}.xml", scene)
    else:
        write_text(root / "EndoVis-18-VQLA" / inside, scene, frame)
    if sequence == _SEQUENCE_IN_TWO_EDITIONS:
        write_text(root / "EndoVis-18-VQLA-Extend" / inside, scene, frame + 1)


def _write_colour_label(path: Path, scene: Scene, with_alpha: bool, used: Counter[str]) -> None:
    height, width = scene.image.shape[:2]
    colours = np.zeros((height, width, 3), np.uint8)
    for drawn in scene.instruments:
        if drawn.state.instrument not in NATIVE_IDS:
            continue
        for part, name in _PART_COLOUR.items():
            label = _COLOUR_ONLY.get(drawn.state.instrument, name)
            where = drawn.parts == part
            colours[where] = _COLOURS[label]
            used[label] += int(where.sum())
    if with_alpha:
        alpha = np.full((height, width, 1), 255, np.uint8)
        Image.fromarray(np.concatenate([colours, alpha], axis=2), "RGBA").save(path)
    else:
        write_png(path, colours)


def _write_type_masks(folder: Path, name: str, scene: Scene, frame: int, ids: dict[int, int]) -> None:
    """Write one binary mask per instrument, except probe and suction instrument, which the colour labels contain."""
    stored_id = {native: stored for stored, native in ids.items()}
    seen: Counter[int] = Counter()
    for drawn in scene.instruments:
        kind = drawn.state.instrument
        # A native set with the stapler (8) but without scissors (4) would fit both schemes, so only the other scheme gets the stapler.
        is_stapler = kind == "stapler" and ids is COMPATIBLE_2017
        if kind in _COLOUR_ONLY or (kind not in NATIVE_IDS and not is_stapler):
            continue
        type_id = STAPLER["compatible2017"] if is_stapler else stored_id[NATIVE_IDS[kind]]
        binary = (drawn.parts > 0).astype(np.uint8) * (1 if frame % 2 else 255)
        stored = np.repeat(binary[..., None], 3, axis=2) if frame % 5 == 0 else binary
        write_png(folder / f"{name}_class{type_id}_inst{seen[type_id]}.png", stored)
        seen[type_id] += 1


def _write_built(folder: Path, name: str, scene: Scene, ids: dict[int, int]) -> None:
    types = types_mask(scene, ids)
    for kind, pixels in (
        ("images", scene.image),
        (BUILT_SET, types),
        ("binary_annotations", (types > 0).astype(np.uint8)),
    ):
        write_png(folder / kind / name, pixels)


def types_mask(scene: Scene, ids: dict[int, int]) -> NDArray[np.uint8]:
    """Return a scene's instrument types as ids of one scheme: uint8 (H, W). `ids` has the native id of each id of the scheme."""
    stored_id = {native: stored for stored, native in ids.items()}
    types = np.zeros(scene.image.shape[:2], np.uint8)
    for drawn in scene.instruments:
        if drawn.state.instrument in NATIVE_IDS:
            types[drawn.parts > 0] = stored_id[NATIVE_IDS[drawn.state.instrument]]
    return types
