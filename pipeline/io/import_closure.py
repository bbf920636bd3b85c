"""Find the files of code that a module depends on: its imports, their imports, and the data files next to them.

The files are parsed, not imported. Rules, provenance, resumed work and arrays all use this module, so that nobody lists source files by
hand. `pipeline.workflow.step_code` defines which modules a step of the workflow consists of.
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

# Modules and packages that change no result, with what they do. They count for no step, and their imports are not followed.
PLUMBING = {
    "corruptions.errors": "Names of errors.",
    "corruptions.regular": "Refuses to open anything but regular files.",
    "corruptions.system_errors": "Words for errors of the operating system.",
    "endoarss.errors": "Names of errors.",
    "endoarss.tensorboard": "Shows a training's losses to people.",
    "pipeline.errors": "Names of errors.",
    "pipeline.io.disk": "Sizes of files, for people.",
    "pipeline.io.files": "Writes files whole or not at all, and reads text.",
    "pipeline.io.import_closure": "Decides which steps run again.",
    "pipeline.io.known_digests": "Remembers digests; a computed digest is the same.",
    "pipeline.locking": "Decides which process waits.",
    "pipeline.redaction": "Masks secrets in messages and provenance.",
    "pipeline.results.paths": "Decides where files lie; a rule with other outputs runs anyway.",
    "pipeline.results.provenance": "Records where a result came from.",
    "pipeline.workflow": "Decides which steps run again.",
    "reports.errors": "Names of errors.",
}

# Files with these suffixes are documents or rules, not data of a module.
_NO_DATA = (".md", ".py", ".pyc", ".smk")

# Folders of installed packages.
_INSTALLED = ("site-packages", "dist-packages")

# Import statements, and imports by a literal name.
_STATEMENT = re.compile(r"(?m)^[ \t]*((?:from[ \t]+\S+[ \t]+)?import\b(?:[^\n(\\]|\\\n|\([^)]*\))*)")
_BY_NAME = re.compile(r"\b(?:import_module|resolve_name)\(\s*[\"']([\w.]+)")


class _Import(NamedTuple):
    """One imported name: `from module import name as bound`, or `import module`, whose name is empty."""

    module: str
    name: str
    bound: str


def import_closure(*modules: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the files that modules depend on, themselves among them.

    Of a package, only the imported names count: `from corruptions import sweep` depends on the module that defines `sweep`, not on all
    that corruptions/__init__.py imports. Installed packages are left out, but modules of the user's own are not.

    Args:
        modules: names that can be imported, e.g. "pipeline.training.train_cell".
        without: modules or packages that do not count, besides `PLUMBING`.

    Returns:
        Paths, sorted: files of the project relative to its root, others absolute.

    Raises:
        ModuleNotFoundError: if one of the modules has no source file.
    """
    return _closure(frozenset(modules), frozenset(without))


def code_sha256(files: Iterable[str]) -> str:
    """Return one hex SHA-256 of files that `import_closure` returned. It does not depend on the project's folder."""
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
            names |= {imported.module.partition(".")[0] for imported in _imports(ROOT / path, package)}
    own = {"", *PACKAGES, *sys.stdlib_module_names}
    return {name for name in names if name not in own and module_file(name) is None}


@cache
def _closure(modules: frozenset[str], without: frozenset[str]) -> tuple[str, ...]:
    if len(modules) > 1:  # each module is cached by itself
        return tuple(sorted({file for module in modules for file in _closure(frozenset([module]), without)}))
    (only,) = modules
    if module_file(only) is None:
        raise ModuleNotFoundError(f"{only}: no source file on the Python path.", name=only)
    seen, waiting = {only}, [only]
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
    files: list[Path] = []
    for path in folder.iterdir():
        if path.is_dir():
            files += () if path.name == "__pycache__" or (path / "__init__.py").exists() else _data_files(path)
        elif path.suffix not in _NO_DATA and not path.name.startswith("."):
            files.append(_relative(path))
    return tuple(files)


@cache
def imported_modules(module: str) -> frozenset[str]:
    """Return the modules that a module imports from: the project's and the user's own, without those of `PLUMBING`."""
    file = module_file(module)
    if file is None:
        return frozenset()
    imports, of_project = _imports(file, _package(module, file)), _within(module, PACKAGES)
    if of_project:
        imports = tuple(imported for imported in imports if _within(imported.module, PACKAGES))
    modules = {_origin(imported.module, imported.name) for imported in imports}
    if not of_project:  # importing a user's module runs the __init__.py of its packages
        parents = module.split(".")[:-1]
        modules |= {".".join(parents[: end + 1]) for end in range(len(parents))}
    return frozenset(name for name in modules if not _within(name, PLUMBING) and module_file(name) is not None)


def _package(module: str, file: Path) -> str:
    """Return the package that relative imports of a module start from."""
    return module if file.name == "__init__.py" else module.rpartition(".")[0]


def _origin(module: str, name: str) -> str:
    """Return the module that defines `name`, which another module imports from `module`."""
    if name and module_file(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    file = module_file(module)
    if name and file is not None and file.name == "__init__.py" and module.split(".")[0] in PACKAGES:
        for imported in _imports(file, module):
            if imported.bound == name and imported.name:
                return _origin(imported.module, imported.name)
    return module


@cache
def _imports(file: Path, package: str) -> tuple[_Import, ...]:
    """Return the imports of a file, also inside functions, and imports by a literal module name."""
    text = file.read_text(encoding="utf-8", errors="replace")
    imports = [_Import(name, "", name) for name in _BY_NAME.findall(text)]
    for node in _statements(file, text):
        if isinstance(node, ast.Import):
            imports += [_Import(alias.name, "", alias.asname or alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            imports += [_Import(base, alias.name, alias.asname or alias.name) for alias in node.names]
    return tuple(imports)


def _statements(file: Path, text: str) -> Iterator[ast.AST]:
    """Return the import statements of a file, perhaps among other nodes; none if Python cannot parse it, which the importing step reports.

    In the project's own files, where an import statement has lines of its own, only these lines are parsed, because each plan waits for
    the parser. A test compares the statements with those of the whole tree.
    """
    if _relative(file).parts[0] in PACKAGES:
        with suppress(SyntaxError):  # a line of a docstring may look like an import; then parse the whole file
            return iter(ast.parse("\n".join(_STATEMENT.findall(text))).body)
    with suppress(SyntaxError):
        return ast.walk(ast.parse(text))
    return iter(())


@cache
def module_file(module: str) -> Path | None:
    """Return the source file of a module of the project or of the user's own; None for the standard library and installed packages."""
    top, *_ = parts = module.split(".")
    for folder in [ROOT] if top in PACKAGES else _user_folders(top):
        path = folder.joinpath(*parts)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None


def _user_folders(package: str) -> list[Path]:
    """Return the folders where Python looks for a user's modules: not those of Python itself and of installed packages.

    For a package that registers components of the study, even if it is installed, return the folder that holds it.
    """
    if package in {module.split(".")[0] for module in user_modules()} and (spec := find_spec(package)):
        places = spec.submodule_search_locations or [spec.origin or ""]
        return [Path(place).parent for place in places]
    standard = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    searched = dict.fromkeys(Path(folder or ".").absolute() for folder in sys.path)
    own = (path for path in searched if path.is_dir() and path.name not in _INSTALLED)
    return [path for path in own if not any(path.resolve().is_relative_to(folder) for folder in standard)]
