"""Which results a file of code decides, in a study with every kind of result and a component of a user's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
LAST, MINE = "mtlesd/dinov2/hps/db_mtl/r4-s0", "mtlesd/dinov2/mine/equal/r4-s0"
OTHER = "mtlendovis/dinov2/hps/equal/r4-s0"
VAL = {f"mtlesd/dinov2/{name}/equal/r4-s0-val" for name in ("hps", "single_activity", "single_segmentation")}
TRAININGS = {LAST, MINE, OTHER, *VAL}
GROUP = "mtlesd/dinov2/r4-s0-val"
# Steps that read the whole study, of results and of datasets.
REPORTS = {"collect_results", "make_tables", "draw_figures", "make_page", "write_paper"}
DRAWN = {"draw_datasets", "draw_leakage"}


# In a process of its own, because components are registered for good.
ASK = """
import json
from pathlib import Path
from pipeline.io.known_digests import KnownDigests
from pipeline.study.loading import load_study
from pipeline.workflow.results_of_study import ResultsOfStudy
from pipeline.workflow.decisions import code_digests
results = ResultsOfStudy(load_study(Path("study.yaml")), KnownDigests())
print(json.dumps([[one.step, one.name, list(code_digests(one.settings_and_code()[1]))] for one in results.all]))
"""


class Made(NamedTuple):
    """A result: its step, which of the step's it is, and the files of its code."""

    step: str
    name: str
    code: list[str]


def block(**changes: object) -> dict[str, object]:
    return {
        **{"datasets": ["mtlesd"], "backbones": ["dinov2"], "architectures": ["hps"], "weightings": ["equal"]},
        **changes,
    }


def study(small_study: Callable[..., str]) -> str:
    vit = {"label": "V", "model": "vit_small_patch14_dinov2", "weights": {"file": "data/weights/code.safetensors"}}
    settings = yaml.safe_load(small_study("code"))
    schedule = settings["training"]["schedules"]["mtlesd"]
    return yaml.safe_dump(
        settings
        | {
            "components": ["my_models.net"],
            "datasets": {"mtlesd": {}, "mtlendovis": {}},
            "pretraining": {"name": "code", "backbone": "dinov2", "scenes": 32, "epochs": 1},
            "training": {"schedules": {"mtlesd": schedule, "mtlendovis": schedule}},
            "backbones": {"dinov2": vit},
            "cells": [
                block(weightings=["db_mtl"]),
                block(architectures=["mine"]),
                block(datasets=["mtlendovis"]),
                block(architectures=["hps", "single_activity", "single_segmentation"], select_on="val"),
            ],
            "merging": {"mergers": ["ties"]},
            "robustness": {
                "cells": [{"dataset": "mtlesd"}],
                "corruptions": ["contrast"],
                "severities": [1],
                "keep_corrupted": True,
            },
        }
    )


