"""The backbone of CONTRIBUTING.md, followed to the letter."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from endoarss import build_model
from endoarss.checkpoints import load_checkpoint, save_checkpoint
from endoarss.registry import BACKBONES
from endoarss.settings import HeadSettings, ModelSettings

ROOT = Path(__file__).parents[2]
NAME = "my_convnext"


def recipe() -> str:
    """Return the code of the section on backbones."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^## A backbone$.*?^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return code


def test_the_convnext_of_the_recipe_serves_tesla(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BACKBONES, "_imported", dict(BACKBONES._imported))
    path = tmp_path / f"{NAME}.py"
    path.write_text(recipe(), encoding="utf-8")
    spec = spec_from_file_location(NAME, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)

    settings = ModelSettings(NAME, "tesla", ("0", "1"), ("a", "b"), 64, module.SMALL, heads=HeadSettings(8, 8))
    model, images = build_model(settings).eval(), torch.rand(2, 3, 64, 64)
    assert len(model.backbone.owned_parameters(0)) == 2 * 2 * 4  # A and B, of two layers, of four blocks
    with torch.inference_mode():
        first, second = model.backbone(images)
        for parameter in model.backbone.owned_parameters(1):
            parameter.normal_()
        for layer in model.modules():  # a ConvNeXt's blocks start at 1e-6
            if hasattr(layer, "gamma"):
                layer.gamma.fill_(1.0)
        again, changed = model.backbone(images)
    torch.testing.assert_close(first, second)
    assert not torch.allclose(again, changed)
    save_checkpoint(model, tmp_path / "model.safetensors", {})
    with torch.inference_mode():
        loaded = load_checkpoint(tmp_path / "model.safetensors")(images)
        for task, expected in model(images).items():
            torch.testing.assert_close(loaded[task], expected, rtol=0, atol=0)
