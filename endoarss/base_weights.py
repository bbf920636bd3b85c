"""Find the file of frozen weights that a checkpoint was trained on.

A checkpoint stores only the trained weights; the frozen weights are in a separate file. The header of the checkpoint says where that
file was, but a header may come from anybody, so the path in it is never opened. Instead, the folders that the user names and the
checkpoint's folder are searched for a file with the digest in the header; weights from the hub are taken from its cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import timm
from huggingface_hub import try_to_load_from_cache

from endoarss.errors import SettingsError
from endoarss.pretrained.read_tensors import file_sha256
from endoarss.settings import WEIGHTS_FOLDER, WEIGHTS_SUFFIXES, BackboneSettings

_MAX_FILES = 100  # per folder, because each file is hashed


def find_base_weights(settings: BackboneSettings, checkpoint: Path, search_paths: Sequence[Path]) -> Path:
    """Return the file with the frozen weights of a checkpoint, without using the network.

    Args:
        settings: the backbone's settings from the checkpoint's header; the source of its weights is "file" or "hub".
        checkpoint: the checkpoint file.
        search_paths: files and folders. With the source "file" they are searched before the checkpoint's folder. With the source "hub" the
            first file among them is used if the weights are not in the hub's cache; folders are not searched.

    Returns:
        The path of the file.

    Raises:
        SettingsError: if no file matches; the message names the folders or files that were tried, and says what to do.
    """
    if settings.weights.source == "hub":
        cached = _in_hub_cache(settings.model)
        files = [Path(cached)] if cached is not None else [path for path in search_paths if path.is_file()]
        if not files:
            raise SettingsError(
                f"{checkpoint}: its frozen weights are the hub's weights of {settings.model!r}, which are not on this machine. Loading a "
                "checkpoint downloads nothing. Download them (timm.create_model(..., pretrained=True)), or name the file: --weights FILE."
            )
        return files[0]
    expected_weights = settings.weights
    name = Path(expected_weights.path).name
    mismatches = []
    for path in _candidates(checkpoint, search_paths, name):
        if not expected_weights.sha256:
            if path.name == name or path in search_paths:
                return path
            continue
        digest = file_sha256(path)
        if digest == expected_weights.sha256:
            return path
        if path.name == name or path in search_paths:
            mismatches.append(f"{path} is a different file (sha256 {digest[:12]})")
    searched = ", ".join(map(str, dict.fromkeys([*search_paths, checkpoint.parent])))
    reason = "; ".join(mismatches) or f"they were not found in {searched}"
    digest_text = f" (sha256 {expected_weights.sha256[:12]})" if expected_weights.sha256 else ""
    raise SettingsError(
        f"{checkpoint}: it needs the frozen weights {name!r}{digest_text} that it was trained on; {reason}. "
        "Put the file next to the checkpoint, or name it: --weights FILE."
    )


def project_weights(checkpoint: Path) -> list[Path]:
    """Return the weights folders of the working directory and of the project that a checkpoint lies in."""
    projects = (parent / WEIGHTS_FOLDER for parent in checkpoint.resolve().parents)
    return [WEIGHTS_FOLDER, *(folder for folder in projects if folder.is_dir())]


def _candidates(checkpoint: Path, search_paths: Sequence[Path], name: str) -> Iterator[Path]:
    """Yield the files to try, at most 100 per folder; in each folder the file with the expected name comes first."""
    for place in [*search_paths, checkpoint.parent]:
        if place.is_dir():
            candidates = (path for path in place.iterdir() if path.suffix in WEIGHTS_SUFFIXES and path.is_file())
            files = sorted(candidates, key=lambda path: (path.name != name, path))
            yield from (path for path in files[:_MAX_FILES] if path != checkpoint)
        elif place.is_file():
            yield place


def _in_hub_cache(model: str) -> str | None:
    """Return the path of a timm model's weights in the local cache of the hub, or None if they are not there."""
    config = timm.get_pretrained_cfg(model)
    if config is None or not config.hf_hub_id:
        return None
    cached = try_to_load_from_cache(config.hf_hub_id, config.hf_hub_filename or "model.safetensors")
    return cached if isinstance(cached, str) else None
