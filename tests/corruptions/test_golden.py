"""The bytes of every corruption and severity stay what they are, on any processor."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from corruptions import CORRUPTIONS, STANDARD_CORRUPTIONS

GOLDEN = Path(__file__).parent / "golden"
DIGESTS: dict[str, list[str]] = json.loads((GOLDEN / "digests.json").read_text(encoding="utf-8"))


def test_every_standard_corruption_has_its_digests() -> None:
    assert set(STANDARD_CORRUPTIONS) <= {key.split()[0] for key in DIGESTS} <= set(CORRUPTIONS)


@pytest.fixture(scope="module")
def made() -> dict[str, list[str]]:
    found: dict[str, list[str]] = runpy.run_path(str(GOLDEN / "make_digests.py"))["digests"]()
    return found


@pytest.mark.parametrize("key", DIGESTS)
def test_bytes_are_as_recorded(key: str, made: dict[str, list[str]]) -> None:
    assert made[key] == DIGESTS[key]


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine != "x86_64", reason="x86 has these switches"
)
def test_bytes_are_the_same_without_the_newer_instructions(tmp_path: Path) -> None:
    """Compiled for the oldest 64-bit processor, with OpenCV and numpy kept from later instructions and from Intel's library."""
    later = "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": "",
        "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,FP16,AVX2,AVX512-SKX",
        "OPENCV_IPP": "disabled",
        "NPY_DISABLE_CPU_FEATURES": later,
    }
    target = tmp_path / "digests.json"
    command = [sys.executable, str(GOLDEN / "make_digests.py"), str(target)]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])
    made = json.loads(target.read_text(encoding="utf-8"))
    assert {key: made[key] for key in DIGESTS} == DIGESTS
