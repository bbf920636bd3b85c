"""Which code a step of the workflow depends on: its module, and what the study makes that module load by name.

A step reruns when one of these files changes. Settings are no code: they are compared for themselves.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from endoarss.registry import ARCHITECTURES, BACKBONES, MERGERS, WEIGHTINGS, Registry, user_modules
from pipeline.io.import_closure import code_sha256, import_closure
from pipeline.study.cell import MERGED, Cell
from pipeline.study.components import corruption_modules
from pipeline.study.conditions import conditions_of, training_corruptions
from pipeline.study.datasets import recipe_of
from pipeline.study.fingerprints import cell_settings
from pipeline.study.models import Study
from pipeline.study.variants import kinds_of

TRAINING = "pipeline.training.train_cell"

# Every command runs this before its step.
_FIRST = "pipeline.io.one_thread"

# A step about given cells or a dataset takes settings from the study, and the labels of datasets. Settings are resolved before they are
# compared, defaults included: code that resolves them otherwise gives other settings. Which cells there are changes none of
# them. Steps about the whole study are another matter: there pipeline.study decides which rows stand where.
_STUDY = "pipeline.study"
_LABELS = "pipeline.labels.classes"

# What scores the epochs of a training. A training whose epochs are not scored does not call it.
_SCORING = "pipeline.training.validation_score"
# What corrupts training images. It counts for trainings of studies that ask for it.
_CORRUPTING = "pipeline.training.corrupt_training"


def code_of_study(module: str) -> tuple[str, ...]:
    """Return the files that a step about all of a study depends on, e.g. that of "pipeline.reporting.tables.make_tables"."""
    return import_closure(module, _FIRST)


def code_of(module: str, *loaded: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the files that a step depends on whose settings are compared apart from its code.

    Args:
        module: of the step. loaded: modules that it imports by name. without: modules that it does not call here.
    """
    without = {_STUDY, _CORRUPTING, *without} - {module}
    return import_closure(module, _FIRST, _LABELS, *loaded, without=without)


def code_of_cells(module: str, study: Study, *cells: Cell) -> tuple[str, ...]:
    """Return the files that a step about cells depends on: its own, and those of the cells' components, wherever these lie."""
    scored = any(cell_settings(study, cell).get("score_every") for cell in cells)
    unused = [_SCORING] if module == TRAINING and not scored else []
    trained = training_corruptions(study) if module == TRAINING else None
    corrupting = (_CORRUPTING, *corruption_modules(trained.names)) if trained else ()
    return code_of(module, *{name for cell in cells for name in _components(study, cell)}, *corrupting, without=unused)


def code_of_robustness(module: str, study: Study, *cells: Cell) -> tuple[str, ...]:
    """Return the files that a step depends on which corrupts images as the study says, for cells or none: of corruptions those that it
    names alone."""
    corrupting = code_of(module, *corruption_modules(conditions_of(study).corruptions))
    return tuple(sorted({*corrupting, *(code_of_cells(module, study, *cells) if cells else ())}))


def code_of_dataset(module: str, study: Study, dataset: str) -> tuple[str, ...]:
    """Return the files that a step which builds a dataset depends on: of collectors and readers those of this dataset alone."""
    collector = recipe_of(study, dataset).collector
    return code_of(module, "pipeline.datasets.kinds", f"pipeline.datasets.{collector}")


def code_of_pretraining() -> tuple[str, ...]:
    """Return the files that the study's own pretraining depends on. It trains one kind of model, whatever the study's cells are."""
    parts = BACKBONES.module("dinov2"), ARCHITECTURES.module("hps"), WEIGHTINGS.module("equal")
    return code_of("pipeline.training.pretrain_backbone", *parts)


def training_code_sha256(study: Study, *cells: Cell) -> str:
    """Return the hex SHA-256 of the code that trains cells. A training goes on only from a state of the same code."""
    return code_sha256(code_of_cells(TRAINING, study, *cells))


def _components(study: Study, cell: Cell) -> list[str]:
    registries = BACKBONES, ARCHITECTURES, MERGERS if cell.architecture == MERGED else WEIGHTINGS
    named = zip(registries, kinds_of(study, cell), strict=True)
    return [module for registry, name in named for module in _modules_of(registry, name)]


@cache
def _modules_of(registry: Registry, name: str) -> tuple[str, ...]:
    """The modules that define and register a component. A registry reads its folder each time; a plan asks for each cell."""
    module = registry.module(name)
    # A class may be registered by a module of the user's that does not define it; which one, its text alone would tell.
    registering = () if module.startswith("endoarss.") or module in user_modules() else user_modules()
    return (module, *registering)
