"""Generates an EndoVis 2017 tree (training and test split) with its EndoVis-17-VQLA annotations.

Images are 16:9 with a dark border, like the real ones of 1920x1080, and some frames have no annotation. The tree has the irregularities
of the real downloads:

- Ground truth is in folders with irregular names in the training split, and in TypeSegmentation and PartsSegmentation in the test split: a
  separate .zip for sequence 8, a folder gt/ for sequence 9.
- Some masks have three channels, and parts include the value 40.
- Some instruments occur in no annotated frame, and one "other" instrument is not a probe.
- Annotations are texts in two folders and XML, and one sequence has two editions.
- There is a `__MACOSX` folder.
"""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from pipeline.io.images import write_png
from pipeline.labels.activities import GEN_COUNTS
from pipeline.sources.endovis2017 import ANNOTATED_FRAMES
from pipeline.sources.official_crop import crop_window
from pipeline.sources.synthetic.archive import zip_away
from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.scenes import Scene, render_scene
from pipeline.sources.synthetic.script import episodes, proportional_counts
from pipeline.sources.synthetic.tissue import sample_style
from pipeline.sources.synthetic.vqla_text import write_text, write_xml
from pipeline.sources.vqla import State

_TYPE_IDS = {
    "bipolar_forceps": 1,
    "prograsp_forceps": 2,
    "large_needle_driver": 3,
    "monopolar_curved_scissors": 6,
    "ultrasound_probe": 7,
}
_FOLDERS = {
    "bipolar_forceps": "Maryland_Bipolar_Forceps_labels",
    "prograsp_forceps": "Left_Prograsp_Forceps_labels",
    "large_needle_driver": "Large_Needle_Driver_Right_labels",
    "monopolar_curved_scissors": "Monopolar_Curved_Scissors_labels",
    "ultrasound_probe": "Other_labels",
}
_BORDER = 15  # grey value
_SEQUENCE_WITH_GT = 9  # its masks are in a folder gt/
_SEQUENCE_IN_TWO_EDITIONS = 1
_OTHER_THAN_PROBE = (6, 40)  # the annotated frame with an "other" instrument that is not a probe
_NOT_ANNOTATED = ((3, 0), (3, 100), (9, 299))  # frames without annotation


def generate_endovis2017(root: Path, height: int, width: int, seed: int, keep_every: int = 1) -> None:
    """Write the trees `root`/{train,test,testing_label} and the annotations under `root`/EndoVis-17-VQLA.

    Args:
        root: an existing folder to fill.
        height: height of a raw frame in pixels; frames are 16:9 including their border.
        width: width of a raw frame in pixels.
        seed: random seed.
        keep_every: 1 writes all 97 annotated frames; k writes every k-th frame (for small trees).
    """
    rng = np.random.default_rng(seed)
    frames = [(sequence, number) for sequence, numbers in ANNOTATED_FRAMES.items() for number in numbers][::keep_every]
    # The ultrasound probe is only in sequences 1 and 2; the other activities may be anywhere.
    counts = proportional_counts(GEN_COUNTS, len(frames), 1)
    sensing = counts.pop("ultrasound_sensing")
    others = iter(episodes(counts, rng))
    may_have_probe = [frame for frame in frames if frame[0] in (1, 2)]
    sensing_frames = {may_have_probe[int(index)] for index in rng.permutation(len(may_have_probe))[:sensing]}
    activity_of: dict[tuple[int, int], str] = {}
    for frame in frames:
        activity_of[frame] = "ultrasound_sensing" if frame in sensing_frames else next(others, "grasping")
    for frame in _NOT_ANNOTATED:
        activity_of[frame] = "idle"
    styles = {sequence: sample_style(rng) for sequence in sorted({sequence for sequence, _ in activity_of})}
    top, bottom, left, right = crop_window(height, width)
    for (sequence, number), activity in tqdm(sorted(activity_of.items()), desc="generate endovis2017", unit="frame"):
        cast = _without_probe(sequence, cast_frame(activity, rng, "endovis17"))
        scene = render_scene(cast, styles[sequence], bottom - top, right - left, rng)
        framed = np.full((height, width, 3), _BORDER, np.uint8)
        framed[top:bottom, left:right] = scene.image
        in_test = sequence >= 9 or number >= 225
        folder = root / ("test" if in_test else "train") / f"instrument_dataset_{sequence}"
        write_png(folder / "left_frames" / f"frame{number:03d}.png", framed)
        window = (height, width, top, left)
        if in_test:
            separate = root / "testing_label" / f"instrument_dataset_{sequence}"
            truth = folder / "gt" if sequence == _SEQUENCE_WITH_GT else separate
            _write_test_truth(truth, number, scene, window)
        else:
            _write_train_truth(folder / "ground_truth", number, scene, window)
        if (sequence, number) not in _NOT_ANNOTATED:
            _write_vqla(root / "EndoVis-17-VQLA", sequence, number, scene)
    (root / "train" / "instrument_dataset_3" / "right_frames").mkdir()
    for name in ("Right_Vessel_Sealer", "Grasping_Retractor_Right_labels"):  # instruments of frames without annotation
        labels = root / "train" / "instrument_dataset_3" / "ground_truth" / name
        write_png(labels / "frame000.png", np.zeros((height, width), np.uint8))
    system_files = root / "train" / "__MACOSX" / "instrument_dataset_1" / "left_frames"
    system_files.mkdir(parents=True)
    (system_files / "._frame015.png").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    if (root / "testing_label").is_dir():  # a small tree may have no test frame of sequence 8
        zip_away(root / "testing_label")


