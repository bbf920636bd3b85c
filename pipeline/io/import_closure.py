"""The files of code that a module depends on: its imports, their imports, and the data files next to them.

Nothing is imported to find them. The rules, provenance, resumed work and arrays all ask here, so that no list of source files stands
anywhere else. `pipeline.workflow.step_code` knows which modules a step of the workflow consists of.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from endoarss.registry import user_modules
from pipeline.io.hashing import digest, sha256_of

ROOT = Path(__file__).parents[2]
PACKAGES = ("corruptions", "endoarss", "pipeline", "reports")

# Modules and packages whose change changes no result, with the reason. Their imports are not followed.
PLUMBING = {
    "corruptions.errors": "Names of errors.",
    "corruptions.regular": "Refuses to open what is no regular file.",
    "corruptions.system_errors": "Words for errors of the system.",
    "endoarss.errors": "Names of errors.",
    "endoarss.tensorboard": "Shows a training's losses to people.",
    "pipeline.errors": "Names of errors.",
    "pipeline.io.disk": "Sizes of files, for people.",
    "pipeline.io.files": "Writes files whole or not at all, and reads text.",
    "pipeline.io.import_closure": "Says what a rerun depends on.",
    "pipeline.io.known_digests": "Remembers digests, which are the same however they are found.",
    "pipeline.locking": "Decides who waits for whom.",
    "pipeline.redaction": "Masks secrets in messages and provenance.",
    "pipeline.results.paths": "Decides where files lie; a rule with other outputs runs anyway.",
    "pipeline.results.provenance": "Records where a result came from.",
    "pipeline.workflow": "Says what a rerun depends on.",
    "reports.errors": "Names of errors.",
}

# Files with these suffixes are documents or rules, not data of a module.
_NO_DATA = (".md", ".py", ".pyc", ".smk")

# Folders of installed packages.
_INSTALLED = ("site-packages", "dist-packages")

_STATEMENT = re.compile(r"(?m)^[ \t]*((?:from[ \t]+\S+[ \t]+)?import\b(?:[^\n(\\]|\\\n|\([^)]*\))*)")
_BY_TEXT = re.compile(r"\b(?:import_module|resolve_name)\(\s*[\"']([\w.]+)")


class _Import(NamedTuple):
    """One imported name: `from module import name as bound`, or `import module`, whose name is empty."""

    module: str
    name: str
    bound: str


def import_closure(*modules: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the files that modules depend on, themselves among them.

    Of a package, only what is taken from it counts: `from corruptions import sweep` depends on the module that defines `sweep`, not on
    all that corruptions/__init__.py imports. Modules of other people's packages are left out, except those of a user's own.

    Args:
        modules: names that can be imported, e.g. "pipeline.training.train_cell".
        without: modules or packages that are not followed, besides `PLUMBING`.

    Returns:
        Files of the project relative to its root, others as absolute paths; sorted.

    Raises:
        ModuleNotFoundError: if there is no source file of one of the modules.
    """
    return _closure(frozenset(modules), frozenset(without))


def code_sha256(files: Iterable[str]) -> str:
    """Return the hex SHA-256 of the content of files that `import_closure` returned; it does not depend on where the project lies."""
    paths = [_relative(Path(file)) for file in files]
    return digest(sorted((path.name if path.is_absolute() else str(path), sha256_of(ROOT / path)) for path in paths))


def imported_packages(files: Iterable[str]) -> set[str]:
    """Return the names of the installed packages that files of code import, e.g. {"torch", "numpy"}; the standard library is left out.

    Args:
        files: what `import_closure` returned.
    """
    names = set()
    for path in map(Path, files):
        if path.suffix == ".py":
            package = "" if path.is_absolute() else ".".join(path.parent.parts)
            names |= {one.module.partition(".")[0] for one in _imports(ROOT / path, package)}
    own = {"", *PACKAGES, *sys.stdlib_module_names}
    return {name for name in names if name not in own and module_file(name) is None}


@cache
def _closure(modules: frozenset[str], without: frozenset[str]) -> tuple[str, ...]:
    if len(modules) > 1:  # the dependencies of several modules are those of each of them
        return tuple(sorted({file for module in modules for file in _closure(frozenset([module]), without)}))
    (first,) = modules
    if module_file(first) is None:
        raise ModuleNotFoundError(f"{first}: no source file on the Python path.", name=first)
    seen, waiting = {first}, [first]
    while waiting:
        new = {module for module in imported_modules(waiting.pop()) if not _within(module, without)} - seen
        seen |= new
        waiting += new
    return tuple(sorted({str(path) for module in seen for path in _files(module)}))