@pytest.fixture(scope="module")
def results(
    link_checkout: Callable[[Path], Path],
    snakemake: Run,
    small_study: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Made]:
    checkout = link_checkout(tmp_path_factory.mktemp("code"))
    own = checkout / "my_models"
    own.mkdir()
    (own / "base.py").write_text("class Base: pass\n")
    (own / "helper.py").write_text("def help(): pass\n")
    (own / "other.py").write_text("")
    (own / "net.py").write_text(
        "from endoarss.registry import register_architecture\nfrom my_models.base import Base\nfrom . import helper\n\n\n"
        '@register_architecture("mine")\nclass Mine(Base):\n    pass\n'
    )
    (checkout / "study.yaml").write_text(study(small_study))
    plan = snakemake(checkout, "--dry-run", study="study.yaml", cores=1)
    assert plan.returncode == 0, plan.stdout + plan.stderr  # each result is some rule's
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    asked = [sys.executable, "-c", ASK]
    said = subprocess.run(asked, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    return [Made(*one) for one in json.loads(said.stdout)]


def of_trainings(results: list[Made], file: str) -> set[str]:
    return {one.name for one in results if one.step == "train_cell" and file in one.code}


def steps(results: list[Made], file: str) -> set[str]:
    return {one.step for one in results if file in one.code}


@pytest.mark.parametrize(
    ("file", "cells"),
    [
        ("endoarss/weightings/db_mtl.py", {LAST}),
        ("endoarss/weightings/equal.py", TRAININGS - {LAST}),
        ("endoarss/architectures/single.py", {cell for cell in VAL if "single" in cell}),
        ("endoarss/metrics/catalogue.py", VAL),
        ("pipeline/evaluation/scores.py", VAL),
        ("endoarss/training.py", TRAININGS),
        ("pipeline/io/one_thread.py", TRAININGS),
        ("pipeline/labels/classes.py", TRAININGS),
        ("pipeline/datasets/preprocessing.py", TRAININGS),
        ("endoarss/inference/preprocessing.py", TRAININGS),
        ("endoarss/inference/predictor.py", set()),
        ("my_models/net.py", {MINE}),
        ("my_models/base.py", {MINE}),
        ("my_models/helper.py", {MINE}),
        ("my_models/other.py", set()),
        ("pipeline/cli.py", set()),
        ("pipeline/study/cells.py", set()),
        ("pipeline/datasets/kinds.py", set()),
        ("pipeline/sources/endovis2017.py", set()),
        ("pipeline/results/provenance.py", set()),
        ("pipeline/io/files.py", set()),
        ("reports/tables/latex.py", set()),
        ("reports/names.py", set()),
        ("corruptions/operators/smoke.py", set()),
        ("corruptions/api.py", set()),
        ("endoarss/merging/ties.py", set()),
        ("endoarss/metrics/evaluator.py", set()),
    ],
)
@pytest.mark.slow
def test_a_file_trains_exactly_these_cells_again(results: list[Made], file: str, cells: set[str]) -> None:
    assert of_trainings(results, file) == cells


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("endoarss/weightings/db_mtl.py", {"train_cell", "evaluate_robustness"}),
        ("endoarss/merging/ties.py", {"merge_models", "evaluate_robustness"}),
        ("endoarss/merging/averaging.py", set()),
        ("corruptions/operators/contrast.py", {"corrupt_images", "evaluate_robustness"}),
        ("corruptions/operators/smoke.py", set()),
        ("pipeline/sources/synthetic/casts.csv", {"generate_raw", "pretrain_backbone"}),
        ("pipeline/sources/endovis2018.py", {"generate_raw", "check_sources", "build_dataset"}),
        ("pipeline/sources/endovis2017.py", {"generate_raw"}),
        ("pipeline/datasets/kinds.py", {"check_sources", "build_dataset", "score_references", *REPORTS, *DRAWN}),
        ("pipeline/study/cells.py", {*REPORTS, *DRAWN}),
        ("reports/tables/latex.py", REPORTS - {"collect_results"}),
        ("reports/page/page.css", {"make_page"}),
        ("reports/paper/paper.tex.jinja", {"write_paper"}),
        ("pipeline/preparation/pack_dataset.py", {"pack_dataset"}),
        ("pipeline/cli.py", set()),
    ],
)
def test_a_file_runs_exactly_these_steps_again(results: list[Made], file: str, expected: set[str]) -> None:
    assert steps(results, file) == expected


def test_a_metric_scores_again_and_merges_again(results: list[Made]) -> None:
    """Merging scores its models on images of the training split to choose nothing; its figures hold those scores."""
    found = steps(results, "endoarss/metrics/segmentation.py")
    assert {
        "evaluate_cell",
        "evaluate_robustness",
        "score_references",
        "merge_models",
    } <= found
    assert not found & {"generate_raw", "build_dataset", "pack_dataset", "corrupt_images", "pretrain_backbone"}


def test_a_reader_builds_its_own_datasets_again(results: list[Made]) -> None:
    def built(file: str) -> set[str]:
        return {one.name for one in results if one.step == "build_dataset" and file in one.code}

    assert built("pipeline/sources/endovis2018.py") == built("pipeline/sources/vqla.py") == {"mtlendovis"}
    assert built("pipeline/sources/released.py") == built("pipeline/datasets/released.py") == {"mtlesd"}
    assert built("pipeline/sources/frame_files.py") == built("pipeline/labels/classes.py") == {"mtlesd", "mtlendovis"}
    assert built("pipeline/datasets/plain.py") == set()


def test_thread_counts_decide_every_result(results: list[Made]) -> None:
    for one in results:
        assert "pipeline/io/one_thread.py" in one.code, one.step
