# Validate the study, and define helpers of all rules. Nothing here imports torch, because this code runs at every plan.

import json
import logging
import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from corruptions.system_errors import explained
from pipeline.errors import InputError
from pipeline.io.files import check_room, write_if_changed
from pipeline.io.known_digests import KnownDigests
from pipeline.locking.gpu_slots import slots
from pipeline.results import paths
from pipeline.results.paths import CellOutput, StudyOutput
from pipeline.study.cells import merging_groups, models_of, trainings_of
from pipeline.study.datasets import leakage_datasets
from pipeline.study.folders import WEIGHTS, check_weights, dataset_folder, pretrained_file, raw_roots, results_folder
from pipeline.study.loading import make_study
from pipeline.study.robust_models import keeps_corrupted, robust_models, robust_together
from pipeline.workflow.plan import decides_file, set_plan_times
from pipeline.workflow.results_of_study import ResultsOfStudy
from pipeline.workflow.shared_trees import check_generated_trees

try:
    study = make_study(config)
    raw_roots(study)  # raises if an environment variable is not set
    # If no rule makes a missing input file, Snakemake does not run the job again as long as its outputs exist. So missing files raise here.
    check_weights(study)
except InputError as error:
    raise WorkflowError(f"The study is not valid. {error}")

# Steps read the study from this file. It is not an input of rules: each result has its own input below .decides.
try:
    write_if_changed(paths.study_file(study), json.dumps(study.as_dict(), indent=2) + "\n")
    for folder in (results_folder(study) / StudyOutput.MERGING, WEIGHTS):  # dvc.yaml needs them, even if empty
        folder.mkdir(parents=True, exist_ok=True)
    check_room(Path(".snakemake"))  # without space, Snakemake itself ends with a traceback
    RESULTS = ResultsOfStudy(study, KnownDigests())
    if workflow.is_main_process:
        for line in set_plan_times(RESULTS):
            print(line, file=sys.stderr)
        check_generated_trees(study)
except InputError as error:
    raise WorkflowError(str(error))
except OSError as error:
    logging.raiseExceptions = False  # Snakemake's log is on the same disk and would print a traceback
    raise WorkflowError(explained(error))
STUDY = str(paths.study_file(study))

LOGS = results_folder(study) / StudyOutput.LOGS
BENCHMARKS = results_folder(study) / StudyOutput.BENCHMARKS
CELLS = {cell.id: cell for cell in trainings_of(study)}
GROUPS = {group.id: group for group in merging_groups(study)}
SINGLES = [group.singles[0] for group in GROUPS.values()]
# A job that runs a model takes one slot of this machine's GPUs, if it has GPUs. Each GPU has training.cells_per_gpu slots, and
# the job gets its device when it starts (pipeline/locking/gpu_slots.py). `--resources gpu=2` sets the number of such jobs at a time.
SLOTS = slots(study)
GPU = 1 if SLOTS else 0
if SLOTS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", SLOTS)


def needs(megabytes, minutes):
    """Return the resources of a job: memory, doubled at each further attempt, time, and the study's file."""
    return {
        "study": STUDY,
        "mem_mb": lambda wildcards, attempt: megabytes * 2 ** (attempt - 1),
        "runtime": minutes,
    }


def one_of(names):
    """Return the regular expression of a wildcard that is one of these names."""
    return "|".join(dict.fromkeys(map(re.escape, names))) or "(?!)"


def from_results(*results):
    """Return the inputs of a job: the .decides file of each result, and done.json of each upstream result."""
    own = {result.done for result in results}
    upstream = [one.done for result in results for one in result.upstream if one.done not in own]
    return [*map(decides_file, results), *dict.fromkeys(upstream)]


def group_of(wildcards):
    return GROUPS[f"{wildcards.pair}/{wildcards.trained}"]


def of_group(cells, *names):
    """Return files of the cells of a group, with the wildcards pair and trained, in which the groups differ."""
    first = next(iter(GROUPS.values()))
    start = first.singles[0].variant
    return [
        str(
            results_folder(study)
            / StudyOutput.CELLS
            / f"{{pair}}/{cell.architecture}/{cell.weighting}/{{trained}}{cell.variant.removeprefix(start)}"
            / name
        )
        for cell in cells(first)
        for name in names
    ]


wildcard_constraints:
    cell=one_of(CELLS),
    pair=one_of(f"{single.dataset}/{single.backbone}" for single in SINGLES),
    trained=one_of(single.variant for single in SINGLES),
    dataset="[a-z0-9_]+",
    tree="[a-z0-9_]+",
