"""What tests share is made once, whoever asks for it first, and whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest
from matplotlib.figure import Figure
from PIL import Image

from tests.pipeline.undrawn import figures_left_empty

MakeOnce = Callable[[str, Callable[[Path], None]], Path]


def test_two_that_ask_at_once_get_one_folder(made_once: MakeOnce) -> None:
    filled: list[Path] = []

    def fill(folder: Path) -> None:
        filled.append(folder)
        sleep(0.2)
        (folder / "made").touch()

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(made_once, "asked_for_twice", fill) for _ in range(2)]
        folders = [one.result() for one in asked]
    assert folders == [filled[0]] * 2 and len(filled) == 1
    assert made_once("asked_for_twice", fill) == filled[0] and len(filled) == 1
    assert [path.name for path in filled[0].iterdir()] == ["made"]


def test_what_a_failure_left_is_made_again(made_once: MakeOnce) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        made_once("failed_at_first", fail)
    assert [*made_once("failed_at_first", lambda folder: (folder / "whole").touch()).iterdir()] == [
        made_once("failed_at_first", fail) / "whole"
    ]


def test_figures_are_left_empty_for_a_while(tmp_path: Path) -> None:
    figure, png, pdf = Figure(), tmp_path / "a.png", tmp_path / "a.pdf"
    with figures_left_empty():
        figure.savefig(png, format="png")
        figure.savefig(pdf, format="pdf")
    assert Image.open(png).size == (8, 8) and pdf.read_bytes() == b""
    figure.savefig(png, format="png")
    assert Image.open(png).size == (640, 480)
