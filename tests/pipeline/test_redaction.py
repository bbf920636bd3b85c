"""No secret of the environment, and no password of an address, in what is printed or written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from pipeline import cli
from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.redaction import masked, masked_content
from pipeline.training import train_cell

CELL = "mtlesd/resnet/hps/equal/r4-s0"
SECRET = "hf_Zq8Wn4Lp'x/\"Kw 7é"
PASSWORD = "pa@ss:w0rdw0rd"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_hub_Token", SECRET)


@pytest.mark.parametrize(
    "name",
    [
        *("A_TOKEN", "SECRET_B", "DB_PASSWORD", "passwd", "API_KEY_2", "AWS_CREDENTIALS", "A_CREDENTIAL"),
        *("SMTP_PASS", "GITHUB_PAT", "SENTRY_DSN", "apikey", "PROXY_AUTH"),
    ],
)
def test_values_of_variables_with_such_names_are_masked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "s3cr3t-value")
    assert masked("before s3cr3t-value, after") == "before ***, after"
    monkeypatch.setenv(name, "short")
    assert masked("a short text") == "a short text"


@pytest.mark.parametrize("name", ["LANGUAGE_OF_LOGS", "KEYMAP", "PWD", "OLDPWD", "MONKEY", "PATH_OF_LOGS", "AUTHOR"])
def test_other_variables_are_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "english-words")
    assert masked("english-words") == "english-words"


def test_one_secret_may_hold_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "abcdef")
    monkeypatch.setenv("B_KEY", "abcdefghi")
    assert masked("abcdefghi abcdef") == "*** ***"


def test_each_line_of_a_key_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_KEY", "-----BEGIN-----\nline-one-of-it\nline-two-of-it\n")
    assert "line-" not in masked("line-one-of-it and line-two-of-it")


def test_the_forms_of_a_secret() -> None:
    for form in (SECRET, repr(SECRET), json.dumps(SECRET)):
        assert "Zq8Wn4Lp" not in masked(form)
    assert "Zq8Wn4Lp" not in masked(f"https://host/?token={quote(SECRET, safe='')}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"https://me:{PASSWORD}@host/x: no", "https://***@host/x: no"),
        ("git clone ssh://token@host/x", "git clone ssh://***@host/x"),
        (str(Path("https://me:pw@host/x")), "https:/***@host/x"),
        ("https://host:80/a@b", "https://host:80/a@b"),
        ("mail a@b.c, see C:/a@b", "mail a@b.c, see C:/a@b"),
    ],
)
def test_user_and_password_of_addresses(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_content_keeps_its_shape() -> None:
    assert masked_content({"a": [SECRET, 1, None, (True, f"x{SECRET}")]}) == {"a": ["***", 1, None, [True, "x***"]]}


def test_settings_do_not_depend_on_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"backbone": {"model": "resnet26"}, "from": [f"https://me:{PASSWORD}@host/x"]}
    monkeypatch.setenv("SOME_KEY", "resnet26")
    assert masked_content({"settings": settings, "command": "resnet26"}) == {
        "settings": {"backbone": {"model": "resnet26"}, "from": ["https://***@host/x"]},
        "command": "***",
    }


def test_the_doctor_tells_none(
    study_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = yaml.safe_load(study_file.read_text())
    monkeypatch.setenv("A_PASS", "mounted-secret")
    raw = study_file.parent / "mounted-secret"
    raw.symlink_to(settings["raw"]["esd"])
    settings["raw"]["esd"] = str(raw)
    study_file.write_text(yaml.safe_dump(settings))
    assert main(["doctor", "--study", str(study_file), "--json", "report.json"]) == 0
    said = capsys.readouterr().out + Path("report.json").read_text()
    assert "mounted-secret" not in said and "***" in said


def test_an_error_for_people_holds_none() -> None:
    assert str(InputError(f"{SECRET}: missing")) == "***: missing"


def written_below(folder: Path) -> str:
    """All bytes of all files below a folder but the study's own, as text."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "study.yaml")
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def assert_clean(text: str) -> None:
    for part in ("Zq8Wn4Lp", PASSWORD, "w0rdw0rd"):
        assert part not in text, text[max(0, text.find(part) - 200) :][:400]


