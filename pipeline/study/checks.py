"""Check what a study must satisfy beyond the types of its keys: known names, and values that can be combined."""

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

# The sets of keys that give the folders of a user's own frames.
_PLACES = ({"root"}, {"images", "masks"}, {"images", "masks", "labels"})


def check_study(study: Study) -> None:
    """Raise an error if a study has unknown names, or values that cannot be combined.

    Raises:
        InputError: with key, value and what is allowed.
        SettingsError: if a component is not registered.
    """
    for dataset in study.datasets:
        _check_dataset(study, dataset)
    folders = [source for source in WHERE_TO_ASK if getattr(study.raw, source) is not None]
    if study.synthetic and folders:
        raise InputError(
            f"raw: generate and {', '.join(sorted(folders))} exclude each other; a study uses generated or real data."
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
            f"cells: all blocks have their own select_on, and none has {study.training.select_on!r} (training.select_on). Tables show "
            "only cells with that value; add some."
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
            raise InputError(f"pretraining.backbone: {name!r} is not a vision transformer.")


def _choose(key: str, name: str, known: Iterable[object]) -> None:
    names = list(map(str, known))
    if name not in names:
        raise InputError(f"{key}: unknown name {name!r}.{suggestion(name, names)} Known: {', '.join(names)}.")


def _check_dataset(study: Study, dataset: str) -> None:
    given, key = study.datasets[dataset], f"datasets.{dataset}"
    if given.plain and given.kind:
        raise InputError(f"{key}: kind and plain exclude each other; a dataset is of a known kind, or it is your own.")
    if given.plain and (dataset in KINDS or dataset in GENERALISATION):
        raise InputError(f"{key}: this is the name of a known kind; give your own dataset another name.")
    if not given.plain:
        _choose(f"{key}.kind" if given.kind else "datasets", given.kind or dataset, KINDS)
        if given.kind not in (None, dataset) and dataset in KINDS:
            raise InputError(
                f"{key}.kind: {given.kind!r}; a dataset with the name of a known kind must be of that kind."
            )
        if given.kind in GENERALISATION and given.kind != dataset:
            raise InputError(
                f"{key}.kind: {given.kind!r} is for evaluation only, and its dataset must have the same name."
            )
    if given.plain and set(given.plain.as_dict()) & set(PLAIN_KEYS) not in _PLACES:
        raise InputError(
            f"{key}.plain: expected the folder of the frames: root, or images and masks, and optionally labels."
        )
    labels_of(study, dataset)  # raises if the values of own masks are wrong
    if given.split:
        _choose(f"{key}.split", given.split, PLAIN_RECIPES if given.plain else KINDS[kind_name(study, dataset)].recipes)
    for source in recipe_of(study, dataset).sources if not study.synthetic else ():
        if source != PLAIN and getattr(study.raw, source) is None:
            raise InputError(
                f"raw: {source} is missing; the dataset {dataset} is built from it. Give the folder of the raw "
                f"tree; it is available from {WHERE_TO_ASK[source]}."
            )
    if study.synthetic and given.plain:
        raise InputError(
            f"{key}: plain frames are real, but the raw trees of the study are generated; a study uses one or the other."
        )
    rule = split_rule(study, dataset)
    if rule == BY_SEQUENCE and not build_of(study, dataset).test:
        raise InputError(f"{key}.test: missing; split: by_sequence needs the names of the test sequences.")
    if given.test and rule != BY_SEQUENCE:
        raise InputError(f"{key}.test: only split: by_sequence uses it.")


def _check_components(study: Study) -> None:
    """Check that backbones, architectures, weightings and mergers are registered, and that their settings have the right types."""
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
                raise InputError(
                    f"{key}.{name}.kind: {kind!r} has no settings, so it has no variants; use it under its own name."
                )
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
                    f"{key}.{name}: the label {label!r} is already used; each variant needs its own, because tables show it."
                )


def _check_kind(key: str, registry: Registry, name: str, kind: str | None) -> None:
    """Check that a variant is of a registered kind, and that the name of a kind is not used for another kind."""
    if kind is None and name not in registry.names():
        close = suggestion(name, registry.names())
        raise InputError(
            f"{key}: unknown {registry.kind} {name!r}.{close} Known: {', '.join(registry.names())}. "
            f"A variant of one of them names it: {name}: {{kind: ...}}."
        )
    if kind is not None:
        registry.check(kind, f"{key}.{name}.kind: ")
        if name in registry.names() and name != kind:
            raise InputError(
                f"{key}.{name}.kind: {kind!r}; a {registry.kind} with the name of a registered one must be of that kind."
            )


