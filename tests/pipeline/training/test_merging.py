"""Merging in a study: the command, what it writes, what is made of it, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import gc
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from endoarss.checkpoints import read_header
from endoarss.errors import SettingsError
from endoarss.registry import list_mergers
from pipeline.cleaning.prunable_files import find_prunable_files
from pipeline.cleaning.studies_in_use import StudiesInUse
from pipeline.cli import main
from pipeline.errors import InputError
from pipeline.io.saved_files import read_table
from pipeline.reporting import make_report
from pipeline.reporting.figures.merging_figures import representations_of
from pipeline.reporting.merging import merging_gaps, shown_groups
from pipeline.results import row_files
from pipeline.results.cell_state import MERGED_OTHERWISE, OTHER_SOURCES, missing_models
from pipeline.results.paths import (
    figure_files,
    paper_file,
    reference_files,
    report_file,
    results_file,
    robustness_files,
    rows_file,
    table_files,
)
from pipeline.results.study_results import StudyResults
from pipeline.status.progress import DONE, PENDING, progress_of_cells, progress_of_robustness
from pipeline.study.cells import find_cell, merged_cells, merging_groups, models_of, trainings_of
from pipeline.study.folders import results_folder
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.training import merge_models
from pipeline.training.merge_models import _common_dataset, _SharedWork
from pipeline.training.merge_request import read_request

pytestmark = pytest.mark.slow  # all tests share merged models, which take most of a minute to make

VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2, "init_values": 1.0}
A = "mtlesd/dinov2/single_activity/equal/r4-s0-val"
B = "mtlesd/dinov2/single_segmentation/equal/r4-s0-val"
JOINT = "mtlesd/dinov2/hps/equal/r4-s0-val"
TIES = "mtlesd/dinov2/merged/ties/r4-s0-val"
MAIN = "mtlesd/resnet/hps/equal/r4-s0"


def cells(*architectures: str, **changes: Any) -> dict[str, Any]:
    return {
        "datasets": ["mtlesd"],
        "backbones": ["dinov2"],
        "architectures": list(architectures),
        "weightings": ["equal"],
        "select_on": "val",
        **changes,
    }


def settings_of(trees: Path, weights: Path) -> dict[str, Any]:
    narrow = {"label": "R", "model": "resnet26", "arguments": {"channels": [8, 8, 12, 16]}, "weights": "none"}
    vit = {"label": "V", "model": "vit_small_patch14_dinov2", "arguments": VIT, "weights": {"file": str(weights)}}
    return {
        "study": "toy",
        "compare_with_paper": True,
        "title": "Toy",
        "raw": {"esd": str(trees / "esd")},
        "datasets": {"mtlesd": {}},
        "input_size": 56,
        "heads": {"segmentation_channels": 16, "activity_channels": 16},
        "backbones": {"resnet": narrow, "dinov2": vit},
        "training": {"schedules": {"mtlesd": {"epochs": 2, "learning_rate": 0.01}}},
        "cells": [
            cells("hps", backbones=["resnet"], select_on="last"),
            cells("single_activity", "single_segmentation", "hps"),
        ],
        "mergers": {name: {"iterations": 3} for name in ("adamerging_task", "adamerging_layer")},
        "merging": {"surgery": {"iterations": 60, "learning_rate": 0.01, "rank": 8, "ablation": [2]}},
        "robustness": {"cells": [{"backbone": "resnet"}], "corruptions": ["contrast"], "severities": [1, 5]},
    }


@pytest.fixture(scope="module")
def folder(
    trees: Path, made_once: Callable[[str, Callable[[Path], None]], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A working folder in which everything was done by hand, once per run."""
    made = made_once("merging", partial(do_everything, trees))
    return Path(shutil.copytree(made, tmp_path_factory.mktemp("merging"), dirs_exist_ok=True))


def write_study(trees: Path, root: Path) -> None:
    """Write study.yaml, and the weights that its ViT starts from."""
    torch.manual_seed(3)
    vit = timm.create_model("vit_small_patch14_dinov2", img_size=56, num_classes=0, **VIT)
    save_file(
        {n: (t * 8 if t.ndim == 2 else t).contiguous() for n, t in vit.state_dict().items()}, root / "vit.safetensors"
    )
    (root / "study.yaml").write_text(yaml.safe_dump(settings_of(trees, root / "vit.safetensors")))


