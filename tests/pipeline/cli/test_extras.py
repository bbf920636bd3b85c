"""What is optional and not installed is named, with how to install it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from endoarss.errors import SettingsError
from endoarss.tensorboard import event_writer
from pipeline.errors import InputError
from pipeline.workflow import record_restore


def test_without_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"DVC is not installed.*pip install 'endoarss\[workflow\]'"):
        record_restore._dvc("commit")


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"TensorBoard is not installed.*pip install 'endoarss\[tensorboard\]'"):
        event_writer(tmp_path)
