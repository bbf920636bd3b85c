"""Declare the commands `endoarss step NAME`, which only rules call. Each has the name of its rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.commands import Locks, Option, Values, command, workers_option
from pipeline.cli.groups import Command, Group
from pipeline.cli.results import report_locks
from pipeline.cli.start import doctor
from pipeline.locking.command_locks import Work, shared_lock, study_locks, tree_lock
from pipeline.locking.locks import Lock

if TYPE_CHECKING:
    from pipeline.study.models import Study

_DATASET = click.option("--dataset", required=True, metavar="NAME", help="A dataset of the study.")
_TREE = click.option("--tree", required=True, metavar="NAME", help="A raw tree that the study generates.")
_SKIP = click.option("--skip-bad", is_flag=True, help="Leave out unreadable frames; the dataset's card lists them.")
MOVED: dict[str, str] = {}
"""The present command of each step, by its earlier name."""


def _step(old: str, calls: str, text: str, locks: Locks, *options: Option) -> Command:
    """Make a step, which has the name of its function and of its result. old: the earlier name of the command."""
    name = calls.partition(":")[2]
    MOVED[old] = f"endoarss step {name}"
    required = " --tree esd" if _TREE in options else " --dataset mtlesd" if _DATASET in options else ""
    return command(
        name, calls, text, f"step {name}{required} --study studies/demo.yaml", *options, locks=locks, makes=name
    )


def _on_dataset(does: str, lock: Callable[[Study, str], Path]) -> Locks:
    """Return a function that returns the lock of a step on one dataset. does: what the step does, as in "builds"."""

    def locks(study: Study, values: Values) -> Work:
        from pipeline.study.datasets import known_dataset

        dataset = known_dataset(study, values["dataset"])
        return Work(f"{does} {dataset}", [Lock(lock(study, dataset))])

    return locks


def _generate(study: Study, values: Values) -> Work:
    """Return the lock of a generated raw tree. The step itself refuses trees that the study does not generate."""
    from pipeline.results.paths import generated_trees

    root = generated_trees(study).get(values["tree"])
    return Work(f"generates the raw tree {values['tree']}", [Lock(tree_lock(root))] if root else [])


def _pretrain(study: Study, _: Values) -> Work:
    from pipeline.study.folders import pretrained_file

    file = pretrained_file(study)
    return Work("pretrains a backbone", [Lock(shared_lock("weights", file.stem))] if file else [], on_gpu=True)


def _built_lock(study: Study, dataset: str) -> Path:
    from pipeline.study.folders import dataset_folder

    return shared_lock("datasets", dataset_folder(study, dataset).name)


def _references_lock(study: Study, dataset: str) -> Path:
    return study_locks(study) / f"references/{dataset}.lock"


def _corrupted_lock(study: Study, dataset: str) -> Path:
    from pipeline.results.paths import corrupted_folder

    return shared_lock("corrupted", corrupted_folder(study, dataset).name)


_BUILD, _DRAW, _WORKERS = "preparation.build_dataset", "reporting.figures.draw_datasets", workers_option()
_PAPER = report_locks("writes the paper", "write_paper")
# fmt: off
STEPS = {
    "Data": [
        _step("generate", "preparation.generate_raw:generate_raw", "Generate one raw tree of a study.", _generate, _TREE),
        doctor("check_sources", "step check_sources --dataset mtlesd", makes="check_sources"),
        _step("build", f"{_BUILD}:build_dataset", "Build one dataset from its raw trees.",
              _on_dataset("builds", _built_lock), _DATASET, _SKIP, _WORKERS),
        _step("pack", "preparation.pack_dataset:pack_dataset", "Store the images of a built dataset at the study's size.",
              _on_dataset("packs", _built_lock), _DATASET, _WORKERS),
    ],
    "Models": [
        _step("pretrain", "training.pretrain_backbone:pretrain_backbone",
              "Pretrain the study's backbone on generated scenes.", _pretrain),
        _step("corrupt", "evaluation.corrupt_images:corrupt_images", "Corrupt the test images of a dataset, and store them.",
              _on_dataset("corrupts the images of", _corrupted_lock), _DATASET, workers_option(spared=1)),
        _step("references", "evaluation.score_references:score_references", "Score reference predictions, which need no model.",
              _on_dataset("scores the references of", _references_lock), _DATASET),
    ],
    "Reports": [
        _step("collect", "evaluation.collect_results:collect_results", "Collect all scores in results.parquet.",
              report_locks("collects the results", "collect_results")),
        _step("draw_datasets", f"{_DRAW}:draw_datasets", "Draw contact sheets, balance, and classes by activity.",
              report_locks("draws the datasets", "draw_datasets")),
        _step("draw_leakage", f"{_DRAW}:draw_leakage", "Draw the similarity of test and training frames.",
              report_locks("draws the leakage", "draw_leakage")),
        _step("tables", "reporting.tables.make_tables:make_tables", "Write the tables.",
              report_locks("makes the tables", "make_tables")),
        _step("figures", "reporting.figures.draw_figures:draw_figures", "Draw all figures of the results.",
              report_locks("draws the figures", "draw_figures"),
              click.option("--only", metavar="NAME", default="", help="Draw only this figure, e.g. fig5_segmentation.")),
        _step("page", "reporting.make_page:make_page", "Write the page with all results.",
              report_locks("makes the page", "make_page")),
        _step("write_paper", "reporting.write_paper:write_paper", "Write paper.tex.", _PAPER),
        _step("compile_paper", "reporting.write_paper:compile_paper", "Compile paper.tex to a PDF.", _PAPER),
    ],
}
STEP = Group(STEPS, name="step", help="Run one step of the workflow, as the rule of the same name does.",
             example="endoarss step build_dataset --dataset mtlesd --study studies/demo.yaml")