def do_everything(trees: Path, root: Path) -> None:
    """Build, train, merge, evaluate and report in a folder."""
    write_study(trees, root)
    with contextlib.chdir(root):
        study = load_study(Path("study.yaml"))
        (group,) = merging_groups(study)
        steps = [
            ["step", "build_dataset", "--dataset", "mtlesd"],
            ["step", "score_references", "--dataset", "mtlesd"],
            ["step", "draw_datasets"],
        ]
        steps += [[step, "--cell", cell.id] for cell in trainings_of(study) for step in ("train", "evaluate")]
        steps += [["merge", A, B], ["evaluate", *(f"--cell={cell.id}" for cell in group.merged)]]
        steps += [["robustness", "--workers=0", *(f"--cell={cell.id}" for cell in robust_models(study))]]
        steps += [
            ["step", "collect_results"],
            ["step", "make_tables"],
            ["step", "draw_figures"],
            ["step", "make_page"],
            ["paper"],
        ]
        for step in steps:
            assert run(*step) == 0, step


@pytest.fixture
def study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The study, in its folder."""
    monkeypatch.chdir(folder)
    return load_study(Path("study.yaml"))


@pytest.fixture
def copy(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """The same in a folder of one's own, to change."""
    shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path / "copy")
    return load_study(Path("study.yaml"))


def run(command: str, *arguments: str) -> int:
    return main([command, *arguments, "--study", "study.yaml"])


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) != 0
    return capsys.readouterr().err


