"""Modules of a user's own: what is in them is what Python sees, planning imports no torch for it, and faults name file and line."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from endoarss import list_weightings, registry
from endoarss.components import user_modules
from endoarss.errors import SettingsError

Write = Callable[..., None]
HEAD = "from endoarss.registry import register_weighting\n"


@pytest.fixture(autouse=True)
def as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run in an empty folder on the Python path; afterwards registries and imported modules are as before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "_user_modules", [])
    for one in registry.REGISTRIES.values():
        monkeypatch.setattr(one, "_imported", dict(one._imported))
        monkeypatch.setattr(one, "_described", {})
    before = set(sys.modules)
    yield
    for name in [name for name, module in sys.modules.items() if name not in before]:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def from_outside(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Describe modules as a process without torch does; returns the modules that were imported for it."""
    asked: list[str] = []
    ask = user_modules._reply_of_process
    monkeypatch.setattr(
        user_modules, "_reply_of_process", lambda module, others: asked.append(module) or ask(module, others)
    )  # type: ignore[func-returns-value]
    monkeypatch.setattr(registry, "sys", type("NoTorch", (), {"modules": {}}))
    return asked


OWN_BASE = "from endoarss.weightings.db_mtl import DualBalancing as Base"
BASE = """\
class Base:
    BOUNDS = {"beta": "[0, 1)", "beta_sigma": "[0, 10]"}

    def __init__(self, tasks, epochs, beta=0.9, beta_sigma=0.0):
        self.beta = beta
"""
INHERITED = """\
import math
import endoarss.registry as reg
from mine_base import Base
LONG = 3

@reg.register_weighting("plain")
class Plain(Base):
    pass

@reg.register_weighting(name="scaled")
class Scaled(Base):
    BOUNDS = {"gain": "(0, inf)", "beta": "[0, 0.5]"}

    def __init__(
        self, tasks, epochs, gain=math.pi / 2, steps=2 * LONG, *,
        beta=0.25, rates=[1, 2.5], word="a", flag=False, end=None, **others
    ):
        super().__init__(tasks, epochs, beta=beta, **others)

for name in ("first", "second"):
    reg.register_weighting(name)(type(name, (Plain,), {}))
"""
SCALED = {
    "beta_sigma": 0.0,
    "gain": math.pi / 2,
    "steps": 6,
    "beta": 0.25,
    "rates": (1, 2.5),
    "word": "a",
    "flag": False,
    "end": None,
}


def check_inherited() -> None:
    assert {"plain", "scaled", "first", "second"} <= set(list_weightings())
    for name in ("plain", "first"):
        assert registry.WEIGHTINGS.settings(name) == {"beta": 0.9, "beta_sigma": 0.0}
        assert registry.WEIGHTINGS.bounds(name) == {"beta": "[0, 1)", "beta_sigma": "[0, 10]"}
    assert registry.WEIGHTINGS.settings("scaled") == SCALED
    assert registry.WEIGHTINGS.bounds("scaled") == {"beta": "[0, 0.5]", "beta_sigma": "[0, 10]", "gain": "(0, inf)"}
    assert registry.WEIGHTINGS.files()["scaled"] == Path("mine.py").absolute()
    assert registry.WEIGHTINGS.describe("scaled").line == 10
    with pytest.raises(SettingsError, match=r"^weightings\.scaled\.beta: 0\.7 is not allowed; .* from 0 to 0\.5, e"):
        registry.check_settings("weightings", "scaled", {"beta": 0.7})
    assert registry.WEIGHTINGS.get("scaled")(("a", "b"), 9, beta_sigma=1.0).beta == 0.25


def test_settings_are_what_python_sees_from_outside(from_outside: list[str]) -> None:
    Path("mine_base.py").write_text(BASE)
    Path("mine.py").write_text(INHERITED)
    registry.add_module("mine")
    registry.add_module("mine")
    assert "mine" not in sys.modules and from_outside == ["mine"]
    check_inherited()


def test_settings_are_what_python_sees_with_torch_loaded() -> None:
    Path("mine_base.py").write_text(OWN_BASE)
    Path("mine.py").write_text(INHERITED)
    registry.add_module("mine")
    assert "mine" in sys.modules
    check_inherited()


def test_planning_with_a_users_module_imports_no_torch_and_takes_the_second_time_from_the_cache() -> None:
    Path("torch.py").write_text(
        "import os\nos.system('echo noise')\n"
    )  # as far as planning goes, it could be the real one
    Path("mine_base.py").write_text(BASE)
    Path("mine.py").write_text("import torch\nprint('noise')\n" + INHERITED)
    code = (
        "import sys, endoarss.registry as r, endoarss.components.user_modules as u; r.add_module('mine'); "
        "assert r.WEIGHTINGS.settings('plain')['beta'] == 0.9; assert not {'torch', 'pydantic'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{Path(registry.__file__).parents[1]}"}
    for extra in ("", "; u._reply_of_process = None"):
        code = code.replace("; r.add_module", f"{extra}; r.add_module")
        ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    (saved,) = Path("cache/endoarss/components").iterdir()
    files = json.loads(saved.read_text())["files"]
    assert {Path(file).name for file in files} >= {"mine.py", "mine_base.py", "registry.py"}
    assert not any("json" in file for file in files)


