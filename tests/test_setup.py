"""The set-up files say what they must."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


LOCKS = ("requirements.lock", "requirements-test-all.lock")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def locked() -> list[str]:
    """The lines of requirements.txt, which is the lock without digests, that name a package."""
    return [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]


def entries_of(lock: str) -> list[tuple[str, str]]:
    """Return the packages of a lock, with version and marker, and the digests of each; nothing else may stand there."""
    text = (ROOT / lock).read_text()
    entries = re.findall(r"^([^#\s][^\\\n]*?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    comments = [line for line in text.splitlines(keepends=True) if line.startswith("#")]
    assert "".join([*comments, *(f"{name}{digests}\n" for name, digests in entries)]) == text
    return entries


def names_in(requirements: Iterable[str]) -> set[str]:
    """Return the names of requirements, less those of this project's own extras."""
    return {re.match(r"[A-Za-z0-9-]+", one)[0].lower() for one in requirements} - {"endoarss"}


def test_the_lock_is_exact_without_addresses_and_with_one_opencv() -> None:
    lines = locked()
    assert all(re.fullmatch(r"[a-z0-9-]+==[^ ;]+( ; .+)?", line) for line in lines)
    assert not any(word in line for line in lines for word in ("http:", "https:", "file:", "@", "--"))
    assert [line.split("==")[0] for line in lines if line.startswith("opencv")] == ["opencv-python-headless"]
    assert any(line.startswith("nvidia-cudnn") and "sys_platform == 'linux'" in line for line in lines)


def test_the_locks_have_digests_of_everything_and_the_export_the_same_versions() -> None:
    assert [name for name, _ in entries_of(LOCKS[0])] == locked(), "make lock writes both"


def test_what_is_needed_and_what_builds_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = [EXTRAS[name] for name in ("train", "report", "workflow", "reference", "tensorboard", "dev")]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"], *chain(*extras)]
    assert names_in(wanted) <= names_in(locked())
    assert names_in([*EXTRAS["test-all"], *EXTRAS["s3"], *EXTRAS["slurm"]]) <= names_in(
        n for n, _ in entries_of(LOCKS[1])
    )


def test_make_test_installs_nothing_that_only_test_all_uses() -> None:
    first, second = (dict(entries_of(lock)) for lock in LOCKS)
    assert not names_in([*EXTRAS["test-all"], *EXTRAS["s3"], *EXTRAS["slurm"]]) & names_in(first)
    shared = {name.partition("==")[0] for name in first} & {name.partition("==")[0] for name in second}
    both = {name: digests for name, digests in first.items() if name.partition("==")[0] in shared}
    assert both == {name: digests for name, digests in second.items() if name.partition("==")[0] in shared}


def test_all_is_every_extra_of_users() -> None:
    named = set(re.fullmatch(r"endoarss\[(.*)\]", *EXTRAS["all"])[1].split(","))
    assert named == set(EXTRAS) - {"all", "dev", "test-all", "docs"}


def test_conda_installs_the_same_versions() -> None:
    text = (ROOT / "environment.yml").read_text()
    pip = next(part["pip"] for part in yaml.safe_load(text)["dependencies"] if isinstance(part, dict))
    assert pip == ["-r requirements.txt", "-e ."]
    for document in (text, (ROOT / "docs/overview.md").read_text()):
        assert "imagecorruptions-imaug" in document and "maintained" in document


