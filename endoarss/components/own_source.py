"""Describe this package's own components from their source text, so that listing and checking them does not import torch.

This works because own components follow some rules: the decorator is called by its name; `DEFAULTS`, `BOUNDS` and the constructor's
defaults are literals; and base classes with settings are in the same file. A test compares the result with the imported classes.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

from endoarss.components.description import Description

_PACKAGE = Path(__file__).parents[1]


@cache
def own_components(kind: str, folder: str) -> dict[str, Description]:
    """Return the descriptions of this package's own components of a kind, by name.

    Args:
        kind: the kind in the decorator's name, `register_<kind>`.
        folder: the folder of the components in this package.
    """
    found = {}
    for path in sorted((_PACKAGE / folder).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        for node in tree.body:
            for name in _registered(node, f"register_{kind}"):
                declared = [_settings(ancestor) for ancestor in _lineage(node, classes)]
                defaults, bounds = ({k: v for pair in declared for k, v in pair[index].items()} for index in (0, 1))
                module = f"{_PACKAGE.name}.{folder}.{path.stem}"
                found[name] = Description(module, path, node.lineno, defaults, bounds)
    return found


def _registered(node: ast.stmt, decorator: str) -> list[str]:
    """Return the names under which a class or a function is registered."""
    calls = [decorated for decorated in getattr(node, "decorator_list", []) if isinstance(decorated, ast.Call)]
    return [ast.literal_eval(call.args[0]) for call in calls if getattr(call.func, "id", "") == decorator]


def _lineage(node: ast.stmt, classes: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """Return a class and its ancestors in the same file, the most basic class first; an empty list for a function."""
    if not isinstance(node, ast.ClassDef):
        return []
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return [*(ancestor for base in bases for ancestor in _lineage(base, classes)), node]


def _settings(node: ast.ClassDef) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the defaults and the bounds that a class declares itself, without those of its ancestors."""
    declared: dict[str, dict[str, Any]] = {"DEFAULTS": {}, "BOUNDS": {}}
    keywords: dict[str, Any] = {}
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and getattr(statement.target, "id", "") in declared and statement.value:
            declared[getattr(statement.target, "id", "")] = ast.literal_eval(statement.value)
        elif isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            parameters = statement.args
            with_default = [*parameters.args[len(parameters.args) - len(parameters.defaults) :], *parameters.kwonlyargs]
            values = [*parameters.defaults, *(value for value in parameters.kw_defaults if value is not None)]
            keywords = {k.arg: ast.literal_eval(value) for k, value in zip(with_default, values, strict=True)}
    return {**declared["DEFAULTS"], **keywords}, declared["BOUNDS"]