def _patch(backbone: Backbone) -> int | None:
    """Return the patch size in the name of a timm ViT; None for other models."""
    # The patches of a Swin transformer are not the tokens of its feature map.
    match = re.search(r"patch(\d+)(?!.*window)", backbone.model)
    return int(match[1]) if match else None


def _is_vit(study: Study, name: str) -> bool:
    """Return whether a backbone is a vision transformer; with pretrained weights it is frozen."""
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
        raise InputError(f"{key}: {size}; {backbone.model} needs a multiple of {patch}.")
    kind = backbone_kind(study, name)
    if kind in ("dinov2", "endoarss") and patch is None:
        raise InputError(
            f"backbones.{name}.model: {backbone.model!r}; expected a vision transformer of timm, e.g. *_patch14_*."
        )
    if has_sma(study, name) and size % SMA_PATCH:
        raise InputError(f"{key}: {size}; SMA before {backbone.model} needs a multiple of {SMA_PATCH}.")


def _check_cells(study: Study, key: str, block: CellBlock) -> None:
    """Check that a block of cells has known names and can be trained."""
    trainable = [name for name in study.datasets if name not in GENERALISATION]
    for dataset in block.datasets:
        _choose(f"{key}.datasets", dataset, trainable)
    for backbone in block.backbones:
        _choose(f"{key}.backbones", backbone, study.backbones)
    for architecture in block.architectures:
        if architecture == MERGED:
            raise InputError(f"{key}.architectures: {MERGED} is not trained; use the key merging.")
        _choose_variant(f"{key}.architectures", ARCHITECTURES, study.architectures, architecture)
    for weighting in block.weightings:
        _choose_variant(f"{key}.weightings", WEIGHTINGS, study.weightings, weighting)
    for names in product(block.datasets, block.backbones, block.architectures):
        schedule = study.training.schedules.get(schedule_key(study, *names))
        if schedule is None:
            raise InputError(
                f"training.schedules.{names[0]}: missing; {key} needs it. Add {names[0]}: {{epochs: ..., learning_rate: ...}}."
            )
        for weighting in block.weightings:
            _check_warmup(study, weighting, schedule.epochs, "/".join(names[:2]))
    _check_combinations(study, key, block)


def _choose_variant(key: str, registry: Registry, variants: Iterable[str], name: str) -> None:
    known = sorted({*variants, *registry.names()} - {MERGED})
    if name not in known:
        raise UnknownNameError(registry.kind, name, known, where=f"{key}: ")


def _check_warmup(study: Study, weighting: str, epochs: int, where: str) -> None:
    """Check that epochs remain after the warm-up of a weighting and the epoch that records its reference losses."""
    given = {**WEIGHTINGS.settings(weighting_kind(study, weighting)), **weighting_settings(study, weighting)}
    warmup = given.get("warmup_epochs")
    if warmup is not None and epochs <= warmup + 1:
        raise InputError(
            f"training.schedules: {epochs} epochs for {where}, where {weighting} has warmup_epochs {warmup}; "
            f"expected more than {warmup + 1}."
        )


def _check_combinations(study: Study, key: str, block: CellBlock) -> None:
    """Check that the models of a block have what its cells need: two tasks, low-rank adapters."""
    for architecture, weighting in product(block.architectures, block.weightings):
        if architecture.startswith("single_") and weighting != "equal":
            raise InputError(
                f"{key}.weightings: {weighting!r} with {architecture}; a single task has nothing to weigh; use equal."
            )
    for dataset, architecture in product(block.datasets, block.architectures):
        if not labels_of(study, dataset).activities and architecture != "single_segmentation":
            raise InputError(
                f"{key}.architectures: {architecture} needs activities, and the dataset {dataset} has none; use single_segmentation."
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
                f"{key}.ranks: {architecture} on {backbone} has no low-rank adapters, so all ranks would give the same model."
            )


def _check_training_corruptions(study: Study) -> None:
    given = study.training.augmentation
    lonely = [key for key in ("severities", "probability") if getattr(given, key) is not None]
    if training_corruptions(study) is None and lonely:
        raise InputError(
            f"training.augmentation.{lonely[0]}: needs the key corruptions. Add, for example, corruptions: [noise, blur]."
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
        width = given.arguments.get("embed_dim")
        if isinstance(width, int) and given.token_map == "spatial":  # other widths are known when the models are loaded
            for rank, key in merging_of(study).surgery.keys_of_ranks.items():
                if rank > width:
                    raise InputError(
                        f"{key}: {rank} is not allowed; expected at most {width}, the embed_dim of the backbone {name}."
                    )
