"""Choose and rename tensors as a study says: prefix, drop and rename."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from endoarss.errors import SettingsError, shown

Tensors = dict[str, Tensor]


def selected_tensors(
    stored: Mapping[str, Tensor], prefix: str, drop: tuple[str, ...], rename: Mapping[str, str]
) -> Tensors:
    """Return the tensors of a file that are meant for the model, under the names that the model may know.

    Args:
        stored: all tensors of the file, by name.
        prefix: what the names begin with; others are left out, and it is taken away.
        drop: what names begin with, without the prefix, whose tensors are left out.
        rename: new text for parts of the remaining names; see `renamed`.

    Raises:
        SettingsError: if one of these stands in no name, or two names become the same.
    """
    found = {name.removeprefix(prefix): tensor for name, tensor in stored.items() if name.startswith(prefix)}
    if not found:
        raise SettingsError(f"no name begins with the prefix {shown(prefix)}.")
    idle = [start for start in drop if not any(name.startswith(start) for name in found)]
    if idle:
        raise SettingsError(f"drop: no name begins with {shown(idle[0])}.")
    found = {name: tensor for name, tensor in found.items() if not name.startswith(drop)}
    idle = [old for old in rename if not any(f".{old}." in f".{name}." for name in found)]
    if idle:
        raise SettingsError(f"rename: {shown(idle[0])} stands in no name; expected whole parts of names, between dots.")
    result = {renamed(name, rename): tensor for name, tensor in found.items()}
    if len(result) < len(found):
        raise SettingsError("rename: two names become the same.")
    return result


def renamed(name: str, rename: Mapping[str, str]) -> str:
    """Return a name with some of its parts replaced.

    Args:
        name: of a tensor, parts between dots.
        rename: by one or more whole parts with dots between them, what stands in their place. At each place the longest that fits is
            taken, and what was put in is not looked at again, so that their order does not count. An empty replacement takes parts away.
    """
    parts, result, at = name.split("."), [], 0
    longest = max((old.count(".") + 1 for old in rename), default=0)
    while at < len(parts):
        lengths = range(min(longest, len(parts) - at), 0, -1)
        taken = next((n for n in lengths if ".".join(parts[at : at + n]) in rename), 0)
        result.append(rename[".".join(parts[at : at + taken])] if taken else parts[at])
        at += max(taken, 1)
    return ".".join(filter(None, result))
