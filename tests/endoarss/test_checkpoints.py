"""Checkpoints from anybody: nothing of them is run, fetched or opened, and what does not fit is told before memory is claimed."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from endoarss import build_model, load_checkpoint
from endoarss.checkpoint_header import read_header
from endoarss.checkpoints import save_checkpoint, standalone
from endoarss.errors import SettingsError
from endoarss.settings import ModelSettings

Make = Callable[..., ModelSettings]
_opened: list[str] = []
_listening = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event in ("open", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
        _opened.append(f"{event} {arguments[0]}")


sys.addaudithook(_hook)


@pytest.fixture
def doors() -> Iterator[list[str]]:
    """Everything that is opened, and every address that is asked, while a test runs."""
    global _listening
    _opened.clear()
    _listening = True
    yield _opened
    _listening = False


@pytest.fixture
def checkpoint(make_settings: Make, vit_file: Path, tmp_path: Path) -> Path:
    """A checkpoint with its frozen weights beside it, in a folder of its own."""
    path = tmp_path / "sent" / "model.safetensors"
    path.parent.mkdir()
    save_checkpoint(build_model(make_settings("dinov2", "tesla")), path, {"seed": 0})
    shutil.copy(vit_file, path.with_name("vit.safetensors"))
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the header of a checkpoint."""
    with safe_open(path, framework="pt") as stored:
        header = json.loads(stored.metadata()["endoarss"])
    edit(header)
    save_file(load_file(path), path, metadata={"endoarss": json.dumps(header)})


def backbone(header: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = header["settings"]["backbone_settings"]
    return given


WAYS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a download into any folder": lambda h: backbone(h).update(
        weights={"source": "hub"},
        arguments={"pretrained_cfg": {"url": "http://127.0.0.1:9/w.safetensors"}, "cache_dir": "/tmp/x"},
    ),
    "a copy of a local file": lambda h: backbone(h).update(arguments={"pretrained_cfg": {"url": "file:///etc/passwd"}}),
    "an overlay": lambda h: backbone(h).update(arguments={"pretrained_cfg_overlay": {"file": "/etc/passwd"}}),
    "a path to open": lambda h: backbone(h).update(arguments={"checkpoint_path": "/etc/passwd"}),
    "a name of the hub": lambda h: backbone(h).update(model="hf-hub:timm/resnet26"),
    "a name of a folder": lambda h: backbone(h).update(model="local-dir:/etc"),
    "weights of the hub": lambda h: backbone(h).update(
        weights={"source": "hub", "path": "", "sha256": "", "prefix": ""}
    ),
    "weights anywhere": lambda h: backbone(h)["weights"].update(path="/etc/passwd", sha256="0" * 64),
    "a class to build": lambda h: backbone(h).update(arguments={"block_fn": "os.system"}),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_out_is_closed(way: str, checkpoint: Path, doors: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("the network was asked"))
    change(checkpoint, WAYS[way])
    doors.clear()
    with pytest.raises(SettingsError, match=r"model\.safetensors: "):
        load_checkpoint(checkpoint)
    strange = [door for door in doors if "/etc/" in door or "socket" in door or "urllib" in door or "/tmp/x" in door]
    assert not strange


def test_frozen_weights_are_found_beside_by_digest_and_never_by_the_headers_path(
    checkpoint: Path, make_settings: Make, vit_file: Path, doors: list[str]
) -> None:
    elsewhere = checkpoint.parents[1] / "elsewhere.safetensors"
    shutil.copy(vit_file, elsewhere)
    digest = hashlib.sha256(vit_file.read_bytes()).hexdigest()
    change(checkpoint, lambda h: backbone(h)["weights"].update(path=str(elsewhere), sha256=digest))
    doors.clear()
    load_checkpoint(checkpoint)
    assert not any("elsewhere" in door for door in doors)
    checkpoint.with_name("vit.safetensors").rename(checkpoint.with_name("any_name.safetensors"))
    load_checkpoint(checkpoint)
    checkpoint.with_name("any_name.safetensors").unlink()
    with pytest.raises(
        SettingsError,
        match=r"needs the frozen weights 'elsewhere.safetensors' \(sha256 [0-9a-f]{12}\) .* --weights FILE",
    ):
        load_checkpoint(checkpoint)
    load_checkpoint(checkpoint, [elsewhere])
    load_checkpoint(checkpoint, [elsewhere.parent])
    damaged = bytearray(elsewhere.read_bytes())
    damaged[-1] ^= 1
    elsewhere.write_bytes(damaged)
    with pytest.raises(SettingsError, match="elsewhere.safetensors is a different file"):
        load_checkpoint(checkpoint, [elsewhere])


