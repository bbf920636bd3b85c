"""`--help`: which commands it shows, that every example can be parsed, and that asking for it is quick."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS, main
from pipeline.cli.groups import Command, Group
from pipeline.cli.steps import STEP
from pipeline.io.one_thread import VARIABLES
from tests.pipeline.parsing import parsed

ROOT = Path(__file__).parents[3]
GROUPS = {
    "Start": ["new", "doctor", "list"],
    "Run by hand": ["train", "evaluate", "robustness", "merge", "predict"],
    "Results": ["status", "report", "paper", "verify", "clean"],
    "Versions": ["use", "record", "restore"],
}
# Reading any of these takes longer than showing help.
HEAVY = (
    "numpy",
    "pandas",
    "torch",
    "pydantic",
    "yaml",
    "cv2",
    "scipy",
    "PIL",
    "jsonschema",
    "matplotlib",
    "corruptions",
    "endoarss",
)


def every_command(group: Group = COMMANDS, *words: str) -> Iterator[tuple[str, ...]]:
    """The words of each command and group."""
    yield words
    for name, command in group.commands.items():
        yield from every_command(command, *words, name) if isinstance(command, Group) else [(*words, name)]


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--help"]) == 0
    return capsys.readouterr().out


def test_the_help_shows_groups_and_only_what_people_call(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys)
    found = {
        title: re.findall(r"(?m)^  (\w+)  ", rows) for title, rows in re.findall(r"(?m)^([\w ]+):\n((?:  .*\n)+)", text)
    }
    found.pop("Example")
    assert found == GROUPS
    assert "endoarss step --help" in text


def test_steps_are_named_as_rules(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "step")
    steps = set(re.findall(r"(?m)^  (\w+)  ", text))
    rules = "".join(path.read_text() for path in (ROOT / "pipeline/rules").glob("*.smk"))
    called = re.findall(r'rule (\w+):(?:(?!rule \w+:)[\s\S])*?"python -m pipeline\.cli step (\w+) ', rules)
    assert called and all(rule == step for rule, step in called), called
    assert {step for _, step in called} == steps


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_help_ends_with_an_example(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    *_, title, example, end = shown(capsys, *words).split("\n")
    assert title == "Example:" and example.startswith("  endoarss ") and end == ""


@pytest.mark.parametrize("group", [COMMANDS, STEP], ids=lambda group: str(group.name))
def test_a_command_has_one_line(group: Group, capsys: pytest.CaptureFixture[str]) -> None:
    """Whole, on a terminal of 80 columns."""
    lines = shown(capsys, *(["step"] if group is STEP else [])).splitlines()
    for name, command in group.commands.items():
        if name != "step":
            text = str(command.help).partition("\n\n")[0]
            assert [line.split(None, 1)[1] for line in lines if re.match(rf"  {name} ", line)] == [text]


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_an_example_can_be_parsed(words: tuple[str, ...]) -> None:
    command: Command = COMMANDS
    for word in words:
        assert isinstance(command, Group)
        command = command.commands[word]
    prog, *given = shlex.split(command.example)
    found, values = parsed(*given)
    assert prog == "endoarss" and (found is command or isinstance(command, Group) or words == ("step", "check_sources"))
    if "study" in values:
        assert values["study"] == Path("params.yaml") or (ROOT / values["study"]).is_file()


def test_without_a_command_the_help_is_shown_and_nothing_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Run by hand:" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--help"], ["step", "--help"], ["train", "--help"], ["trian"]], ids=" ".join)
def test_help_and_wrong_commands_import_nothing_heavy(words: list[str]) -> None:
    look = f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    program = f"import sys; from pipeline.cli import main; main({words!r}); {look}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "[]", done.stderr


def test_one_thread_each_is_set_before_libraries_are_loaded() -> None:
    program = "import pipeline.cli, cv2, os; print(cv2.getNumThreads(), os.environ['OMP_NUM_THREADS'], os.environ['NUMBA_NUM_THREADS'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1", "1"]


def test_the_module_that_results_depend_on_is_what_sets_it() -> None:
    """Every step's code names pipeline/io/one_thread.py; a second place would change bits without running anything again."""
    program = (
        "import os; from pipeline.io import one_thread; called = []; one_thread.use_one_thread = lambda: called.append(1)\n"
        "import pipeline.cli; print(len(called), [name for name in one_thread.VARIABLES if name in os.environ])"
    )
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 []\n"
