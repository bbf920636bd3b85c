"""A catalogue of what can be wrong with a raw tree, and of what may look so and is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.io.images import Pixels
from tests.pipeline.small_trees import (
    HEIGHT,
    IMAGE,
    WIDTH,
    few_2018,
    grey,
    put,
    put_text,
    write_few_2017,
    write_few_2018,
    write_few_own,
    write_few_released,
    write_repairs,
    write_tests,
    write_texts,
)

# Dataset, and who writes a good tree of it, by source.
SOURCES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "own": ("mine", write_few_own),
    "esd": ("mtlesd", lambda root: write_few_released(root, 3, (2, 3, 7))),
    "released": ("mtlendovis", lambda root: write_few_released(root, 12, (1, 6, 9))),
    "2018": ("mtlendovis", write_few_2018),
    "gen": ("mtlendovis_gen", write_few_2017),
    "parts": ("endovis2017_parts", write_few_2017),
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "released": {"split": "given"},
    "parts": {"split": "by_sequence", "test": ["instrument_dataset_9"]},
}

Break = Callable[[Path], Path | None]
SMALL = np.zeros((5, 7), np.uint8)


@dataclass(frozen=True)
class Defect:
    """What is done to a good tree.

    source: a key of `SOURCES`. does: breaks the tree, and returns the file or folder that a message must name, if one must.
    remedy: a pattern that the message must match besides; "" where the dataset can be built all the same. deep: whether only a
    doctor that decodes every picture finds it. dataset, raw: settings of the study.
    """

    source: str
    name: str
    does: Break
    remedy: str = ""
    deep: bool = False
    dataset: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)


def each(pattern: str, do: Callable[[Path], Any]) -> Break:
    """Do something to every file of a pattern; the first is named."""

    def apply(root: Path) -> Path:
        paths = sorted(root.glob(pattern))
        assert paths, pattern
        for path in paths:
            do(path)
        return paths[0]

    return apply


def one(pattern: str, do: Callable[[Path], Any]) -> Break:
    """Do something to one file among many, which is in no sample of its folder."""

    def apply(root: Path) -> Path:
        paths = sorted(root.glob(pattern))
        path = paths[len(paths) // 2 - 1]
        do(path)
        return path

    return apply


def nothing(root: Path) -> None:
    """Leave the tree as it is."""


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:70])


def garble(path: Path) -> None:
    path.write_bytes(b"no picture")


def sixteen_bits(path: Path) -> None:
    Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)).save(path)


def as_format(suffix: str) -> Callable[[Path], None]:
    """Store a picture in another format, under the name of that."""

    def do(path: Path) -> None:
        Image.open(path).save(path.with_suffix(suffix))
        path.unlink()

    return do


def holds(content: str | Pixels) -> Callable[[Path], Path]:
    """Give a file this text or these pixels."""
    return lambda path: put_text(path, content) if isinstance(content, str) else put(path, content)


def replaced(old: str, new: str) -> Callable[[Path], Path]:
    """Replace something in a text."""
    return lambda path: put_text(path, path.read_text().replace(old, new))


def renamed(old: str, new: str) -> Callable[[Path], Path]:
    return lambda path: path.rename(path.with_name(path.name.replace(old, new)))


def without(name: str) -> Break:
    """Take a folder or file away."""

    def apply(root: Path) -> Path:
        remove(root / name)
        return root / name

    return apply


def naming(name: str, do: Break) -> Break:
    """Break a tree; the message must name this file or folder of it."""

    def apply(root: Path) -> Path:
        do(root)
        return root / name

    return apply


def types_as(**ids: int) -> Break:
    """Give raw types other ids: c6=7 writes 7 where 6 was."""

    def apply(root: Path) -> Path:
        for old, new in ids.items():
            each(f"{TYPES}/*_class{old[1:]}_*", renamed(f"class{old[1:]}_", f"class{new}_"))(root)
        return root

    return apply


def cut_column(path: Path) -> Path:
    """Leave out the last column of a CSV."""
    return put_text(path, "".join(line.rsplit(",", 1)[0] + "\n" for line in path.read_text().splitlines()))


def first_rows(count: int) -> Callable[[Path], Path]:
    return lambda path: put_text(path, "".join(path.read_text().splitlines(keepends=True)[: count + 1]))


def cut_repair(root: Path) -> Path:
    write_repairs(root, few_2018(), [(1, 11)])
    return each("repairs/repairs/*", cut_off)(root) or root


def tests_alone(root: Path) -> Path:
    remove(root / RELEASE)
    remove(root / RELEASE_2)
    write_tests(root, "doubled", (0, 249))
    return root


def sequence_twice(root: Path) -> Path:
    shutil.copytree(root / RELEASE / "seq_1", root / "again/seq_1")
    return root / "again/seq_1/left_frames/frame011.png"


def editions(change: bool) -> Break:
    """Add a second edition of the annotations, that says the same or something else, with the first frames of seq_1."""

    def apply(root: Path) -> Path:
        frames = {key: cast[:1] if change else cast for key, cast in few_2018().items()}
        write_texts(root / "EndoVis-18-VQLA-Extend", frames, first_edition=True)
        return root / "EndoVis-18-VQLA-Extend/seq_1/vqla/label/frame011_QA.txt"

    return apply


def unknown_instrument(root: Path) -> Path:
    return (root / INSTRUMENTS).rename((root / INSTRUMENTS).with_name("Chopsticks_labels"))


RELEASE, RELEASE_2 = "miccai_challenge_2018_release_1", "miccai_challenge_release_2"
LABELS, FRAMES = f"{RELEASE}/seq_1/labels/*", f"{RELEASE}/seq_1/left_frames/*"
TYPES = "miccai*/**/instrument_labels_2017"
TEXTS = "EndoVis-18-VQLA/seq_1/vqla/label/*"
INSTRUMENTS = "train/instrument_dataset_1/ground_truth/Left_Prograsp_Forceps_labels"
APART = "train/instrument_dataset_9"

COPY, SIZE = "copy or extract the file again", "Expected the same size"
AT_RANDOM, SKIP = {"split": "random_by_activity"}, {"skip_bad": True}
LEFT_EMPTY = r"puts none of \d+ frames into the test split.*in the study"


def by_sequence(*test: str) -> dict[str, Any]:
    return {"split": "by_sequence", "test": list(test)}


OWN = [
    Defect("own", "as it should be", nothing),
    Defect("own", "no folder", without("."), "labels.csv"),
    Defect("own", "every mask missing", each("masks/*", remove), "Expected the mask of .*Put it there"),
    Defect("own", "one mask missing", one("masks/*", remove), "Expected the mask of .*Put it there"),
    Defect(
        "own",
        "masks in TIFF",
        naming("masks/case0_00.tif", each("masks/*", as_format(".tif"))),
        "a TIFF; expected a mask of ids in a PNG",
    ),
    Defect(
        "own",
        "masks in JPEG",
        naming("masks/case0_00.jpg", each("masks/*", as_format(".jpg"))),
        "JPEG changes values, so save the mask again",
    ),
    Defect("own", "masks of 16 bits", each("masks/*", sixteen_bits)),
    Defect("own", "masks of another size", each("masks/*", holds(SMALL)), SIZE),
    Defect("own", "one mask of another size", one("masks/*", holds(SMALL)), SIZE),
    Defect("own", "masks of 0 and 255", each("masks/*", holds(grey(255))), "255.*[Ee]xpected"),
    Defect("own", "one mask of another value", one("masks/*", holds(grey(3))), "3.*[Ee]xpected", True),
    Defect("own", "images cut off", each("images/*", cut_off), COPY),
    Defect("own", "one image cut off", one("images/*", cut_off), COPY, True),
    Defect("own", "one file that is no picture", one("images/*", garble), COPY),
    Defect("own", "images missing", each("images/*", remove), "Expected the image of a row of labels.csv"),
    Defect(
        "own", "images in JPEG, listed as PNG", each("images/*", as_format(".jpg")), "There is case0_00.jpg instead"
    ),
    Defect("own", "no labels.csv", without("labels.csv"), "labels.csv"),
    Defect("own", "no row", each("labels.csv", holds("name,activity\n")), "expected one row per frame"),
    Defect("own", "a row twice", each("labels.csv", replaced("case1_01", "case0_00")), "occurs twice"),
    Defect("own", "a row cut off", each("labels.csv", replaced(",case0,train", ",case0")), "3 fields; expected 4"),
    Defect("own", "an activity of no study", each("labels.csv", replaced("cut", "cutt")), "the study lists cut, idle"),
    Defect("own", "no split column", naming(".", each("labels.csv", cut_column)), "expected train or test for each"),
    Defect("own", "every row for training", naming(".", each("labels.csv", replaced(",test", ",train"))), LEFT_EMPTY),
    Defect("own", "a frame without a row", lambda root: put(root / "images/case9_99.png", IMAGE)),
    Defect("own", "enough frames to draw from", nothing, dataset=AT_RANDOM),
    Defect(
        "own",
        "too few frames to draw from",
        naming(".", each("labels.csv", first_rows(8))),
        LEFT_EMPTY,
        dataset=AT_RANDOM,
    ),
    Defect("own", "no such test sequence", nothing, "neither a sequence nor a frame", dataset=by_sequence("case7")),
    Defect(
        "own",
        "all for testing",
        nothing,
        "training or the test split empty",
        False,
        by_sequence("case0", "case1", "case2"),
    ),
    Defect("own", "one mask missing, skipped", one("masks/*", remove), dataset=SKIP),
    Defect("own", "one image cut off, skipped", one("images/*", cut_off), dataset=SKIP),
    Defect(
        "own",
        "no test image, skipped",
        each("images/case2*", cut_off),
        f"no frame of the test split.*{COPY}",
        dataset=SKIP,
    ),
    Defect("own", "no test mask, skipped", naming(".", each("masks/case2*", remove)), LEFT_EMPTY, dataset=SKIP),
]
RELEASED = [
    Defect("esd", "as it should be", nothing),
    Defect("esd", "no folder", without("."), "The MTLESD tree is expected here; it is available from the authors"),
    Defect("esd", "no test split", naming(".", without("test")), "puts none of 12 frames into the test split"),
    Defect("esd", "one mask missing", one("train/2/mask/*", remove), "Expected the mask of .*Put it there"),
    Defect(
        "esd",
        "masks in JPEG",
        naming("train/1/mask/00.png", each("*/*/mask/*", as_format(".jpg"))),
        "There is 00.jpg instead: save it as 00.png",
    ),
    Defect(
        "esd",
        "one mask in JPEG",
        one("train/1/mask/*", as_format(".jpg")),
        "There is 01.jpg instead: save it as 01.png",
    ),
    Defect(
        "esd", "a fourth activity", lambda root: put(root / "train/4/image/0.png", IMAGE).parents[1], "folders 1 to 3"
    ),
    Defect(
        "esd",
        "values of another encoding",
        each("train/1/mask/*", holds(grey(1))),
        "holds the value 1; expected 0, 2, 3",
    ),
    Defect("esd", "masks of another size", each("test/1/mask/*", holds(SMALL)), SIZE),
    Defect("esd", "masks of 16 bits", each("train/3/mask/*", sixteen_bits)),
    Defect("esd", "images cut off", each("train/3/image/*", cut_off), COPY),
    Defect("esd", "images in JPEG", each("*/*/image/*", as_format(".jpg"))),
    Defect("released", "as it should be", nothing),
    Defect("released", "no image", naming(".", each("*/*/image/*", remove)), "Expected train/1/image/NAME.png"),
    Defect(
        "released", "the stapler's id", each("train/12/mask/*", holds(grey(10))), "value 10; expected 0, 1, 2, 3, 6"
    ),
]
CHALLENGE_2018 = [
    Defect("2018", "as it should be", nothing),
    Defect("2018", "no folder", without("."), "EndoVis 2018 is expected here; it is available from"),
    Defect("2018", "corrected labels", lambda root: write_repairs(root, few_2018(), [(1, 11), (5, 13)])),
    Defect("2018", "a corrected label cut off", cut_repair, COPY),
    Defect("2018", "test frames beside", lambda root: write_tests(root, "stamped", (0, 249))),
    Defect("2018", "test frames alone", tests_alone, "they are available from .*frames without labels"),
    Defect("2018", "frames in JPEG", each("miccai*/**/left_frames/*", as_format(".jpg"))),
    Defect("2018", "frames cut off", each(FRAMES, cut_off), COPY),
    Defect("2018", "frames of another size", each(FRAMES, holds(np.zeros((5, 7, 3), np.uint8))), SIZE),
    Defect("2018", "one label missing", one(LABELS, remove), "Expected the official label of .*Get it at"),
    Defect("2018", "labels in JPEG", each(LABELS, as_format(".jpg")), "There is frame011.jpg instead"),
    Defect(
        "2018",
        "a colour of no list",
        each(LABELS, holds(np.full((HEIGHT, WIDTH, 3), 9, np.uint8))),
        "known: background",
    ),
    Defect("2018", "grey labels", each(LABELS, holds(grey(1))), "expected a label in colours"),
    Defect(
        "2018", "no label list", naming(".", each("miccai*/**/labels.json", remove)), "no release has a labels.json"
    ),
    Defect("2018", "a label list cut off", each("miccai*/**/labels.json", cut_off), "Expected a JSON list of"),
    Defect(
        "2018",
        "no types",
        lambda root: (each(TYPES, remove)(root), root)[1],
        "no sequence has instrument type masks.*they are available from",
    ),
    Defect(
        "2018",
        "a sequence without types",
        naming(f"{RELEASE}/seq_1", one(TYPES, remove)),
        "has no folder instrument_labels_2017.*they are available from",
    ),
    Defect("2018", "types of 16 bits", each(f"{TYPES}/*", sixteen_bits)),
    Defect("2018", "types that are no pictures", each(f"{TYPES}/*", garble), COPY),
    Defect("2018", "types of another size", each(f"{TYPES}/*", holds(SMALL)), SIZE),
    Defect("2018", "a type that nobody knows", types_as(c6=12), "type id 12; the id scheme .* Remove"),
    Defect("2018", "types of either scheme", types_as(c6=7), "fit both schemes.* raw: endovis2018_scheme"),
    Defect(
        "2018",
        "suction or the stapler",
        types_as(c6=8),
        "fit both schemes.*8 the stapler.*8 suction.* raw: endovis2018_scheme",
    ),
    Defect("2018", "types of either, settled", types_as(c6=7), raw={"endovis2018_scheme": "native2018"}),
    Defect(
        "2018", "types of both schemes", types_as(c6=4, c1=9), "one set cannot have both. Expected the masks of one"
    ),
    Defect(
        "2018",
        "another scheme than said",
        types_as(c6=4),
        "Set it to native2018",
        raw={"endovis2018_scheme": "compatible2017"},
    ),
    Defect("2018", "the stapler", types_as(c2=10)),
    Defect("2018", "the stapler, native", types_as(c6=4, c2=8)),
    Defect(
        "2018",
        "a mask of another name",
        naming(f"{RELEASE}/seq_1/instrument_labels_2017", one(f"{TYPES}/*", renamed("class", "type"))),
        "expected a name like frame000_class1",
    ),
    Defect("2018", "a sequence twice", sequence_twice, "the same frame as .*Expected every release once"),
    Defect(
        "2018",
        "no annotation",
        naming(".", without("EndoVis-18-VQLA")),
        "contains no EndoVis-18-VQLA text.*it is available from",
    ),
    Defect("2018", "an unknown action", each(TEXTS, replaced("idle", "flying")), "unknown action"),
    Defect("2018", "a line of another form", one(TEXTS, holds("a|b|c|d\n")), "line 1: .*expected question.answer"),
    Defect(
        "2018", "an annotation of bytes", one(TEXTS, lambda path: path.write_bytes(b"\xff\xfe\x00")), "not a UTF-8 text"
    ),
    Defect("2018", "the first edition too", editions(change=False)),
    Defect("2018", "editions that differ", editions(change=True), "Expected one edition, or editions that agree"),
    Defect(
        "2018",
        "annotations of other frames",
        naming(".", each("EndoVis-18-VQLA/*/vqla/label/*", renamed("frame0", "frame1"))),
        "none of the .* annotated frames has an image",
    ),
    Defect(
        "2018",
        "annotations without an instrument",
        naming(".", each("EndoVis-18-VQLA/*/vqla/label/*", holds("What organ is being operated?|kidney\n"))),
        "none of the 12 annotations of frames with an image names the state of an instrument",
    ),
    Defect("2018", "one annotation that cannot be read, skipped", one(TEXTS, holds("a|b|c|d\n")), dataset=SKIP),
]
CHALLENGE_2017 = [
    Defect("gen", "as it should be", nothing),
    Defect("gen", "frames in JPEG", each("train/*/left_frames/*", as_format(".jpg"))),
    Defect("gen", "frames cut off", each("train/instrument_dataset_1/left_frames/*", cut_off), COPY),
    Defect(
        "gen",
        "no types",
        naming(
            "train/instrument_dataset_1/left_frames/frame015.png", without("train/instrument_dataset_1/ground_truth")
        ),
        "no type ground truth.*It is available from",
    ),
    Defect(
        "gen",
        "a type of no annotated frame",
        each(f"{APART}/TypeSegmentation/*", holds(grey(4))),
        "expected 1, 2, 3, 6 and 7",
    ),
    Defect(
        "gen",
        "a value that is no type",
        each(f"{APART}/TypeSegmentation/*", holds(grey(9))),
        "expected the type ids 0 to 7",
    ),
    Defect("gen", "types of another size", each(f"{APART}/TypeSegmentation/*", holds(SMALL)), SIZE),
    Defect("gen", "types of 16 bits", each(f"{INSTRUMENTS}/*", sixteen_bits)),
    Defect("gen", "an unknown instrument", unknown_instrument, "expected one of bipolar.*Rename"),
    Defect("gen", "parts that nobody needs cut off", each(f"{APART}/PartsSegmentation/*", garble)),
    Defect(
        "gen",
        "no annotation",
        naming(".", without("EndoVis-17-VQLA")),
        "contains no EndoVis-17-VQLA text.*it is available from",
    ),
    Defect(
        "gen",
        "no frame",
        naming(".", each("train/*/left_frames/*", remove)),
        "contains no left_frames/frame.*they are available from",
    ),
    Defect("parts", "as it should be", nothing),
    Defect("parts", "an unknown instrument", unknown_instrument),
    Defect("parts", "no annotation", without("EndoVis-17-VQLA")),
    Defect("parts", "types that nobody needs cut off", each(f"{APART}/TypeSegmentation/*", garble)),
    Defect(
        "parts",
        "a value that is no part",
        each(f"{APART}/PartsSegmentation/*", holds(grey(17))),
        "expected 0, 10 shaft",
    ),
    Defect("parts", "parts of another size", each(f"{APART}/PartsSegmentation/*", holds(SMALL)), SIZE),
    Defect("parts", "parts cut off", each(f"{INSTRUMENTS}/*", cut_off), COPY),
    Defect("parts", "no such test sequence", nothing, "neither a sequence nor a frame", dataset=by_sequence("seq_9")),
]

CATALOGUE = [*OWN, *RELEASED, *CHALLENGE_2018, *CHALLENGE_2017]
