"""A study whose backbone, architecture and weighting are a user's own, on a .pth file: every step runs, and predict asks for the module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
import yaml

from endoarss import registry
from endoarss.checkpoint_header import read_header
from pipeline.cli import main

VIT = {"embed_dim": 24, "depth": 1, "num_heads": 2, "init_values": 1.0}
CELL = "mtlesd/lab_vit/lab_sharing/lab_equal/r4-s0"
SINGLES = [f"mtlesd/lab_vit/single_{task}/equal/r4-s0-val" for task in ("activity", "segmentation")]
SOURCE = """\
from endoarss.architectures.hps import HardParameterSharing
from endoarss.backbones.dinov2 import build_dinov2
from endoarss.registry import register_architecture, register_backbone, register_weighting
from endoarss.weightings.equal import EqualWeighting

@register_architecture("lab_sharing")
class LabSharing(HardParameterSharing):
    pass

@register_weighting("lab_equal")
class LabEqual(EqualWeighting):
    pass

@register_backbone("lab_vit")
def build_lab_vit(settings, input_size, streams):
    return build_dinov2(settings, input_size, streams)
"""


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let registries and imported modules be afterwards as they were."""
    for kind, names in {"backbones": ["dinov2"], "architectures": ["hps"], "weightings": ["equal"]}.items():
        for name in names:
            registry.REGISTRIES[kind].get(name)  # imported for good, not for this test
    yield
    unknown(monkeypatch)


def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a process that imported nothing of the user's."""
    monkeypatch.setattr(registry, "_user_modules", [])
    for one in registry.REGISTRIES.values():
        for name in [name for name in one._imported if name.startswith("lab_")]:
            del one._imported[name]
    sys.modules.pop("lab_parts", None)


def block(architecture: str, weighting: str, select_on: str) -> dict[str, object]:
    names = {"architectures": [architecture], "weightings": [weighting], "select_on": select_on}
    return {"datasets": ["mtlesd"], "backbones": ["lab_vit"], **names}


def write_study(study_file: Path, folder: Path) -> None:
    vit = timm.create_model("vit_small_patch14_dinov2", img_size=56, num_classes=0, **VIT)
    state = {f"backbone.{name}": tensor for name, tensor in vit.state_dict().items()}
    torch.save({"teacher": {**state, "head.weight": torch.ones(2)}, "student": state}, folder / "vit.pth")
    (folder / "lab_parts.py").write_text(SOURCE)
    settings = yaml.safe_load(study_file.read_text())
    weights = {"file": "vit.pth", "entry": "teacher", "prefix": "backbone."}
    vit_settings = {"label": "V", "model": "vit_small_patch14_dinov2", "arguments": VIT, "weights": weights}
    settings |= {"components": ["lab_parts"], "backbones": {"lab_vit": vit_settings}}
    settings["training"] = {"schedules": {"mtlesd": {"epochs": 1, "learning_rate": 0.01}}}
    settings["cells"] = [block("lab_sharing", "lab_equal", "last")]
    settings["cells"] += [block(f"single_{task}", "equal", "val") for task in ("activity", "segmentation")]
    settings["merging"] = {"mergers": ["averaging"], "surgery": {"ablation": []}, "robustness": False}
    settings["robustness"] = {
        "cells": [{"architecture": "lab_sharing"}],
        "corruptions": ["contrast"],
        "severities": [1],
    }
    study_file.write_text(yaml.safe_dump(settings))


@pytest.mark.usefixtures("forget")
def test_every_step_of_a_study(
    study_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_study(study_file, tmp_path)
    steps = [
        ["step", "build_dataset", "--dataset", "mtlesd"],
        *(["train", "--cell", cell] for cell in (CELL, *SINGLES)),
    ]
    steps += [["evaluate", "--again", "--cell", CELL], ["robustness", "--workers", "0", "--cell", CELL]]
    steps += [["merge", *SINGLES, "--method", "averaging"]]
    for step in steps:
        unknown(monkeypatch)
        assert main([*step, "--study", str(study_file)]) == 0, (step, capsys.readouterr().err)
    checkpoint = Path("results/toy/cells") / CELL / "model.safetensors"
    merged = checkpoint.parents[3] / "merged/averaging/r4-s0-val/model.safetensors"
    assert [one.name for one in read_header(checkpoint).components] == ["lab_vit", "lab_sharing"]
    assert [one.name for one in read_header(merged).components] == ["lab_vit"]
    frame = next(Path("data/datasets/mtlesd/images").iterdir())
    unknown(monkeypatch)
    capsys.readouterr()
    command = ["predict", str(checkpoint), str(frame), "--out", "out", "--weights", str(tmp_path)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert f"predict: {checkpoint}: its backbone 'lab_vit' is defined in the Python module lab_parts" in said
    assert "lab_parts" not in sys.modules and not Path("out").exists()
    assert main([*command, "--components", "lab_parts"]) == 0, capsys.readouterr().err
    assert Path("out/predictions.csv").read_text().count("\n") == 2
