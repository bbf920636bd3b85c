"""Reports without figures, for tests that look at something else: drawing takes most of a report's time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image


@contextmanager
def figures_left_empty() -> Iterator[None]:
    """Lay figures out, and leave small white pictures and empty PDF files; what is packed in memory is drawn."""
    save = Figure.savefig

    def leave_empty(figure: Figure, target: Any, **how: Any) -> None:
        if not isinstance(target, Path):
            save(figure, target, **how)
        elif how["format"] == "png":
            Image.new("RGB", (8, 8), "white").save(target, "PNG")
        else:
            target.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", leave_empty)
        yield
