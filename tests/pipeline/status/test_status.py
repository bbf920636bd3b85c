"""What `endoarss status` says of a study in any state, torn files and running processes among it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import main
from pipeline.locking.command_locks import ROBUSTNESS, SCORING, TRAINING, cell_lock
from pipeline.locking.locks import Holder, Lock, held
from pipeline.results.paths import failure_file, robustness_failure_file, robustness_files, rows_file
from pipeline.status import timing
from pipeline.status.progress import progress_of_cells, progress_of_robustness
from pipeline.status.show_status import Status, show_status, status_of
from pipeline.status.timing import duration, seconds_of_benchmark
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of, merged_cells, trainings_of
from pipeline.study.fingerprints import study_digest
from pipeline.study.folders import cell_folder, dataset_folder, results_folder
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study
from pipeline.study.robust_models import robustness_cells

ROOT = Path(__file__).parents[3]
Fill = Callable[..., None]


@pytest.fixture
def study(minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Four cells of which two are tested for robustness; nothing is done."""
    monkeypatch.chdir(tmp_path)
    settings = minimal(
        training={"schedules": {"mtlesd": {"epochs": 22, "learning_rate": 0.001}}},
        robustness={"cells": [{"architecture": "hps"}], "corruptions": ["smoke", "contrast"], "severities": [1]},
    )
    settings["cells"][0] |= {"architectures": ["hps", "mmoe"], "weightings": ["equal", "db_mtl"]}
    return make_study(settings)


@pytest.fixture
def dataset(study: Study) -> None:
    """A card that says 80 frames to train and 20 to test on."""
    folder = dataset_folder(study, "mtlesd")
    folder.mkdir(parents=True)
    names = ("frames_by_activity", "frames_with_class", "frames_with_class_by_activity")
    card = {name: {} for name in names} | {"frames": 100, "expected_frames": 2020}
    from pipeline.datasets.card import _REQUIRED

    (folder / "dataset.json").write_text(
        json.dumps({name: [] for name in _REQUIRED} | card | {"frames_by_split": {"train": 80, "test": 20}})
    )


@pytest.fixture
def finish(study: Study) -> Callable[..., None]:
    """Leave what a finished cell leaves."""

    def make(cell: Cell, seconds: float = 100.0, robust: float = 0.0) -> None:
        folder = cell_folder(study, cell)
        for path in rows_file(study, cell, "mtlesd"), *(folder / name for name in ("model.safetensors", "history.csv")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 1000)
        (folder / "predictions").mkdir()
        (folder / "provenance.json").write_text(json.dumps({"seconds": seconds}))
        if robust:
            for path in robustness_files(study, cell):
                path.parent.mkdir(exist_ok=True)
                path.write_text("{}")
            path = results_folder(study) / f"benchmarks/evaluate_robustness/{cell.id}.tsv"
            path.parent.mkdir(parents=True)
            path.write_text(f"s\th:m:s\n{robust}\t0:00:01\n")

    return make


def epochs_done(study: Study, cell: Cell, count: int) -> None:
    folder = cell_folder(study, cell) / ".training"
    folder.mkdir(parents=True)
    for epoch in range(max(1, count - 1), count + 1):
        (folder / f"epoch-{epoch:06}.safetensors").touch()
    (folder / f"epoch-{count + 1:06}.77.partial").touch()


def said_of(study: Study, every: bool = False) -> str:
    return show_status(status_of(study), every)


def test_nothing_is_there(study: Study) -> None:
    said = said_of(study)
    assert "mtlesd: not built" in said and "Cells: 4: 4 pending" in said
    assert "Time left: unknown\n  unknown for 6 models or evaluations until mtlesd is built" in said
    assert "pending: 2 of mtlesd resnet (waits for its training)" in said
    assert f"pending: {cells_of(study)[0].id}" in said_of(study, every=True)


