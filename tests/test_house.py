"""What the source tree keeps: few flat modules, no circles, short functions, and each metric's name in its table alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("corruptions", "endoarss", "reports", "pipeline")
FILES = {
    path.relative_to(ROOT): ast.parse(path.read_text()) for name in PACKAGES for path in (ROOT / name).rglob("*.py")
}
LONGEST_FUNCTION = 60
# Reading either takes seconds that planning, listing and `--help` do not have; what imports them is imported when it is needed.
HEAVY = ("torch", "timm")
COMMAND_LINES = (
    Path("corruptions/command/cli.py"),
    Path("pipeline/locking/command_locks.py"),  # which every command names
    *(path for path in FILES if path.parent == Path("pipeline/cli")),
)

Graph = Mapping[Path, set[Path]]


def file_of(module: str) -> Path | None:
    """Return the file of one of the project's modules, or None."""
    path = Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file in FILES), None)


def imported_by(path: Path, node: ast.AST) -> set[Path]:
    """Return the project's files that an import statement names; none for other statements."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        above = [*path.parent.parts[: len(path.parent.parts) + 1 - node.level]] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
    else:
        names = []
    return {file for name in names if (file := file_of(name)) and file != path}


def graph(inside: bool = True) -> Graph:
    """Return the files that each file imports; inside: within functions too."""
    return {
        path: set().union(*(imported_by(path, node) for node in (ast.walk(tree) if inside else tree.body)))
        for path, tree in FILES.items()
    }


def circle(imports: Graph) -> list[Path]:
    """Return the members of a circle, or an empty list."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def test_at_most_six_modules_stand_directly_in_pipeline() -> None:
    assert sum(path.parent == Path("pipeline") and path.name != "__init__.py" for path in FILES) <= 6


def test_files_do_not_import_one_another_in_a_circle() -> None:
    # Of a package, its __init__.py alone is imported by its name; what a package's file gives its own folder is no circle.
    modules = {
        path: {one for one in found if one.name != "__init__.py"}
        for path, found in graph().items()
        if path.name != "__init__.py"
    }
    assert not circle(modules)


def test_folders_of_pipeline_do_not_import_one_another_in_a_circle() -> None:
    folders: dict[Path, set[Path]] = {}
    for path, found in graph().items():
        if path.parts[0] == "pipeline" and len(path.parts) > 2:
            rooms = {Path(*one.parts[:2]) for one in found if one.parts[0] == "pipeline" and len(one.parts) > 2}
            folders.setdefault(Path(*path.parts[:2]), set()).update(rooms - {Path(*path.parts[:2])})
    assert not circle(folders)


@pytest.mark.parametrize("metric", ["hd95"])
def test_a_metric_is_named_in_its_table(metric: str) -> None:
    named = [
        path
        for path, tree in FILES.items()
        if any(isinstance(node, ast.Constant) and node.value == metric for node in ast.walk(tree))
    ]
    assert 1 <= len(named) <= 3, named


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{path}: {one.name} has {one.end_lineno - one.lineno + 1} lines"
        for path, tree in FILES.items()
        for one in functions(tree)
        if one.end_lineno is not None and one.end_lineno - one.lineno >= LONGEST_FUNCTION
    ]
    assert not long


def heavy_files() -> set[Path]:
    """Return the files that import torch or timm when they are imported, themselves or through others."""
    at_top = graph(inside=False)
    heavy = {path for path, tree in FILES.items() for node in tree.body for name in _roots(node) if name in HEAVY}
    while True:
        more = {path for path, found in at_top.items() if found & heavy} - heavy
        if not more:
            return heavy
        heavy |= more


def test_evaluating_cells_imports_no_figures() -> None:
    """Matplotlib and seaborn take a second to import, in each evaluation of robustness."""
    at_top, found = graph(inside=False), set[Path]()
    waiting = {Path("pipeline/reporting/any_model.py")}
    while waiting:
        found |= waiting
        waiting = set().union(*(at_top[path] for path in waiting)) - found
    assert Path("pipeline/evaluation/robustness.py") in found
    assert not [path for path in found if path.parts[:2] in (("reports", "figures"), ("reports", "page"))]


def _roots(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [node.module.split(".")[0]] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []


def test_imports_inside_functions_are_of_heavy_modules() -> None:
    heavy = heavy_files()
    assert Path("endoarss/training.py") in heavy and Path("pipeline/study/models.py") not in heavy
    hidden = {
        f"{path}: {one.name} imports {file}"
        for path, tree in FILES.items()
        if path not in COMMAND_LINES
        for one in functions(tree)
        for node in ast.walk(one)
        for file in imported_by(path, node)
        if file not in heavy
    }
    assert not hidden


def test_only_its_own_room_looks_into_a_study_by_text() -> None:
    """Elsewhere a study is typed: `study.training.batch_size`, which mypy and editors know."""
    sources = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "pipeline/rules").glob("*.smk"), ROOT / "Snakefile"]
    assert not [
        f"{path.relative_to(ROOT)}: {found}"
        for path in sources
        if not path.is_relative_to(ROOT / "pipeline/study")
        for found in re.findall(r"\bas_dict\(\)\s*(?:\[\"|\.get\()|study\.settings\b", path.read_text())
    ]
