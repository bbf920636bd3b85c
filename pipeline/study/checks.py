"""Check the values of a study beyond their types: whether names are known, and whether values can be combined."""

from __future__ import annotations

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
from pipeline.study.models import Backbone, CellBlock, ModelPattern, Study
from pipeline.study.robust_models import robustness_baseline
from pipeline.study.variants import (
    architecture_kind,
    backbone_kind,
    has_adapters,
    has_sma,
    is_vit,
    patch_of,
    weighting_kind,
    weighting_settings,
)
from reports.names import REFERENCE_BACKBONE

# The keys of `plain` that name folders and the CSV must form one of these sets.
_FOLDER_KEYS = ({"root"}, {"images", "masks"}, {"images", "masks", "labels"})


def check_study(study: Study) -> None:
    """Raise an error if a study has unknown names, or values that cannot be combined.

    Raises:
        InputError: if a name or value is not allowed; the message says which key is wrong, and what is allowed.
        SettingsError: if a component is not registered, or does not accept its settings.
    """
    for dataset in study.datasets:
        _check_dataset(study, dataset)
    folders = [source for source in WHERE_TO_ASK if getattr(study.raw, source) is not None]
    if study.synthetic and folders:
        raise InputError(
            f"raw: generate and {', '.join(sorted(folders))} exclude each other; a study uses either generated or real data. "
            "Remove generate, or the raw trees."
        )
    _check_components(study)
    for key in study.training.schedules:
        dataset, *others = key.split("/")
        if len(others) > 2:
            raise InputError(
                f"training.schedules: {shown(key)}; expected <dataset>, <dataset>/<backbone> or <dataset>/<backbone>/<architecture>."
            )
        _check_known("training.schedules", dataset, dict.fromkeys((*KINDS, *study.datasets)))
        known_names = list(study.backbones), [*study.architectures, *ARCHITECTURES.names()]
        for name, known in zip(others, known_names, strict=False):
            _check_known("training.schedules", name, known)
    for index, block in enumerate(study.cell_blocks):
        _check_cells(study, f"cells.{index}", block)
    if not cells_of(study):
        raise InputError(
            f"cells: no block has select_on {study.training.select_on!r}, which is the value of training.select_on. Tables show only "
            "cells with this value; add a block without select_on."
        )
    if study.merging:
        _check_merging(study)
    _check_training_corruptions(study)
    if study.robustness:
        _check_robustness(study)
    if study.pretraining:
        name = study.pretraining.backbone
        _check_known("pretraining.backbone", name, study.backbones)
        if not is_vit(study, name):
            raise InputError(f"pretraining.backbone: {name!r} is not a vision transformer; expected one, e.g. dinov2.")


def _check_known(key: str, name: str, known: Iterable[object]) -> None:
    names = list(map(str, known))
    if name not in names:
        raise InputError(f"{key}: unknown name {name!r}.{suggestion(name, names)} Known: {', '.join(names)}.")


def _check_dataset(study: Study, dataset: str) -> None:
    settings, key = study.datasets[dataset], f"datasets.{dataset}"
    if settings.plain and settings.kind:
        raise InputError(f"{key}: kind and plain exclude each other; a dataset is either of a known kind or your own.")
    if settings.plain and (dataset in KINDS or dataset in GENERALISATION):
        raise InputError(f"{key}: this is the name of a known kind; give your own dataset another name.")
    if not settings.plain:
        _check_known(f"{key}.kind" if settings.kind else "datasets", settings.kind or dataset, KINDS)
        if settings.kind not in (None, dataset) and dataset in KINDS:
            raise InputError(
                f"{key}.kind: {settings.kind!r}; a dataset with the name of a known kind must be of that kind."
            )
        if settings.kind in GENERALISATION and settings.kind != dataset:
            raise InputError(
                f"{key}.kind: {settings.kind!r} is for evaluation only; a dataset of this kind must have the name {settings.kind}."
            )
    if settings.plain and set(settings.plain.as_dict()) & set(PLAIN_KEYS) not in _FOLDER_KEYS:
        raise InputError(
            f"{key}.plain: expected the folders of the frames: either root alone, or images and masks. Only the latter may have labels."
        )
    labels_of(study, dataset)  # raises an error if `values` or `ignore` of `plain` is wrong
    if settings.split:
        _check_known(
            f"{key}.split",
            settings.split,
            PLAIN_RECIPES if settings.plain else KINDS[kind_name(study, dataset)].recipes,
        )
    for source in recipe_of(study, dataset).sources if not study.synthetic else ():
        if source != PLAIN and getattr(study.raw, source) is None:
            raise InputError(
                f"raw.{source}: missing; the dataset {dataset} is built from this raw tree. Add its folder; the data is available from "
                f"{WHERE_TO_ASK[source]}."
            )
    if study.synthetic and settings.plain:
        raise InputError(
            f"{key}: your own frames (plain) are real, but raw.generate makes synthetic data; a study uses either real or generated data."
        )
    rule = split_rule(study, dataset)
    if rule == BY_SEQUENCE and not build_of(study, dataset).test:
        raise InputError(f"{key}.test: missing; split: by_sequence needs a list of test sequences. Add it.")
    if settings.test and rule != BY_SEQUENCE:
        raise InputError(
            f"{key}.test: only a dataset with split: by_sequence uses this key. Remove it, or change the split."
        )