def test_every_state_is_told(study: Study, dataset: None, finish: Fill) -> None:
    done, running, failed, stopped = cells_of(study)
    finish(done)
    epochs_done(study, running, 7)
    epochs_done(study, stopped, 9)
    failure_file(study, failed).parent.mkdir(parents=True)
    failure_file(study, failed).write_text('{"message": "the loss is nan in epoch 2"}')
    lock = Lock(cell_lock(study, running, TRAINING))
    with held([lock], Holder(4711, "elsewhere", "train", "trains it", "toy", "2020-01-02T03:04:05+00:00")):
        said = said_of(study)
    assert "Cells: 4: 1 done, 1 running, 1 failed, 1 stopped\n" in said
    assert f"running: {running.id}: process 4711 on elsewhere trains it (since 2020-01-0" in said
    assert "epoch 7 of 22 done" in said
    assert f"failed: {failed.id}: training failed: the loss is nan in epoch 2\n" in said
    assert f"stopped: {stopped.id} after epoch 9 of 22; the next run continues from there" in said
    assert "mtlesd: 100 of 2020 frames" in said and "checkpoints: 1 kB" in said
    assert "Time spent: training 2 min" in said
    assert f"stopped: {running.id} after epoch 7 of 22" in said_of(study), "killed: no record, and no lock"


def test_a_lock_of_scoring_is_running_too_and_a_failure_is_not_told_meanwhile(study: Study, finish: Fill) -> None:
    cell = cells_of(study)[0]
    finish(cell)
    failure_file(study, cell).write_text('{"message": "before"}')
    assert f"done: {cell.id}, but a later try: training failed: before" in said_of(study)
    with held([Lock(cell_lock(study, cell, SCORING))], Holder.here("evaluate", "scores it")):
        one = progress_of_cells(study)[cell]
    assert (one.state, one.reason) == ("running", "scores")


def test_robustness_has_the_same_states(study: Study, dataset: None, finish: Fill) -> None:
    first, second = robustness_cells(study)
    finish(first, robust=60.0)
    finish(second)
    cells = progress_of_cells(study)
    assert [one.state for one in progress_of_robustness(study, cells).values()] == ["done", "pending"]
    parts = cell_folder(study, second) / ".robustness.partial/.parts"
    parts.mkdir(parents=True)
    for name in ("clean.parquet", "smoke.parquet", "contrast.json"):
        (parts / name).touch()
    assert f"stopped: {second.id} after corruption 2 of 3; the next run continues from there" in said_of(study)
    assert status_of(study).durations.spent["robustness"] == 60
    assert status_of(study).durations.left == pytest.approx(20), "a third of it; of mmoe it is not known"
    robustness_failure_file(study, second).write_text('{"message": "no memory is left"}')
    said = said_of(study)
    assert f"failed: {second.id}: its robustness evaluation failed: no memory is left (after corruption 2 of 3)" in said
    with held([Lock(cell_lock(study, second, ROBUSTNESS))], Holder.here("robustness", "evaluates it")):
        assert " tests it (since " in said_of(study)


def test_time_left_is_that_of_the_same_model_by_epochs_and_images(study: Study, dataset: None, finish: Fill) -> None:
    equal, db_mtl, *mmoe = cells_of(study)
    finish(equal, seconds=220.0)
    epochs_done(study, db_mtl, 11)
    durations = status_of(study).durations
    assert durations.left == pytest.approx(110), "half of its epochs"
    assert durations.unknown == {
        "a cell of resnet mmoe is done": 2,
        "the robustness of a cell of resnet hps is evaluated": 2,
    }
    assert (
        "about 2 min, one job at a time\n  unknown for 2 models or evaluations until a cell of resnet mmoe is done"
        in said_of(study)
    )
    finish(mmoe[0], seconds=50.0)
    assert status_of(study).durations.left == pytest.approx(160)


