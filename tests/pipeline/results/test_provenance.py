"""Provenance of results, which files that are compared by content do not contain."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from endoarss.checkpoints import load_checkpoint, read_header
from pipeline.cli import main
from pipeline.io.hashing import sha256_of
from pipeline.results import code_version as code_version_module
from pipeline.results.code_version import code_version
from pipeline.results.provenance import RunStart, about_run
from pipeline.study.fingerprints import study_digest
from pipeline.study.loading import load_study

CELL = "mtlesd/resnet/hps/equal/r4-s0"
FOLDER = Path("results/toy/cells") / CELL
COMMON = {
    *("study", "study_sha256", "synthetic", "code", "python", "packages", "device", "processor"),
    *("datasets", "started", "seconds", "command"),
}
ROOT = Path(code_version_module.__file__).parents[2]


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


def read(path: Path | str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


def change(study_file: Path, **settings: Any) -> None:
    study_file.write_text(yaml.safe_dump(yaml.safe_load(study_file.read_text()) | settings))


def test_every_result_has_its_provenance(study_file: Path) -> None:
    for step in (
        ("step", "build_dataset", "--dataset", "mtlesd", "--workers", "1"),
        ("step", "pack_dataset", "--dataset", "mtlesd"),
        ("train", "--cell", CELL),
        ("evaluate", "--cell", CELL),
        ("robustness", "--cell", CELL, "--workers", "0"),
        ("step", "score_references", "--dataset", "mtlesd"),
        ("step", "collect_results"),
    ):
        assert run(study_file, *step) == 0, step
    kept = {
        "build": read("data/datasets/mtlesd.provenance.json"),
        "train": read(FOLDER / "provenance.json"),
        "robustness": read(FOLDER / "robustness/provenance.json"),
        "collect": read("results/toy/provenance.json"),
    }
    manifest, study = sha256_of(Path("data/datasets/mtlesd/manifest.csv")), load_study(study_file)
    for step, about in kept.items():
        assert COMMON | {"seed"} <= set(about), step
        assert about["datasets"] == {"mtlesd": manifest} and about["study_sha256"] == study_digest(study)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", about["started"]) and about["seconds"] >= 0
        called = {"build": "step build_dataset", "collect": "step collect_results"}.get(step, step)
        assert about["command"].startswith(f"endoarss {called} --")
        assert re.fullmatch("[0-9a-f]{40}|unknown", about["code"]["commit"]) and "numpy" in about["packages"]
    assert kept["build"]["device"] == kept["collect"]["device"] and kept["collect"]["device"].endswith("no model")
    assert kept["build"]["sha256"]["dataset.json"] == sha256_of(Path("data/datasets/mtlesd/dataset.json"))
    checkpoint = sha256_of(FOLDER / "model.safetensors")
    assert kept["train"]["checkpoint_sha256"] == kept["robustness"]["checkpoint_sha256"] == checkpoint
    assert kept["collect"]["checkpoints"] == {CELL: checkpoint}
    assert kept["collect"]["results_sha256"] == sha256_of(Path("results/toy/results.parquet"))
    assert kept["train"]["seconds"] >= kept["train"]["training_seconds"]


def test_a_repeated_build_and_training_give_the_same_bytes(study_file: Path) -> None:
    """The files of a result depend only on its inputs, not on the name of the study or the time of the run."""

    def make() -> tuple[dict[str, bytes], str]:
        assert (
            run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
            and run(study_file, "step", "pack_dataset", "--dataset", "mtlesd") == 0
        )
        assert run(study_file, "train", "--cell", CELL) == 0 and run(study_file, "evaluate", "--cell", CELL) == 0
        stored = [path for path in (*Path("data").rglob("*"), *FOLDER.rglob("*")) if path.is_file()]
        stored = [path for path in stored if ".locks" not in path.parts]
        named = {"provenance.json", "mtlesd.provenance.json", "history.csv"}
        return {str(p): p.read_bytes() for p in stored if p.name not in named}, read(FOLDER / "provenance.json")[
            "study_sha256"
        ]

    first, of_first = make()
    change(study_file, title="Another title")
    settings = yaml.safe_load(study_file.read_text())
    settings["backbones"]["resnet"]["label"] = "Another label"
    study_file.write_text(yaml.safe_dump(settings))
    again, of_again = make()
    assert of_first != of_again, "provenance tells the studies apart"
    assert set(first) == set(again) and f"{FOLDER}/model.safetensors" in first
    assert [path for path in first if first[path] != again[path]] == []


def test_a_header_holds_only_the_inputs_of_the_checkpoint(study_file: Path) -> None:
    assert (
        run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
        and run(study_file, "train", "--cell", CELL) == 0
    )
    said = read_header(FOLDER / "model.safetensors").provenance
    assert not {"study", "study_sha256", "started", "seconds", "training_seconds", "command", "code", "cost"} & set(
        said
    )
    assert {"settings", "manifest_sha256", "weights", "seed", "packages", "device", "synthetic", "parameters"} <= set(
        said
    )
    whole = read(FOLDER / "provenance.json")
    assert said == {key: whole[key] for key in said}
    load_checkpoint(FOLDER / "model.safetensors")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a file of code, a study and a document."""
    root = tmp_path / "checkout"
    for name in ("pipeline/__init__.py", "params.yaml", "README.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("first\n")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "x"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def write(path: Path, text: str = "changed\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        *(
            (name, False)
            for name in (
                *("results/demo/x.json", "data/x", "dvc.lock", "dvc.yaml", "README.md", ".snakemake/x"),
                *("params.yaml", "studies/own.yaml"),  # as `endoarss use` leaves them
            )
        ),
        *(
            (name, True)
            for name in (
                "pipeline/__init__.py",
                "pipeline/new.py",
                "endoarss/a/b.py",
                "profiles/own/config.yaml",
                "requirements.lock",
                "requirements.txt",
            )
        ),
    ],
)
def test_only_code_and_environment_make_a_checkout_dirty(checkout: Path, name: str, dirty: bool) -> None:
    assert code_version(checkout)["dirty"] is False
    write(checkout / name)
    found = code_version(checkout)
    assert found["dirty"] is dirty and re.fullmatch("[0-9a-f]{40}", found["commit"])


