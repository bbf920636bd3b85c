"""dvc.yaml of a study: one stage a job of Snakemake, each calling that one rule.

DVC removes what a changed stage had written; Snakemake then has exactly that to make again. What all jobs of a rule read of the code
stands in a stage of its own, so that a file of code is listed once.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.results.paths import CellOutput, StudyOutput
from pipeline.study.cell import Cell
from pipeline.study.folders import results_folder, roots_as_written
from pipeline.study.models import Study
from pipeline.workflow.dvc_params import param_keys
from pipeline.workflow.snakemake_jobs import Job

HEAD = """\
# Written by `endoarss use`, from what Snakemake plans for the study in params.yaml. Do not edit: change the study, or the rules, and
# run `endoarss use params.yaml`. The first stage says when that is due.
#
#   dvc repro                                            what changed, by content
#   dvc exp run -S weightings.db_mtl.beta=0.5            an experiment
"""
CHECK = "check_stages"
_BUILT = ("data", "results")
_CODE = ("Snakefile", "corruptions", "endoarss", "pipeline", "reports")
_CURVES = {"loss_activity": "activity", "loss_segmentation": "segmentation"}


def code_folder(study: Study) -> PurePosixPath:
    """Where the digests of code lie that stages depend on."""
    return PurePosixPath(results_folder(study).as_posix()) / StudyOutput.CODE


def check_mark(study: Study) -> str:
    """What the stage writes that compares dvc.yaml with the study."""
    return str(code_folder(study) / f"{CHECK}.txt")


def stages_text(study: Study, given: Mapping[str, Any], jobs: Sequence[Job]) -> str:
    """The text of dvc.yaml.

    Args:
        study: validated. given: what its file holds. jobs: of its plan.

    Raises:
        InputError: if a raw tree is named by an environment variable.
    """
    content: dict[str, Any] = {"stages": dvc_stages(study, given, jobs)}
    plots = _plots(jobs)
    return f"{HEAD}\n{yaml.safe_dump(content | ({'plots': plots} if plots else {}), sort_keys=False, width=1000)}"


def dvc_stages(study: Study, given: Mapping[str, Any], jobs: Sequence[Job]) -> dict[str, Any]:
    """The stages by name, as dvc.yaml holds them."""
    check = {
        "cmd": "python -m pipeline.cli use --check params.yaml",
        "deps": ["params.yaml", *_CODE],
        "outs": [check_mark(study)],
    }
    stages: dict[str, Any] = {CHECK: check}
    shared = _shared_code(jobs)
    for rule, files in shared.items():
        stages[f"code-{rule}"] = _code_stage(_mark(study, rule), files)
    for job in jobs:
        own = [path for path in job.inputs if path not in shared.get(job.rule, ())] + _raw_trees(study, job)
        built = any(path.startswith(f"{folder}/") for path in job.inputs for folder in _BUILT)
        # Whatever depends on nothing that is built comes after the check, and so does all that follows.
        first = [] if built else [check_mark(study)]
        stages[job.name] = _job_stage(
            job,
            [*first, *([_mark(study, job.rule)] if job.rule in shared else []), *own],
            param_keys(study, given, job.rule, job.wildcards),
        )
    return stages


def _shared_code(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """The files of code that all jobs of a rule read, by rule; only where there are several jobs."""
    by_rule: dict[str, list[Job]] = {}
    for job in jobs:
        by_rule.setdefault(job.rule, []).append(job)
    found = {}
    for rule, same in by_rule.items():
        common = set.intersection(*(set(job.inputs) for job in same))
        files = [
            path for path in same[0].inputs if path in common and not path.startswith(tuple(f"{b}/" for b in _BUILT))
        ]
        if len(same) > 1 and files:
            found[rule] = files
    return found


def _raw_trees(study: Study, job: Job) -> list[str]:
    """The real raw trees that a job reads. DVC keeps their digest, not the trees; Snakemake compares names, sizes and times."""
    if study.synthetic or job.rule not in ("check_sources", "build_dataset"):
        return []
    roots = list(dict.fromkeys(roots_as_written(study, job.wildcards["dataset"])))
    for root in roots:
        if "${" in root:
            raise InputError(
                f"raw tree {root!r}: dvc.yaml goes to other people and machines, and holds no values of environment variables. "
                "Make a link, e.g. data/raw/esd, to the tree, and name that in the study."
            )
    return roots


def _code_stage(mark: str, files: Sequence[str]) -> dict[str, Any]:
    folder = PurePosixPath(mark).parent
    command = f"mkdir -p {folder} && git hash-object {shlex.join(files)} > {mark}"
    return {"cmd": command, "deps": list(files), "outs": [mark]}


def _job_stage(job: Job, deps: Sequence[str], params: Sequence[str]) -> dict[str, Any]:
    metrics = [path for path in job.outputs if _is_metrics(path)]
    stage: dict[str, Any] = {
        # Kept off its neighbours: what DVC did not remove, it holds for up to date.
        "cmd": f"snakemake --cores all --allowed-rules {job.rule} -- {shlex.quote(job.outputs[0])}",
        "deps": list(deps),
        "params": list(params),
        "outs": [path for path in job.outputs if path not in metrics],
        # Small, and kept by git, so that revisions can be compared.
        "metrics": [{path: {"cache": False}} for path in metrics],
    }
    return {key: value for key, value in stage.items() if value}


def _is_metrics(path: str) -> bool:
    """Whether a file holds a cell's scores: results/<study>/cells/<id>/metrics.json."""
    found = PurePosixPath(path)
    return found.name == CellOutput.METRICS and Cell.parse("/".join(found.parts[3:-1])) is not None


def _plots(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """The losses of every training, one plot a task and dataset."""
    histories: dict[str, list[str]] = {}
    for job in jobs:
        if job.rule == "train_cell" and (cell := Cell.parse(job.wildcards["cell"])):
            paths = [path for path in job.outputs if PurePosixPath(path).name == CellOutput.HISTORY]
            histories.setdefault(cell.dataset, []).extend(paths)
    return [
        {f"{task} loss, {dataset}": {"x": "epoch", "y": dict.fromkeys(_having(paths, task), column)}}
        for dataset, paths in histories.items()
        for column, task in _CURVES.items()
        if _having(paths, task)
    ]


def _having(histories: Sequence[str], task: str) -> list[str]:
    other = {"activity": "single_segmentation", "segmentation": "single_activity"}[task]
    return [path for path in histories if f"/{other}/" not in path]


def _mark(study: Study, rule: str) -> str:
    return str(code_folder(study) / f"{rule}.txt")
