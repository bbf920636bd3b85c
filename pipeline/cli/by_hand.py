"""Declare the commands that train, merge and evaluate models, and predict with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pipeline.cli.commands import PATH, AtLeast, Values, command, path_option, workers_option
from pipeline.locking.command_locks import ROBUSTNESS, SCORING, TRAINING, Work, cell_lock, study_locks
from pipeline.locking.locks import Lock
from pipeline.redaction import masked

if TYPE_CHECKING:
    from pipeline.study.models import Study

_CELL = "mtlesd/endoarss/tesla/db_mtl/r4-s0"
_SINGLES = "mtlesd/dinov2/single_activity/equal/r4-s0-val mtlesd/dinov2/single_segmentation/equal/r4-s0-val"


def _cell_locks(study: Study, step: str, does: str, ids: Sequence[str], on_gpu: bool) -> Work:
    """Return the locks of a step on cells. Training holds the training lock alone; the other steps, which read its files, share it."""
    from pipeline.study.cells import find_cell

    cells = [find_cell(study, cell_id) for cell_id in sorted(set(ids))]
    locks = [Lock(cell_lock(study, cell, TRAINING), shared=step != TRAINING) for cell in cells]
    locks += [Lock(cell_lock(study, cell, step)) for cell in cells]
    more = f" and {len(cells) - 1} more cells" if len(cells) > 1 else ""
    return Work(f"{does} {cells[0].id}{more}", locks, on_gpu)


def _train_locks(study: Study, values: Values) -> Work:
    return _cell_locks(study, TRAINING, "trains", [values["cell"]], on_gpu=True)


def _evaluate_locks(study: Study, values: Values) -> Work:
    # With --again, the model writes predictions, as a training does.
    return _cell_locks(study, TRAINING if values["again"] else SCORING, "scores", values["cells"], values["again"])


def _robustness_locks(study: Study, values: Values) -> Work:
    """Return the locks of the cells, or the lock of the folder of an external model's results."""
    from pipeline.io.hashing import digest

    models = [values[name] for name in ("cells", "predictor", "predictions") if values[name]]
    if len(models) != 1:
        raise click.UsageError("expected one of --cell, --predictor and --predictions.")
    if values["cells"]:
        return _cell_locks(study, ROBUSTNESS, "evaluates the robustness of", values["cells"], on_gpu=True)
    label = masked(values["label"] or str(models[0]))
    folder = str(values["out"].resolve()) if values["out"] else [label, values["dataset"]]
    lock = Lock(study_locks(study) / "predictors" / f"{digest(folder)[:16]}.lock")
    return Work(f"evaluates the robustness of {label}", [lock], on_gpu=not values["predictions"])


def _merge_locks(study: Study, values: Values) -> Work:
    from pipeline.training.merge_request import merge_locks, read_request

    request = read_request(study, **values)
    names = " and ".join(source.name for source in request.sources)
    return Work(f"merges {names}", merge_locks(study, request), on_gpu=True)


# fmt: off
COMMANDS = [
    command(
        "train", "training.train_cell:train_by_id", "Train one cell and save its predictions on its test splits.",
        f"train --cell {_CELL}",
        click.option("--cell", required=True, metavar="ID", help="A cell of the study, as `endoarss list` names it."),
        locks=_train_locks, makes="train_cell"),
    command(
        "evaluate", "evaluation.evaluate_cell:evaluate_cells",
        "Score trained or merged cells from their saved predictions.", f"evaluate --cell {_CELL}",
        click.option("--cell", "cells", required=True, multiple=True, metavar="ID", help="A cell (repeatable)."),
        click.option("--again", is_flag=True, help="Let the model predict again first."),
        locks=_evaluate_locks, makes="evaluate_cell"),
    command(
        "robustness", "reporting.any_model:evaluate_any_model",
        "Evaluate cells, or any other model, under all corruptions.", f"robustness --cell {_CELL} --workers 4",
        click.option("--cell", "cells", multiple=True, metavar="ID", help="A cell (repeatable; images are corrupted once)."),
        click.option("--predictor", metavar="MODULE:FUNCTION", help="Your function: images (N, S, S, 3) in, scores or ids out."),
        path_option("--predictions", "DIR", "Masks that you predicted on a copy made by `corruptions apply`."),
        click.option("--dataset", metavar="NAME", help="Dataset to test a predictor on (default: the study's first)."),
        click.option("--label", metavar="TEXT", help="Name of a predictor in tables (default: its own name)."),
        path_option("--out", "DIR", "Folder for a predictor's scores, tables and figures."),
        click.option("--beside", is_flag=True, help="Compare it with the cells whose robustness is evaluated."),
        workers_option(spared=1), locks=_robustness_locks, makes="evaluate_robustness"),
    command(
        "merge", "training.merge_models:merge_by_name", "Merge single-task models, with or without Surgery."
        "\n\nA MODEL is a cell of the study or a checkpoint; name one per task. Without --method, all merged models are made "
        "that the study's key merging lists for them.", f"merge {_SINGLES} --method ties --surgery",
        click.argument("models", nargs=-1, required=True, metavar="MODEL..."),
        click.option("--method", "methods", multiple=True, metavar="NAME", help="A merger, as `endoarss list` names it (repeatable)."),
        click.option("--surgery", type=AtLeast(1), is_flag=False, flag_value=0, metavar="[RANK]",
                     help="Apply Representation Surgery (default rank: the study's). Write it after the models."),
        path_option("--out", "DIR", "Folder for the merged model (default: that of a cell of the study)."),
        locks=_merge_locks, makes="merged"),
    command(
        "predict", "inference.predict_files:predict_inputs", "Predict images and videos of your own with a trained model.\n\n"
        "CHECKPOINT is the model.safetensors of a cell; no study is needed. Each INPUT is an image, a video, or "
        "a folder that is searched for both.", "predict model.safetensors video.mp4 pictures/ --out predicted",
        click.argument("checkpoint", type=PATH, metavar="CHECKPOINT"),
        click.argument("inputs", type=PATH, nargs=-1, metavar="INPUT..."),
        path_option("--out", "DIR", "Folder for masks, overlays and predictions.csv."),
        path_option("--weights", "PATH", "File or folder with the frozen weights that the checkpoint needs (repeatable). "
                    "Default: search next to the checkpoint and in data/weights for the digest.", multiple=True),
        click.option("--components", multiple=True, metavar="MODULE", help="Your Python module that defines a backbone or "
                     "architecture of the model; its code is run (repeatable)."),
        path_option("--standalone", "FILE", "Write a checkpoint that also holds the frozen weights, to send as one file."),
        click.option("--batch-size", type=AtLeast(1), default=16, help="Images per batch (default: 16)."),
        click.option("--every", type=AtLeast(1), default=1, help="Predict each Nth frame of a video (default: 1)."),
        click.option("--half", is_flag=True, help="Run the model in bfloat16 (GPUs only): faster, less exact."),
        click.option("--no-overlays", is_flag=True, help="Write only masks and predictions.csv."),
        click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run in DIR."), of_study=False),
]