@pytest.mark.parametrize("allowed", [True, False])
def test_the_checkout_of_another_user_is_read_with_one_warning(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], allowed: bool
) -> None:
    """A variable for git's own tests makes it regard every folder as another user's. A git before 2.38 ignores -c."""
    here = code_version(checkout)
    git = tmp_path / "programs" / "git"
    git.parent.mkdir()
    line = "" if allowed else 'case "$*" in *safe.directory*) exit 128;; esac\n'
    git.write_text(f'#!/bin/sh\n{line}GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {shutil.which("git")} "$@"\n')
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(git.parent), prepend=os.pathsep)
    code_version_module._trust.cache_clear()
    assert (
        code_version(checkout) == code_version(checkout) == (here if allowed else {"commit": "unknown", "dirty": None})
    )
    (warning,) = capsys.readouterr().err.splitlines()
    assert "belongs to another user" in warning and f"git config --global --add safe.directory {checkout}" in warning


def test_the_commit_is_that_of_the_codes_checkout(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The working folder, the GIT_DIR of a hook, and a repository in which the package is installed do not matter."""
    here = code_version(checkout)
    other = tmp_path / "other"
    write(other / "x.py")
    subprocess.run(["git", "init", "-q"], cwd=other, check=True)
    monkeypatch.chdir(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert code_version(checkout) == here
    write(checkout / ".venv/lib/pipeline/__init__.py")
    assert code_version(checkout / ".venv/lib") == {"commit": "unknown", "dirty": None}
    assert code_version(tmp_path / "nowhere") == {"commit": "unknown", "dirty": None}
    assert code_version() == code_version(ROOT)


def test_steps_without_a_model_import_no_torch(study_file: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from pipeline.cli import main;"
        f"assert main(['step', 'build_dataset', '--study', {str(study_file)!r}, '--dataset', 'mtlesd', '--workers', '1']) == 0;"
        "assert 'torch' not in sys.modules"
    )
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read("data/datasets/mtlesd.provenance.json")["packages"]["torch"][0].isdigit(), (
        "its version is known all the same"
    )


def test_times_are_in_utc(
    minimal: Callable[..., dict[str, Any]], study_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    started = RunStart()
    about = about_run(load_study(study_file), started, [], with_model=False)
    assert about["started"] == started.at.strftime("%Y-%m-%dT%H:%M:%SZ") and about["datasets"] == {}


def test_a_pretrained_backbone_has_its_provenance(
    study_file: Path, capsys: pytest.CaptureFixture[str], minimal: Callable[..., dict[str, Any]]
) -> None:
    """The weights are the same bytes each time, and the file next to them has the time. A changed file is found."""
    tiny = {"embed_dim": 24, "depth": 2, "num_heads": 2}
    vit = {"label": "D", "model": "vit_small_patch14_dinov2", "arguments": tiny, "weights": "none"}
    settings = minimal(
        input_size=42,
        backbones={"dinov2": vit},
        pretraining={"name": "mini", "backbone": "dinov2", "scenes": 16, "epochs": 1},
    )
    settings["cells"][0]["backbones"] = ["dinov2"]
    study_file.write_text(yaml.safe_dump(settings))
    weights, stored = Path("data/weights/mini.safetensors"), set()
    for _ in range(2):
        assert run(study_file, "step", "pretrain_backbone") == 0
        stored.add(weights.read_bytes())
        about = read(weights.with_suffix(".json"))
        assert COMMON | {"seed"} <= set(about) and about["sha256"] == sha256_of(weights)
        assert about["command"].startswith("endoarss step pretrain_backbone --study ")
    assert len(stored) == 1
    assert run(study_file, "verify", "--cells", "0") == 0
    weights.write_bytes(stored.pop()[:-1] + b"x")
    capsys.readouterr()
    assert run(study_file, "verify", "--cells", "0") == 1
    assert f"wrong: {weights}: sha256 " in capsys.readouterr().out
