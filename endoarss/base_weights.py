"""Find the pretrained weights that a checkpoint was trained on: by their digest, in places that the user knows of.

A checkpoint keeps what was trained; the frozen weights lie in a file of their own. Its header says where that file was,
but a header may come from anybody, so the path in it is never opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import timm
from huggingface_hub import try_to_load_from_cache

from endoarss.errors import SettingsError
from endoarss.pretrained.read_tensors import file_sha256
from endoarss.settings import WEIGHTS_FOLDER, WEIGHTS_SUFFIXES, BackboneSettings

_MOST_FILES = 100  # of a folder; each is hashed


def find_base_weights(settings: BackboneSettings, checkpoint: Path, places: Sequence[Path]) -> Path:
    """Return the file with the frozen weights of a checkpoint. Touches no network.

    Args:
        settings: the backbone's, from the checkpoint's header; its weights are of source "file" or "hub".
        checkpoint: its own folder is searched too. places: files, and folders of such files; they come first.

    Raises:
        SettingsError: if the file is in none of these places, with the places and what to do.
    """
    if settings.weights.source == "hub":
        cached = _in_hub_cache(settings.model)
        files = [Path(cached)] if cached is not None else [place for place in places if place.is_file()]
        if not files:
            raise SettingsError(
                f"{checkpoint}: its frozen weights are those of {settings.model!r} from the hub, which are not on this machine, and a "
                "checkpoint downloads nothing. Download them (timm.create_model(..., pretrained=True)), or name the file: --weights FILE."
            )
        return files[0]
    wanted = settings.weights
    name = Path(wanted.path).name
    others = []
    for path in _candidates(checkpoint, places, name):
        if not wanted.sha256:
            if path.name == name or path in places:
                return path
            continue
        found = file_sha256(path)
        if found == wanted.sha256:
            return path
        others += [f"{path} is another file (sha256 {found[:12]})"] if path.name == name or path in places else []
    looked = ", ".join(map(str, dict.fromkeys([*places, checkpoint.parent])))
    reason = "; ".join(others) or f"not found in {looked}"
    digest = f" of sha256 {wanted.sha256[:12]}" if wanted.sha256 else ""
    raise SettingsError(
        f"{checkpoint}: needs the frozen weights {name!r}{digest}, on which it was trained; {reason}. "
        "Put the file beside the checkpoint, or name it: --weights FILE."
    )


def project_weights(checkpoint: Path) -> list[Path]:
    """Return the folders where the weights of a checkpoint may lie: of the working directory, and of the project that it lies in."""
    projects = (parent / WEIGHTS_FOLDER for parent in checkpoint.resolve().parents)
    return [WEIGHTS_FOLDER, *(folder for folder in projects if folder.is_dir())]


def _candidates(checkpoint: Path, places: Sequence[Path], name: str) -> Iterator[Path]:
    """Yield files that may be the wanted one; in each folder first the one of its name."""
    for place in [*places, checkpoint.parent]:
        if place.is_dir():
            found = (path for path in place.iterdir() if path.suffix in WEIGHTS_SUFFIXES and path.is_file())
            files = sorted(found, key=lambda path: (path.name != name, path))
            yield from (path for path in files[:_MOST_FILES] if path != checkpoint)
        elif place.is_file():
            yield place


def _in_hub_cache(model: str) -> str | None:
    """The hub's file of a timm model's weights in the local cache; timm's own table says what it is called."""
    known = timm.get_pretrained_cfg(model)
    if known is None or not known.hf_hub_id:
        return None
    found = try_to_load_from_cache(known.hf_hub_id, known.hf_hub_filename or "model.safetensors")
    return found if isinstance(found, str) else None
