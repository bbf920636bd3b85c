"""Read the text of a study, which may come from a stranger: sizes are checked before aliases are expanded. Imports no large package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.io.files import read_text

MAX_BYTES = 256 << 10  # the largest stored study has 5 kB
MAX_NODES = 50_000  # after expanding aliases
MAX_DEPTH = 40
_LARGEST = 2**63  # larger numbers do not fit into the integers of many JSON readers and file formats


def read_study_text(path: Path) -> dict[str, Any]:
    """Read a study's YAML or JSON text as plain data.

    Args:
        path: the file; it may come from anybody.

    Returns:
        Its keys and values, not checked further.

    Raises:
        InputError: if the file is missing, too large, not UTF-8 or not YAML; if it holds more than `MAX_NODES` values, values nested deeper
            than `MAX_DEPTH`, a repeated key, a number of more than 64 bits, the key __use_yte__, or no keys and values.
    """
    text = read_text(path, MAX_BYTES)
    try:
        _check_size(path, text)
        loader = _StrictLoader(text)
        try:
            content = loader.get_single_data()
        finally:
            loader.dispose()
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        kind = "" if isinstance(error, _RefusedError) else "not YAML; "
        raise InputError(f"{path}{_line(error.problem_mark)}: {kind}{error.problem or error}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML; {' '.join(str(error).split())}.") from None
    except (ValueError, TypeError, OverflowError, RecursionError, AttributeError, LookupError) as error:
        raise InputError(f"{path}: not YAML; a value cannot be read ({error}).") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no keys and values; expected a study, such as those in studies/.")
    if "__use_yte__" in content:
        raise InputError(
            f"{path}: with the key __use_yte__, Snakemake would run code in the file, but a study must be plain data. Remove the key."
        )
    return content


def _line(mark: Any) -> str:
    return f", line {mark.line + 1}" if mark is not None else ""


def _check_size(path: Path, text: str) -> None:
    """Raise InputError if the text would expand to too many or too deeply nested values. The YAML is parsed, but not expanded."""
    sizes: dict[str, tuple[int, int]] = {}  # number of nodes and depth below each anchor
    open_nodes: list[
        tuple[str | None, int, int]
    ] = []  # of each unfinished list or mapping: anchor, number of nodes and depth so far
    total = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        nodes, depth = 1, 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise InputError(
                    f"{path}{_line(event.start_mark)}: *{event.anchor} refers to an anchor that is not defined before it, or to itself."
                )
            nodes, depth = sizes[event.anchor]
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            open_nodes.append((event.anchor, 1, 1))
            if len(open_nodes) > MAX_DEPTH:
                raise InputError(f"{path}{_line(event.start_mark)}: nested more than {MAX_DEPTH} levels deep.")
            continue
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            anchor, nodes, depth = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = nodes, depth
        elif isinstance(event, yaml.ScalarEvent):
            if event.anchor is not None:
                sizes[event.anchor] = 1, 1
        else:
            continue
        if open_nodes:
            anchor, before, deepest = open_nodes.pop()
            open_nodes.append((anchor, before + nodes, max(deepest, depth + 1)))
            total = before + nodes
        if total > MAX_NODES or nodes > MAX_NODES:
            raise InputError(f"{path}{_line(event.start_mark)}: expands to more than {MAX_NODES:,} values.")
        if depth + len(open_nodes) > MAX_DEPTH:
            raise InputError(f"{path}{_line(event.start_mark)}: nested more than {MAX_DEPTH} levels deep.")


class _RefusedError(yaml.constructor.ConstructorError):
    """The text is valid YAML, but a study does not allow it."""


class _StrictLoader(yaml.SafeLoader):
    """A SafeLoader that refuses repeated keys, and numbers of more than 64 bits."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping; raise an error if two keys are equal as texts or as values."""
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            key = str(getattr(key_node, "value", ""))
            line = key_node.start_mark.line + 1
            if isinstance(key_node, yaml.ScalarNode) and key != "<<":
                # A key is compared as text and as the value that YAML reads, because `yes` and `true` are the same key.
                key = next((name for name in (key, repr(self.construct_object(key_node))) if name in seen), key)
            if isinstance(key_node, yaml.ScalarNode) and key in seen and key != "<<":
                raise _RefusedError(
                    None,
                    None,
                    f"the key {key!r} occurs twice, here and in line {seen[key]}; remove one",
                    key_node.start_mark,
                )
            seen[key] = line
            if isinstance(key_node, yaml.ScalarNode) and key != "<<":
                seen[repr(self.construct_object(key_node))] = line
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Construct a whole number of at most 64 bits."""
        try:
            value = super().construct_yaml_int(node) if len(node.value) <= 100 else _LARGEST
        except ValueError:
            value = _LARGEST
        if abs(value) >= _LARGEST:
            raise _RefusedError(None, None, f"{node.value[:20]}... is a number of more than 64 bits", node.start_mark)
        return value


_StrictLoader.add_constructor("tag:yaml.org,2002:int", _StrictLoader.construct_yaml_int)