def test_what_was_saved_is_used_until_a_source_changes(from_outside: list[str]) -> None:
    Path("mine_base.py").write_text("class Base:\n    def __init__(self, tasks, epochs, a=1): pass\n")
    Path("mine.py").write_text(
        f"{HEAD}from mine_base import Base\n@register_weighting('mine')\nclass Mine(Base): pass\n"
    )

    def settings() -> dict[str, object]:
        registry._user_modules.clear()
        registry.WEIGHTINGS._described = {}
        registry.add_module("mine")
        return registry.WEIGHTINGS.settings("mine")

    assert settings() == settings() == {"a": 1} and len(from_outside) == 1
    Path("mine_base.py").write_text("class Base:\n    def __init__(self, tasks, epochs, a=2): pass\n")
    assert settings() == settings() == {"a": 2} and len(from_outside) == 2
    (saved,) = Path("cache/endoarss/components").iterdir()
    saved.write_text(saved.read_text()[:-9])
    assert settings() == {"a": 2} and len(from_outside) == 3
    saved.unlink()
    saved.parent.rmdir()
    saved.parent.write_text("no folder")
    assert settings() == {"a": 2} and len(from_outside) == 4


FAULTS = {
    "a name": (f"{HEAD}\n\nx = y\n", "mine.py, line 4: NameError: name 'y' is not defined."),
    "syntax": ("x = 1\nclass :\n", "mine.py, line 2: SyntaxError: invalid syntax."),
    "no module": ("import torchh\n", "mine.py, line 1: ModuleNotFoundError: No module named 'torchh'."),
    "an exception in a library": ("import json\n\njson.loads('{')\n", "mine.py, line 3: JSONDecodeError: Expecting"),
    "an exit": ("raise SystemExit(3)\n", "mine.py, line 1: SystemExit: 3."),
    "a message of lines": ("raise ValueError('a\\nb')\n", "mine.py, line 1: ValueError: a b."),
    "null bytes": ("x = 1\0\n", "mine.py"),
    "no string": (
        f"{HEAD}@register_weighting(5)\nclass Mine: pass\n",
        "mine.py, line 2: the weighting name 5 is not allowed; expected lo",
    ),
    "no brackets": (f"{HEAD}@register_weighting\nclass Mine: pass\n", "mine.py, line 2: the weighting name <class"),
    "no name": (f"{HEAD}@register_weighting('../x')\nclass Mine: pass\n", "mine.py, line 2: the weighting name '../x'"),
    "an own name": (
        f"{HEAD}@register_weighting('equal')\nclass Mine: pass\n",
        "mine.py, line 2: the weighting 'equal' is one of the project's own; choose another name.",
    ),
    "two of a name": (
        f"{HEAD}@register_weighting('a')\nclass A: pass\n@register_weighting('a')\nclass B: pass\n",
        "mine.py, line 4: the weighting 'a' is registered a second time; mine.py, line 2 registers it too.",
    ),
    "a default that is no setting": (
        f"{HEAD}\n@register_weighting('a')\nclass A:\n    def __init__(self, tasks, epochs, x={{}}): pass\n",
        "mine.py, line 3: the weighting 'a': x: the default {}; expected a number, a word, True, False, None or a tuple",
    ),
    "a bound that is none": (
        f"{HEAD}@register_weighting('a')\nclass A:\n    BOUNDS = {{'x': 5}}\n    def __init__(self, t, e, x=1): pass\n",
        "mine.py, line 2: the weighting 'a': x: the bound 5; expected an interval",
    ),
    "a bound of nothing": (
        f"{HEAD}@register_weighting('a')\nclass A:\n    BOUNDS = {{'y': '[0, 1]'}}\n    def __init__(self, t, e, x=1): pass\n",
        "mine.py, line 2: the weighting 'a': BOUNDS: unknown setting 'y'. Known: x.",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_file_and_line(fault: str) -> None:
    source, said = FAULTS[fault]
    Path("mine.py").write_text(source)
    with pytest.raises(SettingsError) as refused:
        registry.add_module("mine")
    assert str(refused.value).startswith(f"components: {said}") and "\n" not in str(refused.value)
    assert registry._user_modules == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import os\nos._exit(7)\n", "mine.py: the process that imported it ended with status 7."),
        FAULTS["a name"],
        FAULTS["an own name"],
    ],
)
def test_faults_are_told_from_outside_too(source: str, said: str, from_outside: list[str]) -> None:
    Path("mine.py").write_text(source)
    with pytest.raises(SettingsError) as refused:
        registry.add_module("mine")
    assert str(refused.value).startswith(f"components: {said}")


def test_two_modules_with_one_name_are_refused(from_outside: list[str]) -> None:
    for module in ("one", "two"):
        Path(f"{module}.py").write_text(f"{HEAD}@register_weighting('same')\nclass Mine: pass\n")
    registry.add_module("one")
    with pytest.raises(
        SettingsError, match=r"two\.py, line 2: the weighting 'same' is registered a second time; one\.py"
    ):
        registry.add_module("two")


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("not_there", "no module 'not_there' on the Python path"),
        ("fine.not_there", "no module 'fine.not_there'"),
        ("my/module.py", "is not a module name"),
        ("", "is not a module name"),
        ("sys", "no module 'sys' on the Python path"),
        ("empty", "no module 'empty' on the Python path"),
    ],
)
def test_what_is_no_module_is_told_without_importing_anything(module: str, said: str) -> None:
    Path("fine.py").write_text("raise ValueError\n")
    Path("empty").mkdir()
    with pytest.raises(SettingsError, match=f"^components: .*{said}"):
        registry.add_module(module)


def test_modules_in_packages_are_found_without_importing_the_package() -> None:
    Path("bag/inner").mkdir(parents=True)
    Path("bag/__init__.py").write_text("raise ValueError('imported')\n")
    Path("bag/inner/mine.py").write_text("")
    assert user_modules.module_file("bag.inner.mine") == Path("bag/inner/mine.py").absolute()
    with pytest.raises(SettingsError, match=r"^components: bag/__init__\.py, line 1: ValueError: imported\.$"):
        registry.add_module("bag.inner.mine")
