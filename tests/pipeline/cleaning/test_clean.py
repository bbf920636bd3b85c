"""`endoarss clean`: what it names, what it leaves alone, and when it refuses."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cleaning.prunable_files import find_prunable_files
from pipeline.cleaning.studies_in_use import StudiesInUse
from pipeline.cli import main
from pipeline.io.processes import processes
from pipeline.locking.command_locks import data_lock
from pipeline.locking.locks import Holder, Lock, held
from pipeline.results.paths import corrupted_folder, figure_files, study_file, table_files
from pipeline.study.folders import results_folder
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study
from tests.pipeline.parsing import working

CELL = "results/toy/cells/mtlesd/resnet/hps/equal/r4-s0"
GONE = "results/toy/cells/mtlesd/resnet/hps/db_mtl/r4-s0"
Clean = Callable[..., str]


def put(*paths: str | Path, text: str = "{}") -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if ".locks" not in path.parts}


@pytest.fixture
def dead(tmp_path: Path) -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


@pytest.fixture
def study(minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study that is done, in params.yaml: one cell on real data, with its robustness."""
    monkeypatch.chdir(tmp_path)
    settings = minimal(
        raw={"esd": "data/raw/esd"}, robustness={"cells": [{}], "corruptions": ["smoke"], "severities": [1]}
    )
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    study = load_study(Path("params.yaml"))
    names = ("model.safetensors", "history.csv", "provenance.json", "metrics.json", "predictions/mtlesd.npz")
    names += ("eval/mtlesd/metrics.json", "eval/.snakemake_timestamp", "robustness/metrics.json")
    put(*(f"{CELL}/{name}" for name in names))
    put("results/toy/results.parquet", "results/toy/report/index.html", "results/toy/logs/train.log")
    put("results/toy/provenance.json", "data/datasets/mtlesd.provenance.json")
    put("results/toy/references/mtlesd/all_background.parquet", *figure_files(study), *table_files(study))
    put(study_file(study), text=json.dumps(study.as_dict()))
    put("data/datasets/mtlesd/dataset.json", "data/datasets/mtlesd/manifest.csv", "data/datasets/mtlesd.doctor.json")
    put("data/datasets/mtlesd.provenance.json")
    put(corrupted_folder(study, "mtlesd") / "corruptions.json", "data/raw/esd/frame.png")
    return study


@pytest.fixture
def clean(study: Study, capsys: pytest.CaptureFixture[str]) -> Clean:
    """Run the command and give what it says."""

    def make(*options: str, expected: int = 0) -> str:
        capsys.readouterr()
        assert main(["clean", *options]) == expected
        said = capsys.readouterr()
        return said.err if expected else said.out

    return make


@pytest.fixture
def littered(study: Study, dead: int) -> list[str]:
    """What should go, put there."""
    earlier = make_study({**study.as_dict(), "datasets": {**study.as_dict()["datasets"], "second": {"kind": "mtlesd"}}})
    put("results/toy/studies/0123456789ab.json", text=json.dumps(earlier.as_dict()))
    paths = [
        f"{GONE}/model.safetensors",
        f"{GONE}/.training/epoch-000001.safetensors",
        f"{CELL}/.training/epoch-000003.safetensors",
        f"{CELL}/.history.csv.{dead}.partial",
        f"{CELL}/.robustness.partial/.key",
        f"results/toy/.tables.{dead}.old/x.csv",
        "results/toy/references/second/all_background.parquet",
        "results/toy/figures/contact_second.jpg",
        "results/toy/tables/table5_ablation.csv",
        "data/corrupted/mtlesd-0123456789ab/corruptions.json",
        f"data/datasets/mtlesd/arrays/56/.train-0.{dead}.partial/images.npy",
        f"data/raw/esd/.archive.{dead}.partial/x.png",
    ]
    put(*paths)
    return [*paths, "results/toy/studies/0123456789ab.json"]


def test_a_finished_study_has_nothing_to_delete(clean: Clean, tmp_path: Path) -> None:
    before = everything(tmp_path)
    assert clean() == clean("--yes") == clean("--shared", "--yes") == "Study toy: nothing to delete.\n"
    assert everything(tmp_path) == before


