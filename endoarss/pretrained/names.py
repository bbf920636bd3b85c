"""Select and rename the tensors of a file with a study's keys prefix, drop and rename."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from endoarss.errors import SettingsError, shown

Tensors = dict[str, Tensor]


def selected_tensors(
    stored: Mapping[str, Tensor], prefix: str, drop: tuple[str, ...], rename: Mapping[str, str]
) -> Tensors:
    """Select the tensors of a file that belong to the model, and rename them.

    Args:
        stored: all tensors of the file, by name.
        prefix: a prefix that is removed from the names; tensors without it are left out.
        drop: beginnings of names, without the prefix; these tensors are left out.
        rename: new text for parts of the remaining names; see `renamed`.

    Returns:
        The tensors by their new names.

    Raises:
        SettingsError: if prefix, or an entry of drop or rename, occurs in no name, or two names become the same.
    """
    selected = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    if not selected:
        raise SettingsError(f"prefix: no name begins with {shown(prefix)}.")
    unused = [start for start in drop if not any(name.startswith(start) for name in selected)]
    if unused:
        raise SettingsError(f"drop: no name begins with {shown(unused[0])}.")
    selected = {name: tensor for name, tensor in selected.items() if not name.startswith(drop)}
    unused = [old for old in rename if not any(f".{old}." in f".{name}." for name in selected)]
    if unused:
        raise SettingsError(f"rename: {shown(unused[0])} is in no name; expected whole parts of names, between dots.")
    result = {renamed(name, rename): tensor for name, tensor in selected.items()}
    if len(result) < len(selected):
        raise SettingsError("rename: two names become the same.")
    return result


def renamed(name: str, rename: Mapping[str, str]) -> str:
    """Return a name with some of its parts replaced.

    Args:
        name: the name of a tensor, whose parts are separated by dots.
        rename: the new text for one or more whole parts, with dots between them. At each position the longest match is replaced, and the
            new text is not replaced again, so the order of the entries does not matter. An empty text removes the parts.

    Returns:
        The new name.
    """
    parts, result, position = name.split("."), [], 0
    longest = max((old.count(".") + 1 for old in rename), default=0)
    while position < len(parts):
        lengths = range(min(longest, len(parts) - position), 0, -1)
        matched = next((n for n in lengths if ".".join(parts[position : position + n]) in rename), 0)
        result.append(rename[".".join(parts[position : position + matched])] if matched else parts[position])
        position += max(matched, 1)
    return ".".join(filter(None, result))