def test_readme_opens_with_the_two_commands() -> None:
    block = re.search(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert [line.split("#")[0].strip() for line in block.strip().splitlines()] == ["make demo", "make test"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "test-slow", "lint", "setup"} <= targets


def test_folders_keep_to_what_they_may_know() -> None:
    forbidden = {
        "corruptions": ("torch", "timm", "endoarss", "reports", "pipeline", "pandas"),
        "endoarss": ("snakemake", "corruptions", "reports", "pipeline", "pandas"),
        "reports": ("torch", "timm", "corruptions", "pipeline"),
        "endoarss/metrics": ("torch", "timm"),
    }
    for folder, names in forbidden.items():
        for path in (ROOT / folder).rglob("*.py"):
            found = re.findall(r"^\s*(?:from|import) ([a-z_]+)", path.read_text(), re.MULTILINE)
            # Prediction reads pictures with the one reader that there is.
            reads = {"corruptions"} if path.is_relative_to(ROOT / "endoarss/inference") else set()
            assert not set(found) & (set(names) - reads), path
    for path in (ROOT / "endoarss/inference").rglob("*.py"):
        found = re.findall(r"^\s*(?:from|import) (corruptions\S*)", path.read_text(), re.MULTILINE)
        assert set(found) <= {f"corruptions.{name}" for name in ("command.files", "errors", "pictures", "regular")}, (
            path
        )
    for path in (ROOT / "reports").rglob("*.py"):
        found = re.findall(r"^\s*(?:from|import) (endoarss\S*)", path.read_text(), re.MULTILINE)
        assert all(name.startswith("endoarss.metrics") for name in found), path


@pytest.mark.slow
def test_reports_are_made_without_torch() -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "reports").rglob("*.py")]
    script = f"import sys, {', '.join(sorted(modules))}; assert not {{'torch', 'timm'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def lint_commands() -> list[str]:
    """The commands of `make lint`, as one calls them in the checkout."""
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]


def test_pre_commit_checks_what_make_lint_checks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    # A plan of the whole workflow is too slow for a commit.
    assert [hook["entry"] for hook in hooks] == [line for line in lint_commands() if "/snakemake " not in line]
    assert all(hook["language"] == "system" for hook in hooks), "the versions of the lock"


def test_ci_tests_each_python_that_is_supported_by_the_targets_of_make() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    least, below = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", supported).groups())
    versions = jobs["tests"]["strategy"]["matrix"]["python-version"]
    assert versions == [f"3.{minor}" for minor in range(least, below)]
    called = {step["run"] for job in jobs.values() for step in job["steps"] if step.get("run", "").startswith("make ")}
    assert called == {"make lint", "make docs", "make test", "make test-slow"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{call.split()[1]}:", makefile, re.MULTILINE) for call in called)


def test_ci_may_only_read_and_its_actions_are_pinned() -> None:
    files = [*(ROOT / ".github/workflows").glob("*.yml"), *(ROOT / ".github/actions").rglob("*.yml")]
    assert len(files) == 2 and yaml.safe_load(files[0].read_text())["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: (\S+)(.*)", "".join(path.read_text() for path in files))
    for action, version in used:
        assert action.startswith("./") or re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action + version), action


def test_make_runs_the_tests_that_are_asked_for() -> None:
    command = [
        "make",
        "--dry-run",
        "--no-print-directory",
        "--assume-old=.venv/.installed",
        "test",
        "CORES=3",
        "ARGS=tests/reports -k bootstrap",
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert '--numprocesses 3 --dist worksteal -m "not slow and not long" tests/reports -k bootstrap\n' in done.stdout


def test_test_all_adds_what_only_it_uses() -> None:
    command = [
        "make",
        "--dry-run",
        "--no-print-directory",
        "--assume-old=.venv/.installed",
        "--assume-new=requirements-test-all.lock",
        "test-all",
    ]
    install, *_, tests = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert "uv pip install" in install and "--require-hashes" in install
    assert install.endswith("--requirement requirements-test-all.lock") and "pytest --no-header -m long" in tests


@pytest.mark.parametrize(("fails", "status", "parts"), [("", 0, 5), ("test", 2, 4)])
def test_the_parts_of_ci_say_what_they_took(tmp_path: Path, fails: str, status: int, parts: int) -> None:
    for name in ("make", "pdflatex", "chromedriver"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\n[ "$1" = "{fails}" ] && exit 2\nexit 0\n')
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run([ROOT / ".ci/run"], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == status
    said = [f"make {part}: N s" for part in ("setup", "lint", "docs", "test", "test-slow")][:parts]
    assert re.sub(r"\d+ s", "N s", done.stdout).splitlines() == said
