"""What a study must satisfy beyond the types of its keys: known names, and parts that go together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

from corruptions import corruptions_of
from endoarss.errors import SettingsError, UnknownNameError, shown, suggestion
from endoarss.registry import ARCHITECTURES, BACKBONES, MERGERS, WEIGHTINGS, Registry, check_settings
from endoarss.settings import SMA_PATCH
from endoarss.timm_arguments import check_arguments, check_model_name
from endoarss.timm_names import check_is_timm_model, kind_of_model
from pipeline.datasets.kinds import BY_SEQUENCE, GENERALISATION, KINDS, PLAIN, PLAIN_KEYS, PLAIN_RECIPES, WHERE_TO_ASK
from pipeline.errors import InputError
from pipeline.study.cell import MERGED, SINGLE_TASKS
from pipeline.study.cells import cells_of, merging_groups, merging_of, schedule_key
from pipeline.study.conditions import conditions_of, training_corruptions
from pipeline.study.datasets import build_of, kind_name, labels_of, recipe_of, split_rule
from pipeline.study.labels import model_labels
from pipeline.study.models import Backbone, CellBlock, Study
from pipeline.study.robust_models import robustness_baseline
from pipeline.study.variants import architecture_kind, backbone_kind, has_sma, weighting_kind, weighting_settings
from reports.names import REFERENCE_BACKBONE

# The keys that say where own frames lie.
_PLACES = ({"root"}, {"images", "masks"}, {"images", "masks", "labels"})


def check_study(study: Study) -> None:
    """Refuse a study whose names nobody knows, or whose parts do not go together.

    Raises:
        InputError: naming key, value and what is allowed. SettingsError: naming a component that nobody registered.
    """
    for dataset in study.datasets:
        _check_dataset(study, dataset)
    folders = [source for source in WHERE_TO_ASK if getattr(study.raw, source) is not None]
    if study.synthetic and folders:
        raise InputError(
            f"raw: generate and {', '.join(sorted(folders))} exclude each other; a study is on generated or on real data."
        )
    _check_components(study)
    for key in study.training.schedules:
        dataset, *others = key.split("/")
        if len(others) > 2:
            raise InputError(f"training.schedules: {shown(key)}; expected at most <dataset>/<backbone>/<architecture>.")
        _choose("training.schedules", dataset, dict.fromkeys((*KINDS, *study.datasets)))
        known_names = list(study.backbones), [*study.architectures, *ARCHITECTURES.names()]
        for name, known in zip(others, known_names, strict=False):
            _choose("training.schedules", name, known)
    for index, block in enumerate(study.cell_blocks):
        _check_cells(study, f"cells.{index}", block)
    if not cells_of(study):
        raise InputError(
            f"cells: all of them say select_on, and none {study.training.select_on!r} (training.select_on), which tables are of. "
            "Expected some."
        )
    if study.merging:
        _check_merging(study)
    _check_training_corruptions(study)
    if study.robustness:
        _check_robustness(study)
    if study.pretraining:
        name = study.pretraining.backbone
        _choose("pretraining.backbone", name, study.backbones)
        if not _is_vit(study, name):
            raise InputError(f"pretraining.backbone: {name!r} is no vision transformer.")


def _choose(key: str, name: str, known: Iterable[object]) -> None:
    names = list(map(str, known))
    if name not in names:
        raise InputError(f"{key}: unknown name {name!r}.{suggestion(name, names)} Known: {', '.join(names)}.")


def _check_dataset(study: Study, dataset: str) -> None:
    given, key = study.datasets[dataset], f"datasets.{dataset}"
    if given.plain and given.kind:
        raise InputError(f"{key}: kind and plain exclude each other; a dataset is one of the known kinds or your own.")
    if given.plain and (dataset in KINDS or dataset in GENERALISATION):
        raise InputError(f"{key}: this name is taken by a known kind; give your own dataset another one.")
    if not given.plain:
        _choose(f"{key}.kind" if given.kind else "datasets", given.kind or dataset, KINDS)
        if given.kind not in (None, dataset) and dataset in KINDS:
            raise InputError(f"{key}.kind: {given.kind!r}; a dataset named like a known kind is of that kind.")
        if given.kind in GENERALISATION and given.kind != dataset:
            raise InputError(f"{key}.kind: {given.kind!r} is for evaluation only; it goes by its own name.")
    if given.plain and set(given.plain.as_dict()) & set(PLAIN_KEYS) not in _PLACES:
        raise InputError(f"{key}.plain: expected root, or images and masks and perhaps labels: where the frames lie.")
    labels_of(study, dataset)  # it says what is wrong with the values of own masks
    if given.split:
        _choose(f"{key}.split", given.split, PLAIN_RECIPES if given.plain else KINDS[kind_name(study, dataset)].recipes)
    for source in recipe_of(study, dataset).sources if not study.synthetic else ():
        if source != PLAIN and getattr(study.raw, source) is None:
            raise InputError(
                f"raw: {source} is missing, which the dataset {dataset} is built from. Give the folder of the raw "
                f"tree; ask for it at {WHERE_TO_ASK[source]}."
            )
    if study.synthetic and given.plain:
        raise InputError(
            f"{key}: plain frames are real, the study's raw trees are generated; a study is on one or the other."
        )
    rule = split_rule(study, dataset)
    if rule == BY_SEQUENCE and not build_of(study, dataset).test:
        raise InputError(f"{key}.test: missing; by_sequence asks for the names of the test sequences.")
    if given.test and rule != BY_SEQUENCE:
        raise InputError(f"{key}.test: goes with split: by_sequence alone.")


def _check_components(study: Study) -> None:
    """Backbones, architectures, weightings and mergers are registered, and their settings of the right kind."""
    for name, backbone in study.backbones.items():
        _check_kind("backbones", BACKBONES, name, backbone.kind)
        _check_backbone(study, name, backbone)
    for key, registry, variants in (
        ("architectures", ARCHITECTURES, study.architectures),
        ("weightings", WEIGHTINGS, study.weightings),
    ):
        for name, variant in variants.items():
            _check_kind(key, registry, name, variant.kind)
            kind = variant.kind or name
            if name != kind and kind in (MERGED, *SINGLE_TASKS):
                raise InputError(f"{key}.{name}.kind: {kind!r} has no settings to vary; use it under its own name.")
            taken = {"kind", "label"} & registry.settings(kind).keys()
            if taken:
                raise InputError(
                    f"{key}.{name}: {kind} has a setting {min(taken)!r}, which a study could not give it: kind and label say which "
                    "variant it is. Rename the setting in the component."
                )
            check_settings(key, kind, variant.settings, f"{key}.{name}")
    for name, values in study.mergers.items():
        check_settings("mergers", name, values)
    labels = model_labels(study)
    for key, known in (
        ("backbones", labels.backbones),
        ("architectures", labels.architectures),
        ("weightings", labels.weightings),
    ):
        shown_labels = list(known.values())
        for name, label in known.items():
            if shown_labels.count(label) > 1 or label == REFERENCE_BACKBONE:
                raise InputError(
                    f"{key}.{name}: the label {label!r} is taken; expected one of its own for each, because tables show it."
                )


def _check_kind(key: str, registry: Registry, name: str, kind: str | None) -> None:
    """A variant is of a registered kind; a name that is a kind itself is of no other."""
    if kind is None and name not in registry.names():
        close = suggestion(name, registry.names())
        raise InputError(
            f"{key}: unknown {registry.kind} {name!r}.{close} Known: {', '.join(registry.names())}. "
            f"A variant of one of them says so: {name}: {{kind: ...}}."
        )
    if kind is not None:
        registry.check(kind, f"{key}.{name}.kind: ")
        if name in registry.names() and name != kind:
            raise InputError(
                f"{key}.{name}.kind: {kind!r}; a {registry.kind} named like a registered one is of that kind."
            )


def _patch(backbone: Backbone) -> int | None:
    """The patch size in a timm ViT's name; None for other models."""
    # The patches of a Swin transformer are not the tokens of its map.
    match = re.search(r"patch(\d+)(?!.*window)", backbone.model)
    return int(match[1]) if match else None


