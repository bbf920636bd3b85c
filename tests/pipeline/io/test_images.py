"""Pictures are written where they are wanted, and read back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.io.images import read_ids, write_png


def test_folders_above_a_picture_are_made(tmp_path: Path) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    write_png(tmp_path / "a" / "b" / "mask.png", mask)
    np.testing.assert_array_equal(read_ids(tmp_path / "a" / "b" / "mask.png"), mask)