def test_a_failing_study_leaves_no_secret_behind(
    study_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named in a study, given on the command line, in the message of whatever fails."""
    assert main(["step", "build_dataset", "--study", str(study_file), "--dataset", "mtlesd"]) == 0
    settings = yaml.safe_load(study_file.read_text())
    settings["backbones"]["resnet"]["weights"] = {"file": "${MY_hub_Token}/w.safetensors"}
    study_file.write_text(yaml.safe_dump(settings))
    assert main(["train", "--study", str(study_file), "--cell", CELL]) == 1
    failure = json.loads((Path("results/toy/cells") / CELL / "failure.json").read_text())
    assert failure["message"].startswith("***/w.safetensors: there is no such file")
    settings["backbones"]["resnet"]["weights"] = {"file": f"https://me:{PASSWORD}@host/w.safetensors"}
    study_file.write_text(yaml.safe_dump(settings))
    assert main(["train", "--study", str(study_file), "--cell", CELL]) == 1
    for arguments in (
        ["evaluate", "--study", str(study_file), "--cell", SECRET],
        ["list", "--study", f"https://me:{PASSWORD}@host/{SECRET}.yaml"],
        ["predict", f"/nowhere/{SECRET}", "picture.png", "--out", "out"],
    ):
        assert main(arguments) == 1
    assert main(["list", f"--token={SECRET}"]) == 2
    assert main(["list", SECRET]) == main([SECRET]) == main(["verify", "--cells", SECRET]) == 2

    def fail(*given: object) -> None:
        raise OSError(5, "broken", f"/mnt/{SECRET}")

    monkeypatch.setattr(train_cell, "train_cell", fail)
    assert main(["train", "--study", str(study_file), "--cell", CELL]) == 1
    said = capsys.readouterr()
    assert "***" in said.err
    assert_clean(said.out + said.err + written_below(Path()))


def test_provenance_and_checkpoint_hold_none(study_file: Path) -> None:
    """The command names one, and so does a setting."""
    settings = yaml.safe_load(study_file.read_text())
    settings["title"] = f"of {SECRET}"
    other = study_file.parent / "https:" / f"me:{PASSWORD}@host.yaml"
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text(yaml.safe_dump(settings))
    for step in (
        ["step", "build_dataset", "--dataset", "mtlesd"],
        ["train", "--cell", CELL],
        ["evaluate", "--cell", CELL],
    ):
        assert main([*step, "--study", str(other)]) == 0
    other.unlink()
    assert "***@host.yaml" in (Path("results/toy/cells") / CELL / "provenance.json").read_text()
    assert_clean(written_below(Path("results")) + written_below(Path("data")))


def test_tracebacks_of_steps_hold_none(study_file: Path, tmp_path: Path) -> None:
    """Of an error that nobody expected, in the main thread and in another: it ends in a log."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, threading\n"
        "from pipeline import cli\n"
        "from pipeline.status import list_study\n"
        "def fail(study):\n"
        f"    given = {SECRET!r}\n"
        "    def inner():\n"
        "        raise RuntimeError('in a thread: ' + given)\n"
        "    thread = threading.Thread(target=inner)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "    try:\n"
        "        raise KeyError(given)\n"
        "    except KeyError:\n"
        f"        raise RuntimeError('https://me:{PASSWORD}@host fails')\n"
        "list_study.list_study = fail\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    command = [sys.executable, str(program), "list", "--study", str(study_file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("Traceback") == 3, done.stderr
    assert "RuntimeError: in a thread: ***" in done.stderr and "https://***@host fails" in done.stderr
    assert "KeyError" in done.stderr
    assert_clean(done.stderr)


def test_masking_takes_time_by_the_length_of_a_text_alone() -> None:
    """A text of letters and dots took minutes; this would not end."""
    assert masked("a." * 500_000) == "a." * 500_000
