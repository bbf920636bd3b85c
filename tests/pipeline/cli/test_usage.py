"""What is said of a command line that is wrong: exit status 2, what was meant, what there is, and an example."""

from __future__ import annotations

import inspect
from pathlib import Path
from pkgutil import resolve_name

import pytest

from pipeline.cli import COMMANDS, main
from pipeline.cli.groups import Command, Group
from pipeline.cli.steps import MOVED, STEP
from pipeline.status import list_study
from pipeline.study.models import Study


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian --cell x", "endoarss: no command 'trian'. Did you mean train? Known: new, doctor, list, train, "),
        ("step buid_dataset", "endoarss step: no command 'buid_dataset'. Did you mean build_dataset? Known: "),
        ("zzz", "endoarss: no command 'zzz'. Known: new, doctor, "),
        ("help", "endoarss: no command 'help'. Known: new, doctor, "),
        ("generate-raw", "endoarss generate-raw is called endoarss step generate_raw."),
        ("list study.yaml", "endoarss list: Got unexpected extra argument (study.yaml) Studies are given as --study FILE."),
        ("list --studdy x", "endoarss list: no option '--studdy'. Did you mean --study? Known: --study, --help."),
        ("train", "endoarss train: --cell: missing.\nExample: endoarss train --cell "),
        ("merge", "endoarss merge: MODEL...: missing.\nExample: endoarss merge mtlesd/"),
        ("train --cell", "endoarss train: Option '--cell' requires an argument."),
        ("use a b", "endoarss use: Got unexpected extra argument (b)"),
        ("verify --cells two", "endoarss verify: --cells: 'two': expected a whole number of at least 0."),
        ("step pack-dataset --dataset x --workers=-1", "endoarss step pack_dataset: --workers: '-1': expected a whole number"),
        ("predict m.safetensors a.png --out x --every 0", "endoarss predict: --every: '0': expected a whole number of at least 1."),
        ("robustness", "endoarss robustness: expected one of --cell, --predictor and --predictions."),
        ("step", "Run one step of the workflow"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_explained(
    words: str, said: str, capsys: pytest.CaptureFixture[str], study_file: Path
) -> None:
    given = words.split()
    assert main([*given, *(["--study", str(study_file)] if words == "robustness" else [])]) == 2
    text = capsys.readouterr().err
    assert said in text and "Traceback" not in text
    assert text.splitlines()[-1].startswith("More: endoarss") and text.splitlines()[-1].endswith("--help")


def test_a_message_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--study", "\x1b[2J\u202e.yaml"]) == 1
    assert capsys.readouterr().err == (
        "endoarss list: \\x1b[2J\\u202e.yaml: no such study. The stored studies are in studies/.\n"
    )


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_says_the_new_one(old: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (old.replace("_", "-"), old.replace("-", "_")):
        assert main([name, "--study", "study.yaml"]) == 2
        said, new = capsys.readouterr().err.splitlines()[0], MOVED[old]
        assert said == f"endoarss {name} is now {new}."
        assert new.removeprefix("endoarss step ") in STEP.commands


def test_names_have_hyphens_or_underscores(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("build-dataset", "build_dataset"):
        assert main(["step", name, "--help"]) == 0
        assert capsys.readouterr().out.startswith("Usage: endoarss step build_dataset ")


def leaves(group: Group = COMMANDS) -> list[Command]:
    found = []
    for command in group.commands.values():
        assert isinstance(command, Command)
        found += leaves(command) if isinstance(command, Group) else [command]
    return found


@pytest.mark.parametrize("command", leaves(), ids=lambda command: str(command.name))
def test_a_command_gives_its_function_what_that_takes(command: Command) -> None:
    """Functions are named in words, so nothing else sees that a name or an option is wrong."""
    taken = inspect.signature(resolve_name(f"pipeline.{command.calls}"))
    given = {str(parameter.name): None for parameter in command.params if parameter.name != "if_stale"}
    taken.bind(**given)


def test_an_interrupted_command_ends_as_a_shell_expects(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(study: Study) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(list_study, "list_study", interrupted)
    assert main(["list", "--study", str(study_file)]) == 130
