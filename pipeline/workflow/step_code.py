"""Find the code that a step of the workflow depends on: its module, all that the module imports, and the components of the study.

A step reruns when one of these files changes. Settings are compared separately.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from endoarss.registry import ARCHITECTURES, BACKBONES, MERGERS, WEIGHTINGS, Registry, user_modules
from pipeline.errors import InputError
from pipeline.io.import_closure import code_sha256, import_closure, module_file
from pipeline.study.cell import MERGED, Cell
from pipeline.study.components import corruption_modules
from pipeline.study.conditions import conditions_of, training_corruptions
from pipeline.study.datasets import recipe_of
from pipeline.study.fingerprints import cell_settings
from pipeline.study.models import Study
from pipeline.study.variants import kinds_of

TRAINING = "pipeline.training.train_cell"

# Every command imports this module before its step.
_BEFORE_EVERY_STEP = "pipeline.io.one_thread"

# Settings are compared after pipeline.study has resolved them, so pipeline.study is not part of the code of a step about cells or a
# dataset. It is part of the code of steps about the whole study, because it decides the rows of tables.
_STUDY = "pipeline.study"
_LABELS = "pipeline.labels.classes"

# Trainings whose epochs are not scored do not call this module.
_SCORING = "pipeline.training.validation_score"
# Only trainings on corrupted images call this module.
_CORRUPTING = "pipeline.training.corrupt_training"


def code_of_study(module: str) -> tuple[str, ...]:
    """Return the files that a step about the whole study depends on, e.g. the step "pipeline.reporting.tables.make_tables"."""
    return import_closure(module, _BEFORE_EVERY_STEP)


def code_of(module: str, *loaded: str, without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the files that a step depends on.

    Args:
        module: module of the step.
        loaded: modules of components, which the step loads by name.
        without: modules that the step imports but does not call with these settings.
    """
    without = {_STUDY, _CORRUPTING, *without} - {module}
    return import_closure(module, _BEFORE_EVERY_STEP, _LABELS, *loaded, without=without)


def code_of_cells(module: str, study: Study, *cells: Cell) -> tuple[str, ...]:
    """Return the files that a step about cells depends on: the step's own, and those of the components of the cells."""
    scored = any(cell_settings(study, cell).get("score_every") for cell in cells)
    unused = [_SCORING] if module == TRAINING and not scored else []
    corruptions = training_corruptions(study) if module == TRAINING else None
    corrupting = (_CORRUPTING, *corruption_modules(corruptions.names)) if corruptions else ()
    return code_of(module, *{name for cell in cells for name in _components(study, cell)}, *corrupting, without=unused)


def code_of_robustness(module: str, study: Study, *cells: Cell) -> tuple[str, ...]:
    """Return the files that a robustness step depends on: its own, those of the study's corruptions, and those of the cells."""
    corrupting = code_of(module, *corruption_modules(conditions_of(study).corruptions))
    return tuple(sorted({*corrupting, *(code_of_cells(module, study, *cells) if cells else ())}))


def code_of_dataset(module: str, study: Study, dataset: str) -> tuple[str, ...]:
    """Return the files that building a dataset depends on: of all collectors and readers, only those of this dataset."""
    collector = recipe_of(study, dataset).collector
    return code_of(module, "pipeline.datasets.kinds", f"pipeline.datasets.{collector}")


def code_of_pretraining() -> tuple[str, ...]:
    """Return the files that the study's own pretraining depends on. It trains the same components in every study."""
    components = BACKBONES.module("dinov2"), ARCHITECTURES.module("hps"), WEIGHTINGS.module("equal")
    return code_of("pipeline.training.pretrain_backbone", *components)


def training_code_sha256(study: Study, *cells: Cell) -> str:
    """Return the hex SHA-256 of the code that trains cells. A training continues only from a state of the same code."""
    return code_sha256(code_of_cells(TRAINING, study, *cells))


def _components(study: Study, cell: Cell) -> list[str]:
    registries = BACKBONES, ARCHITECTURES, MERGERS if cell.architecture == MERGED else WEIGHTINGS
    named = zip(registries, kinds_of(study, cell), strict=True)
    return [module for registry, name in named for module in _modules_of(registry, name)]


@cache
def _modules_of(registry: Registry, name: str) -> tuple[str, ...]:
    """Return the modules that define and register a component. Cached, because a plan calls this function for each cell.

    Raises:
        InputError: if no source file defines the component.
    """
    module = registry.module(name)
    if module_file(module) is None:
        raise InputError(
            f"components: the {registry.kind} {name!r} belongs to the module {module}, which has no source file of yours, so it "
            "cannot be seen when its results must be made again. Define it with `class` or `def` in the module that registers it."
        )
    # One module of a user may register a class that another one defines, so all modules of the user count.
    registering = () if module.startswith("endoarss.") or module in user_modules() else user_modules()
    return (module, *registering)