def _check_components(study: Study) -> None:
    """Check the kinds, settings and labels of backbones, architectures and weightings, and the settings of mergers."""
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
                raise InputError(f"{key}.{name}.kind: {kind!r} cannot have variants. Remove {key}.{name}.")
            reserved = {"kind", "label"} & registry.settings(kind).keys()
            if reserved:
                raise InputError(
                    f"{key}.{name}: the component {kind} has a setting {min(reserved)!r}, but kind and label are keys of every variant. "
                    "Rename the setting in the component."
                )
            check_settings(key, kind, variant.settings, f"{key}.{name}")
    for name, values in study.mergers.items():
        check_settings("mergers", name, values)
    labels = model_labels(study)
    for key, named, known in (
        ("backbones", study.backbones, labels.backbones),
        ("architectures", study.architectures, labels.architectures),
        ("weightings", study.weightings, labels.weightings),
    ):
        for name in named:
            label = known[name]
            others = [other for other in known if known[other] == label and other != name]
            if others or label == REFERENCE_BACKBONE:
                owner = f"{others[0]} has it too" if others else "it is reserved"
                raise InputError(
                    f"{key}.{name}: the label {label!r} cannot be used, because {owner}. Tables show labels; choose another label."
                )


def _check_kind(key: str, registry: Registry, name: str, kind: str | None) -> None:
    """Check that a variant is of a registered kind, and that a variant with the name of a registered kind is of this kind."""
    if kind is None and name not in registry.names():
        close = suggestion(name, registry.names())
        raise InputError(
            f"{key}: unknown {registry.kind} {name!r}.{close} Known: {', '.join(registry.names())}. "
            f"For a variant of one of them, add its kind: {name}: {{kind: ...}}."
        )
    if kind is not None:
        registry.check(kind, f"{key}.{name}.kind: ")
        if name in registry.names() and name != kind:
            raise InputError(
                f"{key}.{name}.kind: {kind!r}; a {registry.kind} with the name of a registered one must be of that kind."
            )


def _check_backbone(study: Study, name: str, backbone: Backbone) -> None:
    patch = patch_of(backbone)
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
    """Check that the names in a block of cells are known, and that its cells can be trained."""
    trainable = [name for name in study.datasets if name not in GENERALISATION]
    for dataset in block.datasets:
        _check_known(f"{key}.datasets", dataset, trainable)
    for backbone in block.backbones:
        _check_known(f"{key}.backbones", backbone, study.backbones)
    for architecture in block.architectures:
        if architecture == MERGED:
            raise InputError(f"{key}.architectures: merged models are not trained; use the key merging of the study.")
        _choose_variant(f"{key}.architectures", ARCHITECTURES, study.architectures, architecture)
    for weighting in block.weightings:
        _choose_variant(f"{key}.weightings", WEIGHTINGS, study.weightings, weighting)
    for names in product(block.datasets, block.backbones, block.architectures):
        schedule = study.training.schedules.get(schedule_key(study, *names))
        if schedule is None:
            raise InputError(
                f"training.schedules.{names[0]}: missing, and {key} needs it. Add {names[0]}: {{epochs: ..., learning_rate: ...}}."
            )
        for weighting in block.weightings:
            _check_warmup(study, weighting, schedule.epochs, "/".join(names[:2]))
    _check_combinations(study, key, block)


def _choose_variant(key: str, registry: Registry, variants: Iterable[str], name: str) -> None:
    known = sorted({*variants, *registry.names()} - {MERGED})
    if name not in known:
        raise UnknownNameError(registry.kind, name, known, where=f"{key}: ")


def _check_warmup(study: Study, weighting: str, epochs: int, where: str) -> None:
    """Check that epochs remain after the warm-up epochs of a weighting and one more epoch, which records the reference losses."""
    settings = {**WEIGHTINGS.settings(weighting_kind(study, weighting)), **weighting_settings(study, weighting)}
    warmup = settings.get("warmup_epochs")
    if warmup is not None and epochs <= warmup + 1:
        raise InputError(
            f"training.schedules: {epochs} epochs for {where}, but {weighting} has warmup_epochs {warmup}; "
            f"expected more than {warmup + 1} epochs."
        )