@pytest.mark.parametrize("torn", ["", "{", "[]", "\0\0", '{"seconds": "long"}', '{"seconds": NaN}', "[" * 100_000])
def test_torn_files_are_told_and_no_error(study: Study, finish: Fill, torn: str) -> None:
    one, other, third, _ = cells_of(study)
    finish(one, robust=5.0)
    for path in (
        cell_folder(study, one) / "provenance.json",
        failure_file(study, other),
        robustness_failure_file(study, third),
        results_folder(study) / "benchmarks/train_cell/x.tsv",
        results_folder(study) / f"benchmarks/evaluate_robustness/{one.id}.tsv",
        dataset_folder(study, "mtlesd") / "dataset.json",
        cell_lock(study, other, TRAINING),
        robustness_files(study, one).scores,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(torn)
    status = status_of(study)
    said = show_status(status)
    assert "built, but" in said and status.cells[1].state == "failed"
    if "seconds" not in torn:
        assert status.cells[0].state == "failed" and str(cell_folder(study, one) / "provenance.json") in said
        assert str(failure_file(study, other)) in said
    json.dumps(status.as_dict())


def test_other_steps_are_those_that_no_cell_tells(study: Study) -> None:
    """Model rules are told by cell; their names are those of rules, so that a renamed rule is not counted twice."""
    rules = set(
        re.findall(r"(?m)^ *rule (\w+):", "".join(p.read_text() for p in (ROOT / "pipeline/rules").glob("*.smk")))
    )
    assert set(timing._MODEL_RULES) < rules
    for rule in (*timing._MODEL_RULES, "make_tables"):
        path = results_folder(study) / f"benchmarks/{rule}/x.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("s\th:m:s\n7.0\t0:00:07\n")
    assert status_of(study).as_dict()["seconds"]["spent"]["other steps"] == 7


def test_folders_where_files_should_be_are_no_error(study: Study) -> None:
    for cell in cells_of(study):
        for name in ("provenance.json", "failure.json", "robustness_failure.json"):
            (cell_folder(study, cell) / name).mkdir(parents=True)
        (cell_folder(study, cell) / ".training").write_text("")
    assert "cannot be read" in said_of(study)


def test_many_cells_stay_readable(study: Study) -> None:
    many = make_study({**study.as_dict(), "seeds": list(range(70))})
    for cell in cells_of(many)[:100]:
        path = failure_file(many, cell)
        path.parent.mkdir(parents=True)
        path.write_text('{"message": "no memory"}')
    said = said_of(many)
    assert "Cells: 280: 100 failed, 180 pending" in said and "failed: 80 more (--all)" in said
    assert said.count("\n") < 50 and "pending: 180 of mtlesd resnet\n" in said
    assert said_of(many, every=True).count("training failed: no memory") == 100


def test_json_is_for_scripts(
    study: Study, finish: Fill, dataset: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(cells_of(study)[0])
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study.as_dict()))
    assert study_digest(load_study(path)) == study_digest(study)
    assert main(["status", "--study", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["cells"] == {"done": 1, "running": 0, "failed": 0, "stopped": 0, "pending": 3}
    assert told["cells"][0]["state"] == "done" and len(told["robustness"]) == 2
    assert told["bytes"]["checkpoints"] == 1000 and told["bytes"]["free"] > 0
    assert told["seconds"]["spent"]["training"] == 100 and told["seconds"]["left"] == 100


def test_no_torch_is_imported(study: Study, tmp_path: Path) -> None:
    """It takes seconds, and people ask often."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study.as_dict()))
    script = "import sys; from pipeline.cli import main; main(sys.argv[1:]); assert not {'torch', 'pandas'} & set(sys.modules)"
    command = [sys.executable, "-c", script, "status", "--study", "study.yaml"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)


def test_what_a_benchmark_says(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    for text, seconds in (("s\tm\n31.5\t2\n", 31.5), ("s\n-\n", 0), ("a\n1\n", 0), ("s\n", 0), ("s\ninf\n", 0)):
        path.write_text(text)
        assert seconds_of_benchmark(path) == seconds
    assert seconds_of_benchmark(tmp_path / "nowhere") == 0
    said = [duration(seconds) for seconds in (5, 89, 600, 6000, 200_000)]
    assert said == ["5 s", "89 s", "10 min", "1.7 h", "2.3 days"]


def test_the_status_of_a_real_study_is_of_all_its_cells() -> None:
    study = load_study(ROOT / "studies/paper.yaml")
    status: Status = status_of(study)
    assert len(trainings_of(study)) == 309 and len(merged_cells(study)) == 3 * 2 * 20
    assert len(status.cells) == 309 + 120


def test_a_cell_that_lost_a_file_is_not_done(study: Study, finish: Fill) -> None:
    """Snakemake trains it again, and so it says."""
    one = cells_of(study)[0]
    finish(one)
    assert status_of(study).cells[0].state == "done"
    (cell_folder(study, one) / "model.safetensors").unlink()
    told = status_of(study).cells[0]
    assert told.state == "pending" and told.reason == "its model.safetensors is missing"
