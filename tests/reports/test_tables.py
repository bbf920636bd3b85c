"""Tables hold the right numbers in the right places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.paper_numbers import paper_datasets
from reports.results import ResultsError, read_results, weights_note
from reports.tables import scores as tables
from reports.tables.latex import to_latex


def test_scores_in_percent_in_the_order_of_the_study_references_last(results: pd.DataFrame) -> None:
    table = tables.table_of_scores(results, "mtlesd", ["B_net", "A-net"])
    assert list(table.index) == [
        ("B_net", "mmoe", "db_mtl"),
        ("B_net", "single_segmentation", "equal"),
        ("A-net", "hps", "equal"),
        ("reference", "majority_activity", ""),
    ]
    assert list(table.columns) == ["accuracy", "macro_f1", "miou"]
    assert table.loc[("A-net", "hps", "equal"), "miou"] == pytest.approx(90)
    assert np.isnan(table.loc[("B_net", "single_segmentation", "equal"), "accuracy"])


def test_several_seeds_give_mean_and_deviation(results: pd.DataFrame) -> None:
    second = results.assign(seed=1, value=results["value"] - 0.1)
    table = tables.table_of_scores(pd.concat([results, second]), "mtlendovis", ["A-net", "B_net"])
    best = table.loc[("A-net", "hps", "equal")]
    assert best["miou"] == pytest.approx(85) and best["miou_std"] == pytest.approx(100 * np.std([0.9, 0.8], ddof=1))


def test_what_is_counted_is_data_and_not_shown(results: pd.DataFrame) -> None:
    counted = results[results["metric"] == "accuracy"].assign(metric="predictions_without_support", value=3.0)
    table = tables.table_of_scores(pd.concat([results, counted]), "mtlesd", ["A-net", "B_net"])
    assert table.loc[("A-net", "hps", "equal"), "predictions_without_support"] == 3
    assert list(tables.readable_scores(table, "standard")) == ["Accuracy (%)", "Macro F1 (%)", "mIoU (%)"]


def test_a_dataset_without_activities_has_no_such_columns(results: pd.DataFrame) -> None:
    table = tables.table_of_scores(results[results["metric"] == "miou"], "mtlesd", ["A-net", "B_net"])
    assert list(table.columns) == ["miou"]


def test_csv_reads_back(results: pd.DataFrame, tmp_path: Path) -> None:
    table = tables.table_of_scores(results, "mtlesd", ["A-net", "B_net"])
    marks = {"synthetic": True, "partial": False}
    tables.write_csv(table, tmp_path / "t.csv", marks)
    again = pd.read_csv(tmp_path / "t.csv")
    assert again["synthetic"].all() and "synthetic" not in table.columns
    assert len(again) == len(table) and again["miou"][0] == pytest.approx(90)


def test_results_that_cannot_be_reported_are_named(results: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    results.drop(columns="metric").to_parquet(path)
    with pytest.raises(ResultsError, match=r"results.parquet: lacks the column\(s\) metric"):
        read_results(path)
    mixed = results.copy()
    mixed.loc[0, "protocol"] = "authors_code"
    mixed.to_parquet(path)
    with pytest.raises(ResultsError, match="mixes the protocols authors_code, standard"):
        read_results(path)
    results.to_parquet(path)
    assert len(read_results(path, "toy", "standard")) == len(results)
    with pytest.raises(
        ResultsError,
        match="holds results of the protocol 'standard'; expected 'authors_code'. Collect the results again",
    ):
        read_results(path, "toy", "authors_code")
    with pytest.raises(ResultsError, match="holds results of the study 'toy'; expected 'other'"):
        read_results(path, "other")
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(ResultsError, match="results.parquet: not a table of results"):
        read_results(path)


def test_datasets_table_counts_what_occurs() -> None:
    card = {"name": "t", "title": "T", "frames": 9, "synthetic": True, "frames_by_split": {"train": 7, "test": 2}}
    card["frames_by_activity"] = {"train": {"a": 7, "b": 0, "c": 0}, "test": {"a": 1, "b": 1, "c": 0}}
    card["frames_with_class"] = {"train": {"x": 3, "y": 0}, "test": {"x": 1, "y": 0}}
    own = {"Activities": 2, "Classes": 1, "Frames": 9, "Train": 7, "Test": 2}
    columns = {"activities": 2, "classes": 1, "frames": 10, "train": 8, "test": 2}
    table = tables.table_datasets([card])
    assert list(table) == list(own) and table.loc["T"].to_dict() == own

    def compared(paper: pd.DataFrame) -> pd.DataFrame:
        return tables.datasets_against_paper(table, ["t"], paper)

    different = compared(pd.DataFrame([columns], index=["t"]))
    assert {head: different.loc["T", head] for head in own} == own
    assert different.loc["T", "Paper: Frames"] == 10 and different.loc["T", "Differs"] == "frames -1, train -1"
    same = compared(pd.DataFrame([{**columns, "frames": 9, "train": 7}], index=["t"]))
    assert same.loc["T", "Differs"] == "nothing"
    assert compared(paper_datasets()).loc["T", "Differs"] == "not in the paper"


def test_the_papers_datasets_add_up() -> None:
    table = paper_datasets()
    assert (table["train"] + table["test"] == table["frames"]).all()
    assert table.loc["mtlendovis"].to_dict() == {
        "activities": 12,
        "classes": 7,
        "train": 1601,
        "test": 395,
        "frames": 1996,
    }


def test_leakage_sets_the_same_models_side_by_side(results: pd.DataFrame) -> None:
    table = tables.table_leakage(results, "mtlesd", "mtlendovis", ["A-net", "B_net"])
    assert ("A-net", "hps", "equal") in table.index and "reference" not in table.index.get_level_values(0)
    shown = table["Accuracy (%)"].loc[("A-net", "hps", "equal")]
    assert shown["random by activity"] - shown["by sequence"] == pytest.approx(shown["difference"])
    assert "Classification" not in to_latex(tables.readable_leakage(table), "c", "l", highlight=False)


def test_similarity_is_told_by_quantiles() -> None:
    table = tables.table_similarity({"d": {"random_by_activity": [0.9, 0.96, 1.0], "by_sequence": [0.5]}}, {"d": "D"})
    assert table.loc[("D", "random_by_activity"), "Median"] == 0.96
    assert table.loc[("D", "random_by_activity"), "At least 0.95 (%)"] == pytest.approx(200 / 3)


def test_weights_are_said(results: pd.DataFrame) -> None:
    given = results.assign(weights_source=results["backbone"].map({"A-net": "none", "B_net": "generated"}).fillna(""))
    assert weights_note(given) == "Initial weights: A-net random, B_net pretrained on generated scenes"
