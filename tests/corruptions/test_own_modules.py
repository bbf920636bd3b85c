"""Corruptions in a user's module: in the library, and in the command `corruptions`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from corruptions import CorruptionError, register_corruption

HAZE = '''\
import numpy as np
from corruptions import register_corruption


@register_corruption("my_haze", "occlusion", prepare=lambda image, randomness: randomness.uniform(0.8, 1.0))
def my_haze(image, severity, light):
    """Mix the picture with grey light."""
    share = 0.15 * severity
    return np.clip(image * (1 - share) + 255 * share * light + 0.5, 0, 255).astype(np.uint8)
'''


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder; a process of its own, because what is registered stays."""
    line = [sys.executable, "-P", "-m", "corruptions.command.cli", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_the_command_takes_a_module_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "my_haze.py").write_text(HAZE)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/a.png"), np.full((40, 40, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "in/b.png"), np.full((40, 40, 3), 70, np.uint8))
    options = ("--components", "my_haze", "--corruption", "my_haze", "--severity", "2", "--workers", "2")
    ran = command(tmp_path, "apply", "in", "out", *options)
    assert ran.returncode == 0, ran.stderr
    made = cv2.imread(str(tmp_path / "out/my_haze/2/images/a.png"))
    assert 120 < made.min() <= made.max() < 150
    assert set(json.loads((tmp_path / "out/corruptions.json").read_text())["components"]) == {"my_haze"}
    (tmp_path / "my_haze.py").write_text(f"{HAZE}\n# changed\n")
    again = command(tmp_path, "apply", "in", "out", *options)
    assert again.returncode == 1 and "started with other settings: components was" in again.stderr


def test_faults_of_a_module_are_told(tmp_path: Path) -> None:
    listed = command(tmp_path, "list", "--components", "nowhere")
    assert (
        listed.returncode == 1
        and "--components nowhere: No module named 'nowhere'. It was searched for" in listed.stderr
    )
    (tmp_path / "torn.py").write_text("import os\n\nx = 1 / 0\n")
    listed = command(tmp_path, "list", "--components", "torn")
    assert "torn.py, line 3: ZeroDivisionError: division by zero." in listed.stderr
    assert "Traceback" not in listed.stderr


def test_a_name_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my_haze.py").write_text(HAZE.replace('"my_haze"', '"smoke"'))
    listed = command(tmp_path, "list", "--components", "my_haze")
    assert listed.returncode == 1 and "my_haze.py, line 5: CorruptionError: the corruption 'smoke'" in listed.stderr
    for name in ("Haze!", "standard", "../haze", ""):
        with pytest.raises(CorruptionError, match="the corruption's name .*; expected lower-case letters"):
            register_corruption(name, "noise")
