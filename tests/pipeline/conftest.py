"""Small generated trees, made once, and the smallest study."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.sources.archives import prepare_root
from pipeline.sources.synthetic.endovis2017_tree import generate_endovis2017
from pipeline.sources.synthetic.endovis2018_tree import generate_endovis2018
from pipeline.sources.synthetic.released_trees import generate_esd, generate_released_mtlendovis
from tests.pipeline.undrawn import figures_left_empty


@pytest.fixture(scope="session")
def trees(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The generated trees, archives extracted: endovis2018 (60 frames), endovis2017 (every fourth), two released ones."""
    return made_once("raw", _generate_trees)


def _generate_trees(root: Path) -> None:
    for name in ("endovis2018", "endovis2017", "esd", "released_mtlendovis"):
        (root / name).mkdir()
    generate_endovis2018(root / "endovis2018", frames=60, height=96, width=120, seed=1, floor=2)
    generate_endovis2017(root / "endovis2017", height=72, width=128, seed=2, keep_every=4)
    generate_esd(root / "esd", frames=20, height=96, width=120, seed=3)
    generate_released_mtlendovis(root / "released_mtlendovis", frames=40, height=96, width=120, seed=4, floor=2)
    for name in ("endovis2018", "endovis2017", "released_mtlendovis"):
        prepare_root(root / name)


@pytest.fixture
def copied(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Callable[[str, Callable[[], None]], None]:
    """Return a function that copies into the working folder what another function makes there: (name, make).

    That one runs once per run, in a working folder of its own.
    """

    def copy(name: str, make: Callable[[], None]) -> None:
        def fill(folder: Path) -> None:
            with contextlib.chdir(folder):
                make()

        shutil.copytree(made_once(name, fill), Path(), dirs_exist_ok=True)

    return copy


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Leave figures empty."""
    with figures_left_empty():
        yield


@pytest.fixture
def minimal() -> Callable[..., dict[str, Any]]:
    """Settings of a small valid study, with some replaced."""

    def make(**changes: Any) -> dict[str, Any]:
        return {
            "study": "toy",
            "title": "Toy",
            "compare_with_paper": True,
            "raw": {"generate": {"name": "toy"}},
            "datasets": {"mtlesd": {}},
            "input_size": 84,
            "backbones": {"resnet": {"label": "R", "model": "resnet26", "weights": "none"}},
            "training": {"schedules": {"mtlesd": {"epochs": 3, "learning_rate": 0.001}}},
            "cells": [
                {"datasets": ["mtlesd"], "backbones": ["resnet"], "architectures": ["hps"], "weightings": ["equal"]}
            ],
            **changes,
        }

    return make


@pytest.fixture
def study_file(
    minimal: Callable[..., dict[str, Any]], trees: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A study on the small ESD tree, in an empty working folder."""
    settings = minimal(
        raw={"esd": str(trees / "esd")},
        input_size=56,
        heads={"segmentation_channels": 16, "activity_channels": 16},
        backbones={
            "resnet": {"label": "R", "model": "resnet26", "arguments": {"channels": [8, 8, 12, 16]}, "weights": "none"}
        },
        robustness={"cells": [{}], "corruptions": ["smoke", "elastic_transform"], "severities": [1, 5]},
    )
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
