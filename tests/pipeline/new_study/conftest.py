"""Small folders of frames and masks, in the many ways that people store them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Write = Callable[..., tuple[Path, Path]]

HEIGHT, WIDTH = 48, 96


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()


@pytest.fixture
def write() -> Write:
    """Write images/ and masks/ below own/: `stored` has the values (or colours) of three stripes of every mask."""

    def write(
        stored: object,
        frames: int = 12,
        image: str = "case{case}_{number:04d}.jpg",
        mask: str = "case{case}_{number:04d}.png",
        mode: str | None = None,
        root: str = "own",
    ) -> tuple[Path, Path]:
        rng = np.random.default_rng(0)
        values = np.asarray(stored)
        values = values.astype(np.uint16 if values.max() > 255 else np.uint8)
        stripes = np.repeat((np.arange(WIDTH) * len(values) // WIDTH)[None], HEIGHT, axis=0)
        for number in range(frames):
            said = {"case": number % 3 + 1, "number": number}
            for folder, name in (("images", image), ("masks", mask)):
                path = Path(root) / folder / name.format(**said)
                path.parent.mkdir(parents=True, exist_ok=True)
                if folder == "images":
                    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)
                    continue
                made = Image.fromarray(values[stripes])
                if mode == "P":
                    made.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
                elif mode:
                    made = made.convert(mode)
                made.save(path)
        return Path(root) / "images", Path(root) / "masks"

    return write
