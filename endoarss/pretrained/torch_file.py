"""Read the tensors of a file that `torch.save` wrote, without running code that the file names.

Such a file is a zip archive that contains a pickle, which describes dictionaries and tensors, and the bytes of the tensors. torch's
tensor-only unpickler (`weights_only=True`) calls only functions of its own short list, but even a pickle of a few bytes can make it use
very much memory or time. So the names in the pickle and its size are checked first.
"""

from __future__ import annotations

import argparse
import pickletools
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from torch import Tensor

from endoarss.errors import SettingsError, shown

# A checkpoint with two copies of a ViT-L and the state of its optimizer has 2,000 tensors, and about 40 pickle operations per tensor.
_MAX_MEMBERS, _MAX_PICKLE, _MAX_OPERATIONS = 20_000, 16 << 20, 300_000
_MAX_TUPLES = 30_000  # because nested tuples are hashed recursively
_MAX_INTEGER = 9  # bytes; with longer integers a file could make a dictionary take quadratic time
_MAX_LEVELS = 4  # of nested dictionaries

_ALLOWED = {
    "argparse Namespace",  # MAE and DINO save the arguments of a training in one; it only contains values
    "collections OrderedDict",
    "torch Size",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch.nn.parameter Parameter",
    *(
        f"torch {name}Storage"
        for name in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
    ),
}


def read_torch_file(path: Path, entry: str) -> dict[str, Tensor]:
    """Return the tensors of a state dict that `torch.save` wrote.

    Args:
        path: the file.
        entry: the key of the dictionary to read, in a file with several dictionaries of tensors; otherwise empty.

    Returns:
        The tensors by name, on the CPU; their bytes are read from the file when they are used.

    Raises:
        SettingsError: if the file is damaged, contains anything but tensors and plain values, or has several dictionaries of tensors.
    """
    _check_archive(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # any exception of the unpickler means that the file is wrong
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise SettingsError(f"{path}: it is not a complete file of torch.save ({reason}).") from None
    return _selected(path, content, entry)


def _check_archive(path: Path) -> None:
    """Raise an error if an archive claims more bytes than the file has, or its pickle is more than a description of tensors."""
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
            pickles = [member for member in members if member.filename.rpartition("/")[2] == "data.pkl"]
            if len(members) > _MAX_MEMBERS or sum(member.file_size for member in members) > path.stat().st_size:
                raise ValueError("it claims to contain more than the file has")
            if any(member.compress_type != ZIP_STORED for member in members):
                raise ValueError("it is compressed, but torch.save does not compress")
            if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE:
                raise ValueError("it has no data.pkl of the usual size")
            with archive.open(pickles[0]) as stream:
                names = _names_in(stream)
    except (BadZipFile, ValueError, KeyError, OSError, NotImplementedError, RuntimeError) as error:
        raise SettingsError(f"{path}: it is not a complete file of torch.save ({str(error)[:200]}).") from None
    refused = sorted(names - _ALLOWED)
    if refused:
        named = ", ".join(shown(name.replace(" ", ".")) for name in refused[:3])
        raise SettingsError(
            f"{path}: it contains more than tensors and plain values: {named}. Nothing in it was run or loaded. If you trust its origin, "
            f"convert it with this command on another machine, with the key of the tensors instead of 'model': {_CONVERT}"
        )


_CONVERT = (
    "python -c \"import sys, torch; torch.save(torch.load(sys.argv[1], map_location='cpu', weights_only=False)['model'], sys.argv[2])\" "
    "OLD.pth NEW.pth"
)


def _names_in(stream: IO[bytes]) -> set[str]:
    """Return the objects that a pickle looks up by name, as "module name". The operations are read but not run.

    Raises:
        ValueError: if the pickle is damaged, or larger than a description of tensors.
    """
    names, tuples = set(), 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        tuples += operation.name.startswith("TUPLE")
        long = (
            operation.name.startswith("LONG") and isinstance(argument, int) and argument.bit_length() > 8 * _MAX_INTEGER
        )
        if count > _MAX_OPERATIONS or tuples > _MAX_TUPLES or long:
            raise ValueError("its description of the tensors is larger than the description of any model")
        if operation.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif operation.name == "STACK_GLOBAL":
            names.add("a name that is assembled")
    return names


def _selected(path: Path, content: Any, entry: str) -> dict[str, Tensor]:
    """Return the dictionary of tensors with the key `entry`, or the only dictionary of tensors."""
    where = []
    for _ in range(_MAX_LEVELS):
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: it contains {type(content).__name__}; expected a dictionary of tensors.")
        inner = {
            key: _count(value) for key, value in content.items() if isinstance(key, str) and isinstance(value, dict)
        }
        inner = {key: count for key, count in inner.items() if count}
        if not inner:
            break
        if entry not in inner and len(inner) > 1:
            known = ", ".join(f"{shown(key)} ({count} tensors)" for key, count in list(inner.items())[:10])
            problem = f"no entry {shown(entry)}" if entry else "several dictionaries of tensors"
            raise SettingsError(
                f"{path}: it has {problem}; it has {known}. Name one of them: weights: {{file: ..., entry: {next(iter(inner))}}}."
            )
        where.append(entry if entry in inner else next(iter(inner)))
        content = content[where[-1]]
    if entry and entry not in where:
        raise SettingsError(
            f"{path}: it has no entry {shown(entry)}, and only one dictionary of tensors. Remove the key entry."
        )
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    unusual = [key for key, value in tensors.items() if not _is_plain(value)]
    if unusual or not tensors:
        problem = f"the tensor {shown(unusual[0])} is not a plain tensor" if unusual else "there is no tensor in it"
        raise SettingsError(f"{path}: {problem}; expected a state dict that torch.save wrote.")
    return tensors


def _count(entry: dict[Any, Any]) -> int:
    """Return the number of tensors in a dictionary and in the dictionaries directly in it."""
    values = [inner for value in entry.values() for inner in (value.values() if isinstance(value, dict) else (value,))]
    named = all(isinstance(key, str) for key in entry)
    return sum(isinstance(value, Tensor) for value in values) if named else 0


def _is_plain(tensor: Tensor) -> bool:
    """Return whether the file contains all values of a tensor: it repeats none, is not sparse, and is not on the meta device."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return plain and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