def test_it_says_what_and_why_and_deletes_that_alone_when_told(
    clean: Clean, littered: list[str], tmp_path: Path
) -> None:
    before = everything(tmp_path)
    said = clean()
    assert "Would delete " in said and said.endswith("Nothing was deleted. The same command with --yes deletes it.\n")
    for path, why in (
        (GONE, "a cell that the study no longer has"),
        (f"{CELL}/.training", "states of a training that is done"),
        ("results/toy/references/second", "references of a dataset that the study no longer has"),
        ("results/toy/figures/contact_second.jpg", "a figure that the study no longer has"),
        ("results/toy/studies/0123456789ab.json", "an earlier version of the study"),
        ("data/corrupted/mtlesd-0123456789ab", "corrupted images made with settings that no study in use has"),
    ):
        assert f"  {path}: {why}\n" in said
    assert everything(tmp_path) == before, "only said so far"
    done = clean("--yes")
    assert done.replace("Deleted", "Would delete") in said
    gone = before - everything(tmp_path)
    assert {path for path in gone if Path(path).suffix or ".partial" in path} >= set(littered)
    assert not Path(GONE).parent.exists(), "empty folders go with them"
    assert clean("--shared") == "Study toy: nothing to delete.\n"


def test_what_is_not_known_stays_and_is_named(clean: Clean, littered: list[str]) -> None:
    own = [f"{GONE}/notes.txt", "results/toy/notes.md", "results/toy/figures/slide.png", "results/toy/cells/readme"]
    own += ["results/toy/tables/table_cost.xlsx", "results/toy/cells/a/b/c/d/another", "data/corrupted/mine/x.png"]
    own += ["results/toy/studies/mine.json", "results/toy/references/old.json", "data/datasets/mine/x.png"]
    put(*own, "data/raw/esd/download.zip.partial", "data/raw/esd/.hidden.partial/x")
    said = clean("--yes", "--shared")
    for path in own:
        assert Path(path).exists()
    for path in (*own[:5], "data/corrupted/mine", "results/toy/studies/mine.json", "data/datasets/mine"):
        assert f"  {path}: not known to this project\n" in said, path
    assert not Path(GONE, "model.safetensors").exists()
    assert Path("data/raw/esd/download.zip.partial").exists() and Path("data/raw/esd/.hidden.partial/x").exists()


def test_what_a_stopped_run_goes_on_from_stays(clean: Clean, study: Study) -> None:
    shutil.rmtree(f"{CELL}/robustness")
    Path(f"{CELL}/provenance.json").unlink()
    Path("data/datasets/mtlesd/dataset.json").unlink()
    kept = [f"{CELL}/.robustness.partial/.key", "data/datasets/.mtlesd.partial/.key"]
    put(*kept, f"{CELL}/.training/epoch-000002.safetensors")
    said = clean("--yes", "--shared")
    assert all(Path(path).exists() for path in kept) and Path(f"{CELL}/.training").exists()
    assert f"  {CELL}/.robustness.partial: unfinished; the next run continues it\n" in said


def test_what_a_living_process_may_be_writing_stays(clean: Clean) -> None:
    path = Path(f"{CELL}/.x.csv.{os.getpid()}.partial")
    put(path)
    assert f"{path}: process {os.getpid()} may be writing it" in clean("--yes") and path.exists()


def test_links_are_not_followed(clean: Clean, littered: list[str], tmp_path: Path, dead: int) -> None:
    outside = tmp_path / "outside"
    put(outside / f".x.{dead}.partial", outside / "hps/db_mtl/r4-s0/model.safetensors", outside / "corruptions.json")
    put(outside / "generated.json", text='{"synthetic": true}')
    before = everything(outside)
    for link in ("results/toy/cells/mtlesd/linked", "results/toy/cells/linked", "data/corrupted/mtlesd-linked"):
        Path(link).symlink_to(outside)
    shutil.rmtree(GONE)
    Path(GONE).symlink_to(outside)
    Path("data/datasets/linked").symlink_to(outside)
    Path("results/toy/figures/fig2_single_and_multi_task.png").symlink_to(outside / "corruptions.json")
    said = clean("--yes", "--shared")
    assert everything(outside) == before
    assert f"  {GONE}: a link: files behind it are not checked\n" in said
    assert Path(GONE).is_symlink() and Path("data/datasets/linked").is_symlink()
    assert not Path("results/toy/figures/fig2_single_and_multi_task.png").is_symlink(), "the link goes, not the file"
    shutil.move("results/toy", tmp_path / "moved")
    Path("results/toy").symlink_to(tmp_path / "moved")
    there = everything(tmp_path / "moved")
    assert "results/toy: a link: run the command in the folder that it leads to" in clean("--yes", "--results")
    assert everything(tmp_path / "moved") == there


