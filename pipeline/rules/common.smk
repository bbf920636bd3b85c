# The validated study and what all rules share. Nothing here imports torch: it runs at every plan.

import json
import logging
import re
from functools import partial
from pathlib import Path

from snakemake.exceptions import WorkflowError

from corruptions.system_errors import explained
from endoarss.registry import ARCHITECTURES, BACKBONES, MERGERS, WEIGHTINGS
from pipeline.results import paths
from pipeline.datasets.kinds import GENERALISATION, READERS
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

try:
    study = make_study(config)
    raw_roots(study)  # names an environment variable that is not set
    # A job that lacks a file nobody makes is left out of the plan where its outputs are there: it would never run again.
    check_weights(study)
except InputError as error:
    raise WorkflowError(f"The study is not valid. {error}")

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
CONDA = "../../environment.yml"
BASE = Path(workflow.basedir)
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


def code(*patterns):
    """The project's source files that a step's result depends on."""
    return sorted(str(path.relative_to(BASE)) for pattern in patterns for path in BASE.glob(pattern) if path.is_file())


def component_code(cell):
    """The source files of a cell's own components, and those all components share."""
    files = [
        BACKBONES.files()[cell.backbone],
        ARCHITECTURES.files()[cell.architecture],
        WEIGHTINGS.files()[cell.weighting],
    ]
    return own_code(files) + code("endoarss/*/base.py", "endoarss/backbones/timm_model.py", "endoarss/backbones/vit.py")


def own_code(files):
    """Source files as inputs: relative where they are the project's."""
    return [str(path.relative_to(BASE)) if path.is_relative_to(BASE) else str(path) for path in dict.fromkeys(files)]


def group_code(wildcards):
    """The source files of the components of a group's models."""
    cell = group_of(wildcards).singles[0]
    files = [
        BACKBONES.files()[cell.backbone],
        ARCHITECTURES.files()["merged"],
        ARCHITECTURES.files()[cell.architecture],
    ]
    return own_code(files) + code(
        "endoarss/backbones/base.py", "endoarss/backbones/timm_model.py", "endoarss/backbones/vit.py"
    )


READS_PICTURES = ("pipeline/io/images.py", "corruptions/pictures.py")


def reading_code(wildcards):
    """The source files that a dataset's content depends on: its own builder and readers, and what all share."""
    recipe = recipe_of(study, wildcards.dataset)
    shared = (
        "annotated",
        "build",
        "card",
        "kinds",
        "manifest",
        "sample",
        "splits",
    )
    return code(
        f"pipeline/datasets/{recipe.collector}.py",
        *(f"pipeline/datasets/{name}.py" for name in shared),
        *(f"pipeline/sources/{READERS[source]}.py" for source in recipe.sources),
        "pipeline/labels/*.py",
        "pipeline/sources/archives.py",
        "pipeline/sources/frame_files.py",
        "pipeline/io/files.py",
        "pipeline/io/hashing.py",
        "pipeline/io/raw_trees.py",
        *READS_PICTURES,
        "pipeline/preparation/build_dataset.py",
    )


SCENES_CODE = code(
    "pipeline/sources/synthetic/*.py",
    "pipeline/sources/synthetic/*.csv",
    "pipeline/sources/endovis2017.py",
    "pipeline/sources/endovis2018.py",
    "pipeline/io/images.py",
    "pipeline/labels/activities.py",
    "pipeline/labels/classes.py",
)
# What rows are measured with and scores summed up by; the evaluator is for others than the steps.
METRICS_CODE = [path for path in code("endoarss/metrics/*.py") if Path(path).stem != "evaluator"]
LOADING_CODE = code(
    "pipeline/datasets/arrays.py",
    "pipeline/datasets/load.py",
    "pipeline/labels/classes.py",
    *READS_PICTURES,
)
# What a model's answers depend on. Metrics are not among it: a change of one trains nothing.
LEARNING_CODE = LOADING_CODE + code("endoarss/*.py")
# But where scores choose the epoch, or stand in the history.
MEASURING_CODE = METRICS_CODE + code("pipeline/evaluation/measure.py", "pipeline/evaluation/scores.py")
SCORING_CODE = MEASURING_CODE + code("pipeline/training/validation_score.py")
# What scores kept predictions, of trained and of merged models.
EVALUATION_CODE = (
    MEASURING_CODE + LOADING_CODE + code("pipeline/results/predictions.py", "pipeline/evaluation/evaluate_cell.py")
)
# What tables, figures and the page are made by.
REPORT_CODE = MEASURING_CODE + code(
    "reports/*.py",
    "reports/statistics/*.py",
    "reports/tables/*.py",
    "reports/figures/*.py",
    "pipeline/results/cell_state.py",
    "pipeline/results/row*.py",
    "pipeline/reporting/captions.py",
    "pipeline/reporting/merging.py",
    "pipeline/reporting/models.py",
    "pipeline/reporting/report_table.py",
    "pipeline/reporting/robustness.py",
)


def scoring_code(cell):
    """Of what a training depends on, the code that scores its epochs, where it does."""
    return SCORING_CODE if cell.select_on != "last" or study.training.score_every is not None else []


CORRUPTION_CODE = code(
    "corruptions/*.py",
    "corruptions/operators/*.py",
    "pipeline/evaluation/corrupted_batches.py",
    "pipeline/io/images.py",
    "pipeline/datasets/load.py",
    "pipeline/datasets/arrays.py",
)


# What chooses rows where tables and figures show some: the rank that most cells have, and the seed that comes first.
CHOSEN = [study.lora.rank, study.seeds[0]]
BASELINE = json.dumps(study.robustness.as_dict().get("baseline") if study.robustness else None)
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