def _is_vit(study: Study, name: str) -> bool:
    """Whether a backbone is a vision transformer, which is frozen where its weights are pretrained."""
    return backbone_kind(study, name) in ("dinov2", "endoarss", "timm_vit") or _patch(study.backbones[name]) is not None


def _check_backbone(study: Study, name: str, backbone: Backbone) -> None:
    patch = _patch(backbone)
    try:
        check_model_name(backbone.model)
        check_is_timm_model(backbone.model)
        timm_kind = kind_of_model(backbone.model)
        if timm_kind:
            check_arguments(timm_kind, backbone.arguments)
    except SettingsError as error:
        raise InputError(f"backbones.{name}: {error}") from None
    key, size = "input_size", study.input_size
    if backbone.network_size:
        key, size = f"backbones.{name}.network_size", backbone.network_size
    if patch is not None and size % patch:
        raise InputError(f"{key}: {size}; {backbone.model} asks for a multiple of {patch}.")
    kind = backbone_kind(study, name)
    if kind in ("dinov2", "endoarss") and patch is None:
        raise InputError(
            f"backbones.{name}.model: {backbone.model!r}; expected a vision transformer of timm, e.g. *_patch14_*."
        )
    if has_sma(study, name) and size % SMA_PATCH:
        raise InputError(f"{key}: {size}; SMA, before {backbone.model}, asks for a multiple of {SMA_PATCH}.")