def about(study: Study, cell: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((results_folder(study) / "cells" / cell / "provenance.json").read_text())
    return content


def test_every_model_is_there_and_nothing_is_left_to_do(study: Study) -> None:
    assert not missing_models(study)
    assert {one.state for one in progress_of_cells(study).values()} == {DONE}
    for cell in merged_cells(study):
        kept = about(study, cell.id)
        assert set(kept["merged_from"]) == {A, B} and kept["merging"]["bias"].keys() == {"activity", "segmentation"}
        assert kept["select_on"] == "val" and kept["merging"]["unlabelled"]["part"] == "train"
        assert kept["merged_from"][A] == about(study, A)["checkpoint_sha256"]
    assert about(study, TIES)["merging"]["coefficient"] in [c / 10 for c in range(3, 11)]
    assert len(about(study, TIES)["merging"]["validation"]) == 8
    assert about(study, TIES)["parameters"]["trained"] == 0
    assert about(study, f"{TIES}-surgery8")["parameters"]["trained"] == 2 * 2 * 24 * 8


def test_surgery_lowers_the_bias_of_every_merger(study: Study) -> None:
    for merger in list_mergers():
        before, after = (
            about(study, TIES.replace("ties", merger) + end)["merging"]["bias"] for end in ("", "-surgery8")
        )
        assert sum(after.values()) < sum(before.values()), merger


def test_results_say_merger_and_surgery(study: Study) -> None:
    results = pd.read_parquet(results_folder(study) / "results.parquet")
    merged = results[results["merger"] != ""]
    assert set(merged["merger"]) == set(list_mergers()) and set(merged["surgery"]) == {0, 2, 8}
    assert set(merged["select_on"]) == {"val"} and set(merged["weighting"]) == {""}
    ties = merged[(merged["merger"] == "ties") & (merged["surgery"] == 8) & (merged["metric"] == "bias")]
    bias = about(study, f"{TIES}-surgery8")["merging"]["bias"]
    assert ties["value"].item() == pytest.approx(np.mean(list(bias.values())))
    assert set(results.loc[results["merger"] == "", "surgery"]) == {0}


def test_the_table_sets_models_beside_each_other(study: Study) -> None:
    table = pd.read_csv(results_folder(study) / "tables/merging.csv")
    assert table["Model"].iloc[0] == "Individual models" and table["Model"].iloc[-1] == "Jointly trained: HPS Equal"
    assert len(table) == 2 + 2 * len(list_mergers())
    assert set(table["select_on"]) == {"val"}
    individual = table.iloc[0]
    scores = {
        cell: json.loads((results_folder(study) / "cells" / cell / "metrics.json").read_text())["mtlesd"]
        for cell in (A, B)
    }
    assert individual["accuracy"] == pytest.approx(100 * scores[A]["accuracy"], abs=1e-3)
    assert individual["miou"] == pytest.approx(100 * scores[B]["miou"], abs=1e-3)
    assert individual["mean"] == pytest.approx((individual["accuracy"] + individual["miou"]) / 2, abs=1e-3)
    for _, row in table[table["surgery_rank"] == 8].iterrows():
        without = table[(table["merger"] == row["merger"]) & (table["surgery_rank"] == 0)].iloc[0]
        assert row["surgery_gain"] == pytest.approx(row["mean"] - without["mean"], abs=2e-3)
        assert row["bias_change"] == pytest.approx(
            100 * (row["bias"] / without["bias"] - 1), abs=2
        )  # the CSV has four decimals
        assert row["to_joint"] == pytest.approx(row["mean"] - table.iloc[-1]["mean"], abs=2e-3)
    assert table["mpc_miou"].notna().all()
    ranks = pd.read_csv(results_folder(study) / "tables/merging_surgery_ranks.csv")
    assert list(ranks["surgery_rank"][:3]) == [0, 2, 8] and len(ranks) == 3 * len(list_mergers())


def test_other_tables_have_no_row_of_merging(study: Study) -> None:
    for path in table_files(study):
        if path.suffix == ".csv" and not path.name.startswith("merging"):
            text = path.read_text()
            assert ",V," not in text and "TIES" not in text and "r4-s0-val" not in text, path


def test_the_epoch_and_the_tag_stand_in_captions_and_page(study: Study) -> None:
    caption = (results_folder(study) / "tables/merging.tex").read_text()
    assert "epoch chosen on a validation split" in caption and "unlabelled training images" in caption
    assert "last epoch" in (results_folder(study) / "tables/table2_mtlesd.tex").read_text()
    page = (results_folder(study) / "report/index.html").read_text()
    assert "Merged models compared with individual and jointly trained models" in page and f"{TIES}-surgery8" in page
    paper = (results_folder(study) / "paper/paper.tex").read_text()
    assert r"\section{Merging}" in paper and "fig_merging" in paper and "fig_representations" in paper


def test_the_command_by_hand_gives_the_same_checkpoint(copy: Study) -> None:
    path = results_folder(copy) / "cells" / f"{TIES}-surgery8" / "model.safetensors"
    before, predicted = path.read_bytes(), (path.parent / "predictions/mtlesd.npz").read_bytes()
    assert run("merge", A, str(results_folder(copy) / "cells" / B), "--method", "ties", "--surgery") == 0
    assert path.read_bytes() == before and (path.parent / "predictions/mtlesd.npz").read_bytes() == predicted


def test_a_rank_that_the_study_does_not_list_goes_through_the_other_commands(copy: Study, capsys: Any) -> None:
    assert run("merge", A, B, "--method", "averaging", "--surgery", "3") == 0
    cell = f"{TIES.replace('ties', 'averaging')}-surgery3"
    assert f"{cell}: the study's key merging does not list this cell" in capsys.readouterr().out
    for step in (
        ["evaluate", "--cell", cell],
        ["evaluate", "--cell", cell, "--again"],
        ["robustness", "--workers=0", "--cell", cell],
    ):
        assert run(*step) == 0, step
    folder = results_folder(copy) / "cells" / cell
    assert (folder / "robustness/metrics.json").is_file() and "mtlesd" in json.loads(
        (folder / "metrics.json").read_text()
    )


def test_a_folder_of_ones_own_and_predict(copy: Study, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert run("merge", A, B, "--method", "task_arithmetic", "--out", str(out)) == 0
    checkpoint = out / "model.safetensors"
    kept = results_folder(copy) / "cells" / TIES.replace("ties", "task_arithmetic") / "model.safetensors"
    assert {n: t.tolist() for n, t in load_file(checkpoint).items()} == {
        n: t.tolist() for n, t in load_file(kept).items()
    }
    picture = next(Path("data/datasets/mtlesd/images").iterdir())
    assert (
        main(
            [
                "predict",
                str(checkpoint),
                str(picture),
                "--out",
                str(tmp_path / "seen"),
                *("--weights", "vit.safetensors"),
            ]
        )
        == 0
    )
    assert len(pd.read_csv(tmp_path / "seen/predictions.csv")) == 1
    said = [
        read_header(path).provenance["preprocessing"]
        for path in (checkpoint, results_folder(copy) / "cells" / A / checkpoint.name)
    ]
    assert said[0] == said[1] and said[0]["sources"] == ["esd"], (
        "frames are prepared as for the models that were merged"
    )


def test_what_is_not_merged_yet_is_said_with_the_command(study: Study, capsys: Any) -> None:
    for command in ("evaluate", "robustness", "verify"):
        said = failing(capsys, command, "--cell", f"{TIES}-surgery9")
        assert f"{TIES}-surgery9: not merged yet. Run: endoarss merge {A} {B} --method ties --surgery 9" in said
    assert not (results_folder(study) / "cells" / f"{TIES}-surgery9").exists()


def test_verify_names_sources_that_are_others(copy: Study, capsys: Any) -> None:
    path = results_folder(copy) / "cells" / TIES / "provenance.json"
    path.write_text(
        json.dumps(about(copy, TIES) | {"merged_from": {A: "0" * 64, B: about(copy, B)["checkpoint_sha256"]}})
    )
    assert run("verify", "--workers=1", f"--cell={A}") != 0
    assert f"merged from {A} with a checkpoint of sha256 000000000000" in "".join(capsys.readouterr())


def test_robustness_of_an_earlier_merging_is_not_done(copy: Study) -> None:
    path = results_folder(copy) / "cells" / TIES / "robustness/provenance.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"checkpoint_sha256": "0" * 64}))
    state = progress_of_robustness(copy, progress_of_cells(copy))[find_cell(copy, TIES)]
    assert state.state == PENDING and state.reason == "merged again; its robustness was not evaluated since"


def test_verify_holds_and_names_a_merged_checkpoint_that_is_another(copy: Study, capsys: Any) -> None:
    assert run("verify", "--workers=1", f"--cell={TIES}-surgery8", f"--cell={A}") == 0
    path = results_folder(copy) / "cells" / f"{TIES}-surgery8" / "model.safetensors"
    tensors = load_file(path)
    with safe_open(path, framework="pt") as stored:
        header = stored.metadata()
    tensors["surgery.activity.up"] = tensors["surgery.activity.up"] + 0.5
    save_file(tensors, path, metadata=header)
    capsys.readouterr()
    assert run("verify", "--workers=1", f"--cell={TIES}-surgery8") != 0
    assert f"{TIES}-surgery8/model.safetensors" in "".join(capsys.readouterr())


def test_models_that_were_trained_or_set_again_are_merged_again(copy: Study) -> None:
    path = results_folder(copy) / "cells" / A / "provenance.json"
    path.write_text(json.dumps(about(copy, A) | {"checkpoint_sha256": "0" * 64}))
    cell = find_cell(copy, TIES)
    assert missing_models(copy)[cell] == OTHER_SOURCES
    assert progress_of_cells(copy)[cell].state == PENDING
    changed = make_study({**copy.as_dict(), "mergers": {"ties": {"keep": 0.5}, "adamerging_task": {"iterations": 3}}})
    lacking = missing_models(changed)
    assert lacking[cell] == MERGED_OTHERWISE
    assert lacking[find_cell(copy, TIES.replace("ties", "averaging"))] == OTHER_SOURCES


def test_a_setting_that_decides_any_merged_model_is_seen(copy: Study) -> None:
    """The images of a step decide AdaMerging's coefficients too; and what is merged is as old as what it is merged from."""
    surgery = {**copy.merging.surgery.as_dict(), "batch_size": 4}
    changed = make_study({**copy.as_dict(), "merging": {**copy.merging.as_dict(), "surgery": surgery}})
    lacking = missing_models(changed)
    assert {lacking.get(cell) for cell in merged_cells(changed)} == {MERGED_OTHERWISE}
    longer = {"schedules": {"mtlesd": {"epochs": 3, "learning_rate": 0.01}}}
    older = missing_models(make_study({**copy.as_dict(), "training": {**copy.training.as_dict(), **longer}}))
    assert {older.get(cell) for cell in merged_cells(copy)} == {OTHER_SOURCES}


def test_a_training_that_exists_both_ways_stands_in_each_table_once(copy: Study, tmp_path: Path) -> None:
    """The same model, its epoch chosen as the study says and on validation frames: tables are of the first, the paper's beside too."""
    settings = yaml.safe_load(Path("study.yaml").read_text())
    settings["cells"].append(cells("hps", select_on="last"))
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    both = JOINT.removesuffix("-val")
    assert run("train", "--cell", both) == 0 and run("evaluate", "--cell", both) == 0
    assert run("step", "collect_results") == 0 and run("step", "make_tables") == 0
    paths = [
        results_folder(copy) / "tables" / f"{name}.csv" for name in ("table2_mtlesd", "table2_mtlesd_against_paper")
    ]
    before = [pd.read_csv(path) for path in paths]
    shutil.rmtree(results_folder(copy) / "cells" / JOINT)  # what merging is set beside: gone
    assert run("step", "collect_results") == 0 and run("step", "make_tables") == 0
    for path, kept in zip(paths, before, strict=True):
        pd.testing.assert_frame_equal(pd.read_csv(path), kept)


def test_tables_of_merging_are_of_the_standard_protocol(copy: Study) -> None:
    before = pd.read_csv(results_folder(copy) / "tables/merging.csv")
    settings = yaml.safe_load(Path("study.yaml").read_text()) | {"protocol": "authors_code"}
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    assert run("step", "collect_results") == 0 and run("step", "make_tables") == 0
    after = pd.read_csv(results_folder(copy) / "tables/merging.csv")
    pd.testing.assert_frame_equal(after, before)
    assert set(after["protocol"]) == {"standard"}


def test_representations_of_other_models_are_not_shown(copy: Study) -> None:
    assert len(representations_of(StudyResults(copy))) == 1
    ties = representations_of(StudyResults(copy))[0].merged["ties"]
    assert set(ties) == {"with", "without"}
    path = results_folder(copy) / "cells" / f"{TIES}-surgery8" / "provenance.json"
    path.write_text(json.dumps(about(copy, f"{TIES}-surgery8") | {"checkpoint_sha256": "0" * 64}))
    assert set(representations_of(StudyResults(copy))[0].merged["ties"]) == {"without"}
    other = {**copy.as_dict(), "merging": {**copy.merging.as_dict(), "surgery": {"rank": 4, "ablation": [2]}}}
    assert all(
        set(kinds) == {"without"} for kinds in representations_of(StudyResults(make_study(other)))[0].merged.values()
    )
    (results_folder(copy) / "merging/mtlesd/dinov2/r4-s0-val/representations.npz").write_bytes(b"torn")
    with pytest.raises(InputError, match="no saved representations"):
        representations_of(StudyResults(copy))


def test_robustness_that_is_missing_is_a_dash_with_its_reason(copy: Study) -> None:
    shutil.rmtree(results_folder(copy) / "cells" / f"{TIES}-surgery8" / "robustness")
    assert run("step", "collect_results") == 0 and run("step", "make_tables") == 0
    table = pd.read_csv(results_folder(copy) / "tables/merging.csv").set_index("Model")
    assert np.isnan(table.loc["TIES + Surgery 8", "mpc_miou"]) and not np.isnan(table.loc["TIES", "mpc_miou"])
    words = (results_folder(copy) / "tables/merging.tex").read_text()
    named = "V TIES + Surgery 8 on MTLESD, epoch chosen on validation frames"
    assert f"No results under corruptions of {named}: its robustness is not evaluated yet." in words


def test_seeds_are_the_same_for_all_that_is_compared(study: Study) -> None:
    """A seed that lacks a model is left out, unless none has all."""
    two = make_study({**study.as_dict(), "seeds": [0, 1]})
    first, second = merging_groups(two)
    assert shown_groups([first, second], {}) == [first, second]
    assert shown_groups([first, second], {first.merged[0]: "failed"}) == [second]
    both = {first.merged[0]: "failed", second.merged[1]: "failed"}
    assert shown_groups([first, second], both) == [first]
    assert shown_groups([first, second], both | {first.singles[0]: "failed"}) == [second]
    assert shown_groups([first, second], dict.fromkeys((*first.merged, *second.singles), "failed")) == []
    assert "V TIES on MTLESD (seed 1)" in merging_gaps(StudyResults(two))


def test_representations_are_computed_once_a_model(copy: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both parts: the individual models' for all mergers and ranks together, those of each merged model for all ranks."""
    seen: list[Any] = []
    compute = merge_models.representations

    def counted(model: Any, *given: Any) -> Any:
        seen.append(model)
        return compute(model, *given)

    monkeypatch.setattr(merge_models, "representations", counted)
    assert run("merge", A, B) == 0
    assert len(seen) == 2 * (2 + len(list_mergers()))
    assert all(seen.count(model) == 2 for model in seen)


def test_merging_keeps_no_more_than_it_says(copy: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all tensors with an image's map, those alive at once are what was planned and a few images."""
    assert run("merge", A, B, "--method", "averaging", "--surgery") == 0
    said = about(copy, f"{TIES.replace('ties', 'averaging')}-surgery8")["merging"]["kept_representations_mib"]
    largest = 0.0
    compared = merge_models._bias_and_means

    def watched(*given: Any) -> Any:
        nonlocal largest
        gc.collect()
        maps = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
            for t in gc.get_objects()
            if torch.is_tensor(t) and t.ndim == 4 and t.shape[1:] == (4, 4, 24)
        }
        largest = max(largest, sum(maps.values()) / 2**20)
        return compared(*given)

    monkeypatch.setattr(merge_models, "_bias_and_means", watched)
    assert run("merge", A, B, "--method", "averaging", "--surgery") == 0
    assert 0 < largest <= said + 0.06


def test_reports_name_what_is_not_merged(copy: Study, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("draw_figures", "make_page", "write_paper"):  # which take their time
        monkeypatch.setattr(make_report, other, lambda study, results=None, without=(): None)
    for cell in (TIES, f"{TIES}-surgery8", f"{TIES}-surgery2"):
        shutil.rmtree(results_folder(copy) / "cells" / cell)
    (results_folder(copy) / "results.parquet").unlink(
        missing_ok=True
    )  # no part of a report may need that of another one
    assert run("report") == 0
    assert f"without {TIES}: not merged yet" in capsys.readouterr().out
    table = pd.read_csv(results_folder(copy) / "tables/merging.csv")
    assert not table["Model"].str.contains("TIES").any()
    words = (results_folder(copy) / "tables/merging.tex").read_text()
    names = (
        f"V TIES{surgery} on MTLESD, epoch chosen on validation frames"
        for surgery in ("", " + Surgery 2", " + Surgery 8")
    )
    assert f"{', '.join(names)}: not merged yet." in words
    for cell in merged_cells(copy):
        shutil.rmtree(results_folder(copy) / "cells" / cell.id, ignore_errors=True)
    assert run("step", "collect_results") == 0 and run("step", "make_tables") == 0
    assert "Nothing is merged yet" in (results_folder(copy) / "tables/merging.tex").read_text()


def test_clean_names_merged_models_that_the_study_no_longer_has(copy: Study) -> None:
    fewer = make_study({**copy.as_dict(), "merging": {**copy.merging.as_dict(), "mergers": ["ties"]}})
    gone = {one.path.as_posix() for one in find_prunable_files(fewer, StudiesInUse([fewer], [])).delete}
    assert f"results/toy/cells/{TIES.replace('ties', 'averaging')}" in gone
    assert not any("/ties/" in path for path in gone)
    none = make_study({key: value for key, value in copy.as_dict().items() if key != "merging"})
    found = find_prunable_files(none, StudiesInUse([none], []))
    assert "results/toy/merging/mtlesd/dinov2/r4-s0-val" in {one.path.as_posix() for one in found.delete}
    assert not [path for path in found.staying if "merging" in path.as_posix()]


def test_test_images_are_a_tagged_variant(study: Study) -> None:
    on_test = make_study({**study.as_dict(), "merging": {**study.merging.as_dict(), "unlabelled": "test"}})
    ids = {cell.id for cell in merged_cells(on_test)}
    assert f"{TIES}-on_test" in ids and f"{TIES}-surgery8-on_test" in ids
    assert (
        find_cell(on_test, f"{TIES}-surgery8-on_test").on_test
        and find_cell(on_test, f"{TIES}-surgery8").on_test is False
    )


def test_test_images_are_seen_where_the_study_says_so(copy: Study) -> None:
    settings = yaml.safe_load(Path("study.yaml").read_text())
    settings["merging"]["unlabelled"] = "test"
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    assert run("merge", A, B, "--method", "averaging", "--surgery") == 0
    cell = f"{TIES.replace('ties', 'averaging')}-surgery8-on_test"
    seen = about(copy, cell)["merging"]
    assert seen["unlabelled"] == {"part": "test", "images": seen["test_images"]}


def test_memory_is_said_before_and_kept_to(copy: Study, capsys: Any) -> None:
    settings = yaml.safe_load(Path("study.yaml").read_text())
    image = 4 * 4 * 24 * 4 * 3 / 2**20
    settings["merging"]["memory_mib"] = 1000 * image
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    assert run("merge", A, B, "--method", "averaging", "--surgery") == 0
    told = about(copy, f"{TIES.replace('ties', 'averaging')}-surgery8")["merging"]
    images = told["unlabelled"]["images"] + told["test_images"]
    assert told["kept_representations_mib"] == pytest.approx(images * image, abs=0.1)
    said = capsys.readouterr().out
    assert said.index("MiB of memory (at most") < said.index("averaging with Surgery of rank 8")
    settings["merging"]["memory_mib"] = 1e-4
    Path("study.yaml").write_text(yaml.safe_dump(settings))
    assert "memory_mib 0.0001" in failing(capsys, "merge", A, B, "--method", "averaging")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([A, B, "--method", "tie"], "unknown merger 'tie'. Did you mean 'ties'? Known: adamerging_layer"),
        ([A, "--method", "ties"], "1 model(s) to merge"),
        ([A, B, A, "--method", "ties"], f"{A}: this model is named 2 times"),
        (
            [A, TIES, "--method", "ties"],
            f"{TIES} (merged) solves activity and segmentation; expected a single-task model, to merge it with {A}",
        ),
        ([A, B, "--method", "ties", "--out", ""], "--out: expected a folder other than"),
        (
            [A, B, "--method", "ties", "--out", "study.yaml"],
            "--out study.yaml: this folder cannot be created (File exists)",
        ),
        ([A, B, "--method", "ties", "--surgery", "25"], "--surgery: rank 25; expected 1 to 24, the number of channels"),
        (
            [A, JOINT, "--method", "ties"],
            f"{JOINT} (hps) solves activity and segmentation; expected a single-task model, to merge it with {A}",
        ),
        (
            [A, MAIN, "--method", "ties"],
            f"{MAIN} (hps) solves activity and segmentation; expected a single-task model, to merge it with {A}",
        ),
        ([A, JOINT], "--method: missing, and study 'toy' does not merge"),
        ([A, B, "--surgery"], "--surgery: needs --method"),
        ([A, B, "--method", "ties", "--method", "averaging", "--out", "x"], "--out: a folder holds one model"),
        ([A, B, "--method", "ties", "--out", "results/toy/cells/mine"], "lies among the study's cells"),
        ([A, B, "--method", "ties", "--out", f"results/toy/cells/{A}"], "lies among the study's cells"),
        ([A, "nothing/there", "--method", "ties"], "'nothing/there' is neither a checkpoint nor a cell of study 'toy'"),
        (["study.yaml", B, "--method", "ties", "--out", "x"], "study.yaml: it is not a complete safetensors file"),
    ],
)
def test_what_cannot_be_merged_is_said(arguments: list[str], words: str, study: Study, capsys: Any) -> None:
    assert words in failing(capsys, "merge", *arguments)


def test_ranks_above_an_unknown_width_are_refused_before_any_work(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_SharedWork, "begin", lambda *_: pytest.fail("the work began"))
    settings = study.as_dict()
    settings["merging"]["surgery"] |= {"rank": 25, "ablation": [2, 26]}
    wide = Study.model_validate_json(json.dumps(settings))  # as a study whose backbone does not give its width
    for rank, key in ((25, "rank"), (26, "ablation")):
        request = replace(read_request(study, [A, B]), mergers_and_ranks=(("averaging", 0), ("averaging", rank)))
        with pytest.raises(
            InputError, match=f"^merging.surgery.{key}: rank {rank}; expected 1 to 24, the number of channels"
        ):
            merge_models.merge_models(wide, request)


@pytest.mark.parametrize("rank", ["0", "two", "1.5"])
def test_a_rank_that_cannot_be_is_said(rank: str, study: Study, capsys: Any) -> None:
    assert run("merge", A, B, "--method", "ties", f"--surgery={rank}") == 2
    assert f"--surgery: {rank!r}: expected a whole number of at least 1." in capsys.readouterr().err


def test_a_model_that_was_not_merged_is_not_written_over(copy: Study, capsys: Any) -> None:
    shutil.copytree(results_folder(copy) / "cells" / B, "kept")
    assert "--out kept: this folder holds a model that was not merged" in failing(
        capsys, "merge", A, B, "--method", "ties", "--out", "kept"
    )
    for _ in range(2):  # one that was is
        assert run("merge", A, B, "--method", "ties", "--out", "mine") == 0


def test_two_models_of_one_task_are_refused_naming_both(copy: Study, capsys: Any) -> None:
    shutil.copy(results_folder(copy) / "cells" / A / "model.safetensors", "again.safetensors")
    said = failing(capsys, "merge", A, "again.safetensors", "--method", "ties", "--out", "x")
    assert f"{A} and again.safetensors both solve activity; expected one model per task" in said


def test_a_checkpoint_without_its_decoder_is_named(copy: Study, capsys: Any) -> None:
    path = results_folder(copy) / "cells" / B / "model.safetensors"
    with safe_open(path, framework="pt") as stored:
        header = stored.metadata()
    save_file(
        {n: t for n, t in load_file(path).items() if not n.startswith("heads.")}, "bare.safetensors", metadata=header
    )
    said = failing(capsys, "merge", A, "bare.safetensors", "--method", "ties", "--out", "x")
    assert "bare.safetensors: its tensors do not match its settings; missing ['heads.segmentation" in said


def test_a_failed_merging_is_kept_with_its_reason(copy: Study, capsys: Any) -> None:
    (results_folder(copy) / "cells" / B / "model.safetensors").write_bytes(b"torn")
    assert run("merge", A, B) != 0
    assert f"cells/{B}/model.safetensors: was changed after train_cell made it" in capsys.readouterr().err
    (results_folder(copy) / "cells" / B / "done.json").unlink()
    shutil.rmtree(results_folder(copy) / "cells" / TIES)
    failure = results_folder(copy) / "cells" / TIES / "failure.json"
    assert run("merge", A, B, "--method", "ties") != 0
    assert "it is not a complete safetensors file" in json.loads(failure.read_text())["message"]
    assert missing_models(copy)[find_cell(copy, TIES)].startswith("merging failed: ")


def header(cell: str, manifest: str = "a" * 64) -> dict[str, Any]:
    return {"cell": cell, "manifest_sha256": manifest, "select_on": "val"}


def test_models_of_other_datasets_are_refused_naming_both(study: Study) -> None:
    with pytest.raises(
        InputError, match="the datasets differ: A was trained on mtlesd, B on mtlendovis; expected the same"
    ):
        _common_dataset(study, {"A": header("mtlesd/x"), "B": header("mtlendovis/x")})
    with pytest.raises(
        InputError, match="A and B were trained on mtlesd, with a manifest of sha256 a{12} and of b{12}"
    ):
        _common_dataset(study, {"A": header("mtlesd/x"), "B": header("mtlesd/x", "b" * 64)})
    with pytest.raises(InputError, match="A was trained on other; study 'toy' has mtlesd"):
        _common_dataset(study, {"A": header("other/x"), "B": header("other/x")})
    with pytest.raises(InputError, match="A was trained on mtlesd with a manifest of sha256 a{12}; .*manifest.csv has"):
        _common_dataset(study, {"A": header("mtlesd/x"), "B": header("mtlesd/x")})


def test_merging_is_refused_where_nothing_can_be_merged(
    minimal: Callable[..., dict[str, Any]], trees: Path, tmp_path: Path
) -> None:
    given = settings_of(trees, tmp_path / "vit.safetensors")

    def refused(words: str, **changes: Any) -> None:
        with pytest.raises((InputError, SettingsError), match=words):
            make_study({**given, **changes})

    main_cells = given["cells"][0]
    refused(
        "merging: no dataset, backbone, rank and seed has both single_activity and single_segmentation",
        cells=[main_cells],
    )
    resnet = cells("single_activity", "single_segmentation", backbones=["resnet"])
    refused("the backbone resnet is trained in full", cells=[main_cells, resnet])
    sma = {**given["backbones"]["dinov2"], "label": "E", "sma_width": 2}
    refused(
        "the backbone endoarss has SMA",
        backbones={**given["backbones"], "endoarss": sma},
        cells=[main_cells, cells("single_activity", "single_segmentation", backbones=["endoarss"])],
    )
    refused("cells: no block has select_on 'last', which is the value of training.select_on", cells=given["cells"][1:])
    refused("architectures: merged models are not trained", cells=[main_cells, cells("merged")])
    refused("merging.mergers: unknown name 'tie'", merging={"mergers": ["tie"]})
    refused("mergers.ties: unknown setting 'kept'", mergers={"ties": {"kept": 1}})
    refused(r"mergers.ties.coefficients: \['a'\] is not allowed", mergers={"ties": {"coefficients": ["a"]}})
    refused("merging.surgery.rank: 0 is not allowed", merging={"surgery": {"rank": 0}})
    refused("merging.unlabelled: 'both' is not allowed", merging={"unlabelled": "both"})
    allowed = "expected at most 24, the embed_dim of the backbone dinov2"
    refused(f"merging.surgery.rank: 25 is not allowed; {allowed}", merging={"surgery": {"rank": 25, "ablation": [2]}})
    refused(f"merging.surgery.ablation: 64 is not allowed; {allowed}", merging={"surgery": {"rank": 24}})


@pytest.mark.parametrize(("key", "value"), [("classes", ["background", *"abcdef"]), ("activities", ["a", "b", "c"])])
def test_models_with_other_labels_than_the_study_are_not_merged(
    copy: Study, tmp_path: Path, key: str, value: list[str], capsys: Any
) -> None:
    sent = []
    for number, cell in enumerate((A, B)):
        path = results_folder(copy) / "cells" / cell / "model.safetensors"
        with safe_open(path, framework="pt") as stored:
            header = json.loads(stored.metadata()["endoarss"])
        header["settings"][key] = value
        sent.append(tmp_path / f"{number}.safetensors")
        save_file(load_file(path), sent[-1], metadata={"endoarss": json.dumps(header)})
    said = failing(capsys, "merge", *map(str, sent), "--method", "ties", "--out", str(tmp_path / "out"))
    assert f"{key} (" in said and "in its header; study" in said and not (tmp_path / "out/model.safetensors").exists()


def test_a_report_reads_each_row_file_once_and_is_what_single_commands_make(
    copy: Study, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> pd.DataFrame:
        read.append(path)
        return read_table(path)

    monkeypatch.setattr(row_files, "read_table", counted)
    shutil.rmtree(results_folder(copy) / "tables")
    assert run("report") == 0
    expected = [rows_file(copy, cell, cell.dataset) for cell in models_of(copy)]
    expected += [robustness_files(copy, cell).rows for cell in robust_models(copy)]
    expected += reference_files(copy, "mtlesd").values()
    assert sorted(read) == sorted(expected), "each once"
    reports = [results_file(copy), *table_files(copy), *figure_files(copy), report_file(copy), paper_file(copy)]
    for path in reports:
        assert path.read_bytes() == (folder / path).read_bytes(), path
