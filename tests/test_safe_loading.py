"""Files are data: nothing in the project loads one in a way that can run what it holds. Read from the source, call by call."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("corruptions", "endoarss", "reports", "pipeline", "benchmarks")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "pipeline/rules").glob("*.smk"))]

TENSORS = "safetensors (endoarss.checkpoints), or torch.load(..., weights_only=True)"
TABLES = "parquet, JSON or npz"
ARCHIVES = "pipeline.sources.archives.extract, which checks every name and size"
COMMANDS = "subprocess.run([program, argument, ...])"
YAML = "yaml.safe_load"

UNSAFE_MODULES = {
    **dict.fromkeys(("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"), TABLES),
    "tarfile": ARCHIVES,
}
UNSAFE_CALLS = {
    **dict.fromkeys(("eval", "exec", "pandas.eval"), "ast.literal_eval, or plain code"),
    **dict.fromkeys(("builtins.eval", "builtins.exec"), "ast.literal_eval, or plain code"),
    **dict.fromkeys(("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.full_load_all"), YAML),
    **dict.fromkeys(("yaml.unsafe_load", "yaml.unsafe_load_all"), YAML),
    **dict.fromkeys(("torch.jit.load", "torch.hub.load", "torch.hub.load_state_dict_from_url"), TENSORS),
    **dict.fromkeys(("pandas.read_pickle", "pandas.read_hdf", "pandas.HDFStore"), TABLES),
    **dict.fromkeys(("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"), COMMANDS),
    "asyncio.create_subprocess_shell": COMMANDS,
    "shutil.unpack_archive": ARCHIVES,
}
# Whatever they are called on.
UNSAFE_METHODS = {"extractall": ARCHIVES, "read_pickle": TABLES, "to_pickle": TABLES}
# The keyword that must stand there, with this value.
DEMANDED = {
    "torch.load": ("weights_only", True, TENSORS),
    "numpy.load": ("allow_pickle", False, "numpy.load(..., allow_pickle=False)"),
    "numpy.lib.format.read_array": ("allow_pickle", False, "allow_pickle=False"),
    "jinja2.Environment": ("autoescape", True, "jinja2.Environment(..., autoescape=True)"),
    "jinja2.Template": ("autoescape", True, "jinja2.Template(..., autoescape=True)"),
}
# LaTeX is escaped by a filter of its own; HTML escapes would be wrong in it.
ALLOWED = {("reports/paper/__init__.py", "jinja2.Environment")}


def unsafe_in(source: str, name: str = "x.py") -> Iterator[str]:
    """Each unsafe import and call of a source text: where, what, and what to use."""
    tree = ast.parse(source)
    known = dict(_imported(tree))
    for node in ast.walk(tree):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            for module in modules:
                if module.split(".")[0] in UNSAFE_MODULES:
                    yield f"{where}: imports {module}; use {UNSAFE_MODULES[module.split('.')[0]]}."
        if not isinstance(node, ast.Call):
            continue
        called, keywords = _full_name(node.func, known), {each.arg: each.value for each in node.keywords}
        if called in UNSAFE_CALLS:
            yield f"{where}: calls {called}; use {UNSAFE_CALLS[called]}."
        elif isinstance(node.func, ast.Attribute) and node.func.attr in UNSAFE_METHODS:
            yield f"{where}: calls .{node.func.attr}; use {UNSAFE_METHODS[node.func.attr]}."
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "eval" and (node.args or node.keywords):
            yield f"{where}: calls .eval of a text; use plain code."  # a model's eval() takes nothing
        demanded = None if (name, called) in ALLOWED else DEMANDED.get(called)
        if demanded is not None and not _is(keywords.get(demanded[0]), demanded[1]):
            yield f"{where}: calls {called} without {demanded[0]}={demanded[1]}; use {demanded[2]}."
        if "shell" in keywords and not _is(keywords["shell"], False):
            yield f"{where}: calls {called} with a shell; use {COMMANDS}."


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """What each imported name stands for, in full."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield (each.asname, each.name) if each.asname else (each.name.split(".")[0], each.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def _full_name(node: ast.expr, known: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return known.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, known)}.{node.attr}"
    return "(...)"


def _is(value: ast.expr | None, expected: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is expected


def test_no_source_loads_a_file_that_could_run_something() -> None:
    assert len(SOURCES) > 150
    found = [
        line
        for path in SOURCES
        for line in unsafe_in(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())
    ]
    assert not found, "\n".join(found)


def test_no_rule_does() -> None:
    words = re.compile(r"pickle|torch\.load|yaml\.load|\b(eval|exec)\(|os\.system|shell=True|extractall")
    for path in RULES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not words.search(line), (
                f"{path.name}:{number}: {line.strip()}; see test_safe_loading.py for what to use."
            )


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import joblib as j",
        "import torch\ntorch.load(path)",
        "import torch as t\nt.load(path, weights_only=False)",
        "from torch import load as read\nread(path)",
        "import torch\ntorch.load(path, weights_only=flag)",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy\nnumpy.load(path, mmap_mode='c')",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "from yaml import unsafe_load\nunsafe_load(text)",
        "import pandas as pd\npd.read_pickle(path)",
        "frame.to_pickle(path)",
        "eval('1')",
        "exec(text)",
        "frame.eval(expression)",
        "import os\nos.system('ls')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import subprocess as s\ns.Popen(words, shell=given)",
        "opened.extractall(folder)",
        "import shutil\nshutil.unpack_archive(path)",
        "import jinja2\njinja2.Environment(loader=x)",
        "from jinja2 import Environment\nEnvironment(autoescape=False)",
    ],
)
def test_what_is_unsafe_is_found(source: str) -> None:
    (found,) = unsafe_in(source)
    assert re.fullmatch(r"x\.py:\d+: (imports|calls) .*; use .+\.", found)


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path, mmap_mode='c', allow_pickle=False)",
        "import yaml\nyaml.safe_load(text)",
        "model.eval()",
        "json.load(stream)",
        "import subprocess\nsubprocess.run(['ls'], check=True)",
        "import jinja2\njinja2.Environment(autoescape=True)",
        "frame['x'].str.extract(pattern)",
    ],
)
def test_what_is_safe_is_not(source: str) -> None:
    assert list(unsafe_in(source)) == []
