"""Checkpoints: safetensors with the trained tensors, and in the header what is needed to build the model again.

Frozen weights are not stored unless the model is `standalone`: they are found by their SHA-256 (`endoarss.base_weights`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from endoarss.base_weights import find_base_weights
from endoarss.checkpoint_header import header_metadata, read_header
from endoarss.components.external import check_external
from endoarss.errors import SettingsError
from endoarss.models import MultiTaskModel, build_model
from endoarss.registry import add_module
from endoarss.saving import save_tensors
from endoarss.settings import ModelSettings, WeightsSettings

# What safetensors calls the types that a model's tensors may have.
_DTYPES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def save_checkpoint(model: MultiTaskModel, path: Path, provenance: dict[str, Any]) -> None:
    """Write to `path` all tensors of a model that its weights' source does not give, settings and provenance in the header.

    Args:
        provenance: what decided the training, and nothing else (no time, no commit): the same training gives the same bytes.

    Raises:
        OSError: with the file's name, if it cannot be written.
    """
    complete = model.settings.backbone_settings.weights.source == "checkpoint"
    frozen = set() if complete else frozen_names(model)
    state = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items() if name not in frozen}
    save_tensors(state, path, header_metadata(model.settings, frozen_sha256(model), provenance, model.external))


def tensors_sha256(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Hex SHA-256 of names and values, in the order of the names."""
    total = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def frozen_names(model: MultiTaskModel) -> set[str]:
    """The parameters that came with the backbone's weights and are not trained. What is drawn and frozen is not among them."""
    return {
        name
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and name.startswith("backbone.encoders.")
    }


def frozen_sha256(model: MultiTaskModel) -> str:
    """Hex SHA-256 of the parameters of `frozen_names`."""
    frozen = frozen_names(model)
    return tensors_sha256((name, p) for name, p in model.named_parameters() if name in frozen)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as stored:
            yield stored
    except (SafetensorError, OSError) as error:
        said = " ".join(str(error)[:200].split())  # it may quote the file
        raise SettingsError(f"{path}: not a whole safetensors file ({said}).") from None


def load_checkpoint(path: str | Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> MultiTaskModel:
    """Build the model of a checkpoint with its trained weights, in evaluation mode on the CPU.

    The file may come from anybody: nothing in it is run or imported, no network is touched, and no path that it names is opened. A model
    is allocated only after names and shapes of the stored tensors have been compared with those of the model that the header describes.

    Args:
        path: of the checkpoint. weights: files, and folders of files, where the frozen weights that it was trained on are
            looked for by their digest, besides the checkpoint's own folder and the hub's cache.
        components: Python modules of your own that register the model's backbone or architecture; they are imported. If their source is
            another than in training, a message on standard error says so.

    Raises:
        SettingsError: if the file is not a checkpoint, is damaged, or the frozen weights are missing or others than in training; if a
            component of the model is in none of the modules, naming its own.
    """
    path = Path(path)
    header = read_header(path)
    for module in components:
        add_module(module)
    try:
        check_external(path, header.settings, header.components)
        expected, frozen = _expected_tensors(header.settings)
        _compare_with_stored(path, expected, frozen)
        model = _build(header.settings, path, weights, sum(expected[name].numel() for name in frozen))
    except SettingsError as error:
        raise SettingsError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    with _opened(path) as stored:
        state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    broken = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise SettingsError(
            f"{path}: the tensor {broken[0]!r} holds values that are no numbers; the file is damaged. Train again, or get another copy."
        )
    model.load_state_dict(state, strict=False)  # names and shapes were compared above
    if frozen_sha256(model) != header.frozen_sha256:
        raise SettingsError(
            f"{path}: the frozen weights are others than in training, or the header is another model's."
        )
    model.external = header.components  # the source that it was trained with, whatever it is now
    return model.eval()


def standalone(model: MultiTaskModel) -> MultiTaskModel:
    """Let a model's checkpoint hold everything from now on, its frozen weights included; changes and returns the model."""
    given = model.settings.backbone_settings
    if given.weights.source in ("file", "hub"):
        whole = replace(given, weights=replace(given.weights, source="checkpoint", path=""))
        model.settings = replace(model.settings, backbone_settings=whole)
    return model


def without_weights(settings: ModelSettings) -> ModelSettings:
    """Settings of the same model with weights that are loaded later."""
    given = settings.backbone_settings
    if given.weights.source == "none":
        return settings
    return replace(settings, backbone_settings=replace(given, weights=WeightsSettings("checkpoint")))


def _expected_tensors(settings: ModelSettings) -> tuple[dict[str, Tensor], set[str]]:
    """Every tensor of the model that settings describe, without memory for any; and the names of those that its checkpoint lacks."""
    with torch.device("meta"):
        skeleton = build_model(without_weights(settings))
    complete = settings.backbone_settings.weights.source == "checkpoint"
    return skeleton.state_dict(), set() if complete else frozen_names(skeleton)


def _compare_with_stored(path: Path, expected: dict[str, Tensor], frozen: set[str]) -> None:
    with _opened(path) as stored:
        names = set(stored.keys())
        missing, unexpected = sorted(set(expected) - frozen - names), sorted(names - (set(expected) - frozen))
        if missing or unexpected:
            raise SettingsError(
                f"{path}: does not fit its own settings; missing {missing[:3]}, unexpected {unexpected[:3]}."
            )
        for name in sorted(names):
            shape, dtype = tuple(stored.get_slice(name).get_shape()), stored.get_slice(name).get_dtype()
            wanted = tuple(expected[name].shape), _DTYPES[expected[name].dtype]
            if (shape, dtype) != wanted:
                raise SettingsError(
                    f"{path}: does not fit its own settings; {name} is {dtype} {shape}, its model has {wanted[1]} {wanted[0]}."
                )


def _build(settings: ModelSettings, path: Path, places: Sequence[Path], frozen_values: int) -> MultiTaskModel:
    """The model with its frozen weights; a file of fewer bytes than there are frozen values cannot hold them."""
    given = settings.backbone_settings
    if given.weights.source not in ("file", "hub"):
        return build_model(settings)
    if not frozen_values:
        # Such as a ResNet, which is trained in full: the checkpoint holds everything that became of its first weights.
        model = build_model(without_weights(settings))
        model.settings = settings
        return model
    file = find_base_weights(given, path, places)
    if file.stat().st_size < frozen_values:
        raise SettingsError(f"{file}: too small for the {frozen_values:,} frozen weights that {path} needs.")
    found = replace(given.weights, source="file", path=str(file), sha256="")
    model = build_model(replace(settings, backbone_settings=replace(given, weights=found)))
    model.settings = settings  # where the file lies on this machine is no part of the model
    return model