def _without_probe(sequence: int, cast: tuple[State, ...]) -> tuple[State, ...]:
    """Return a cast without the ultrasound probe. Return casts of sequences 1 and 2 unchanged, because their real frames have it."""
    others = tuple(state for state in cast if sequence in (1, 2) or state.instrument != "ultrasound_probe")
    return others or (State("prograsp_forceps", "idle"),)


def _framed(mask: NDArray[np.uint8], window: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return a mask with the border of a raw frame. `window` is the frame's height and width, and the mask's top and left."""
    height, width, top, left = window
    framed = np.zeros((height, width), np.uint8)
    framed[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return framed


def _write_train_truth(folder: Path, number: int, scene: Scene, window: tuple[int, int, int, int]) -> None:
    """Write one folder per instrument with parts as 10, 20 and 30. Every third mask has three equal channels."""
    masks = {name: np.zeros(scene.image.shape[:2], np.uint8) for name in _FOLDERS}
    for drawn in scene.instruments:
        where = drawn.parts > 0
        masks[drawn.state.instrument][where] = drawn.parts[where] * 10
    if number == _OTHER_THAN_PROBE[1] and folder.parent.name == f"instrument_dataset_{_OTHER_THAN_PROBE[0]}":
        masks["ultrasound_probe"][:4, :6] = 40
    for name, mask in masks.items():
        if name != "ultrasound_probe" or mask.any():
            framed = _framed(mask, window)
            path = folder / _FOLDERS[name] / f"frame{number:03d}.png"
            write_png(path, np.repeat(framed[..., None], 3, axis=2) if number % 3 == 0 else framed)


def _write_test_truth(folder: Path, number: int, scene: Scene, window: tuple[int, int, int, int]) -> None:
    types = np.zeros(scene.image.shape[:2], np.uint8)
    parts = np.zeros_like(types)
    for drawn in scene.instruments:
        where = drawn.parts > 0
        types[where] = _TYPE_IDS[drawn.state.instrument]
        parts[where] = drawn.parts[where] * 10
    parts[:2, :2] = 40  # "other" part
    binary = np.where(types > 0, 255, 0).astype(np.uint8)
    for name, mask in (("TypeSegmentation", types), ("PartsSegmentation", parts), ("BinarySegmentation", binary)):
        framed = _framed(mask, window)
        stored = np.repeat(framed[..., None], 3, axis=2) if number % 4 == 3 else framed
        write_png(folder / name / f"frame{number:03d}.png", stored)


def _write_vqla(root: Path, sequence: int, number: int, scene: Scene) -> None:
    stem = f"seq{sequence}_frame{number:03d}"
    if number % 10 == 5:
        write_text(root / "vqla" / "Classification" / f"{stem}.txt", scene, number)
    elif sequence == 2:
        write_xml(root / "xml" / f"{stem}.xml", scene)
    else:
        write_text(root / "vqla" / "label" / f"{stem}.txt", scene, number)
    if sequence == _SEQUENCE_IN_TWO_EDITIONS:
        write_text(root.with_name(f"{root.name}-Extend") / "vqla" / "label" / f"{stem}.txt", scene, number + 1)
    (root / "left_frames").mkdir(parents=True, exist_ok=True)
    picture = cv2.resize(
        scene.image, (scene.image.shape[1] // 2, scene.image.shape[0] // 2), interpolation=cv2.INTER_AREA
    )
    packed = io.BytesIO()  # Pillow does not notice when a full disk cuts off a JPEG
    Image.fromarray(picture).save(packed, "JPEG", quality=90)
    (root / "left_frames" / f"{stem}.jpg").write_bytes(packed.getbuffer())
