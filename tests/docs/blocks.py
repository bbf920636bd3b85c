"""Blocks of code in a page, run in their order as a reader runs them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
CHECKOUT = ("corruptions", "endoarss", "reports", "pipeline", "profiles", "Snakefile", "params.yaml", "environment.yml")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file that it is saved as ("" if it is run), and its text."""

    language: str
    title: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page that are code, in order."""
    found = [Block(*match) for match in _FENCE.findall(page.read_text(encoding="utf-8"))]
    return [block for block in found if block.language]


def link_checkout(folder: Path) -> Path:
    """Make a folder look like the repository, with an empty folder of studies, and return it."""
    for name in CHECKOUT:
        (folder / name).symlink_to(ROOT / name)
    (folder / "studies").mkdir()
    return folder


def run_page(page: Path, folder: Path, replaced: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run every block of a page in a folder; return the names that its Python blocks define.

    Args:
        page: the page.
        folder: the working folder.
        replaced: what stands in a block, by what runs instead of it. Each must occur.
    """
    names: dict[str, Any] = {"__name__": page.stem}
    unused = dict(replaced or {})
    for block in blocks_of(page):
        text = block.text
        for old in [old for old in unused if old in text]:
            text = text.replace(old, unused.pop(old))
        if block.title:
            (folder / block.title).write_text(text)
        elif block.language == "bash":
            run_commands(text, folder)
        else:
            assert block.language == "python", f"{page.name}: nothing runs a block of {block.language!r}"
            with contextlib.chdir(folder):
                exec(compile(text, str(page), "exec"), names)
    assert not unused, f"{page.name} no longer holds {', '.join(unused)}"
    return names


def run_commands(text: str, folder: Path) -> None:
    """Run a block of bash in a folder, in the environment that the tests run in. It must succeed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euc", text], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{text}\n{(done.stdout + done.stderr)[-6000:]}"