def _within(module: str, packages: Collection[str]) -> bool:
    parents = module.split(".")
    return any(".".join(parents[:end]) in packages for end in range(1, len(parents) + 1))


def _files(module: str) -> Iterator[Path]:
    """Return the file of a module and the data files of its folder."""
    file = module_file(module)
    if file is not None:
        yield _relative(file)
        if module.split(".")[0] in PACKAGES:
            yield from _data_files(file.parent)


def _relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


@cache
def _data_files(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder and its subfolders that are not code; subfolders that are packages are left out."""
    found: list[Path] = []
    for path in folder.iterdir():
        if path.is_dir():
            found += () if path.name == "__pycache__" or (path / "__init__.py").exists() else _data_files(path)
        elif path.suffix not in _NO_DATA and not path.name.startswith("."):
            found.append(_relative(path))
    return tuple(found)


@cache
def imported_modules(module: str) -> frozenset[str]:
    """Return the modules that a module takes something from: the project's, and a user's own; those of `PLUMBING` are left out."""
    file = module_file(module)
    if file is None:
        return frozenset()
    imports, own = _imports(file, _package(module, file)), _within(module, PACKAGES)
    found = {_origin(one.module, one.name) for one in imports if not own or _within(one.module, PACKAGES)}
    if not own:  # for a user's own package, its __init__.py counts too
        parents = module.split(".")[:-1]
        found |= {".".join(parents[: end + 1]) for end in range(len(parents))}
    return frozenset(one for one in found if not _within(one, PLUMBING) and module_file(one) is not None)


def _package(module: str, file: Path) -> str:
    """Return the package that relative imports of a module start from."""
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def _origin(module: str, name: str) -> str:
    """Return the module that defines a name which another module imports from this one."""
    if name and module_file(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    file = module_file(module)
    if name and file is not None and file.name == "__init__.py" and module.split(".")[0] in PACKAGES:
        for one in _imports(file, module):
            if one.bound == name and one.name:
                return _origin(one.module, one.name)
    return module


@cache
def _imports(file: Path, package: str) -> tuple[_Import, ...]:
    """Return the imports of a file, including those inside functions and those by a literal module name."""
    text = file.read_text(encoding="utf-8", errors="replace")
    found = [_Import(name, "", name) for name in _BY_TEXT.findall(text)]
    for node in _statements(file, text):
        if isinstance(node, ast.Import):
            found += [_Import(alias.name, "", alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found += [_Import(base, alias.name, alias.asname or alias.name) for alias in node.names]
    return tuple(found)


def _statements(file: Path, text: str) -> Iterator[ast.AST]:
    """Return the import statements of a file and its other nodes; none if Python cannot parse it, which the importing step reports.

    Of the project's own files these lines alone are parsed, because plans wait for it. A statement stands on lines of its own there;
    a test compares them with the whole tree.
    """
    if _relative(file).parts[0] in PACKAGES:
        with suppress(SyntaxError):  # a line of a docstring may begin like an import
            return iter(ast.parse("\n".join(_STATEMENT.findall(text))).body)
    with suppress(SyntaxError):
        return ast.walk(ast.parse(text))
    return iter(())


@cache
def module_file(module: str) -> Path | None:
    """Return the source file of a module of the project or of a user's own, or None. A module of the standard library, or of a package
    that is installed, is neither."""
    top, *_ = parts = module.split(".")
    for folder in [ROOT] if top in PACKAGES else _user_folders(top):
        path = folder.joinpath(*parts)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None


def _user_folders(package: str) -> list[Path]:
    """The folders that Python looks in for modules, without those of Python itself and of installed packages. A package that holds
    components of the study counts wherever it lies."""
    if package in {module.split(".")[0] for module in user_modules()} and (spec := find_spec(package)):
        places = spec.submodule_search_locations or [spec.origin or ""]
        return [Path(place).parent for place in places]
    python = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    found = dict.fromkeys(Path(folder or ".").absolute() for folder in sys.path)
    own = (path for path in found if path.is_dir() and path.name not in _INSTALLED)
    return [path for path in own if not any(path.resolve().is_relative_to(one) for one in python)]