def _check_cells(study: Study, key: str, block: CellBlock) -> None:
    """One block of cells names what there is, and can be trained."""
    trainable = [name for name in study.datasets if name not in GENERALISATION]
    for dataset in block.datasets:
        _choose(f"{key}.datasets", dataset, trainable)
    for backbone in block.backbones:
        _choose(f"{key}.backbones", backbone, study.backbones)
    for architecture in block.architectures:
        if architecture == MERGED:
            raise InputError(f"{key}.architectures: {MERGED} is not trained; say under merging what to merge.")
        _choose_variant(f"{key}.architectures", ARCHITECTURES, study.architectures, architecture)
    for weighting in block.weightings:
        _choose_variant(f"{key}.weightings", WEIGHTINGS, study.weightings, weighting)
    for names in product(block.datasets, block.backbones, block.architectures):
        schedule = study.training.schedules.get(schedule_key(study, *names))
        if schedule is None:
            raise InputError(
                f"training.schedules.{names[0]}: missing; {key} trains on it. Add {names[0]}: {{epochs: ..., learning_rate: ...}}."
            )
        for weighting in block.weightings:
            _check_warmup(study, weighting, schedule.epochs, "/".join(names[:2]))
    _check_combinations(study, key, block)


def _choose_variant(key: str, registry: Registry, variants: Iterable[str], name: str) -> None:
    known = sorted({*variants, *registry.names()} - {MERGED})
    if name not in known:
        raise UnknownNameError(registry.kind, name, known, where=f"{key}: ")


def _check_warmup(study: Study, weighting: str, epochs: int, where: str) -> None:
    """A weighting with a warm-up needs epochs left after it and after the epoch that records its reference losses."""
    given = {**WEIGHTINGS.settings(weighting_kind(study, weighting)), **weighting_settings(study, weighting)}
    warmup = given.get("warmup_epochs")
    if warmup is not None and epochs <= warmup + 1:
        raise InputError(
            f"training.schedules: {epochs} epochs for {where}, where {weighting} has warmup_epochs {warmup}; "
            f"expected more than {warmup + 1}."
        )


