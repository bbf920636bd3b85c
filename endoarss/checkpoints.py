"""Checkpoints: safetensors with the trained tensors, and in the header what is needed to build the model again.

Frozen weights are not stored: they come from where the settings say, and their SHA-256 is checked when they do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from endoarss.errors import SettingsError
from endoarss.models import MultiTaskModel, build_model
from endoarss.saving import save_tensors
from endoarss.settings import ModelSettings

_KEY = "endoarss"


def save_checkpoint(model: MultiTaskModel, path: Path, provenance: dict[str, Any]) -> None:
    """Write to `path` all tensors of a model that its weights' source does not give, settings and provenance in the header.

    Args:
        provenance: what decided the training, and nothing else (no time, no commit): the same training gives the same bytes.

    Raises:
        OSError: with the file's name, if it cannot be written.
    """
    frozen = frozen_names(model)
    state = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items() if name not in frozen}
    header = {
        "settings": model.settings.to_dict(),
        "frozen_sha256": frozen_sha256(model),
        "provenance": provenance,
    }
    save_tensors(state, path, metadata={_KEY: json.dumps(header, sort_keys=True)})


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


def read_header(path: Path) -> dict[str, Any]:
    """Settings and provenance of a checkpoint, without its tensors.

    Raises:
        SettingsError: if the file is missing, torn, or no checkpoint of this package.
    """
    if not Path(path).is_file():
        raise SettingsError(f"{path}: no such checkpoint.")
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
    except SafetensorError as error:
        raise SettingsError(f"{path}: not a whole safetensors file ({error}).") from None
    if _KEY not in metadata:
        raise SettingsError(
            f"{path}: holds weights but not what model they belong to; expected a checkpoint of `train`."
        )
    return json.loads(metadata[_KEY])


def load_checkpoint(path: str | Path) -> MultiTaskModel:
    """Build the model of a checkpoint with its trained weights, in evaluation mode on the CPU.

    Raises:
        SettingsError: if the file is not a checkpoint, or the frozen weights are missing or others than in training.
    """
    path = Path(path)
    header = read_header(path)
    model = build_model(ModelSettings.from_dict(header["settings"]))
    if frozen_sha256(model) != header["frozen_sha256"]:
        source = model.settings.backbone_settings.weights
        raise SettingsError(f"{path}: the frozen weights ({source.source} {source.path}) are others than in training.")
    frozen = frozen_names(model)
    with safe_open(path, framework="pt") as stored:
        state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    missing, unexpected = model.load_state_dict(state, strict=False)
    if set(missing) != frozen or unexpected:
        raise SettingsError(
            f"{path}: does not fit its own settings; missing {sorted(set(missing) - frozen)[:3]}, unexpected {unexpected[:3]}."
        )
    return model.eval()
