"""`corruptions list` and `corruptions sheet`, and what holds for the command as a whole."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from corruptions import CATEGORIES, CORRUPTIONS, backend_of, corrupt
from corruptions.command.cli import main
from corruptions.command.files import encode_png


@pytest.fixture
def picture(tmp_path: Path, frames: list[np.ndarray]) -> Path:
    path = tmp_path / "frame.png"
    Image.fromarray(cv2.resize(frames[0], (96, 64), interpolation=cv2.INTER_AREA)).save(path)
    return path


def test_list_names_all_by_category(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(CATEGORIES)
    assert tuple(line.split()[0] for line in lines if line.startswith(" ")) == CORRUPTIONS
    by_name = {line.split()[0]: line for line in lines}
    assert "parameters: mean_transmission" in by_name["smoke"]
    assert "moves pixels" in by_name["elastic_transform"] and "moves pixels" not in by_name["smoke"]


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert tuple(rows) == CORRUPTIONS
    for category, names in CATEGORIES.items():
        for name in names:
            assert (rows[name]["category"], rows[name]["backend"]) == (category, backend_of(name))
    assert rows["bleeding"]["parameters"] == ["coverage"] and rows["contrast"]["parameters"] == []
    assert [name for name, row in rows.items() if row["moves_pixels"]] == ["elastic_transform"]


def test_list_loads_nothing_heavy() -> None:
    heavy = {"torch", "matplotlib", "pandas", "scipy.stats", "imagecorruptions", "endoarss", "pipeline", "reports"}
    code = (
        f"import sys; from corruptions.command.cli import main; main(['list']); assert not set(sys.modules) & {heavy}"
    )
    code += "; import os; assert os.environ['OMP_NUM_THREADS'] == '1'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def place_of(tile: np.ndarray, page: np.ndarray) -> tuple[int, int]:
    """Row and column where a page shows a tile, to the pixel."""
    height, width = tile.shape[:2]
    for row, column in np.argwhere((page == tile[0, 0]).all(axis=2)):
        if np.array_equal(page[row : row + height, column : column + width], tile):
            return row, column
    raise AssertionError("not on the page")


def test_the_sheet_shows_each_severity_in_its_place(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    names = ("gaussian_noise", "smoke", "contrast")
    options = ["--out", str(out), "--size", "96", "--seed", "5", "--corruption", "contrast,smoke,gaussian_noise"]
    assert main(["sheet", str(picture), *options]) == 0
    page, image = np.asarray(Image.open(out)), np.asarray(Image.open(picture))
    places = {
        (name, severity): place_of(corrupt(image, name, severity, seed=5, image_id="frame"), page)
        for name in names
        for severity in (1, 2, 3, 4, 5)
    }
    for name in names:
        assert len({places[name, severity][0] for severity in range(1, 6)}) == 1
    columns = [places["smoke", severity][1] for severity in range(1, 6)]
    assert columns == sorted(set(columns)) == [places["contrast", severity][1] for severity in range(1, 6)]
    assert place_of(image, page)[1] < columns[0]
    rows = [places[name, 1][0] for name in names]
    assert rows == sorted(set(rows))


def test_the_sheet_corrupts_at_the_working_size(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = tmp_path / "large.png"
    Image.fromarray(cv2.resize(frames[1], (400, 300))).save(path)
    pages = []
    for size in ("64", "0"):
        options = ["--out", str(tmp_path / f"{size}.png"), "--size", "64", "--corruption", "gaussian_noise"]
        assert main(["sheet", str(path), "--working-size", size, *options]) == 0
        pages.append(np.asarray(Image.open(tmp_path / f"{size}.png")))
    assert pages[0].shape == pages[1].shape
    small = cv2.resize(np.asarray(Image.open(path)), (85, 64), interpolation=cv2.INTER_AREA)
    noisy = corrupt(small, "gaussian_noise", 5, image_id="large")
    place_of(cv2.resize(noisy, (64, 48), interpolation=cv2.INTER_AREA), pages[0])
    with pytest.raises(AssertionError, match="not on the page"):
        place_of(cv2.resize(noisy, (64, 48), interpolation=cv2.INTER_AREA), pages[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["IMAGE", "--out", "sheet.jpg"], "expected a name that ends in .png"),
        (["IMAGE", "--out", "IMAGE"], "is the image itself"),
        (["IMAGE", "--size", "5"], "--size 5; expected 64 to 1024 pixels"),
        (["IMAGE", "--working-size", "8"], "--working-size 8; expected 32 to 6000 pixels, or 0"),
        (["IMAGE", "--corruption", "fog"], "unknown corruption 'fog'. Known: gaussian_noise"),
        (["nowhere.png"], "nowhere.png: missing."),
        (["DEEP"], "deep.png: grey of 16 bits per channel; expected RGB, grey or a palette with 8"),
        (["TINY"], "image of 48x16 pixels; expected at least 32 per side"),
    ],
)
def test_what_no_sheet_can_be_drawn_of_is_refused(
    picture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(picture.parent)
    others = {"IMAGE": picture, "DEEP": picture.with_name("deep.png"), "TINY": picture.with_name("tiny.png")}
    Image.fromarray(np.zeros((64, 64), np.uint16)).save(others["DEEP"])
    others["TINY"].write_bytes(encode_png(np.zeros((16, 48, 3), np.uint8)))
    before = sorted(picture.parent.iterdir())
    assert main(["sheet", *(str(others.get(option, option)) for option in options)]) == 1
    said = capsys.readouterr().err
    assert "corruptions sheet: " in said and message in said and "Traceback" not in said
    assert sorted(picture.parent.iterdir()) == before


def test_the_command_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["scripts"]["corruptions"] == "corruptions.command.cli:main"
