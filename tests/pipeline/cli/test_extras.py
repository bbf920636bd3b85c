"""What is optional and not installed is named, with how to install it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from endoarss.errors import SettingsError
from endoarss.tensorboard import event_writer
from pipeline.cli import main
from pipeline.workflow import record_restore


def test_without_snakemake(
    study_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "snakemake", None)
    assert main(["use", str(study_file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("endoarss use: Snakemake is not installed.") and "pip install -e '.[workflow]'" in said


def test_without_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".dvc", ".git"):
        Path(name).mkdir()
    Path("dvc.yaml").touch()
    monkeypatch.setattr(record_restore, "check_stages", lambda: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["restore"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("endoarss restore: DVC is not installed.") and "pip install -e '.[workflow]'" in said


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SettingsError, match=r"TensorBoard is not installed.*pip install -e '\.\[tensorboard\]'"):
        event_writer(tmp_path)