def _check_combinations(study: Study, key: str, block: CellBlock) -> None:
    """Check that weightings, datasets, backbones and ranks of a block suit its architectures."""
    for architecture, weighting in product(block.architectures, block.weightings):
        if architecture.startswith("single_") and weighting != "equal":
            raise InputError(
                f"{key}.weightings: {weighting!r} with {architecture}. A single-task model has only one loss, so use equal."
            )
    for dataset, architecture in product(block.datasets, block.architectures):
        if not labels_of(study, dataset).activities and architecture != "single_segmentation":
            raise InputError(
                f"{key}.architectures: {architecture} needs activities, and the dataset {dataset} has none; use single_segmentation."
            )
    for backbone, architecture in product(block.backbones, block.architectures):
        random_vit = is_vit(study, backbone) and study.backbones[backbone].weights == "none"
        tesla = architecture_kind(study, architecture) == "tesla"
        if random_vit and tesla:
            raise InputError(
                f"{key}.architectures: {architecture} needs adapters, but {backbone} is a ViT with weights: none, which is trained in full "
                "and has none. Choose weights: hub or weights: {file: ...}."
            )
        if architecture_kind(study, architecture) == "task_adapters" and not has_sma(study, backbone):
            raise InputError(
                f"{key}.architectures: {architecture} on {backbone}: the tasks would share no trained parameter. "
                f"Set backbones.{backbone}.sma: true, or choose tesla."
            )
        if block.ranks and not has_adapters(study, backbone, architecture):
            raise InputError(
                f"{key}.ranks: {architecture} on {backbone} has no low-rank adapters, so all ranks would give the same model."
            )


def _check_training_corruptions(study: Study) -> None:
    augmentation = study.training.augmentation
    without_effect = [key for key in ("severities", "probability") if getattr(augmentation, key) is not None]
    if training_corruptions(study) is None and without_effect:
        raise InputError(
            f"training.augmentation.{without_effect[0]}: has no effect without corruptions. Add, e.g., corruptions: [noise, blur]."
        )


def _check_robustness(study: Study) -> None:
    conditions, robustness = conditions_of(study), study.robustness
    assert robustness is not None
    for name in conditions.corruptions:
        _check_known("robustness.corruptions", name, corruptions_of(conditions.profile))
    for index, pattern in enumerate(robustness.cells):
        for key, value in pattern.as_dict().items():
            _check_known(
                f"robustness.cells.{index}.{key}", value, dict.fromkeys(getattr(cell, key) for cell in cells_of(study))
            )
        if not any(map(pattern.fits, cells_of(study))):
            some = ", ".join(cell.id for cell in cells_of(study)[:3])
            raise InputError(
                f"robustness.cells.{index}: no cell has all of {_in_words(pattern)}. The first cells of the study are {some}."
            )
    if robustness.baseline and not robustness.baseline.as_dict():
        raise InputError("robustness.baseline: empty; expected one or more of backbone, architecture and weighting.")
    for key, value in robustness.baseline.as_dict().items() if robustness.baseline else ():
        robust = [cell for cell in cells_of(study) if any(pattern.fits(cell) for pattern in robustness.cells)]
        _check_known(f"robustness.baseline.{key}", value, dict.fromkeys(getattr(cell, key) for cell in robust))
    if robustness.baseline and not any(robustness_baseline(study, dataset) for dataset in study.datasets):
        raise InputError(
            f"robustness.baseline: no evaluated cell has all of {_in_words(robustness.baseline)}; expected a cell that matches a pattern "
            f"of robustness.cells and has lora.rank, {study.lora.rank}."
        )


def _in_words(pattern: ModelPattern) -> str:
    """Return the names in a pattern, such as "backbone resnet, weighting equal"."""
    return ", ".join(f"{key} {value}" for key, value in pattern.as_dict().items())


def _check_merging(study: Study) -> None:
    for merger in merging_of(study).mergers or ():
        _check_known("merging.mergers", merger, MERGERS.names())
    groups = merging_groups(study)
    if not groups:
        raise InputError(
            f"merging: no dataset, backbone, rank and seed has both {' and '.join(SINGLE_TASKS)} with select_on: val. Add to cells, e.g. "
            "{datasets: [mtlesd], backbones: [dinov2], architectures: [single_activity, single_segmentation], weightings: [equal], "
            "select_on: val}."
        )
    for group in groups:
        name = group.singles[0].backbone
        sma = has_sma(study, name)
        if not is_vit(study, name) or study.backbones[name].weights == "none" or sma:
            reason = "has SMA, which has no pretrained weights that the models share" if sma else "is trained in full"
            raise InputError(
                f"merging: {' and '.join(cell.id for cell in group.singles)}: the backbone {name} {reason}; expected a ViT with "
                "pretrained weights and without SMA, of which only adapters are trained, e.g. dinov2."
            )
        backbone = study.backbones[name]
        width = backbone.arguments.get("embed_dim")
        # Other widths are known only when the models are loaded.
        if isinstance(width, int) and backbone.token_map == "spatial":
            for rank, key in merging_of(study).surgery.keys_of_ranks.items():
                if rank > width:
                    raise InputError(
                        f"{key}: {rank} is not allowed; expected at most {width}, the embed_dim of the backbone {name}."
                    )
