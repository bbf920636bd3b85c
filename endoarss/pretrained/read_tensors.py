"""Read the tensors of a file of pretrained weights: safetensors, or a file that `torch.save` wrote."""

from __future__ import annotations

import hashlib
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from endoarss.errors import SettingsError
from endoarss.pretrained.torch_file import read_torch_file


def read_tensors(path: Path, entry: str = "") -> dict[str, Tensor]:
    """Return the tensors of a file by name. No code in the file is run.

    Args:
        path: a safetensors file, or a file that `torch.save` wrote (.pth, .pt, .bin).
        entry: the key of the dictionary to read, in a file of torch.save with several dictionaries.

    Raises:
        SettingsError: if the file cannot be read, or contains anything but tensors and plain values.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError as error:
        raise SettingsError(f"{path}: the file cannot be read ({error.strerror}).") from None
    if path.suffix != ".safetensors" and start.startswith(b"PK"):
        return read_torch_file(path, entry)
    if path.suffix != ".safetensors" and start[8:] != b"{":
        raise SettingsError(
            f"{path}: it is neither a safetensors file nor a file of torch.save since torch 1.6. Convert an older file with: python -c "
            "\"import sys, torch; torch.save(torch.load(sys.argv[1], map_location='cpu', weights_only=True), sys.argv[2])\" OLD NEW.pth"
        )
    if entry:
        raise SettingsError(f"{path}: a safetensors file has no entries; remove entry: {entry}.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SettingsError(f"{path}: it is not a safetensors file ({error}).") from None


def file_sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file's bytes.

    Args:
        path: the file.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
