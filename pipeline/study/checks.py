"""What a study's names and parts must satisfy beyond its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from corruptions import SEVERITIES, corruptions_of
from endoarss.errors import SettingsError
from endoarss.registry import ARCHITECTURES, BACKBONES, MERGERS, WEIGHTINGS
from endoarss.settings import SMA_PATCH
from endoarss.timm_arguments import RESNET, VISION_TRANSFORMER, check_arguments, check_model_name
from pipeline.datasets.kinds import BY_SEQUENCE, GENERALISATION, KINDS, PLAIN, PLAIN_RECIPES, WHERE_TO_ASK
from pipeline.errors import InputError
from pipeline.study.cell import MERGED, SINGLE_TASKS
from pipeline.study.study import Study


def _choose(key: str, name: str, known: Any) -> None:
    if name not in known:
        raise InputError(f"{key}: unknown name {name!r}; known: {', '.join(map(str, known))}.")


def _check_dataset(study: Study, dataset: str) -> None:
    given = study.settings["datasets"][dataset]
    key = f"datasets.{dataset}"
    if PLAIN in given and "kind" in given:
        raise InputError(f"{key}: kind and plain exclude each other; a dataset is one of the known kinds or your own.")
    if PLAIN in given and (dataset in KINDS or dataset in GENERALISATION):
        raise InputError(f"{key}: this name is taken by a known kind; give your own dataset another one.")
    if PLAIN not in given:
        _choose(f"{key}.kind" if "kind" in given else "datasets", given.get("kind", dataset), KINDS)
        if given.get("kind", dataset) != dataset and dataset in KINDS:
            raise InputError(f"{key}.kind: {given['kind']!r}; a dataset named like a known kind is of that kind.")
        if given.get("kind") in GENERALISATION and given["kind"] != dataset:
            raise InputError(f"{key}.kind: {given['kind']!r} is for evaluation only; it goes by its own name.")
    study.labels(dataset)  # it says what is wrong with the values of own masks
    recipes = PLAIN_RECIPES if PLAIN in given else KINDS[given.get("kind", dataset)].recipes
    if "split" in given:
        _choose(f"{key}.split", given["split"], recipes)
    if study.generated is None:
        for source in study.recipe(dataset).sources:
            if source != PLAIN and source not in study.settings["raw"]:
                raise InputError(
                    f"raw: {source} is missing, which the dataset {dataset} is built from. Give the folder of the raw "
                    f"tree; ask for it at {WHERE_TO_ASK[source]}."
                )
    elif PLAIN in given:
        raise InputError(
            f"{key}: plain frames are real, the study's raw trees are generated; a study is on one or the other."
        )
    if study.split_rule(dataset) == BY_SEQUENCE and not study.dataset_settings(dataset)["test"]:
        raise InputError(f"{key}.test: missing; by_sequence asks for the names of the test sequences.")
    if "test" in given and study.split_rule(dataset) != BY_SEQUENCE:
        raise InputError(f"{key}.test: goes with split: by_sequence alone.")


def check_study(study: Study) -> None:
    """Refuse a study whose names nobody knows, or whose parts do not go together.

    Raises:
        InputError: naming key, value and what is allowed. SettingsError: naming a component that nobody registered.
    """
    settings = study.settings
    for dataset in settings["datasets"]:
        _check_dataset(study, dataset)
    if study.generated is not None and set(settings["raw"]) & set(WHERE_TO_ASK):
        given_paths = ", ".join(sorted(set(settings["raw"]) & set(WHERE_TO_ASK)))
        raise InputError(
            f"raw: generate and {given_paths} exclude each other; a study is on generated or on real data."
        )
    _check_components(study)
    for key in settings["training"]["schedules"]:
        dataset, *others = key.split("/")
        _choose("training.schedules", dataset, (*KINDS, *study.datasets))
        for name, known in zip(others, (settings["backbones"], ARCHITECTURES.names(), ()), strict=False):
            _choose("training.schedules", name, known)
    for index, block in enumerate(settings["cells"]):
        _check_cells(study, f"cells.{index}", block)
    if not study.cells():
        raise InputError(
            f"cells: all of them say select_on, and none {study.select_on!r}, which tables are of (training.select_on). Expected some."
        )
    if "merging" in settings:
        _check_merging(study)
    if settings.get("robustness"):
        _check_robustness(study, settings["robustness"])
    pretraining = settings.get("pretraining")
    if pretraining:
        _choose("pretraining.backbone", pretraining["backbone"], settings["backbones"])
        if _patch(settings["backbones"][pretraining["backbone"]]) is None:
            raise InputError(f"pretraining.backbone: {pretraining['backbone']!r} is no vision transformer.")


def _check_components(study: Study) -> None:
    """Backbones, architectures, weightings and mergers are registered, and their settings of the right kind."""
    settings = study.settings
    for name, backbone in settings["backbones"].items():
        BACKBONES.check(name)
        _check_backbone(study, name, backbone)
    labels = [backbone["label"] for backbone in settings["backbones"].values()]
    for label in labels:
        if labels.count(label) > 1 or label == "reference":
            raise InputError(
                f"backbones: the label {label!r} is taken; expected one of its own for each, for tables show it."
            )
    for key, registry in (("architectures", ARCHITECTURES), ("weightings", WEIGHTINGS), ("mergers", MERGERS)):
        for name, given in settings[key].items():
            registry.check(name)
            known = registry.settings(name)
            for setting, value in given.items():
                _choose(f"{key}.{name}", setting, known)
                _check_type(f"{key}.{name}.{setting}", value, known[setting])


def _check_cells(study: Study, key: str, block: Mapping[str, Any]) -> None:
    """One block of cells names what there is, and can be trained."""
    trainable = [name for name in study.datasets if name not in GENERALISATION]
    for dataset in block["datasets"]:
        _choose(f"{key}.datasets", dataset, trainable)
        for backbone in block["backbones"]:
            BACKBONES.check(backbone)
            _choose(f"{key}.backbones", backbone, study.settings["backbones"])
            for architecture in block["architectures"]:
                if not study.schedule_key(dataset, backbone, architecture):
                    raise InputError(f"training.schedules: nothing for the dataset {dataset!r}, which has cells.")
    for architecture in block["architectures"]:
        ARCHITECTURES.check(architecture)
    for weighting in block["weightings"]:
        _check_warmup(study, weighting, block)
    _check_combinations(study, key, block)


def _check_robustness(study: Study, robustness: Mapping[str, Any]) -> None:
    for name in study.robustness_settings()["corruptions"]:
        _choose("robustness.corruptions", name, corruptions_of(robustness["profile"]))
    for severity in robustness["severities"]:
        _choose("robustness.severities", severity, SEVERITIES)
    for pattern in robustness["cells"]:
        if not any(all(getattr(cell, k) == v for k, v in pattern.items()) for cell in study.cells()):
            raise InputError(f"robustness.cells: no cell of the study matches {json.dumps(pattern)}.")
    baseline = robustness.get("baseline")
    if baseline and not any(study.robustness_baseline(dataset) for dataset in study.datasets):
        raise InputError(f"robustness.baseline: none of robustness.cells matches {json.dumps(baseline)}.")


def _patch(backbone: Mapping[str, Any]) -> int | None:
    """The patch size in a timm ViT's name; None for other models."""
    match = re.search(r"patch(\d+)", backbone["model"])
    return int(match[1]) if match else None


