# The validated study and what all rules share. Nothing here imports torch: it runs at every plan.

import json
import logging
import re
from functools import partial
from pathlib import Path

from snakemake.exceptions import WorkflowError

from corruptions.system_errors import explained
from pipeline.results import paths
from pipeline.datasets.kinds import GENERALISATION
from pipeline.errors import InputError
from pipeline.io.files import check_room, write_if_changed
from pipeline.io.raw_trees import sha256_of_listing
from pipeline.locking.gpu_slots import slots
from pipeline.results.paths import CellOutput, StudyOutput
from pipeline.study.cells import merging_groups, merging_of, models_of, trainings_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import dataset_settings, evaluated_on, leakage_datasets, recipe_of
from pipeline.study.fingerprints import cell_settings, pretraining_settings
from pipeline.study.folders import (
    cell_folder,
    check_weights,
    dataset_folder,
    pretrained_file,
    raw_roots,
    results_folder,
    roots_as_written,
    roots_of,
    weights_file,
)
from pipeline.study.loading import make_study
from pipeline.study.robust_models import keeps_corrupted, robust_models, robust_together
from pipeline.workflow.step_code import code_of, code_of_cells, code_of_dataset, code_of_pretraining, code_of_study

try:
    study = make_study(config)
    raw_roots(study)  # names an environment variable that is not set
    # A job that lacks a file nobody makes is left out of the plan where its outputs are there: it would never run again.
    check_weights(study)
except InputError as error:
    raise WorkflowError(f"The study is not valid. {error}")

# Raw trees may have braces, for they are no rule's input. Code has its whole path where it is not in the working folder.
for path in [*code_of("pipeline.errors"), *(str(weights_file(study, backbone)) for backbone in study.backbones)]:
    if set("{}") & set(path):
        raise WorkflowError(f"{path}: Snakemake takes braces in a path for wildcards. Rename what has them.")

# Steps read the study from here. It is no rule's input and no param: a rule reruns when the part of the study in its params
# changes. Jobs get its name as a resource, the one thing that Snakemake passes on and does not compare.
try:
    write_if_changed(paths.study_file(study), json.dumps(study.as_dict(), indent=2) + "\n")
    check_room(Path(".snakemake"))  # where it has none, Snakemake itself ends with a traceback
except OSError as error:
    logging.raiseExceptions = False  # Snakemake's log lies there too, and tells of itself with a traceback
    raise WorkflowError(explained(error))
STUDY = str(paths.study_file(study))

LOGS = results_folder(study) / StudyOutput.LOGS
BENCHMARKS = results_folder(study) / StudyOutput.BENCHMARKS
CELLS = {cell.id: cell for cell in trainings_of(study)}
GROUPS = {group.id: group for group in merging_groups(study)}
SINGLES = [group.singles[0] for group in GROUPS.values()]
# A model's job takes one slot of this machine's GPUs, where there are any; each GPU has training.cells_per_gpu of them, and
# the job is told its device when it starts (pipeline/locking/gpu_slots.py). `--resources gpu=2` allows another number at once.
SLOTS = slots(study)
GPU = 1 if SLOTS else 0
if SLOTS and "gpu" not in workflow.global_resources:
    workflow.register_resource("gpu", SLOTS)
REPORTED = paths.evaluated_datasets(study)


def needs(megabytes, minutes):
    """What to ask a cluster for: twice the memory at each further attempt. And the study, which a job gets as a resource."""
    return {
        "study": STUDY,
        "mem_mb": lambda wildcards, attempt: megabytes * 2 ** (attempt - 1),
        "runtime": minutes,
    }


def one_of(names):
    """What a wildcard may be: one of these."""
    return "|".join(dict.fromkeys(map(re.escape, names))) or "(?!)"


wildcard_constraints:
    cell=one_of(CELLS),
    pair=one_of(f"{single.dataset}/{single.backbone}" for single in SINGLES),
    trained=one_of(single.variant for single in SINGLES),
    dataset="[a-z0-9_]+",
    tree="[a-z0-9_]+",


# What chooses rows where tables and figures show some: the rank that most cells have, and the seed that comes first.
CHOSEN = [study.lora.rank, study.seeds[0]]
BASELINE = json.dumps(baseline.as_dict() if study.robustness and (baseline := study.robustness.baseline) else None)
MERGING = json.dumps(study.merging.as_dict() if study.merging else None)


def kept_images(dataset):
    """What says that the corrupted images are kept, where they are."""
    return [paths.corrupted_mark(study, dataset)] if keeps_corrupted(study) else []


def group_of(wildcards):
    return GROUPS[f"{wildcards.pair}/{wildcards.trained}"]


def group_data(wildcards):
    """Every dataset that the models of a group are trained or tested on."""
    return [
        path
        for dataset in evaluated_on(study, group_of(wildcards).singles[0].dataset)
        for path in loaded_files(dataset)
    ]


def of_group(cells, *names):
    """Files of a group's cells, as patterns of its wildcards; groups differ in nothing else."""
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


def dataset_source_marks(wildcards):
    if study.raw.generate is None:
        return []
    return sorted({paths.generated_mark(root) for root in roots_of(study, wildcards.dataset).values()})


def dataset_code(wildcards):
    return code_of_dataset("pipeline.preparation.build_dataset", study, wildcards.dataset)


def raw_listing(wildcards):
    """Changes when files come to a real raw tree or leave it; of a generated one the mark tells."""
    if study.raw.generate is not None:
        return ""
    return [sha256_of_listing(root) for root in roots_of(study, wildcards.dataset).values()]


def cell_data(wildcards):
    """Every dataset that a cell is trained or tested on."""
    cell = CELLS[wildcards.cell]
    return [path for dataset in evaluated_on(study, cell.dataset) for path in loaded_files(dataset)]


def loaded_files(dataset):
    """What stands for a dataset whose images are loaded: the dataset, and the arrays they are kept in."""
    return [*paths.dataset_files(study, dataset), paths.arrays_file(study, dataset)]


def weights_of(backbone):
    """The file of a backbone's pretrained weights, where it has one."""
    file = weights_file(study, backbone)
    return [file] if file else []


DATA_OF_STUDY = [path for dataset in study.datasets for path in paths.dataset_files(study, dataset)]