def _check_combinations(study: Study, key: str, block: CellBlock) -> None:
    """What a block's cells ask for must be there to be trained: two tasks, low-rank adapters."""
    for architecture, weighting in product(block.architectures, block.weightings):
        if architecture.startswith("single_") and weighting != "equal":
            raise InputError(
                f"{key}.weightings: {weighting!r} with {architecture}; a single task has nothing to weigh: equal."
            )
    for dataset, architecture in product(block.datasets, block.architectures):
        if not labels_of(study, dataset).activities and architecture != "single_segmentation":
            raise InputError(
                f"{key}.architectures: {architecture} needs activities, which the dataset {dataset} lacks; use single_segmentation."
            )
    for backbone, architecture in product(block.backbones, block.architectures):
        given = study.backbones[backbone]
        vit = _is_vit(study, backbone)
        random_vit = vit and given.weights == "none"
        tesla = architecture_kind(study, architecture) == "tesla"
        if random_vit and tesla:
            raise InputError(
                f"{key}.architectures: {architecture} on {backbone}, whose weights are none: such a ViT is trained in full and has no "
                "adapters. Give weights: hub or weights: {file: ...}."
            )
        if architecture_kind(study, architecture) == "task_adapters" and not has_sma(study, backbone):
            raise InputError(
                f"{key}.architectures: {architecture} on {backbone}: no trained parameter would be shared by the tasks. "
                f"Give backbones.{backbone}: {{sma: true}}, or choose tesla."
            )
        adapted = not random_vit if vit else tesla
        if block.ranks and not adapted:
            raise InputError(
                f"{key}.ranks: {architecture} on {backbone} has no low-rank adapters, so that ranks would all be the same."
            )


def _check_training_corruptions(study: Study) -> None:
    given = study.training.augmentation
    lonely = [key for key in ("severities", "probability") if getattr(given, key) is not None]
    if training_corruptions(study) is None and lonely:
        raise InputError(
            f"training.augmentation.{lonely[0]}: goes with corruptions alone. Add corruptions: [noise, blur], for instance."
        )


def _check_robustness(study: Study) -> None:
    conditions, robustness = conditions_of(study), study.robustness
    assert robustness is not None
    for name in conditions.corruptions:
        _choose("robustness.corruptions", name, corruptions_of(conditions.profile))
    for index, pattern in enumerate(robustness.cells):
        for key, value in pattern.as_dict().items():
            _choose(
                f"robustness.cells.{index}.{key}", value, dict.fromkeys(getattr(cell, key) for cell in cells_of(study))
            )
        if not any(map(pattern.fits, cells_of(study))):
            wanted = ", ".join(f"{name} {value}" for name, value in pattern.as_dict().items())
            raise InputError(
                f"robustness.cells.{index}: no cell has {wanted} together; `endoarss list` shows all cells."
            )
    if robustness.baseline and not robustness.baseline.as_dict():
        raise InputError("robustness.baseline: names nothing; expected backbone, architecture or weighting.")
    for key, value in robustness.baseline.as_dict().items() if robustness.baseline else ():
        robust = [cell for cell in cells_of(study) if any(pattern.fits(cell) for pattern in robustness.cells)]
        _choose(f"robustness.baseline.{key}", value, dict.fromkeys(getattr(cell, key) for cell in robust))
    if robustness.baseline and not any(robustness_baseline(study, dataset) for dataset in study.datasets):
        raise InputError(f"robustness.baseline: none of robustness.cells matches {robustness.baseline.as_dict()}.")


def _check_merging(study: Study) -> None:
    for merger in merging_of(study).mergers or ():
        _choose("merging.mergers", merger, MERGERS.names())
    groups = merging_groups(study)
    if not groups:
        raise InputError(
            f"merging: no dataset and backbone has both {' and '.join(SINGLE_TASKS)} with select_on: val. Add to cells, e.g. "
            "{datasets: [mtlesd], backbones: [dinov2], architectures: [single_activity, single_segmentation], weightings: [equal], "
            "select_on: val}."
        )
    for group in groups:
        name = group.singles[0].backbone
        given = study.backbones[name]
        sma = has_sma(study, name)
        if not _is_vit(study, name) or given.weights == "none" or sma:
            lacks = "has SMA, which starts from no common values" if sma else "is trained in full"
            raise InputError(
                f"merging: {' and '.join(cell.id for cell in group.singles)}: the backbone {name} {lacks}; expected a ViT that starts from "
                "pretrained weights and trains adapters alone, e.g. dinov2."
            )