def _check_warmup(study: Study, weighting: str, block: Mapping[str, Any]) -> None:
    """A weighting with a warm-up needs epochs left after it and after the epoch that records its reference losses."""
    given = {**WEIGHTINGS.settings(weighting), **study.settings["weightings"].get(weighting, {})}
    warmup = given.get("warmup_epochs")
    for dataset, backbone, architecture in product(block["datasets"], block["backbones"], block["architectures"]):
        key = study.schedule_key(dataset, backbone, architecture)
        epochs = study.settings["training"]["schedules"][key]["epochs"]
        if warmup is not None and epochs <= warmup + 1:
            raise InputError(
                f"training.schedules: {epochs} epochs for {dataset}/{backbone}, where {weighting} has warmup_epochs {warmup}; "
                f"expected more than {warmup + 1}."
            )


def _check_merging(study: Study) -> None:
    for merger in study.merging_settings()["mergers"]:
        _choose("merging.mergers", merger, MERGERS.names())
    groups = study.merging_groups()
    if not groups:
        raise InputError(
            f"merging: no dataset and backbone has both {' and '.join(SINGLE_TASKS)} with select_on: val. Add to cells, e.g. "
            "{datasets: [mtlesd], backbones: [dinov2], architectures: [single_activity, single_segmentation], weightings: [equal], "
            "select_on: val}."
        )
    for group in groups:
        name = group.singles[0].backbone
        given = study.settings["backbones"][name]
        if _patch(given) is None or given["weights"] == "none" or name == "endoarss":
            lacks = "has SMA, which starts from no common values" if name == "endoarss" else "is trained in full"
            raise InputError(
                f"merging: {' and '.join(cell.id for cell in group.singles)}: the backbone {name} {lacks}; expected a ViT that starts from "
                "pretrained weights and trains adapters alone, e.g. dinov2."
            )


