"""Save and load checkpoints: safetensors files with the trained tensors, and a header from which the model can be built again.

Frozen weights are stored only if the model is `standalone`; otherwise `endoarss.base_weights` finds their file when the model is loaded.
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

# The names of dtypes in safetensors.
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
    """Write the checkpoint of a model: all tensors except the frozen weights, with settings and provenance in the header.

    Args:
        model: the model. Its frozen weights are written too if `standalone` was applied to it, now or before an earlier checkpoint.
        path: the file to write.
        provenance: everything that decided the training, as JSON-like data. Without other values, such as the time or the commit, the same
            training gives the same bytes.

    Raises:
        OSError: if the file cannot be written; the error names the file.
    """
    complete = model.settings.backbone_settings.weights.source == "checkpoint"
    frozen = set() if complete else frozen_names(model)
    state = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items() if name not in frozen}
    save_tensors(state, path, header_metadata(model.settings, frozen_sha256(model), provenance, model.external))


def tensors_sha256(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return the hex SHA-256 of tensors.

    Args:
        tensors: pairs of name and tensor, in any order; they are hashed in the order of their names.
    """
    total = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def frozen_names(model: MultiTaskModel) -> set[str]:
    """Return the names of the parameters that belong to the backbone's weights and are not trained.

    Frozen parameters with random values are not among them.

    Args:
        model: the model.
    """
    return {
        name
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and name.startswith("backbone.encoders.")
    }


def frozen_sha256(model: MultiTaskModel) -> str:
    """Return the hex SHA-256 of the parameters in `frozen_names`.

    Args:
        model: the model.
    """
    frozen = frozen_names(model)
    return tensors_sha256((name, p) for name, p in model.named_parameters() if name in frozen)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as stored:
            yield stored
    except (SafetensorError, OSError) as error:
        reason = " ".join(str(error)[:200].split())  # the text may quote the content of the file
        raise SettingsError(f"{path}: it is not a complete safetensors file ({reason}).") from None


def load_checkpoint(path: str | Path, weights: Sequence[Path] = (), components: Sequence[str] = ()) -> MultiTaskModel:
    """Build the model of a checkpoint with its trained weights.

    The file may come from anybody: no code in the file is run or imported, the network is not used, and no path in the file is opened.
    Memory for the model is allocated only after the names and shapes of the stored tensors were compared with the model that the header
    describes.

    Args:
        path: the checkpoint file.
        weights: files and folders that may hold the frozen weights. The checkpoint's folder is also searched, and for weights from the hub,
            the hub's cache. The SHA-256 of the frozen weights is always compared with the one in the header.
        components: names of your Python modules that register the model's backbone or architecture; they are imported. If the source of a
            component has changed since training, a message on standard error says so.

    Returns:
        The model, in evaluation mode on the CPU.

    Raises:
        SettingsError: if the file is missing, damaged or not a checkpoint, if the frozen weights are missing or differ from those in
            training, if a module of `components` cannot be imported or registers nothing, or if no module registers a component of the
            model; in the last case the message names the component's module.
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
            f"{path}: the tensor {broken[0]!r} has values that are not finite, so the file is damaged. Train again, or get another copy."
        )
    model.load_state_dict(state, strict=False)  # names and shapes were compared above
    if frozen_sha256(model) != header.frozen_sha256:
        raise SettingsError(
            f"{path}: the frozen weights differ from those in training, or the header belongs to another model."
        )
    model.external = header.components  # with the digests of the sources at the time of training
    return model.eval()


def standalone(model: MultiTaskModel) -> MultiTaskModel:
    """Change a model's settings so that its checkpoint will contain the frozen weights too.

    Args:
        model: the model, which is changed in place.

    Returns:
        The same model.
    """
    backbone = model.settings.backbone_settings
    if backbone.weights.source in ("file", "hub"):
        backbone = replace(backbone, weights=replace(backbone.weights, source="checkpoint", path=""))
        model.settings = replace(model.settings, backbone_settings=backbone)
    return model


def without_weights(settings: ModelSettings) -> ModelSettings:
    """Return the settings of the same model, but with weights that the caller loads later.

    Args:
        settings: the settings of the model.
    """
    backbone = settings.backbone_settings
    if backbone.weights.source == "none":
        return settings
    return replace(settings, backbone_settings=replace(backbone, weights=WeightsSettings("checkpoint")))


def _expected_tensors(settings: ModelSettings) -> tuple[dict[str, Tensor], set[str]]:
    """Return all tensors of a model on the meta device, and the names of the frozen tensors that its checkpoint does not contain."""
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
                f"{path}: its tensors do not match its settings; missing {missing[:3]}, unexpected {unexpected[:3]}."
            )
        for name in sorted(names):
            shape, dtype = tuple(stored.get_slice(name).get_shape()), stored.get_slice(name).get_dtype()
            model_shape, model_dtype = tuple(expected[name].shape), _DTYPES[expected[name].dtype]
            if (shape, dtype) != (model_shape, model_dtype):
                raise SettingsError(
                    f"{path}: its tensors do not match its settings; {name} is {dtype} {shape}, the model has {model_dtype} {model_shape}."
                )


def _build(settings: ModelSettings, path: Path, search_paths: Sequence[Path], frozen_values: int) -> MultiTaskModel:
    """Return the model with its frozen weights. A weights file with fewer bytes than frozen values is rejected."""
    backbone = settings.backbone_settings
    if backbone.weights.source not in ("file", "hub"):
        return build_model(settings)
    if not frozen_values:
        # Without frozen values, such as in a fully trained ResNet, the checkpoint contains all weights.
        model = build_model(without_weights(settings))
        model.settings = settings
        return model
    file = find_base_weights(backbone, path, search_paths)
    if file.stat().st_size < frozen_values:
        raise SettingsError(f"{file}: it is too small for the {frozen_values:,} frozen weights that {path} needs.")
    weights = replace(backbone.weights, source="file", path=str(file), sha256="")
    model = build_model(replace(settings, backbone_settings=replace(backbone, weights=weights)))
    model.settings = settings  # the path of the file on this machine does not belong to the model's settings
    return model