def test_shared_data_goes_only_when_asked_and_when_no_kept_study_uses_it(
    clean: Clean, study: Study, minimal: Callable[..., dict[str, Any]]
) -> None:
    put("studies/other.yaml", text=yaml.safe_dump(minimal(study="other", raw={"generate": {"name": "used"}})))
    # One that somebody ran from elsewhere left its settings with its results.
    elsewhere = load_study(Path("studies/other.yaml"))
    put(
        "results/elsewhere/studies/aaaaaaaaaaaa.json",
        text=json.dumps({**elsewhere.as_dict(), "study": "elsewhere", "raw": {"generate": {"name": "ran"}}}),
    )
    for name in ("used", "ran", "unused"):
        put(f"data/datasets/mtlesd-{name}/dataset.json", f"data/datasets/mtlesd-{name}.doctor.json")
        put(f"data/datasets/mtlesd-{name}.provenance.json")
        put(f"data/raw/{name}/esd/generated.json", text='{"synthetic": true}')
    put("data/datasets/.mtlesd-never.partial/.key", "data/raw/real/esd/frame.png")
    put("data/raw/strange/esd/generated.json", text="torn")
    assert clean("--yes") == (
        "Study toy: nothing to delete.\nStays:\n"
        "  data/datasets/.mtlesd-never.partial: unfinished; the next run continues it\n"
    )
    said = clean("--yes", "--shared")
    assert "in 5 files and folders" in said
    left = {path.name for path in Path("data/datasets").iterdir()}
    beside = (".doctor.json", ".provenance.json")
    both = {f"mtlesd-{name}{end}" for name in ("used", "ran") for end in ("", *beside)}
    assert left == both | {"mtlesd", *(f"mtlesd{end}" for end in beside)}
    assert sorted(path.name for path in Path("data/raw").glob("*/esd")) == ["esd"] * 4
    assert not Path("data/raw/unused").exists() and Path("data/raw/real/esd/frame.png").exists()


def test_data_of_the_version_that_ran_last_stays_though_its_file_was_changed_since(
    clean: Clean, minimal: Callable[..., dict[str, Any]]
) -> None:
    put("studies/other.yaml", text=yaml.safe_dump(minimal(study="other", raw={"generate": {"name": "ran"}})))
    ran = load_study(Path("studies/other.yaml"))
    put(study_file(ran), text=json.dumps(ran.as_dict()))
    put("studies/other.yaml", text=yaml.safe_dump(minimal(study="other", raw={"generate": {"name": "planned"}})))
    for name in ("ran", "planned", "unused"):
        put(f"data/datasets/mtlesd-{name}/dataset.json")
    assert "data/datasets/mtlesd-unused" in clean("--yes", "--shared")
    left = {path.name for path in Path("data/datasets").iterdir() if path.is_dir() and path.name[0] != "."}
    assert left == {"mtlesd", "mtlesd-ran", "mtlesd-planned"}


@pytest.mark.parametrize("text", ["study: [", "study: x", "", "[]", "\0"])
def test_a_study_that_cannot_be_read_keeps_all_shared_data(clean: Clean, littered: list[str], text: str) -> None:
    put("studies/broken.yaml", text=text)
    put("data/datasets/mtlesd-unused/dataset.json")
    said = clean("--yes", "--shared")
    assert "studies/broken.yaml" in said
    assert "While this study cannot be read, nothing that studies share is deleted." in said
    assert Path("data/corrupted/mtlesd-0123456789ab").exists() and Path("data/datasets/mtlesd-unused").exists()
    assert not Path(GONE).exists(), "of its own results it knows all"


def test_an_earlier_version_that_cannot_be_read_is_told(clean: Clean, littered: list[str]) -> None:
    put("results/toy/studies/ffffffffffff.json", text='{"study": "toy", "of": "another version"}')
    said = clean("--yes")
    assert "ffffffffffff.json: " in said and said.startswith("An earlier version of the study")


def test_what_dvc_writes_is_no_strangers(clean: Clean) -> None:
    put("results/toy/references/.gitignore", f"{CELL}/.gitignore")
    assert ".gitignore" not in clean()