def _check_backbone(study: Study, name: str, backbone: Mapping[str, Any]) -> None:
    settings, patch = study.settings, _patch(backbone)
    try:
        check_model_name(backbone["model"])
        check_arguments(RESNET if patch is None else VISION_TRANSFORMER, backbone["arguments"])
    except SettingsError as error:
        raise InputError(f"backbones.{name}: {error}") from None
    size = "network_size" if "network_size" in settings else "input_size"
    if patch is not None and settings[size] % patch:
        raise InputError(f"{size}: {settings[size]}; {backbone['model']} asks for a multiple of {patch}.")
    if name in ("dinov2", "endoarss") and patch is None:
        raise InputError(
            f"backbones.{name}.model: {backbone['model']!r}; expected a vision transformer of timm, e.g. *_patch14_*."
        )
    if name == "endoarss" and settings[size] % SMA_PATCH:
        raise InputError(
            f"{size}: {settings[size]}; SMA, before {backbone['model']}, asks for a multiple of {SMA_PATCH}."
        )


def _check_type(key: str, value: Any, default: Any) -> None:
    if isinstance(default, tuple) and isinstance(value, list) and value:
        for one in value:
            _check_type(key, one, default[0])
        return
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        kind = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}.get(
            type(default), "a list of numbers"
        )
        default = list(default) if isinstance(default, tuple) else default
        raise InputError(f"{key}: {value!r} is not allowed; expected {kind}, e.g. the default, {default!r}.")


def _check_combinations(study: Study, key: str, block: Mapping[str, Any]) -> None:
    """What a block's cells ask for must be there to be trained: two tasks, low-rank adapters."""
    if MERGED in block["architectures"]:
        raise InputError(f"{key}.architectures: {MERGED} is not trained; say under merging what to merge.")
    for architecture, weighting in product(block["architectures"], block["weightings"]):
        if architecture.startswith("single_") and weighting != "equal":
            raise InputError(
                f"{key}.weightings: {weighting!r} with {architecture}; a single task has nothing to weigh: equal."
            )
    for dataset, architecture in product(block["datasets"], block["architectures"]):
        if not study.labels(dataset).activities and architecture != "single_segmentation":
            raise InputError(
                f"{key}.architectures: {architecture} needs activities, which the dataset {dataset} lacks; use single_segmentation."
            )
    for backbone, architecture in product(block["backbones"], block["architectures"]):
        given = study.settings["backbones"][backbone]
        random_vit = _patch(given) is not None and given["weights"] == "none"
        if random_vit and architecture == "tesla":
            raise InputError(
                f"{key}.architectures: tesla on {backbone}, whose weights are none: such a ViT is trained in full and has no adapters. "
                "Give weights: hub or weights: {file: ...}."
            )
        adapted = architecture == "tesla" if _patch(given) is None else not random_vit
        if "ranks" in block and not adapted:
            raise InputError(
                f"{key}.ranks: {architecture} on {backbone} has no low-rank adapters, so that ranks would all be the same."
            )