def test_a_standalone_checkpoint_needs_no_other_file(checkpoint: Path, tmp_path: Path) -> None:
    model = load_checkpoint(checkpoint)
    images = torch.rand(2, 3, 56, 56)
    with torch.inference_mode():
        expected = model(images)
    alone = tmp_path / "alone" / "model.safetensors"
    alone.parent.mkdir()
    save_checkpoint(standalone(model), alone, {})
    assert read_header(alone).settings.backbone_settings.weights.source == "checkpoint"
    with torch.inference_mode():
        found = load_checkpoint(alone)(images)
    for task, logits in expected.items():
        assert torch.equal(found[task], logits)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda h: h["settings"].update(input_size=10**6), "input_size: 1000000 is not allowed"),
        (lambda h: backbone(h)["lora"].update(rank=10**9), "backbone_settings.lora.rank: 1000000000"),
        (
            lambda h: backbone(h)["arguments"].update(embed_dim=8192, num_heads=2),
            "its tensors do not match its settings",
        ),
        (lambda h: h["settings"].update(classes=["background", "=cmd()"]), "classes.1"),
        (lambda h: h["settings"].update(extra=1), "extra: 1 is not allowed"),
        (lambda h: h["settings"].pop("classes"), "classes"),
        (lambda h: h.update(settings=[]), "its header is not the header of a checkpoint"),
        (lambda h: h.update(frozen_sha256="0" * 64), "the frozen weights differ from those in training"),
        (lambda h: h["settings"].update(architecture="../x"), "unknown architecture"),
    ],
)
def test_headers_that_lie_are_told_in_one_sentence(
    checkpoint: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    change(checkpoint, edit)
    with pytest.raises(SettingsError, match=message):
        load_checkpoint(checkpoint)


def test_tensors_that_are_no_numbers_are_named(checkpoint: Path) -> None:
    tensors = load_file(checkpoint)
    with safe_open(checkpoint, framework="pt") as stored:
        metadata = stored.metadata()
    name = next(name for name, tensor in tensors.items() if name.startswith("heads.") and tensor.ndim > 1)
    tensors[name][..., 0] = float("nan")
    save_file(tensors, checkpoint, metadata=metadata)
    with pytest.raises(SettingsError, match=f"the tensor '{name}' has values that are not finite"):
        load_checkpoint(checkpoint)


@pytest.mark.parametrize(
    "provenance",
    [
        {"x": "a." * 200_000},
        {"x": "\ud800"},
        {"\ud800": 1},
        {"x": [""] * 30_000},
        json.loads('{"a":' * 300 + "1" + "}" * 300),
    ],
)
def test_a_header_that_cannot_be_walked_through_or_written_again_is_refused(
    checkpoint: Path, provenance: dict[str, Any]
) -> None:
    change(checkpoint, lambda h: h.update(provenance=provenance))
    for read in (read_header, load_checkpoint):
        with pytest.raises(SettingsError, match="its header is not the header of a checkpoint"):
            read(checkpoint)


def test_a_checkpoint_that_holds_everything_asks_for_no_other_file(make_settings: Make, tmp_path: Path) -> None:
    """A ResNet is trained in full, from whatever weights it began with."""
    model = build_model(make_settings("resnet", "hps"))
    path = tmp_path / "model.safetensors"
    save_checkpoint(model, path, {})
    for weights in ({"source": "hub"}, {"source": "file", "path": "/nowhere/r.safetensors", "sha256": "0" * 64}):
        change(
            path,
            lambda h, weights=weights: backbone(h).update(weights={"path": "", "sha256": "", "prefix": ""} | weights),
        )
        again = load_checkpoint(path)
        assert again.settings.backbone_settings.weights.source == weights["source"]
        for (name, tensor), other in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
            assert torch.equal(tensor, other), name


def test_a_model_of_very_many_blocks_is_refused_at_once(make_settings: Make, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(build_model(make_settings("resnet", "mmoe")), path, {})
    change(path, lambda h: h["settings"].update(architecture_settings={"experts": 64}))
    change(path, lambda h: backbone(h)["arguments"].update(layers=[32, 32, 32, 32]))
    with pytest.raises(SettingsError, match="64 encoders of 128 blocks; expected at most 1024 blocks in total"):
        load_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64])
def test_tensors_of_another_type_are_refused(checkpoint: Path, dtype: torch.dtype) -> None:
    tensors = load_file(checkpoint)
    with safe_open(checkpoint, framework="pt") as stored:
        metadata = stored.metadata()
    name = next(name for name, tensor in tensors.items() if name.startswith("heads.") and tensor.ndim > 1)
    tensors[name] = tensors[name].to(dtype)
    save_file(tensors, checkpoint, metadata=metadata)
    with pytest.raises(SettingsError, match=rf"{name} is \w+ .*, the model has F32 "):
        load_checkpoint(checkpoint)