def test_all_results_of_the_study(clean: Clean, littered: list[str], tmp_path: Path) -> None:
    put("results/toy/notes.md", f"{CELL}/notes.txt", "results/other/results.parquet")
    data = everything(tmp_path / "data") - {str(Path(path).relative_to("data")) for path in littered if "data/" in path}
    clean("--yes", "--results")
    files = {str(path) for path in Path("results").rglob("*") if path.is_file()}
    assert files == {"results/toy/notes.md", f"{CELL}/notes.txt", "results/other/results.parquet"}
    assert {path for path in data if Path(path).suffix in (".json", ".csv", ".png")} <= everything(tmp_path / "data")
    for name in ("results/toy/notes.md", f"{CELL}/notes.txt"):
        Path(name).unlink()
    clean("--yes", "--results")
    assert not Path("results/toy").exists()
    assert clean("--yes", "--results") == "Study toy: nothing to delete.\n"


def test_it_refuses_while_somebody_works_there(clean: Clean, littered: list[str], study: Study) -> None:
    with working(study, "train", "--cell", "mtlesd/resnet/hps/equal/r4-s0"):
        said = clean("--yes", expected=1)
    assert f"in use by process {os.getpid()}, which trains mtlesd/resnet/hps/equal/r4-s0 (since" in said
    assert "Nothing was deleted. Wait until it ends, or stop it, and run the command again." in said
    assert all(Path(path).exists() for path in littered)
    assert "Would delete" in clean(), "looking is free"


def test_work_on_another_study_forbids_shared_data_alone(
    clean: Clean, littered: list[str], minimal: Callable[..., dict[str, Any]]
) -> None:
    other = make_study({**load_study(Path("params.yaml")).as_dict(), "study": "other"})
    with working(other, "step", "make_tables"):
        assert "data: in use by process" in clean("--yes", expected=1)
        for path in littered:
            if path.startswith("data"):
                shutil.rmtree(Path(*Path(path).parts[:3]), ignore_errors=True)
        assert "Deleted" in clean("--yes"), "its own results are nobody else's"


def test_it_refuses_while_snakemake_runs(clean: Clean, littered: list[str]) -> None:
    put(".snakemake/locks/0.input.lock")
    assert "Snakemake works here, or was killed" in clean("--yes", expected=1)
    assert all(Path(path).exists() for path in littered)


def test_another_clean_is_named(clean: Clean, littered: list[str]) -> None:
    with held([Lock(data_lock())], Holder.here("clean", "cleans other", "other")):
        assert "which cleans other" in clean("--yes", expected=1)


def test_what_cannot_be_deleted_is_named(clean: Clean, littered: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, **named: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    said = clean("--yes", expected=1)
    assert f"{GONE} (Permission denied)" in said and "Traceback" not in said
    assert not Path("results/toy/tables/table5_ablation.csv").exists(), "the rest is gone"


def test_a_figure_that_every_study_could_have_is_known(clean: Clean) -> None:
    put("results/toy/figures/leakage.png")
    assert "results/toy/figures/leakage.png: a figure that the study no longer has" in clean("--yes")
    assert not Path("results/toy/figures/leakage.png").exists()


def test_all_results_are_those_of_the_project_alone(clean: Clean) -> None:
    own = ["results/toy/figures/slide.png", "results/toy/references/mtlesd/notes.txt", "results/toy/studies/mine.json"]
    put(*own, "results/toy/tables/.gitignore")
    said = clean("--yes", "--results")
    assert {str(path) for path in Path("results/toy").rglob("*") if path.is_file()} == set(own)
    assert all(f"  {path}: not known to this project\n" in said + "\n" for path in own)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_whatever_the_steps_write_is_declared(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No step writes what `clean` does not know: with all results gone, nothing of the study is left."""
    monkeypatch.chdir(study_file.parent)
    monkeypatch.setattr("pipeline.reporting.make_report.processes", lambda count: processes(0))
    cell = "mtlesd/resnet/hps/equal/r4-s0"
    for step in (
        "step build_dataset --dataset mtlesd",
        f"train --cell {cell}",
        f"evaluate --cell {cell}",
        f"robustness --workers 0 --cell {cell}",
        "step score_references --dataset mtlesd",
        "step collect_results",
        "step draw_datasets",
        "report",
    ):
        assert main([*step.split(), "--study", str(study_file)]) == 0, step
    study = load_study(study_file)
    found = find_prunable_files(study, StudiesInUse((study,), ()))
    assert not found.delete and not found.staying
    found = find_prunable_files(study, StudiesInUse((study,), ()), results=True)
    left = {path for path in results_folder(study).rglob("*") if path.is_file() and ".locks" not in path.parts}
    assert len(left) > 50 and not found.staying
    assert not {path for path in left if not any(path.is_relative_to(one.path) for one in found.delete)}
