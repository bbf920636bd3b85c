"""What all tests share: one thread, what is made once per run, the sample data where it is given, and small pictures."""

from __future__ import annotations

from pipeline.io.one_thread import use_one_thread

use_one_thread()

import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.tissue import sample_style


@pytest.fixture(scope="session", autouse=True)
def no_stale_bytecode() -> None:
    """Write no bytecode while tests run: of a module that a test writes twice within a second, Python would take what it first was."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


MakeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Return a function that fills a folder once per run, in whichever worker first asks for it: (name, fill) to the folder.

    All tests of all workers share the folder: none may change it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # what a failure left
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of real sample data; tests that need it are skipped without it."""
    folder = os.environ.get("ENDOARSS_SAMPLE_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ENDOARSS_SAMPLE_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def frames() -> list[np.ndarray]:
    """Four generated frames, uint8 RGB (224, 224, 3)."""
    rng = np.random.default_rng(0)
    activities = ("cutting", "suction", "idle", "retraction")
    return [render_scene(cast_frame(a, rng), sample_style(rng), 224, 224, rng).image for a in activities]
