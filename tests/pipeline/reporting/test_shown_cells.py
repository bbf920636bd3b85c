"""The cells and images that figures show, and figures of a study that lacks some or all of its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from endoarss.metrics import confuse_mask, measure_mask
from pipeline.errors import InputError
from pipeline.io.files import write_json
from pipeline.reporting.captions import gap_note
from pipeline.reporting.figures import draw_figures, figure_inputs
from pipeline.reporting.figures.mask_figures import _note_of_gain
from pipeline.reporting.models import label_of
from pipeline.reporting.shown_cells import (
    best_by_backbone,
    best_of_both,
    high_middle_low,
    image_ious,
    scored_cells,
    single_and_multi,
)
from pipeline.results.paths import figure_files, history_file, result_figures, results_file, rows_file
from pipeline.results.study_results import StudyResults
from pipeline.study.cell import Cell
from pipeline.study.cells import cells_of, find_cell
from pipeline.study.folders import cell_folder
from pipeline.study.loading import make_study
from pipeline.study.models import Study
from reports.results import COLUMNS

SCORES = {"accuracy": 0.5, "miou": 0.4}


def with_table(study: Study, table: pd.DataFrame) -> StudyResults:
    """Return the results of a study with a long table from the test."""
    results = StudyResults(study)
    results.table = table
    return results


@pytest.fixture
def study(minimal: Callable[..., dict[str, Any]]) -> Study:
    """Three backbones on two datasets, single tasks of one of them."""
    backbones = {
        name: {"label": name.upper(), "model": "vit_small_patch14_dinov2", "weights": "hub"}
        for name in ("resnet", "dinov2", "endoarss")
    }
    schedules = {name: {"epochs": 9, "learning_rate": 0.1} for name in ("mtlesd", "mtlendovis")}
    both = {"datasets": ["mtlesd", "mtlendovis"]}
    return make_study(
        minimal(
            datasets={"mtlesd": {}, "mtlendovis": {}},
            backbones=backbones,
            training={"schedules": schedules},
            cells=[
                both
                | {"backbones": [*backbones], "architectures": ["mmoe", "tesla"], "weightings": ["stch", "db_mtl"]},
                both | {"backbones": ["dinov2"], "architectures": ["single_segmentation"], "weightings": ["equal"]},
                both | {"backbones": ["dinov2"], "architectures": ["single_activity"], "weightings": ["equal"]},
                {**both, "backbones": ["endoarss"], "architectures": ["tesla"], "weightings": ["db_mtl"], "ranks": [8]},
            ],
        )
    )


def finish(
    study: Study, cells: list[Cell], scores: Callable[[Cell], dict[str, float]] = lambda cell: SCORES
) -> pd.DataFrame:
    """Write the files that show cells as done, and the long table of their scores."""
    rows = []
    for cell in cells:
        write_json(cell_folder(study, cell) / "provenance.json", {"cell": cell.id})
        path = rows_file(study, cell, cell.dataset)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        about = dict.fromkeys(COLUMNS, "") | {"eval_dataset": cell.dataset, "variant": cell.variant, "n": 1}
        about |= {"study": study.name, "protocol": study.protocol}
        about |= {key: getattr(cell, key) for key in ("dataset", "backbone", "architecture", "weighting")}
        rows += [about | {"metric": metric, "value": value} for metric, value in scores(cell).items()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})


def task_scores(cell: Cell) -> dict[str, float]:
    only = {"single_activity": ["accuracy"], "single_segmentation": ["miou"]}.get(cell.architecture, [*SCORES])
    return {metric: SCORES[metric] for metric in only}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_highest_median_and_lowest() -> None:
    names = ["e", "d", "c", "b", "a"]
    assert high_middle_low(np.array([0.1, 0.9, 0.5, 0.7, 0.3]), names) == [1, 2, 0]
    assert high_middle_low(np.array([0.1, 0.9]), names[:2]) == [1, 0]
    assert high_middle_low(np.array([0.1]), names[:1]) == [0]
    # Equal ones go by name, wherever they stand.
    assert high_middle_low(np.zeros(5), names) == [4, 2, 0]


def test_the_choice_does_not_depend_on_the_order_of_images() -> None:
    random = np.random.default_rng(0)
    values = np.round(random.random(40), 1)
    names = [f"frame_{i:02d}" for i in range(40)]
    order = random.permutation(40)
    first = [names[i] for i in high_middle_low(values, names)]
    second = [names[order[i]] for i in high_middle_low(values[order], [names[i] for i in order])]
    assert first == second
    assert values[names.index(first[0])] == values.max() and values[names.index(first[2])] == values.min()


def test_the_iou_of_an_image_is_over_its_own_classes() -> None:
    random = np.random.default_rng(0)
    truths, answers = random.integers(0, 3, (2, 4, 8, 8), np.uint8)
    answers[0] = truths[0] = 0  # background alone, found
    truths[1], answers[1] = 0, 3  # a class that is not there
    rows = pd.DataFrame([measure_mask(t, a, 5) | confuse_mask(t, a, 5) for t, a in zip(truths, answers, strict=True)])
    found = image_ious(rows, 5)
    for truth, answer, value in zip(truths, answers, found, strict=True):
        classes = set(np.unique(truth)) | set(np.unique(answer))
        ious = [((truth == c) & (answer == c)).sum() / ((truth == c) | (answer == c)).sum() for c in classes]
        assert value == pytest.approx(np.mean(ious))
    assert found[0] == 1 and found[1] == 0


def test_cells_without_results_are_not_chosen(study: Study) -> None:
    cells = [cell for cell in cells_of(study) if cell.dataset == "mtlesd"]
    results = finish(study, cells, task_scores)
    assert list(scored_cells(with_table(study, results), "mtlesd")) == cells
    assert scored_cells(with_table(study, results), "mtlendovis") == {}
    # Scores of a training that is gone are not those of a cell.
    (cell_folder(study, cells[0]) / "provenance.json").unlink()
    assert list(scored_cells(with_table(study, results), "mtlesd")) == cells[1:]


def test_the_best_of_each_backbone_is_of_the_studys_rank(study: Study) -> None:
    cells = [cell for cell in cells_of(study) if cell.dataset == "mtlesd"]
    values = {cell: 0.1 + 0.01 * index for index, cell in enumerate(cells)}
    scores = {cell: {"miou": values[cell]} for cell in reversed(cells) if cell.architecture != "single_activity"}
    chosen = best_by_backbone(study, scores)
    assert [cell.backbone for cell in chosen] == ["resnet", "dinov2", "endoarss"]
    assert all(cell.rank == study.lora.rank for cell in chosen)
    for cell in chosen:
        rivals = [c for c in scores if c.backbone == cell.backbone and c.rank == study.lora.rank]
        assert values[cell] == max(values[rival] for rival in rivals)


def test_the_best_of_both_tasks_or_of_each(study: Study) -> None:
    cells = [cell for cell in cells_of(study) if cell.dataset == "mtlesd"]
    activity = next(cell for cell in cells if cell.architecture == "single_activity")
    masks = next(cell for cell in cells if cell.architecture == "single_segmentation")
    singles = {activity: {"accuracy": 1.0}, masks: {"miou": 1.0}}
    multi = {cells[0]: {"accuracy": 0.2, "miou": 0.9}, cells[1]: {"accuracy": 0.5, "miou": 0.5}}
    assert best_of_both(study, singles | multi) == {"accuracy": cells[0], "miou": cells[0]}
    assert best_of_both(study, singles) == {"accuracy": activity, "miou": masks}
    assert best_of_both(study, {masks: {"miou": 1.0}}) == {"miou": masks}
    assert best_of_both(study, {}) == {}


def test_figure_2_shows_the_papers_pair_if_it_has_results(study: Study) -> None:
    def chosen(results: pd.DataFrame) -> tuple[Cell, Cell] | None:
        return single_and_multi(
            study, {name: scored_cells(with_table(study, results), name) for name in study.datasets}
        )

    cells = list(cells_of(study))
    pair = chosen(finish(study, cells, task_scores))
    assert pair is not None
    assert [cell.id for cell in pair] == [
        "mtlesd/dinov2/single_segmentation/equal/r4-s0",
        "mtlesd/dinov2/mmoe/stch/r4-s0",
    ]
    # Without it the best of that backbone and dataset, then another dataset's.
    (cell_folder(study, pair[1]) / "provenance.json").unlink()
    best = find_cell(study, "mtlesd/dinov2/tesla/stch/r4-s0")
    others = finish(study, [c for c in cells if c != pair[1]], lambda c: {"miou": 0.9 if c == best else 0.3})
    assert chosen(others) == (pair[0], best)
    (cell_folder(study, pair[0]) / "provenance.json").unlink()
    other = chosen(others)
    assert other is not None and {cell.dataset for cell in other} == {"mtlendovis"}
    for cell in cells:
        (cell_folder(study, cell) / "provenance.json").unlink(missing_ok=True)
    assert chosen(others) is None


@pytest.mark.parametrize(
    ("gain", "place", "count", "expected"),
    [
        (0.12, 0, 3, "gains most (+12.0)"),
        (-0.01, 0, 3, "loses least (-1.0)"),
        (0.0, 1, 3, "median (+0.0)"),
        (-0.2, 2, 3, "loses most (-20.0)"),
        (0.01, 2, 3, "gains least (+1.0)"),
        (0.01, 0, 1, "only image (+1.0)"),
    ],
)
def test_the_notes_of_figure_2_describe_gain_or_loss(gain: float, place: int, count: int, expected: str) -> None:
    assert _note_of_gain(gain, place, count) == expected


def test_a_study_has_the_figures_it_can_show(study: Study, minimal: Callable[..., dict[str, Any]]) -> None:
    assert {"fig2_single_and_multi_task", "fig5_segmentation", "fig_cost", "fig_classes_mtlesd"} <= set(
        result_figures(study)
    )
    assert not {"fig6_severity", "fig_heatmap"} & set(result_figures(study))
    small = make_study(minimal())
    assert set(result_figures(small)) == {
        *("fig5_segmentation", "fig_cost", "fig_classes_mtlesd", "fig_confusion_mtlesd", "history_mtlesd")
    }
    assert {path for paths in result_figures(small).values() for path in paths} <= set(figure_files(small))
    assert set(draw_figures._drawers(study)) >= set(result_figures(study))


@pytest.mark.slow
def test_figures_without_results_state_that(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """No training has results. Each figure exists and states what is missing."""
    said: dict[str, str] = {}
    draw = draw_figures.draw_message

    def keep(title: str, message: str, *others: Any) -> None:
        said[title] = message
        draw(title, message, *others)

    monkeypatch.setattr(draw_figures, "draw_message", keep)
    monkeypatch.setattr(figure_inputs, "study_caption", lambda results: "SYNTHETIC DATA")
    results_file(study).parent.mkdir(parents=True)
    finish(study, []).to_parquet(results_file(study))
    written = draw_figures.draw_figures(study)
    assert all(path.stat().st_size > 1000 for path in written) and len(written) == 2 * len(said)
    assert said["Scores against trained parameters and inference speed"] == "No cell has results."
    assert "No training on MTLESD is done." in said.values()
    assert [path.stem for path in draw_figures.draw_figures(study, "fig_cost")] == ["fig_cost"] * 2
    with pytest.raises(InputError, match="has no figure 'fig9'"):
        draw_figures.draw_figures(study, "fig9")


def test_missing_trainings_are_left_out(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [cell for cell in cells_of(study) if cell.dataset == "mtlesd"][:2]
    for cell in cells:
        path = history_file(study, cell)
        path.parent.mkdir(parents=True)
        pd.DataFrame({"epoch": [1, 2], "loss_activity": [1.0, 0.5]}).to_csv(path, index=False)
    drawn: list[Any] = []
    monkeypatch.setattr(draw_figures, "draw_histories", lambda *arguments: drawn.append(arguments))
    monkeypatch.setattr(figure_inputs, "study_caption", lambda results: "mark")
    draw_figures.draw_history(StudyResults(study), "the head", Path("a"), Path("b"), "mtlesd")
    assert [history.weighting for history in drawn[0][0]] == ["STCH", "DB-MTL"]
    assert drawn[0][2] == "the head"
    two_seeds = make_study(study.as_dict() | {"seeds": [0, 1]})
    draw_figures.draw_history(StudyResults(two_seeds), "the head", Path("a"), Path("b"), "mtlesd")
    assert drawn[1][2] == "the head\nOnly the trainings with seed 0 are shown."


def test_heads_name_the_missing_cells_of_a_figure(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure_inputs, "study_caption", lambda results: "mark")
    gone = [
        "mtlesd/resnet/mmoe/stch/r4-s0",
        "mtlesd/dinov2/single_activity/equal/r4-s0",
        "mtlesd/dinov2/mmoe/stch/r4-s0",
    ]
    gone.append("mtlendovis/endoarss/tesla/db_mtl/r8-s0")
    done = [cell for cell in cells_of(study) if cell.id not in gone]
    results_file(study).parent.mkdir(parents=True)
    finish(study, done, task_scores).to_parquet(results_file(study))
    results, drawers = StudyResults(study), draw_figures._drawers(study)

    def gaps(name: str) -> set[str]:
        return {cell.id for cell in drawers[name].gaps(results)}

    resnet, activity, dinov2, _ = gone
    assert gaps("fig_cost") == set(gone)
    assert gaps("fig5_segmentation") == gaps("fig_classes_mtlesd") == gaps("fig_confusion_mtlesd") == {resnet, dinov2}
    assert gaps("fig2_single_and_multi_task") == {dinov2}
    assert not gaps("fig_classes_mtlendovis") | gaps("fig_confusion_mtlendovis"), "of another rank, or another dataset"
    # A training that is done and left no history is a gap of that figure alone.
    for cell in done:
        history_file(study, cell).touch()
    lost = next(cell for cell in done if cell.dataset == "mtlesd")
    history_file(study, lost).unlink()
    assert gaps("history_mtlesd") == {resnet, activity, dinov2}
    assert drawers["history_mtlesd"].note(results) == f"No history of {label_of(study, lost)}: history.csv is missing."
    assert not gaps("history_mtlendovis") and not drawers["history_mtlendovis"].note(results)

    head = figure_inputs.head_of(results, drawers["fig2_single_and_multi_task"].gaps(results))
    assert (
        head == f"mark\n{gap_note(study, {find_cell(study, dinov2): 'not trained yet'})}" and "not trained yet" in head
    )
    assert figure_inputs.head_of(results, {}) == "mark"


def test_a_missing_figure_of_the_datasets_names_the_command_that_draws_it(study: Study) -> None:
    with pytest.raises(InputError, match=r"'class_balance' shows datasets, not results: `endoarss step draw_datasets`"):
        draw_figures.draw_figures(study, "class_balance")
    with pytest.raises(InputError, match=r"`endoarss step draw_datasets` and `endoarss step draw_leakage`"):
        draw_figures.draw_figures(study, "fig9")
