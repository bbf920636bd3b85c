"""A study from folders of frames: what is found, what is written, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.io.images import read_ids, write_png
from pipeline.new_study import masks as masks_module
from pipeline.new_study.new_study import NewStudy, new_study
from pipeline.new_study.split import choose_test_sequences
from pipeline.preparation.build_dataset import collect, split_of
from pipeline.study.cells import cells_of
from pipeline.study.conditions import conditions_of
from pipeline.study.loading import load_study, make_study
from pipeline.study.robust_models import robustness_cells

Write = Callable[..., tuple[Path, Path]]
NO_INTERVALS = "with one test sequence the report has no intervals"
RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


def dataset_of(made: NewStudy, name: str = "own") -> dict[str, Any]:
    """The dataset of a written study, which is valid, short, and whose split works."""
    assert made.path.read_text() == made.text and len(made.text.splitlines()) <= 25
    study = load_study(made.path)
    samples = collect(study, name)[0].samples
    assert set(split_of(study, name, samples).values()) == {"train", "test"}
    dataset: dict[str, Any] = yaml.safe_load(made.text)["datasets"][name]
    return dataset


def ids_of(made: NewStudy) -> list[str]:
    return [cell.id for cell in cells_of(load_study(made.path))]


def test_masks_of_0_and_255(write: Write) -> None:
    made = new_study("own", *write([0, 255, 0]))
    dataset = dataset_of(made)
    assert made.path == Path("studies/own.yaml")
    assert dataset["plain"] == {
        "images": "own/images",
        "masks": "own/masks",
        "classes": ["background", "foreground"],
        "values": {0: "background", 255: "foreground"},
    }
    assert dataset["split"] == "by_sequence" and len(dataset["test"]) == 1
    assert ids_of(made) == ["own/resnet/single_segmentation/equal/r4-s0"]
    assert (
        "12 images: 96x48 RGB JPEG" in made.text and "share of pixels in all 12 masks: 0 66.7%, 255 33.3%" in made.text
    )
    assert "3 sequences from folders and names, e.g. case1_0000.jpg belongs to case1" in made.text
    assert [text.split(":")[0] for text in made.unknown] == ["classes", "test"]
    study = load_study(made.path)
    assert [cell.id for cell in robustness_cells(study)] == ids_of(made)
    assert conditions_of(study).severities == (1, 3, 5) and study.input_size == 112


def test_masks_in_colours(write: Write) -> None:
    made = new_study("own", *write([BLACK, GREEN, RED], mask="case{case}_{number:04d}_mask.png"))
    plain = dataset_of(made)["plain"]
    assert plain["values"] == {"#000000": "background", "#00ff00": "class_1", "#ff0000": "class_2"}
    assert "#000000 33.3%, #00ff00 33.3%, #ff0000 33.3%" in made.text


def test_a_labels_csv(write: Write) -> None:
    images, masks = write([0, 1, 2])
    names = sorted(path.name for path in images.iterdir())
    rows = [f"{name},{('cut', 'idle')[place % 2]}" for place, name in enumerate(names)]
    Path("labels.csv").write_text("\n".join(["name,activity", *rows]))
    made = new_study("own", images, masks, Path("labels.csv"))
    plain = dataset_of(made)["plain"]
    assert plain["labels"] == "labels.csv" and plain["activities"] == ["cut", "idle"] and "columns" not in plain
    assert plain["classes"] == ["background", "class_1", "class_2"] and "values" not in plain
    assert ids_of(made) == ["own/resnet/hps/equal/r4-s0"]
    assert "frames: cut 6, idle 6" in made.text


def test_the_paper_s_backbone_is_one_line_away(write: Write) -> None:
    text = new_study("own", *write([0, 255, 0])).text
    (line,) = [line for line in text.splitlines() if line.strip().startswith("# dinov2")]
    text = text.replace(line, line.replace("# ", "")).replace("backbones: [resnet]", "backbones: [dinov2]")
    assert [cell.backbone for cell in cells_of(make_study(yaml.safe_load(text)))] == ["dinov2"]


@pytest.mark.parametrize(
    ("stored", "mode", "expected"),
    [
        ([0, 1, 2], "P", {"classes": ["background", "class_1", "class_2"]}),
        ([0, 1, 0], None, {"classes": ["background", "foreground"]}),
        ([0, 255, 0], "RGB", {"values": {0: "background", 255: "foreground"}}),
        ([0, 255, 0], "1", {"classes": ["background", "foreground"]}),
        (
            [BLACK, RED, GREEN],
            "RGBA",
            {"values": {"#000000": "background", "#00ff00": "class_1", "#ff0000": "class_2"}},
        ),
        ([0, 1, 255], None, {"values": {0: "background", 1: "foreground", 255: "ignore"}}),
        ([0, 2, 255, 1], None, {"values": {0: "background", 1: "class_1", 2: "class_2", 255: "ignore"}}),
        ([0, 128, 255], None, {"values": {0: "background", 128: "class_128", 255: "class_255"}}),
        ([10, 20, 30, 10], None, {"values": {10: "background", 20: "class_20", 30: "class_30"}}),
        ([*range(20)], None, {"classes": ["background", *(f"class_{value}" for value in range(1, 20))]}),
    ],
)
def test_masks_as_people_store_them(
    write: Write, stored: list[Any], mode: str | None, expected: dict[str, Any]
) -> None:
    made = new_study("own", *write(stored, mode=mode))
    plain = dataset_of(made)["plain"]
    assert expected.items() <= plain.items() and ("values" in plain) == ("values" in expected)
    study = load_study(made.path)
    _, mask = collect(study, "own")[0].samples[0].read()
    assert set(np.unique(mask)) - {255} == set(range(len(plain["classes"])))
    assert ("255 is regarded as pixels without a class" in made.text) == (255 in np.unique(mask))


def blurred(folder: Path, form: str) -> None:
    for path in folder.iterdir():
        Image.open(path).rotate(20, Image.Resampling.BICUBIC).save(path, form)


@pytest.mark.parametrize(
    ("stored", "spoil", "message"),
    [
        (
            [0, 255, 0],
            lambda masks: blurred(masks, "PNG"),
            r"values, most of them close to a few: 0 \(\d+% of pixels\), 255",
        ),
        (
            [0, 255, 0],
            lambda masks: blurred(masks, "JPEG"),
            "a JPEG; expected a mask of ids in a PNG.* close to a few: 0",
        ),
        ([BLACK, RED, GREEN], lambda masks: blurred(masks, "PNG"), "colours, most of them close to a few: #000000"),
        (
            [0, 255, 0],
            lambda masks: photographs(masks),
            "none of them frequent, like a photograph; expected a mask. Check whether the folders",
        ),
        ([0, 255, 0], lambda masks: resized(masks), "the mask is 48x24 pixels, its image .* is 96x48"),
        ([0, 0], lambda masks: None, "all 12 inspected masks hold only the value 0, so there is nothing to learn"),
        ([*range(0, 195, 3)], lambda masks: None, "65 values in 12 masks; expected at most 64 classes"),
        ([0, 300, 600], lambda masks: None, "value 600 in grey of 16 bits per channel; expected ids of at most 255"),
        ([0, 255, 0], lambda masks: broken(masks), "0 of 12 frames can be used.*not a readable image"),
    ],
)
def test_masks_that_no_study_can_read(
    write: Write, stored: list[Any], spoil: Callable[[Path], None], message: str
) -> None:
    images, masks = write(stored)
    spoil(masks)
    with pytest.raises(InputError, match=message):
        new_study("own", images, masks)
    assert not list(Path("studies").iterdir())


def photographs(folder: Path) -> None:
    for path in folder.iterdir():
        write_png(path, np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8))


def resized(folder: Path) -> None:
    for path in folder.iterdir():
        write_png(path, read_ids(path)[::2, ::2].copy())


def broken(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-40])


def test_frames_that_cannot_be_used_are_counted_and_left_out(write: Write) -> None:
    images, masks = write([0, 1, 2], frames=15)
    first, second, third, fourth = sorted(masks.iterdir())[:4]
    first.unlink()
    second.write_bytes(b"no picture")
    write_png(third, np.zeros((5, 5), np.uint8))
    (images / f"{fourth.stem}.jpg").write_bytes(b"\xff\xd8\xff")
    made = new_study("own", images, masks)
    assert dataset_of(made)["skip_bad"] is True
    assert "images without a mask, which are left out: 1 of 15" in made.text
    assert "3 of 14 frames cannot be used: own/masks/case1_0003.png: it is not a readable image" in made.text
    assert len(collect(load_study(made.path), "own")[0].samples) == 14


def test_colours_beside_grey_masks(write: Write) -> None:
    """A build reads all masks as colours then; black RGB is one, grey is none."""
    images, masks = write([BLACK, RED, GREEN])
    first, second = sorted(masks.iterdir())[:2]
    write_png(first, np.zeros((48, 96, 3), np.uint8))
    write_png(second, np.zeros((48, 96), np.uint8))
    made = new_study("own", images, masks)
    assert "1 of 12 frames cannot be used: " in made.text and "grey; expected a label in colours" in made.text
    assert dataset_of(made)["plain"]["values"]["#000000"] == "background"


@pytest.mark.parametrize(
    ("image", "mask", "sequences"),
    [
        ("case{case}_{number:04d}.png", "case{case}_{number:04d}.png", {"case1", "case2", "case3"}),
        ("case{case}_frame{number:03d}.jpg", "case{case}_frame{number:03d}_mask.png", {"case1", "case2", "case3"}),
        ("v{case}/frame{number:03d}.jpeg", "v{case}/frame{number:03d}.png", {"v1", "v2", "v3"}),
        ("v{case}/images/{number}.png", "v{case}/masks/{number}_seg.png", {"v1", "v2", "v3"}),
        ("v{case}/{number}.png", "{number}.png", {"v1", "v2", "v3"}),
        ("v{case}-{number}_frame.png", "v{case}-{number}_mask.png", {"v1", "v2", "v3"}),
        ("img_{number}.png", "mask_{number}.png", {""}),
        ("frame{number}.png", "frame{number}.png", {""}),
    ],
)
def test_names_of_masks_and_sequences(write: Write, image: str, mask: str, sequences: set[str]) -> None:
    made = new_study("own", *write([0, 1, 2], image=image, mask=mask))
    dataset = dataset_of(made)
    samples = collect(load_study(made.path), "own")[0].samples
    assert len({sample.frame_id for sample in samples}) == 12 and {sample.sequence for sample in samples} == sequences
    assert all(sample.files[0].name.strip("abcdefgijklmnopqrstuvwxyz_.").split(".")[0] for sample in samples)
    assert dataset["split"] == ("random_by_activity" if sequences == {""} else "by_sequence")
    assert ("may resemble training frames" in made.text) == (sequences == {""})


def test_images_and_masks_in_one_folder(write: Write) -> None:
    images, masks = write([0, 1, 2], mask="case{case}_{number:04d}_mask.png")
    for path in list(masks.iterdir()):
        path.rename(images / path.name)
    made = new_study("own", images, images)
    dataset_of(made)
    assert "12 images: " in made.text and len(collect(load_study(made.path), "own")[0].samples) == 12


@pytest.mark.parametrize("folders", [("images", "images/masks"), ("masks/images", "masks")])
def test_one_folder_inside_the_other(write: Write, folders: tuple[str, str]) -> None:
    images, masks = write([0, 1, 2])
    images.rename("own/moved")
    masks.rename("own/masks_moved")
    for place, moved in sorted(zip(folders, ("own/moved", "own/masks_moved"), strict=True)):
        target = Path("own") / place
        target.parent.mkdir(exist_ok=True, parents=True)
        Path(moved).rename(target)
    dataset_of(new_study("own", Path("own") / folders[0], Path("own") / folders[1]))


def test_of_many_frames_some_are_looked_at(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks_module, "MOST_FRAMES", 5)
    made = new_study("own", *write([0, 1, 2], frames=30))
    dataset_of(made)
    assert "Share of pixels in 5 of 30 masks: " in made.text


def test_columns_by_other_names(write: Write) -> None:
    images, masks = write([0, 1, 7], image="v{case}/{number:02d}.png", mask="v{case}/{number:02d}.png")
    (masks / "v1/00.png").write_bytes(b"no picture")
    rows = [f"{n:02d};patient {n % 3};{('cut', 'idle')[n % 2]};text {n};{('train', 'val')[n % 2]}" for n in range(11)]
    Path("l.csv").write_text("\n".join(["Frame no;Patient;Phase;notes;Set", *rows]))
    made = new_study("own", images, masks, Path("l.csv"))
    dataset = dataset_of(made)
    assert dataset["plain"]["columns"] == {"name": "Frame no", "activity": "Phase", "sequence": "Patient"}
    assert "not used: Set (expected only train and test), notes" in made.text

    assert "11 rows; images that are not in the list, which are left out: 1" in made.text
    assert set(dataset["test"]) < {"patient 0", "patient 1", "patient 2"}
    assert dataset["skip_bad"] and "values" in dataset["plain"] and len(made.text.splitlines()) == 25, (
        "all keys there are"
    )


def test_a_test_split_of_ones_own_is_not_trained_on_unawares(write: Write) -> None:
    images, masks = write([0, 1, 2])
    names = sorted(path.name for path in images.iterdir())
    rows = [f"{name},{('train', 'val', 'test')[place % 3]}" for place, name in enumerate(names)]
    Path("l.csv").write_text("\n".join(["name,split", *rows]))
    made = new_study("own", images, masks, Path("l.csv"))
    assert any(
        "write train for all frames except test in the CSV; otherwise test frames may be used for training" in line
        for line in made.unknown
    )


def test_the_csv_s_own_split(write: Write) -> None:
    images, masks = write([0, 1, 2])
    rows = [f"case{n % 3 + 1}_{n:04d}.jpg,{('train', 'test')[n % 2]}" for n in range(12)]
    Path("l.csv").write_text("\n".join(["name,split", *rows]))
    made = new_study("own", images, masks, Path("l.csv"))
    dataset = dataset_of(made)
    assert dataset["split"] == "given" and "test" not in dataset and "activities" not in dataset["plain"]


@pytest.mark.parametrize(("only", "other"), [("test", "train"), ("train", "test")])
def test_a_split_column_of_one_value_is_refused(write: Write, only: str, other: str) -> None:
    images, masks = write([0, 1, 2])
    names = sorted(path.name for path in images.iterdir())
    Path("l.csv").write_text("\n".join(["name,split", *(f"{name},{only}" for name in names)]))
    with pytest.raises(
        InputError, match=f"'split' has no {other} frames, because all 12 rows are {only}. Write {other}"
    ):
        new_study("own", images, masks, Path("l.csv"))


def test_a_split_that_fails_names_the_column_that_was_not_used(write: Write) -> None:
    images, masks = write([0, 1, 2], image="{number:02d}.jpg", mask="{number:02d}.png")
    names = sorted(path.name for path in images.iterdir())
    rows = [f"{name},{('Train', 'Test')[n % 2]},{'abcd'[n % 4]}" for n, name in enumerate(names)]
    Path("l.csv").write_text("\n".join(["name,split,phase", *rows]))
    with pytest.raises(
        InputError, match=r"puts none of 12 frames.*Not used of the CSV: .*split \(expected only train and"
    ):
        new_study("own", images, masks, Path("l.csv"))


def test_what_no_activity_is_called_is_left_out(write: Write) -> None:
    images, masks = write([0, 1, 2])
    rows = [f"case{n % 3 + 1}_{n:04d}.jpg,{('=1+1', 'cut')[n % 2]}" for n in range(12)]
    Path("l.csv").write_text("\n".join(["name,phase", *rows]))
    made = new_study("own", images, masks, Path("l.csv"))
    assert "not used: phase ('=1+1' cannot be the name of an activity)" in made.text
    assert "activities" not in dataset_of(made)["plain"]


def test_rows_without_files(write: Write) -> None:
    images, masks = write([0, 1, 2])
    rows = [f"case{n % 3 + 1}_{n:04d}.jpg" for n in range(14)]
    Path("l.csv").write_text("\n".join(["name", *rows]))
    made = new_study("own", images, masks, Path("l.csv"))
    assert dataset_of(made)["skip_bad"] is True and "frames that lack a file: 2\n" in made.text


def test_one_name_without_a_sequence_is_told(write: Write) -> None:
    images, masks = write([0, 1, 2])
    rows = [f"case{n % 3 + 1}_{n:04d}.jpg" for n in range(12)]
    Path("l.csv").write_text("\n".join(["name", *rows, "extra1.jpg"]))
    made = new_study("own", images, masks, Path("l.csv"))
    assert dataset_of(made)["split"] == "random_by_activity"
    assert "because not every name begins with its video, as in case1_0001.png\n" in made.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b\n1,2\n",
            r"l\.csv: none of the columns 'a, b' contains image names; expected one column with names such as 'case1_0000\.jpg'",
        ),
        ("name,x\ncase1_0000.jpg\n", r"l\.csv, line 2: 1 fields; expected 2"),
        ('name\n"a\n', r"l\.csv: not a CSV"),
        ("", r"l\.csv: empty"),
        ("name\ncase1_0000\ncase1_0000.jpg\n", r"l\.csv, line 3: 'case1_0000\.jpg' occurs twice"),
        (
            "case1_0000.jpg,a\ncase2_0001.jpg,b\n",
            r"l\.csv, line 1: 'case1_0000\.jpg' is the name of an image; expected a header",
        ),
        (
            "name,x,x\ncase1_0000.jpg,a,b\n",
            r"l\.csv: the column 'x' occurs twice; expected different column names",
        ),
        ("name,x\n", r"l\.csv: no rows below the header"),
    ],
)
def test_a_csv_that_cannot_be_used(write: Write, text: str, message: str) -> None:
    images, masks = write([0, 1, 2])
    Path("l.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        new_study("own", images, masks, Path("l.csv"))


@pytest.mark.parametrize("name", ["no", "null", "y"])
def test_a_name_that_yaml_takes_for_something_else(write: Write, name: str) -> None:
    made = new_study(name, *write([0, 255, 0]))
    dataset_of(made, name)
    assert list(load_study(made.path).datasets) == [name]


@pytest.mark.parametrize("name", ["", "Own", "1own", "own-frames", "a/b", "../own", "own\n", "a" * 51, "ö", "mtlesd"])
def test_names_that_no_study_has(write: Write, name: str) -> None:
    with pytest.raises(InputError, match=r"the name .* expected at most 50 small letters|belongs to a known dataset"):
        new_study(name, *write([0, 255, 0]))


def test_a_study_is_not_overwritten(write: Write) -> None:
    folders = write([0, 255, 0])
    Path("studies/own.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"studies/own\.yaml: exists already.*--overwrite"):
        new_study("own", *folders)
    assert Path("studies/own.yaml").read_text() == "mine"
    dataset_of(new_study("own", *folders, overwrite=True))


def test_folders_that_are_not_there(write: Write) -> None:
    images, masks = write([0, 255, 0])
    with pytest.raises(InputError, match="nowhere: missing; expected a folder"):
        new_study("own", images, Path("nowhere"))
    with pytest.raises(InputError, match=r"case1_0000\.png: not a folder; expected a folder"):
        new_study("own", images, masks / "case1_0000.png")
    Path("empty").mkdir()
    with pytest.raises(InputError, match="empty: no images; expected PNG or JPEG"):
        new_study("own", Path("empty"), masks)


def test_whatever_names_hold_stays_in_its_place(write: Write) -> None:
    """Names come from strangers: a line break in one must not become a key of the study."""
    root = "own: {x}\nstudy: evil #"
    images, masks = write([0, 1, 2], root=root)
    sorted(masks.iterdir())[0].write_bytes(b"no picture")
    made = new_study("own", images, masks)
    assert dataset_of(made)["plain"]["images"] == f"{root}/images" and "evil" not in load_study(made.path).name


def test_a_folder_whose_name_is_no_text(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    images, masks = write([0, 1, 2], root=os.fsdecode(b"own\xff"))
    sorted(masks.iterdir())[0].write_bytes(b"no picture")
    assert main(["new", "own", "--images", str(images), "--masks", str(masks)]) == 1
    said = capsys.readouterr().err
    said.encode()
    assert "is not UTF-8 text, so a study cannot contain it. Rename the file" in said


def test_a_link_to_itself(write: Write) -> None:
    images, masks = write([0, 1, 2])
    (images / "loop").symlink_to("loop")
    (images / "again").symlink_to(images.resolve())
    dataset_of(new_study("own", images, masks))
    Path("loop").symlink_to("loop")
    with pytest.raises(InputError, match="loop: missing; expected a folder"):
        new_study("other", Path("loop"), masks)


def test_links_are_followed_as_by_the_build(write: Write) -> None:
    images, masks = write([0, 1, 2])
    images.rename("elsewhere")
    images.symlink_to(Path("elsewhere").resolve())
    dataset_of(new_study("own", images, masks))


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_pipe_is_not_waited_for(write: Write, kind: str) -> None:
    folders = write([0, 1, 2])
    path = sorted((Path("own") / kind).iterdir())[0]
    path.unlink()
    os.mkfifo(path)
    made = new_study("own", *folders)
    assert "frames that lack a file: 1" in made.text and dataset_of(made)["skip_bad"] is True


def answers(*given: str) -> Callable[[str], str]:
    left: Iterator[str] = iter(given)
    return lambda question: next(left)


def test_a_person_names_classes_and_the_column(write: Write) -> None:
    images, masks = write([0, 1, 2])
    rows = [f"case{n % 3 + 1}_{n:04d}.jpg,{('cut', 'idle')[n % 2]}" for n in range(12)]
    Path("l.csv").write_text("\n".join(["name,gesture", *rows]))
    ask = answers("gesture", "knife", "knife", "ignore", "a;b", "=1+1", "")
    made = new_study("own", images, masks, Path("l.csv"), ask=ask)
    plain = dataset_of(made)["plain"]
    assert plain["classes"] == ["background", "knife", "class_2"] and plain["activities"] == ["cut", "idle"]
    assert plain["columns"] == {"name": "name", "activity": "gesture"} and "name them" not in made.text


def test_the_command(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    images, masks = write([0, 255, 0])
    command = ["new", "own", "--images", str(images), "--masks", str(masks)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "classes: TODO: name them" in said and "snakemake --cores 2 --configfile studies/own.yaml" in said
    assert main(command) == 1
    assert "endoarss new: studies/own.yaml: exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stored", "values"), [([0, 255, 0], ["0", "255"]), ([BLACK, RED, GREEN], ["000000", "ff0000", "00ff00"])]
)
def test_blurred_masks_are_mended_as_the_page_says(write: Write, stored: list[Any], values: list[str]) -> None:
    page = (Path(__file__).parents[3] / "docs/own-frames.md").read_text(encoding="utf-8")
    Path("mend_masks.py").write_text(page.split("## Blurred masks")[1].split("```python\n")[1].split("```")[0])
    images, masks = write(stored)
    blurred(masks, "JPEG")
    subprocess.run([sys.executable, "mend_masks.py", str(masks), "mended", *values], check=True)
    made = new_study("own", images, Path("mended"))
    assert len(dataset_of(made)["plain"]["classes"]) == len(values) and "cannot be used" not in made.text


def test_names_that_repeat_are_paths_as_the_page_says(write: Write) -> None:
    page = (Path(__file__).parents[3] / "docs/own-frames.md").read_text(encoding="utf-8")
    images, masks = write([0, 1, 2], image="v{case}/{number:04d}.png", mask="v{case}/{number:04d}.png")
    for path in sorted([*images.rglob("*.png"), *masks.rglob("*.png")]):
        path.rename(path.with_name(f"{int(path.stem) // 3:04d}.png"))
    rows = [f"v{n % 3 + 1},{n // 3:04d}.png,{('cut', 'idle')[n % 2]}" for n in range(12)]
    Path("phases.csv").write_text("\n".join(["video,frame,phase", *rows]))
    exec(page.split("## Names that repeat")[1].split("```python\n")[1].split("```")[0])
    made = new_study("own", images, masks, Path("labels.csv"))
    assert dataset_of(made)["plain"]["columns"] == {"name": "name", "activity": "phase", "sequence": "video"}
    assert len(collect(load_study(made.path), "own")[0].samples) == 12


@pytest.mark.parametrize(
    ("sizes", "test_sizes"),
    [
        ([12] * 6, [12, 12]),
        ([5] * 10, [5, 5]),
        ([30, 30, 30, 10], [10, 30]),
        ([40, 20, 9, 8, 8, 8, 7], None),
        ([10, 10, 10], [10]),
        ([90, 10], [10]),
    ],
)
def test_of_four_sequences_or_more_two_are_tested(sizes: list[int], test_sizes: list[int] | None) -> None:
    sequences = [f"s{index}" for index, size in enumerate(sizes) for _ in range(size)]
    test = choose_test_sequences(sequences, [set() for _ in sequences])
    chosen = sorted(sequences.count(name) for name in test)
    assert chosen == test_sizes if test_sizes else len(test) >= 2 and 0.15 <= sum(chosen) / len(sequences) <= 0.25


@pytest.mark.parametrize("cases", [3, 6])
def test_one_test_sequence_is_said_to_have_no_intervals(write: Write, cases: int) -> None:
    images, masks = write([0, 1, 2], frames=24)
    for path in [*images.iterdir(), *masks.iterdir()]:
        number = int(path.stem[-4:])
        path.rename(path.with_name(f"case{number % cases}_{number:04d}{path.suffix}"))
    made = new_study("own", images, masks)
    assert len(dataset_of(made)["test"]) == (1 if cases == 3 else 2)
    assert any(NO_INTERVALS in line for line in made.unknown) == (cases == 3)


@pytest.mark.parametrize("tested", [1, 2])
def test_a_split_of_ones_own_with_one_test_sequence_is_said_to_have_no_intervals(write: Write, tested: int) -> None:
    images, masks = write([0, 1, 2])
    rows = [f"case{n % 3 + 1}_{n:04d}.jpg,{'test' if n % 3 < tested else 'train'}" for n in range(12)]
    Path("l.csv").write_text("\n".join(["name,split", *rows]))
    made = new_study("own", images, masks, Path("l.csv"))
    assert dataset_of(made)["split"] == "given" and any(NO_INTERVALS in line for line in made.unknown) == (tested == 1)


def test_the_test_part_shows_what_the_training_part_shows(write: Write) -> None:
    """Class 2 is in two of four cases: one of these is for testing. Of the case whose files are damaged none is."""
    images, masks = write([0, 1, 1], frames=40, image="c{case}{number}_1.png", mask="c{case}{number}_1.png")
    for path in [*images.iterdir(), *masks.iterdir()]:
        number = int(path.stem.split("_")[0][2:])
        path.rename(path.with_name(f"case{number % 4}_{number:02d}.png"))
    for path in masks.iterdir():
        if path.name[4] in "12":
            write_png(path, read_ids(path) * 2)
        elif path.name[4] == "3":
            path.write_bytes(b"")
    made = new_study("own", images, masks)
    assert dataset_of(made)["test"] in (["case1"], ["case2"])


@pytest.mark.parametrize(
    ("listed", "fault"), [("case1_0000.jpg", ""), ("gone.jpg", r" The first fault: .*gone\.jpg: missing\.")]
)
def test_too_few_frames(write: Write, listed: str, fault: str) -> None:
    images, masks = write([0, 1, 2])
    Path("l.csv").write_text(f"name\ncase2_0001.jpg\n{listed}\n")
    with pytest.raises(InputError, match=rf"[12] of 2 frames can be used; expected 5 or more\.{fault}$"):
        new_study("own", images, masks, Path("l.csv"))
