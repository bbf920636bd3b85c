"""Writes a generated EndoVis-2018 tree with instrument types, and the EndoVis-18-VQLA texts beside it.

The traps of the real downloads are kept: a doubled wrapper folder, `__MACOSX` litter, label lists that each name only
their release's classes, RGB and RGBA labels, binary masks of 0/1 and 0/255 and in RGB, no seq_8, no texts for seq_13.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.datasets.activities import ENDOVIS_COUNTS
from pipeline.images import write_png
from pipeline.sources.synthetic.instruments import CLASPER, SHAFT, WRIST
from pipeline.sources.synthetic.scenes import Scene, cast_frame, render_scene
from pipeline.sources.synthetic.script import deal, episodes, proportional_counts
from pipeline.sources.synthetic.tissue import sample_style
from pipeline.sources.synthetic.vqla_text import write_annotations

_RELEASES: dict[str, tuple[int, ...]] = {
    "miccai_challenge_2018_release_1": (1, 2, 3, 4),
    "miccai_challenge_release_2/miccai_challenge_release_2": (5, 6, 7),
    "miccai_challenge_release_3": (9, 10, 11, 12),
    "miccai_challenge_release_4": (13, 14, 15, 16),
}
_WITHOUT_TEXTS = 13
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
# Types with masks of their own, in the 2017-compatible ids of `instrument_labels_2017`.
_TYPE_IDS = {
    "bipolar_forceps": 1,
    "prograsp_forceps": 2,
    "large_needle_driver": 3,
    "monopolar_curved_scissors": 6,
    "clip_applier": 9,
}
_COLOUR_ONLY = {"suction": "suction-instrument", "ultrasound_probe": "ultrasound-probe"}
_UNLABELLED = 8  # frames without annotation: two of seq_1, six of seq_13


def generate_endovis2018(root: Path, frames: int, height: int, width: int, seed: int, floor: int = 5) -> None:
    """Write the tree `root` (releases) and its texts under `root`/EndoVis-18-VQLA.

    Args:
        root: an existing folder to fill.
        frames: how many frames over all 15 sequences, 8 of them without annotation.
        height, width: size of a frame in pixels.
        seed: decides everything.
        floor: the least number of frames an activity gets.
    """
    rng = np.random.default_rng(seed)
    counts = proportional_counts(ENDOVIS_COUNTS, frames - _UNLABELLED, floor)
    annotated = [number for numbers in _RELEASES.values() for number in numbers if number != _WITHOUT_TEXTS]
    plan = dict(zip(annotated, deal(episodes(counts, rng), len(annotated)), strict=True))
    extra = deal(["idle"] * _UNLABELLED, 4)
    plan[_WITHOUT_TEXTS] = extra[0] + extra[1] + extra[2]
    plan[1] = extra[3] + plan[1]
    with tqdm(total=frames, desc="generate endovis2018", unit="frame") as progress:
        for release, sequences in _RELEASES.items():
            used: Counter[str] = Counter()
            for number in sequences:
                _write_sequence(root, release, number, plan[number], height, width, rng, used, progress)
            named = [name for name in _COLOURS if used[name] or name == "background-tissue"]
            labels = [{"name": n, "color": list(_COLOURS[n]), "classid": i} for i, n in enumerate(named)]
            (root / release / "labels.json").write_text(json.dumps(labels, indent=1), encoding="utf-8")


def _write_sequence(
    root: Path,
    release: str,
    number: int,
    activities: list[str],
    height: int,
    width: int,
    rng: np.random.Generator,
    used: Counter[str],
    progress: tqdm,
) -> None:
    folder = root / release / f"seq_{number}"
    for name in ("left_frames", "labels", "instrument_labels_2017"):
        (folder / name).mkdir(parents=True)
    (folder / "camera_calibration.txt").write_text(f"Width: {width}\nHeight: {height}\n", encoding="utf-8")
    style = sample_style(rng)
    step = 149 // max(1, len(activities))
    for index, activity in enumerate(activities):
        # The first annotated frame of seq_1 is 011 in the real texts.
        frame = (
            index * step if number != 1 else (index * 5 if index < 2 else 11 + (index - 2) * (137 // len(activities)))
        )
        scene = render_scene(cast_frame(activity, rng), style, height, width, rng)
        name = f"frame{frame:03d}"
        write_png(folder / "left_frames" / f"{name}.png", scene.image)
        _write_colour_label(folder / "labels" / f"{name}.png", scene, frame % 3 == 0, used)
        _write_type_masks(folder / "instrument_labels_2017", name, scene, frame)
        if number != _WITHOUT_TEXTS and not (number == 1 and frame < 11):
            write_annotations(root / "EndoVis-18-VQLA" / f"seq_{number}" / "vqla" / "label" / f"{name}_QA.txt", scene)
        progress.update()
    if number == 5:
        litter = root / release / "__MACOSX" / f"seq_{number}" / "left_frames"
        litter.mkdir(parents=True)
        (litter / "._frame000.png").write_bytes(b"\x00\x05\x16\x07Mac OS X")


def _write_colour_label(path: Path, scene: Scene, with_alpha: bool, used: Counter[str]) -> None:
    height, width = scene.image.shape[:2]
    colours = np.zeros((height, width, 3), np.uint8)
    for drawn in scene.instruments:
        if drawn.doing.instrument == "stapler":  # not a class of the labels
            continue
        for part, name in _PART_COLOUR.items():
            label = _COLOUR_ONLY.get(drawn.doing.instrument, name)
            where = drawn.parts == part
            colours[where] = _COLOURS[label]
            used[label] += int(where.sum())
    if with_alpha:
        _write_rgba(path, colours)
    else:
        write_png(path, colours)


def _write_rgba(path: Path, colours: NDArray[np.uint8]) -> None:
    from PIL import Image

    alpha = np.full((*colours.shape[:2], 1), 255, np.uint8)
    Image.fromarray(np.concatenate([colours, alpha], axis=2), "RGBA").save(path)


def _write_type_masks(folder: Path, name: str, scene: Scene, frame: int) -> None:
    seen: Counter[int] = Counter()
    for drawn in scene.instruments:
        type_id = _TYPE_IDS.get(drawn.doing.instrument)
        if type_id is None:
            continue
        binary = (drawn.parts > 0).astype(np.uint8) * (1 if frame % 2 else 255)
        stored = np.repeat(binary[..., None], 3, axis=2) if frame % 5 == 0 else binary
        write_png(folder / f"{name}_class{type_id}_inst{seen[type_id]}.png", stored)
        seen[type_id] += 1
