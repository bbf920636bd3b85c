"""Checkpoints whose backbone or architecture is of a user's module: loaded with it, and never importing it by themselves."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from endoarss import build_model, load_checkpoint, registry
from endoarss.checkpoint_header import read_header
from endoarss.checkpoints import save_checkpoint, standalone
from endoarss.errors import SettingsError
from endoarss.settings import ModelSettings

SOURCE = """\
from endoarss.architectures.hps import HardParameterSharing
from endoarss.backbones.resnet import build_resnet
from endoarss.registry import register_architecture, register_backbone

register_backbone("lab_resnet")(lambda settings, size, streams: build_resnet(settings, size, streams))

@register_architecture("lab_sharing")
class LabSharing(HardParameterSharing):
    pass
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The source of the module lab_parts, on the Python path; registries and modules are afterwards as they were."""
    registry.BACKBONES.get("resnet"), registry.ARCHITECTURES.get("hps")  # imported for good, not for this test
    monkeypatch.syspath_prepend(tmp_path)
    forget(monkeypatch)
    path = tmp_path / "lab_parts.py"
    path.write_text(SOURCE)
    yield path
    sys.modules.pop("lab_parts", None)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be as a process that imported nothing of the user's."""
    monkeypatch.setattr(registry, "_user_modules", [])
    for one in registry.REGISTRIES.values():
        own = {name: made for name, made in one._imported.items() if not name.startswith("lab_")}
        monkeypatch.setattr(one, "_imported", own)
    sys.modules.pop("lab_parts", None)


@pytest.fixture
def checkpoint(lab: Path, make_settings: Callable[..., ModelSettings], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a model of lab_parts, in a process that has forgotten it."""
    registry.add_module("lab_parts")
    settings = replace(make_settings("resnet", "hps"), backbone="lab_resnet", architecture="lab_sharing")
    path = lab.with_name("model.safetensors")
    model = build_model(settings)
    lab.write_text(f"{SOURCE}# edited while it trained\n")  # what was imported is what counts
    save_checkpoint(model, path, {})
    lab.write_text(SOURCE)
    forget(monkeypatch)
    return path


def test_it_loads_with_its_module_and_never_without(
    checkpoint: Path, lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    asked = (
        r"its backbone 'lab_resnet' is defined in the Python module lab_parts, which .* predict --components lab_parts"
    )
    with pytest.raises(SettingsError, match=asked):
        load_checkpoint(checkpoint)
    assert "lab_parts" not in sys.modules
    model = load_checkpoint(checkpoint, components=["lab_parts"])
    assert type(model).__name__ == "LabSharing" and capfd.readouterr().err == ""
    stored = load_file(checkpoint)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(SettingsError, match="no module 'lab_part' on the Python path"):
        load_checkpoint(checkpoint, components=["lab_part"])


def test_another_source_is_said_and_a_copy_keeps_the_digest_of_training(
    checkpoint: Path, lab: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lab.write_text(f"{SOURCE}# another version\n")
    model = load_checkpoint(checkpoint, components=["lab_parts"])
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2 and "the source of the architecture 'lab_sharing' in lab_parts (sha256" in said[1]
    save_checkpoint(standalone(model), lab.with_name("copy.safetensors"), {})
    recorded = read_header(checkpoint).components
    assert read_header(lab.with_name("copy.safetensors")).components == recorded
    assert [(one.kind, one.name, one.module) for one in recorded] == [
        ("backbones", "lab_resnet", "lab_parts"),
        ("architectures", "lab_sharing", "lab_parts"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"module": "os; rm"}, "components.0.module"),
        ({"module": "a." * 600 + "a"}, "components.0.module"),
        ({"kind": "weightings"}, "components.0.kind"),
        ({"name": "../x"}, "components.0.name"),
        ({"sha256": "x"}, "components.0.sha256"),
        ({"extra": 1}, "components.0.extra"),
    ],
)
def test_records_of_strangers_have_bounds(checkpoint: Path, changes: dict[str, object], message: str) -> None:
    with safe_open(checkpoint, framework="pt") as stored:
        header = json.loads(stored.metadata()["endoarss"])
    header["components"][0] |= changes
    save_file(load_file(checkpoint), checkpoint, metadata={"endoarss": json.dumps(header)})
    with pytest.raises(SettingsError, match=message):
        load_checkpoint(checkpoint, components=["lab_parts"])
    header["components"] = [dict(header["components"][1], module="antigravity")] * 11
    save_file(load_file(checkpoint), checkpoint, metadata={"endoarss": json.dumps(header)})
    with pytest.raises(SettingsError, match="components"):
        load_checkpoint(checkpoint)
    header["components"] = header["components"][:1]
    save_file(load_file(checkpoint), checkpoint, metadata={"endoarss": json.dumps(header)})
    with pytest.raises(
        SettingsError, match="defined in the Python module antigravity, which is never imported automatically"
    ):
        load_checkpoint(checkpoint)
    assert "antigravity" not in sys.modules and "lab_parts" not in sys.modules
