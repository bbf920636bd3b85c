"""Read the tensors of a file that `torch.save` wrote, without running anything that it names.

Such a file is a zip archive: a pickle that describes dictionaries and tensors, and the tensors' bytes. torch's tensor-only unpickler
(`weights_only=True`) calls nothing outside of its own short list, but a pickle of a few bytes can still ask it for very much memory or
time. So the names and the size of the pickle are checked first.
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

# A checkpoint of a ViT-L with two copies and the state of its optimiser has 2,000 tensors, and about 40 operations for each.
_MAX_MEMBERS, _MAX_PICKLE, _MAX_OPERATIONS = 20_000, 16 << 20, 300_000
_MAX_TUPLES = 30_000  # tuples in tuples are hashed by recursion
_MAX_INTEGER = 9  # bytes; longer integers can be chosen so that a dictionary of them takes quadratic time
_MAX_LEVELS = 4  # of dictionaries in dictionaries

_ALLOWED = {
    "argparse Namespace",  # the arguments of a training, as MAE and DINO save them: it holds values and does nothing
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
        path: of the file.
        entry: the key of the dictionary that holds them, where a file has several; empty if there is no choice.

    Returns:
        The tensors by name, on the CPU; their bytes stay in the file until they are used.

    Raises:
        SettingsError: if the file is damaged, holds anything but tensors and plain values, or has several dictionaries of tensors.
    """
    _check_archive(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever the unpickler trips over, it is the file that is wrong
        said = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise SettingsError(f"{path}: not a whole file of torch.save ({said}).") from None
    return _chosen(path, content, entry)


def _check_archive(path: Path) -> None:
    """Refuse an archive that claims more than the file holds, or whose pickle is more than a description of tensors."""
    try:
        with ZipFile(path) as archive:
            members = archive.infolist()
            pickles = [one for one in members if one.filename.rpartition("/")[2] == "data.pkl"]
            if len(members) > _MAX_MEMBERS or sum(one.file_size for one in members) > path.stat().st_size:
                raise ValueError("it claims more than it holds")
            if any(one.compress_type != ZIP_STORED for one in members):
                raise ValueError("it is packed, which torch.save does not do")
            if len(pickles) != 1 or pickles[0].file_size > _MAX_PICKLE:
                raise ValueError("it has no data.pkl of the usual size")
            with archive.open(pickles[0]) as stream:
                names = _names_in(stream)
    except (BadZipFile, ValueError, KeyError, OSError, NotImplementedError, RuntimeError) as error:
        raise SettingsError(f"{path}: not a whole file of torch.save ({str(error)[:200]}).") from None
    refused = sorted(names - _ALLOWED)
    if refused:
        named = ", ".join(shown(name.replace(" ", ".")) for name in refused[:3])
        raise SettingsError(
            f"{path}: holds more than tensors and plain values: {named}. Nothing of it was run or loaded. If you trust its origin, "
            f"convert it elsewhere, with the key that holds the tensors in place of model: {_CONVERT}"
        )


_CONVERT = (
    "python -c \"import sys, torch; torch.save(torch.load(sys.argv[1], map_location='cpu', weights_only=False)['model'], sys.argv[2])\" "
    "OLD.pth NEW.pth"
)


def _names_in(stream: IO[bytes]) -> set[str]:
    """Return what a pickle looks up by name, as "module name". Reads it operation by operation and runs none.

    Raises:
        ValueError: if it is damaged, or larger or deeper than a description of tensors.
    """
    names, tuples = set(), 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        tuples += operation.name.startswith("TUPLE")
        long = (
            operation.name.startswith("LONG") and isinstance(argument, int) and argument.bit_length() > 8 * _MAX_INTEGER
        )
        if count > _MAX_OPERATIONS or tuples > _MAX_TUPLES or long:
            raise ValueError("its description of the tensors is larger than that of any model")
        if operation.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif operation.name == "STACK_GLOBAL":
            names.add("a name that is put together")
    return names


def _chosen(path: Path, content: Any, entry: str) -> dict[str, Tensor]:
    """Return the dictionary of tensors that is named, or the only one."""
    where = []
    for _ in range(_MAX_LEVELS):
        if not isinstance(content, dict):
            raise SettingsError(f"{path}: holds {type(content).__name__}; expected a dictionary of tensors.")
        inner = {key: _count(one) for key, one in content.items() if isinstance(key, str) and isinstance(one, dict)}
        inner = {key: count for key, count in inner.items() if count}
        if not inner:
            break
        if entry not in inner and len(inner) > 1:
            known = ", ".join(f"{shown(key)} ({count} tensors)" for key, count in list(inner.items())[:10])
            given = f"no entry {shown(entry)}" if entry else "several dictionaries of tensors"
            raise SettingsError(
                f"{path}: has {given}; it has {known}. Name one: weights: {{file: ..., entry: {next(iter(inner))}}}."
            )
        where.append(entry if entry in inner else next(iter(inner)))
        content = content[where[-1]]
    if entry and entry not in where:
        raise SettingsError(
            f"{path}: has no entry {shown(entry)}, and only one dictionary of tensors. Leave entry out."
        )
    found = {key: one for key, one in content.items() if isinstance(key, str) and isinstance(one, Tensor)}
    odd = [key for key, one in found.items() if not _is_plain(one)]
    if odd or not found:
        what = f"the tensor {shown(odd[0])} is not of plain numbers" if odd else "there is no tensor in it"
        raise SettingsError(f"{path}: {what}; expected a state dict that torch.save wrote.")
    return found


def _count(entry: dict[Any, Any]) -> int:
    """Return the number of tensors directly in a dictionary, or in the dictionaries directly in it."""
    inner = [one for value in entry.values() for one in (value.values() if isinstance(value, dict) else (value,))]
    named = all(isinstance(key, str) for key in entry)
    return sum(isinstance(one, Tensor) for one in inner) if named else 0


def _is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor has all its values in the file: no view that repeats some, nothing sparse or without memory."""
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    return plain and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()
