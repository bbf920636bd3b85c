"""`corruptions apply`: what it writes, what it refuses, and how it goes on after any interruption."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image

import corruptions.command.apply
from corruptions import CORRUPTIONS, STANDARD_CORRUPTIONS, corrupt, corrupt_pair, sweep
from corruptions.command.cli import main
from corruptions.command.files import encode_png, write_whole

Run = Callable[..., int]
NAMES = ("gaussian_noise", "smoke", "elastic_transform")
IDS = ("a", "v1/b", "v1/c", "v2/b")


def write_tree(root: Path, count: int = 4, shape: tuple[int, int] = (48, 64)) -> Path:
    """IN and masks with the given number of pictures, one of them a JPEG."""
    rng = np.random.default_rng(7)
    ids = IDS if count == len(IDS) else [f"{index:04d}" for index in range(count)]
    for image_id in ids:
        image = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), shape[::-1], interpolation=cv2.INTER_CUBIC)
        mask = cv2.resize(rng.integers(0, 5, (3, 4), np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST)
        path = root / "in" / f"{image_id}{'.jpg' if image_id == IDS[0] else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        (root / "masks" / f"{image_id}.png").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(root / "masks" / f"{image_id}.png")
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path)


@pytest.fixture
def run(tree: Path) -> Run:
    """`corruptions apply in out` with few corruptions and severities, in this process."""

    def run(*options: str, out: str = "out", source: str = "in") -> int:
        choice = [] if "--corruption" in options else ["--corruption", ",".join(NAMES)]
        severities = [] if "--severity" in options else ["--severity", "1,4"]
        workers = [] if "--workers" in options else ["--workers", "1"]
        return main(["apply", str(tree / source), str(tree / out), *choice, *severities, *workers, *options])

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_pixels_are_those_of_corrupt(tree: Path, run: Run) -> None:
    assert run("--seed", "3") == 0
    for image_id in IDS:
        image = read(next((tree / "in").glob(f"{image_id}.*")))
        np.testing.assert_array_equal(read(tree / f"out/clean/0/images/{image_id}.png"), image)
        for name in NAMES:
            for severity in (1, 4):
                written = read(tree / "out" / name / str(severity) / "images" / f"{image_id}.png")
                np.testing.assert_array_equal(written, corrupt(image, name, severity, seed=3, image_id=image_id))
    count = len(IDS) * (len(NAMES) * 2 + 1)
    assert len(files(tree / "out")) == count + 1


def test_masks_move_where_pixels_do(tree: Path, run: Run) -> None:
    assert run("--masks", str(tree / "masks")) == 0
    for image_id in IDS:
        image, mask = read(next((tree / "in").glob(f"{image_id}.*"))), read(tree / f"masks/{image_id}.png")
        np.testing.assert_array_equal(read(tree / f"out/clean/0/masks/{image_id}.png"), mask)
        np.testing.assert_array_equal(read(tree / f"out/smoke/4/masks/{image_id}.png"), mask)
        expected = corrupt_pair(image, mask, "elastic_transform", 4, image_id=image_id)
        for kind, pixels in zip(("images", "masks"), expected, strict=True):
            np.testing.assert_array_equal(read(tree / f"out/elastic_transform/4/{kind}/{image_id}.png"), pixels)
        assert (expected[1] != mask).any()


def test_with_a_size_they_are_the_images_of_the_benchmark(tree: Path, run: Run) -> None:
    from corruptions.pictures import resize_image, resize_mask
    from pipeline.io.images import read_rgb

    mask = np.random.default_rng(2).integers(0, 5, (48, 64), np.uint8)  # fine, so that each nearest pixel counts
    (tree / "masks/v1/b.png").write_bytes(encode_png(mask))
    for size in ("36", "60"):  # both sides shrink, one side grows
        assert run("--size", size, "--masks", str(tree / "masks"), out=size) == 0
        image = resize_image(read_rgb(tree / "in/v1/b.png"), int(size))
        for name in NAMES:
            pair = corrupt_pair(image, resize_mask(mask, int(size)), name, 4, image_id="v1/b")
            np.testing.assert_array_equal(read(tree / size / name / "4/images/v1/b.png"), pair[0])
            np.testing.assert_array_equal(read(tree / size / name / "4/masks/v1/b.png"), pair[1])


def test_the_number_of_workers_changes_nothing(tree: Path, run: Run) -> None:
    assert run("--masks", str(tree / "masks"), out="one") == 0
    assert run("--masks", str(tree / "masks"), "--workers", "2", out="two") == 0
    assert files(tree / "one") == files(tree / "two")


def test_parameters_of_an_operator(tree: Path, run: Run) -> None:
    options = ("--corruption", "smoke", "--severity", "1", "--set", "smoke.mean_transmission=0.3")
    assert run(*options) == 0
    image = read(tree / "in/v1/b.png")
    expected = corrupt(image, "smoke", 1, image_id="v1/b", mean_transmission=0.3)
    np.testing.assert_array_equal(read(tree / "out/smoke/1/images/v1/b.png"), expected)
    assert (expected != corrupt(image, "smoke", 1, image_id="v1/b")).any()


def test_the_description_says_how_it_was_made(tree: Path, run: Run) -> None:
    assert run("--seed", "9", "--set", "smoke.mean_transmission=0.3") == 0
    about = json.loads((tree / "out/corruptions.json").read_text())
    expected = {
        "corruptions": list(NAMES),
        "severities": [1, 4],
        "seed": 9,
        "profile": "standard",
        "backend": "auto",
        "size": None,
        "parameters": {"smoke": {"mean_transmission": 0.3}},
        "masks": False,
        "images": 4,
        "complete": True,
        "left_out": [],
    } | {key: about[key] for key in ("version", "packages", "opencv", "backends")}
    assert about == expected
    assert str(tree) not in (tree / "out/corruptions.json").read_text()


def test_only_what_a_file_lists(tree: Path, run: Run) -> None:
    (tree / "list.txt").write_text("# test split\nv1/c\n\na.jpg\n")
    assert run("--only", str(tree / "list.txt")) == 0
    assert set(files(tree / "out/smoke/1/images")) == {"a.png", "v1/c.png"}


@pytest.mark.slow
@pytest.mark.usefixtures("reference")
def test_all_that_the_profile_and_backend_have(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(tree / "in/v1")
    command = ["apply", str(tree / "in"), str(tree / "out"), "--severity", "2", "--workers", "1"]
    assert main([*command, "--backend", "reference"]) == 0
    said = capsys.readouterr().out.partition("not available: ")[2].partition(".")[0].split(", ")
    assert {"bleeding", "smoke", "gamma_correction"} <= set(said) <= set(CORRUPTIONS)
    about = json.loads((tree / "out/corruptions.json").read_text())
    assert set(about["corruptions"]) == set(STANDARD_CORRUPTIONS) - {"bleeding", "smoke", "gamma_correction"}
    assert set(about["backends"].values()) == {"reference"}


# Going on


def test_what_is_there_is_not_done_again(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--masks", str(tree / "masks")) == 0
    whole = files(tree / "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tree / "out").rglob("*.png")}
    lost = tree / "out/smoke/4/images/v1/b.png"
    lost.unlink()
    (tree / "out/smoke/1/images/a.png").write_bytes(b"")  # as a computer that lost power may leave it
    capsys.readouterr()
    assert run("--masks", str(tree / "masks")) == 0
    assert "; this run wrote 4 files." in capsys.readouterr().out  # two images, each with its mask
    assert files(tree / "out") == whole
    again = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert {path.stem for path in again} == {"a", "b"} and all("smoke" in path.parts for path in again)


@pytest.mark.slow
def test_a_killed_run_leaves_no_half_file_and_no_process(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, count=10, shape=(160, 200))
    options = ["--masks", str(tree / "masks"), "--corruption", "motion_blur,shot_noise,smoke,elastic_transform"]
    command = [sys.executable, "-m", "corruptions.command.cli", "apply", str(tree / "in"), str(tree / "out"), *options]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list((tree / "out").rglob("*.png"))) > 20)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_for(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    left = [path for path in (tree / "out").rglob("*.png") if not path.is_relative_to(tree / "out/.unfinished")]
    assert 0 < len(left) < 10 * 21 * 2
    for path in left:
        read(path)
    assert not json.loads((tree / "out/corruptions.json").read_text())["complete"]
    (tree / "out/.unfinished").mkdir(exist_ok=True)
    (tree / "out/.unfinished/123.partial").write_bytes(b"half")
    for out in ("out", "whole"):
        assert main(["apply", str(tree / "in"), str(tree / out), *options, "--workers", "1"]) == 0
    assert files(tree / "out") == files(tree / "whole")


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while processes start", "while they work"])
def test_interrupting_ends_quietly(tmp_path: Path, moment: str) -> None:
    tree = write_tree(tmp_path, count=80, shape=(240, 320))
    command = [
        sys.executable,
        "-m",
        "corruptions.command.cli",
        "apply",
        str(tree / "in"),
        str(tree / "out"),
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C, and what they start too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    if moment == "while they work":
        wait_for(lambda: len(list((tree / "out").rglob("*.png"))) > 20)
    wait_for(lambda: len(psutil.Process(process.pid).children()) > 2)  # the workers, and what minds their semaphores
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said and said.rstrip().endswith(b"corruptions apply: interrupted.")
    wait_for(lambda: not any(child.is_running() for child in children))
    assert not [path for path in (tree / "out").iterdir() if path.name.startswith(".")]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_full_disk_is_said_and_gone_on_from(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def write_until_full(path: Path, content: bytes, unfinished: Path) -> None:
        nonlocal written
        written += 1
        if written > 12:
            (unfinished / "1.partial").write_bytes(content[:9])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_whole(path, content, unfinished)

    with monkeypatch.context() as patch:
        patch.setattr(corruptions.command.apply, "write_whole", write_until_full)
        assert run() == 1
    said = capsys.readouterr().err
    assert "corruptions apply: OUT" in said and "Traceback" not in said
    assert "the disk is full, after 1 of 4 images" in said and "the same command again: it continues from there" in said
    assert len(list((tree / "out").rglob("*.png"))) == 11 and not (tree / "out/.unfinished").exists()
    assert run() == 0
    assert run(out="whole") == 0
    assert files(tree / "out") == files(tree / "whole")


def test_a_disk_that_cannot_be_written_is_named(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: Path, content: bytes, unfinished: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(corruptions.command.apply, "write_whole", deny)
    assert run() == 1
    said = capsys.readouterr().err
    assert (
        "corruptions.json: this user has no permission for it (Permission denied)." in said and "the disk" not in said
    )


# What is refused, whole


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (("--seed", "1"), "seed was 0, is 1"),
        (("--size", "40"), "size was none, is 40"),
        (("--severity", "1,2,4"), "severities was 1 4, is 1 2 4"),
        (("--corruption", "smoke"), f"corruptions was {' '.join(NAMES)}, is smoke"),
        (("--set", "smoke.mean_transmission=0.5"), "parameters was {}, is {'smoke': {'mean_transmission': 0.5}}"),
        (("--masks", "MASKS"), "masks was no, is yes"),
    ],
)
def test_other_settings_are_refused(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], difference: str
) -> None:
    assert run() == 0
    before = files(tree / "out")
    capsys.readouterr()
    assert run(*(str(tree / "masks") if option == "MASKS" else option for option in options)) == 1
    assert difference in capsys.readouterr().err
    assert files(tree / "out") == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--corruption", "fog"), f"unknown corruption 'fog'. Known: {', '.join(CORRUPTIONS)}"),
        (("--severity", "0"), "unknown severity '0'. Known: 1, 2, 3, 4, 5"),
        (("--severity", "3", "--severity", "6"), "unknown severity '6'"),
        (("--severity", ","), "no severity is given"),
        (("--size", "20"), "size 20; expected 32 to 6000 pixels"),
        (("--workers", "0"), "0 workers; expected 1 or more"),
        (("--set", "smoke.mean_transmission=7"), "smoke: mean_transmission 7; expected"),
        (("--set", "smoke.mean_transmission=much"), "smoke: "),
        (("--set", "smoke.density=0.5"), "smoke: unknown parameter 'density'. Known: mean_transmission"),
        (("--set", "smoke.mean_transmission"), "expected NAME.PARAMETER=VALUE"),
        (("--set", "bleeding.coverage=0.5"), "a parameter is given for bleeding, which is not among"),
        (("--backend", "reference"), "smoke: the backend 'reference' does not have it"),
        (("--profile", "authors_code"), "smoke: the profile 'authors_code' does not have it"),
        (("--masks", "nowhere"), "--masks nowhere: there is no such folder"),
        (("--only", "nowhere.txt"), "nowhere.txt: it is not a readable text file"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert run(*options) == 1
    said = capsys.readouterr().err
    assert said.startswith("corruptions apply: ") and message in said and "Traceback" not in said
    assert not (tree / "out").exists()


@pytest.mark.parametrize(
    ("source", "out", "message"),
    [
        ("in", "in", "is IN"),
        ("in", "in/deep/out", "lies in IN"),
        ("in", ".", "is IN"),
        ("in", "link", "is IN"),
        ("in", "link/out", "lies in IN"),
        ("in/v1", "in", "or contains it"),
        ("link", "in/out", "lies in IN"),
        ("nowhere", "out", "no such folder"),
        ("in/a.jpg", "out", "not a folder"),
        ("empty", "out", "no image in this folder; expected files that end in .png"),
        ("in", "masks/out", "lies in --masks"),
        ("in", "masks", "is --masks"),
        ("in", "in/a.jpg", "a file; expected a folder"),
        ("in", "strange", "holds notes.txt, but no corruptions.json"),
        ("in", "damaged", "not written by this command, or is damaged"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], source: str, out: str, message: str
) -> None:
    (tree / "link").symlink_to(tree / "in")
    for folder in ("empty", "strange", "damaged"):
        (tree / folder).mkdir()
    (tree / "strange/notes.txt").touch()
    (tree / "damaged/corruptions.json").write_text('{"seed": ')
    before = files(tree)
    assert run("--masks", str(tree / "masks"), source=source, out=out) == 1
    said = capsys.readouterr().err
    assert said.startswith("corruptions apply: ") and message in said
    assert files(tree) == before


@pytest.mark.parametrize("target", [".", "out", "out/smoke"])
def test_a_link_that_leads_to_the_output_is_refused(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    (tree / "out/smoke").mkdir(parents=True)
    (tree / "in/more").symlink_to(tree / target)
    assert run() == 1
    assert "linked from it" in capsys.readouterr().err


def test_names_that_would_be_the_same_are_refused(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(tree / "in/a.jpg", tree / "in/a.png")
    assert run() == 1
    assert "a.jpg and" in (said := capsys.readouterr().err) and "a.png: their results would get the same name" in said


def test_what_the_list_names_must_be_there(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "list.txt").write_text("a\nv9/x\n")
    assert run("--only", str(tree / "list.txt")) == 1
    assert "it lists v9/x; expected ids or relative paths of images below" in capsys.readouterr().err


def test_masks_of_other_pictures_are_refused(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "others").mkdir()
    assert run("--masks", str(tree / "others")) == 1
    assert "no image has a mask here; expected" in capsys.readouterr().err


def test_two_runs_into_one_folder(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "out").mkdir()
    with corruptions.command.apply._locked(tree / "out"):
        assert run() == 1
    assert "another process is writing it" in capsys.readouterr().err
    assert run() == 0


# What is refused of one picture


def break_picture(tree: Path, how: str) -> None:
    path, mask = tree / "in/v1/b.png", tree / "masks/v1/b.png"
    if how == "torn":
        path.write_bytes(path.read_bytes()[:-60])
    elif how == "deep":
        path.write_bytes(cv2.imencode(".png", np.zeros((48, 64, 3), np.uint16))[1].tobytes())
    elif how == "small":
        path.write_bytes(encode_png(np.zeros((20, 64, 3), np.uint8)))
        mask.write_bytes(encode_png(np.zeros((20, 64), np.uint8)))
    elif how == "no mask":
        mask.unlink()
    elif how == "other mask":
        mask.write_bytes(encode_png(np.zeros((48, 60), np.uint8)))


@pytest.mark.parametrize(
    ("how", "reason", "workers"),
    [
        ("torn", "v1/b.png: it is not a readable image", "1"),
        ("torn", "v1/b.png: it is not a readable image", "2"),
        ("deep", "v1/b.png: RGB of 16 bits per channel; expected RGB, grey or a palette with 8", "1"),
        ("small", "v1/b.png: image of 64x20 pixels; expected at least 32 per side", "1"),
        ("no mask", "v1/b.png: its mask v1/b.png: missing.", "1"),
        ("other mask", "v1/b.png: its mask is 60x48 pixels, the image is 64x48. Expected the same size.", "1"),
    ],
)
def test_one_that_cannot_be_used_is_named_and_the_rest_done(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], how: str, reason: str, workers: str
) -> None:
    break_picture(tree, how)
    options = ("--masks", str(tree / "masks"), "--workers", workers)
    assert run(*options) == 1
    said = capsys.readouterr().err
    assert "corruptions apply: 1 of 4 images were left out; the others are complete:\n  " + reason in said
    assert set(files(tree / "out/smoke/1/images")) == {"a.png", "v1/c.png", "v2/b.png"}
    assert not list((tree / "out").glob("*/*/*/v1/b.png"))
    about = json.loads((tree / "out/corruptions.json").read_text())
    assert (about["complete"], about["images"], len(about["left_out"])) == (False, 3, 1)
    # Taken out, or mended, the same command completes the copy.
    (tree / "in/v1/b.png").unlink()
    assert run(*options) == 0
    assert json.loads((tree / "out/corruptions.json").read_text())["complete"]


def test_what_nobody_foresaw_stops_one_picture_alone(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(image: np.ndarray, name: str, *arguments: object, **named: object) -> list[np.ndarray]:
        if named["image_id"] == "v1/b":
            raise IndexError("out of range")
        return sweep(image, name, *arguments, **named)

    monkeypatch.setattr(corruptions.command.apply, "sweep", failing)
    assert run() == 1
    assert "left out; the others are complete:\n  v1/b.png: IndexError: out of range" in capsys.readouterr().err
    assert len(files(tree / "out/smoke/1/images")) == 3


def test_a_picture_that_changed_is_not_mixed_with_what_it_was(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    Image.fromarray(255 - read(tree / "in/v1/b.png")).save(tree / "in/v1/b.png")
    assert run() == 1
    assert "v1/b.png: it has changed since an earlier run into OUT" in capsys.readouterr().err


def test_images_of_pictures_that_are_gone_are_not_kept(
    tree: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 0
    (tree / "in/v1/b.png").unlink()
    assert run() == 1
    assert "holds results of 1 images that are not in IN, such as v1/b" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_left_out(tree: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsencode(tree / "in") + b"/\xff.png"
    try:
        shutil.copy(os.fsencode(tree / "in/v1/b.png"), name)
    except OSError:
        pytest.skip("this disk takes UTF-8 names alone")
    assert run() == 1
    assert "\\udcff.png: its name is not UTF-8. Rename it." in capsys.readouterr().err
