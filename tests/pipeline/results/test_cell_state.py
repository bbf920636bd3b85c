"""Reports show the gaps of a study with their reasons. The protocol changes tables, not trainings."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from endoarss.errors import TrainingError
from pipeline.cli import main
from pipeline.io.processes import processes
from pipeline.results.cell_state import missing_models, missing_robust_models
from pipeline.results.paths import failure_file, history_file
from pipeline.results.reference import COMPARISON, HISTORY, PAIRS
from pipeline.results.study_results import StudyResults
from pipeline.study.cells import find_cell
from pipeline.study.folders import cell_folder
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from pipeline.training import train_cell
from reports.names import in_words

CELL = "mtlesd/resnet/hps/equal/r4-s0"
OTHER = "mtlesd/resnet/hps/db_mtl/r4-s0"


@pytest.fixture
def two_cells(study_file: Path, copied: Callable[[str, Callable[[], None]], None]) -> Path:
    """The toy study with a second weighting; its dataset is built and its references are measured."""
    settings = yaml.safe_load(study_file.read_text())
    settings["cells"][0]["weightings"] = ["equal", "db_mtl"]
    study_file.write_text(yaml.safe_dump(settings))

    def make() -> None:
        assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
        assert run(study_file, "step", "score_references", "--dataset", "mtlesd") == 0

    copied("two_cells", make)
    return study_file


@pytest.fixture
def one_evaluated(two_cells: Path, copied: Callable[[str, Callable[[], None]], None]) -> Path:
    """The study of `two_cells` with the first cell trained and evaluated."""

    def make() -> None:
        shutil.copytree(two_cells.parent / "data", "data")
        shutil.copytree(two_cells.parent / "results", "results")
        assert run(two_cells, "train", "--cell", CELL) == 0 and run(two_cells, "evaluate", "--cell", CELL) == 0

    copied("one_evaluated", make)
    return two_cells


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


def study_of(path: Path) -> Study:
    return load_study(path)


def test_nothing_trained_is_an_error_that_names_a_cell(two_cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(two_cells, "step", "collect_results") == 1
    said = capsys.readouterr().err
    assert "none of its 2 cells has results" in said and f"{CELL}: not trained yet" in said


def test_a_cell_that_failed_is_a_dash_with_its_reason(one_evaluated: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def fail(*given: object) -> None:
        raise TrainingError("the loss of segmentation is nan in epoch 2")

    with monkeypatch.context() as patched:
        patched.setattr(train_cell, "train_cell", fail)
        assert run(one_evaluated, "train", "--cell", OTHER) == 1
    study = study_of(one_evaluated)
    reason = "training failed: the loss of segmentation is nan in epoch 2"
    assert missing_models(study) == {find_cell(study, OTHER): reason}
    assert missing_robust_models(study)[find_cell(study, CELL)] == "its robustness is not evaluated yet"
    assert [cell.id for cell in StudyResults(study).present_models] == [CELL]
    for step in ("collect_results", "make_tables"):
        assert run(one_evaluated, "step", step) == 0, step
    tables = Path("results/toy/tables")
    scores = pd.read_csv(tables / "table2_mtlesd.csv").set_index("weighting")
    assert scores.loc["equal", "miou"] > 0 and pd.isna(scores.loc["db_mtl", "miou"])
    printed = (tables / "table2_mtlesd.tex").read_text()
    assert f"No results of R HPS DB-MTL on MTLESD: {reason}." in printed
    row = next(line for line in printed.splitlines() if "DB-MTL" in line and "&" in line)
    assert row.count("--") >= 5
    for name in ("table_cost", "table_comparison", "table_reproduction", "table2_mtlesd_against_paper"):
        assert f"R HPS DB-MTL on MTLESD: {reason}" in (tables / f"{name}.tex").read_text(), name
    cost = pd.read_csv(tables / "table_cost.csv").set_index("Weighting")
    assert cost.loc["Equal", "All parameters"] > 0 and pd.isna(cost.loc["DB-MTL", "All parameters"])
    assert "R HPS DB-MTL on MTLESD" in Path("results/toy/report/reproduction.md").read_text()
    assert not (tables / "table7_robustness.csv").exists()
    assert "Classes are counted without the background" in (tables / "table1_datasets.tex").read_text()
    for name, documented in (("table_comparison", COMPARISON), ("table_pairs", PAIRS)):
        assert list(pd.read_csv(tables / f"{name}.csv")) == list(documented), name
    history = pd.read_csv(history_file(study, find_cell(study, CELL)))
    assert {re.sub("activity|segmentation", "<task>", name) for name in history} == set(HISTORY) - {
        "experts_<task>",
        "validation",
    }

    assert run(one_evaluated, "train", "--cell", OTHER) == 0 and run(one_evaluated, "evaluate", "--cell", OTHER) == 0
    assert not missing_models(study), "a success forgets the failure"


def test_a_robustness_evaluation_that_failed_says_why(two_cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.evaluation import evaluate_robustness

    study = study_of(two_cells)
    cell, other = find_cell(study, CELL), find_cell(study, OTHER)
    for one in (CELL, OTHER):
        assert run(two_cells, "train", "--cell", one) == 0 and run(two_cells, "evaluate", "--cell", one) == 0

    def fail(*given: object) -> None:
        assert missing_robust_models(study)[cell] == "its robustness is not evaluated yet", "while it runs"
        raise TrainingError("no memory\nis left")

    with monkeypatch.context() as patched:
        patched.setattr(evaluate_robustness, "evaluate_robustness", fail)
        for _ in range(2):
            assert run(two_cells, "robustness", "--cell", CELL, "--cell", OTHER) == 1
    reason = "its robustness evaluation failed: no memory is left"
    assert missing_robust_models(study) == {cell: reason, other: reason} and not missing_models(study)
    assert run(two_cells, "step", "collect_results") == 0 and run(two_cells, "step", "make_tables") == 0
    assert reason in Path("results/toy/tables/table_cost.tex").read_text()
    assert run(two_cells, "robustness", "--cell", CELL, "--workers", "0") == 0
    assert missing_robust_models(study) == {other: reason}, "a success forgets the failure"


def test_a_damaged_record_of_a_failure_stops_nothing(two_cells: Path) -> None:
    study = study_of(two_cells)
    path = failure_file(study, find_cell(study, OTHER))
    path.parent.mkdir(parents=True)
    for torn in ("", '{"message": ', "[1]", "{}", '{"message": null}'):
        path.write_text(torn)
        said = missing_models(study)[find_cell(study, OTHER)]
        assert said.startswith("training failed") and "None" not in said
        assert str(path) in said or torn.startswith("{}") or "null" in torn


def test_a_cell_trained_but_not_evaluated(one_evaluated: Path) -> None:
    study = study_of(one_evaluated)
    (cell_folder(study, find_cell(study, CELL)) / "eval/mtlesd/per_image.parquet").unlink()
    assert missing_models(study)[find_cell(study, CELL)] == "trained, but not evaluated"


def test_the_protocol_changes_only_tables(one_evaluated: Path) -> None:
    before = {path: path.read_bytes() for path in Path("results/toy/cells").rglob("*") if path.is_file()}
    found = {}
    for protocol in ("standard", "authors_code"):
        settings = yaml.safe_load(one_evaluated.read_text()) | {"protocol": protocol}
        one_evaluated.write_text(yaml.safe_dump(settings))
        assert run(one_evaluated, "step", "collect_results") == 0 and run(one_evaluated, "step", "make_tables") == 0
        results = pd.read_parquet("results/toy/results.parquet")
        assert set(results["protocol"]) == {protocol}
        found[protocol] = pd.read_csv("results/toy/tables/table2_mtlesd.csv").set_index("weighting").loc["equal"]
        printed = Path("results/toy/tables/table2_mtlesd.tex").read_text()
        assert f"Protocol: {in_words(protocol)}." in printed
        assert ("AC" in printed.split("toprule")[1]) == (protocol == "authors_code")
    assert found["standard"]["hd"] != found["authors_code"]["hd"]
    assert "miou_foreground" not in found["authors_code"]
    assert before == {path: path.read_bytes() for path in Path("results/toy/cells").rglob("*") if path.is_file()}


def test_damaged_rows_stop_the_collection_and_are_named(
    one_evaluated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("results/toy/cells") / CELL / "eval/mtlesd/per_image.parquet"
    rows = pd.read_parquet(path)
    rows.assign(truth_2=float("nan")).to_parquet(path)
    assert run(one_evaluated, "step", "collect_results") == 1
    said = capsys.readouterr().err
    assert f"{path}: truth_2 of the image" in said and "is nan" in said and "Traceback" not in said


@pytest.mark.slow
def test_a_report_is_made_from_the_existing_results(
    one_evaluated: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.reporting.make_report.processes", lambda count: processes(0))  # none to start
    assert run(one_evaluated, "report") == 0
    said = capsys.readouterr().out
    assert f"without {OTHER}: not trained yet" in said
    results = Path("results/toy")
    for path in (
        "report/index.html",
        "report/reproduction.md",
        "paper/paper.tex",
        "figures/fig_cost.pdf",
        "tables/table_cost.csv",
    ):
        assert (results / path).stat().st_size > 0, path
    page = (results / "report/index.html").read_text()
    assert OTHER in page and "not trained yet" in page
    assert "R HPS DB-MTL on MTLESD: not trained yet" in (results / "report/reproduction.md").read_text()


def test_a_mix_of_old_and_new_results_is_a_gap(one_evaluated: Path) -> None:
    """Results of other settings and scores of earlier predictions do not belong to the study."""
    study = study_of(one_evaluated)
    cell = find_cell(study, CELL)
    assert cell not in missing_models(study)

    settings = yaml.safe_load(one_evaluated.read_text())
    settings["training"]["schedules"]["mtlesd"]["learning_rate"] = 0.05
    one_evaluated.write_text(yaml.safe_dump(settings))
    assert missing_models(study_of(one_evaluated))[cell] == "trained with other settings; not trained again yet"
    assert run(one_evaluated, "step", "collect_results") == 1, "no cell has results of this study"

    assert run(one_evaluated, "train", "--cell", CELL) == 0
    study = study_of(one_evaluated)
    assert missing_models(study)[cell] == "trained again, but not evaluated since"
    assert run(one_evaluated, "evaluate", "--cell", CELL) == 0 and cell not in missing_models(study)
    assert run(one_evaluated, "evaluate", "--cell", CELL, "--again") == 0 and cell not in missing_models(study)
