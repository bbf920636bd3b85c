"""What all tests share: one thread, the sample data where it is given, and small pictures."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pytest

from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.tissue import sample_style


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
