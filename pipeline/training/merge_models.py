"""Merge single-task models, apply Representation Surgery, and write each merged model as a cell.

One process runs all mergers, because all need the same representations of the single-task models.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoarss.architectures.merged import MergedModel
from endoarss.checkpoints import save_checkpoint
from endoarss.devices import choose_device, memory_explained
from endoarss.errors import SettingsError
from endoarss.merging.base import Merger
from endoarss.merging.features import plan_cache, representations
from endoarss.merging.fit_surgery import SurgerySettings, mean_l1
from endoarss.merging.merge import apply_surgery, check_mergeable, merge
from endoarss.models import MultiTaskModel
from endoarss.registry import MERGERS
from pipeline.datasets.load import Split, load_split, split_validation
from pipeline.errors import InputError
from pipeline.evaluation.predict_cell import predict_cell, save_predictions
from pipeline.io.files import whole_file, whole_files
from pipeline.io.hashing import sha256_of
from pipeline.redaction import masked_settings
from pipeline.results.cell_state import failure_recorded
from pipeline.results.checkpoints import load_cell, load_file
from pipeline.results.origin import origin_of
from pipeline.results.paths import CellOutput, representations_file
from pipeline.results.provenance import RunStart, about_run, software, write_provenance
from pipeline.study.cells import merging_of
from pipeline.study.datasets import evaluated_on, labels_of
from pipeline.study.fingerprints import cell_settings, settings_of_merging
from pipeline.study.folders import cell_folder, dataset_folder, weights_file
from pipeline.study.models import Study
from pipeline.training.merge_request import MergeRequest, Source, notes_on_unlisted, read_request
from pipeline.training.validation_score import validation_score

_INDIVIDUAL = "individual"  # the name of the single-task models in representations.npz
_CHUNK = 16  # images per step of `_bias_and_means`


def merge_by_name(
    study: Study, models: Sequence[str], methods: Sequence[str], surgery: int | None, out: Path | None
) -> list[str]:
    """Merge the models that the arguments of `read_request` name. If this fails, save the reason for reports and `endoarss status`.

    Returns:
        The paths of the checkpoints, and notes on merged cells that the study does not list.
    """
    request = read_request(study, models, methods, surgery, out)
    with failure_recorded(study, *request.cells()):
        checkpoints = merge_models(study, request)
    return [*map(str, checkpoints), *notes_on_unlisted(study, request)]


def merge_models(study: Study, request: MergeRequest) -> list[Path]:
    """Write checkpoint and provenance of each requested merged model, and its predictions if it is a cell of the study.

    If the request contains all merged models of a merging group, the representations of test images are written too.

    Returns:
        The paths of the checkpoints.

    Raises:
        InputError: if the models were not trained on the same dataset, or not on the study's dataset as it is now; if a rank is too large;
            or if a merged model has no folder.
        SettingsError: if a checkpoint cannot be loaded, the models cannot be merged, or their representations do not fit into memory_mib.
        TrainingError: if memory runs out.
    """
    run, device = RunStart(), choose_device()
    headers = {source.name: origin_of(source.path) for source in request.sources}
    dataset = _common_dataset(study, headers)
    named = {source.name: _load_source(study, source) for source in request.sources}
    models = check_mergeable(named)
    _check_labels_and_size(study, dataset, request.sources[0].name, models)
    _check_has_folder(request)
    _check_ranks(study, request, next(iter(models.values())).backbone.out_channels)
    for name, header in headers.items():
        if header["select_on"] != "val":
            print(
                f"{name}: this model was also trained on the validation frames, on which coefficients are selected. Use a model with "
                "select_on: val."
            )
        if header["select_on"] == "test":
            print(
                f"{name}: the epoch of this model was chosen on the test split, so test scores of models merged from it are too high."
            )
    mergers = {name: MERGERS.get(name)(**study.mergers.get(name, {})) for name, _ in request.mergers_and_ranks}
    with memory_explained("merging", device, "merging.memory_mib, input_size"):
        work = _SharedWork.begin(study, request, dataset, models, device, headers[request.sources[0].name])
        checkpoints: list[Path] = []
        for name, merger in mergers.items():
            ranks = [rank for merger_name, rank in request.mergers_and_ranks if merger_name == name]
            checkpoints += _merge_one(study, request, work, (name, merger), ranks, run)
    if request.group is not None:
        path = representations_file(study, request.group)
        with whole_file(path) as partial, partial.open("wb") as stream:
            digests = {f"sha256 of {cell.id}": np.array(work.digests[cell.id]) for cell in request.group.merged}
            np.savez_compressed(stream, **work.pooled, **digests)  # type: ignore[arg-type]
    return checkpoints


@dataclass
class _SharedWork:
    """The models, images and representations that all mergers of one request use.

    Attributes:
        dataset: name of the dataset of the models.
        models: the single-task models by task.
        device: the device that the models run on.
        header: the provenance in the header of the first checkpoint.
        validation: the validation frames, on which coefficients are selected.
        unlabelled: name of the split whose images mergers and Surgery use without labels.
        images: evenly spaced images of each split, by name of the split.
        individual: representations of these images by the single-task models, by split and task.
        mib: memory of the stored representations, in MiB.
        pooled: means over tokens of representations of the test images, by "<model>/<task>".
        digests: SHA-256 of each merged checkpoint, by id of its cell.
    """

    dataset: str
    models: Mapping[str, MultiTaskModel]
    device: torch.device
    header: Mapping[str, Any]
    validation: Split
    unlabelled: str
    images: dict[str, NDArray[np.uint8]]
    individual: dict[str, dict[str, Tensor]]
    mib: float
    pooled: dict[str, NDArray[np.float32]]
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        study: Study,
        request: MergeRequest,
        dataset: str,
        models: Mapping[str, MultiTaskModel],
        device: torch.device,
        header: Mapping[str, Any],
    ) -> _SharedWork:
        folder, size = dataset_folder(study, dataset), study.input_size
        fitted, validation = split_validation(folder, load_split(folder, "train", size))
        test = load_split(folder, "test", size)
        any_model, *_ = models.values()
        # Memory holds the representations of all single-task models and of one merged model at a time.
        splits = {"test": test.images} if request.on_test else {"train": fitted.images, "test": test.images}
        counts = tuple(len(images) for images in splits.values())
        plan = plan_cache(any_model, len(models) + 1, counts, merging_of(study).memory_mib)
        print(f"{dataset}: {plan.describe()}", flush=True)
        stored = {
            name: np.array(images[np.arange(count) * len(images) // count])  # evenly spaced
            for (name, images), count in zip(splits.items(), plan.stored, strict=True)
        }
        individual = {
            name: {task: representations(model, images, device) for task, model in models.items()}
            for name, images in stored.items()
        }
        pooled = {f"{_INDIVIDUAL}/{task}": _means_over_tokens(z) for task, z in individual["test"].items()}
        unlabelled = "test" if request.on_test else "train"
        return cls(dataset, models, device, header, validation, unlabelled, stored, individual, plan.mib, pooled)


def _merge_one(
    study: Study,
    request: MergeRequest,
    work: _SharedWork,
    named_merger: tuple[str, Merger],
    ranks: list[int],
    run: RunStart,
) -> list[Path]:
    """Merge with one merger, apply Surgery of each rank (0: none), and write the merged models. Return their checkpoints."""
    started = time.perf_counter()
    (name, merger), settings = named_merger, merging_of(study).surgery
    model, entries = merge(
        work.models,
        merger,
        work.images[work.unlabelled],
        lambda model: validation_score(study, work.dataset, work.validation, model),
        work.device,
        work.header["seed"],
        settings.batch_size * settings.batches,
    )
    merging = time.perf_counter() - started
    on_test = representations(model, work.images["test"], work.device)
    on_unlabelled = on_test if request.on_test else representations(model, work.images[work.unlabelled], work.device)
    checkpoints = []
    for rank in ranks:
        started = time.perf_counter()
        if rank:
            fit = {key: value for key, value in settings.as_dict().items() if key not in ("rank", "ablation")}
            individual = work.individual[work.unlabelled]
            apply_surgery(model, on_unlabelled, individual, rank, SurgerySettings(**fit, seed=work.header["seed"]))
        surgery = time.perf_counter() - started if rank else 0.0
        compared = {task: _bias_and_means(model, task, on_test, z) for task, z in work.individual["test"].items()}
        bias = {task: mean for task, (mean, _) in compared.items()}
        work.pooled |= {f"{name}-{rank}/{task}": pooled for task, (_, pooled) in compared.items()}
        of_rank = entries | {
            "bias": bias,
            # The models are merged once for all ranks; the time is recorded for the first rank.
            "seconds": {"merging": round(merging if rank == ranks[0] else 0.0, 2), "surgery": round(surgery, 2)},
            "unlabelled": {"part": "test" if request.on_test else "train", "images": len(work.images[work.unlabelled])},
            "test_images": len(work.images["test"]),
            "kept_representations_mib": round(work.mib, 1),
        }
        checkpoints.append(_write(study, request, work, model, (name, rank), of_rank, run))
        distances = ", ".join(f"{task} {value:.4f}" for task, value in bias.items())
        print(
            f"{name}{f' with Surgery of rank {rank}' if rank else ''}: bias (mean L1 to the single-task models): {distances}",
            flush=True,
        )
    return checkpoints


def _write(
    study: Study,
    request: MergeRequest,
    work: _SharedWork,
    model: MergedModel,
    merger_and_rank: tuple[str, int],
    entries: dict[str, Any],
    run: RunStart,
) -> Path:
    """Write a merged model, and its predictions if it is a cell. Return its checkpoint. entries: the entry `merging` of its provenance."""
    merger, rank = merger_and_rank
    cell = request.cell(merger, rank)
    folder = cell_folder(study, cell) if cell is not None else request.out
    assert folder is not None, "see _check_has_folder"
    header = work.header
    surgery = sum(p.numel() for p in model.surgery.parameters())
    # Entries for the checkpoint's header, without times and measurements, so that equal models give equal files.
    origin = {
        "cell": cell.id if cell is not None else f"{work.dataset}/{model.settings.backbone}/merged/{merger}",
        "settings": cell_settings(study, cell) if cell is not None else settings_of_merging(study, merger, rank),
        "merged_from": {source.name: sha256_of(source.path) for source in request.sources},
        "manifest_sha256": header["manifest_sha256"],
        "weights": header["weights"],
        "preprocessing": header["preprocessing"],  # absent in checkpoints of earlier versions
        "synthetic": study.synthetic,
        "pretrained_on_synthetic": header["pretrained_on_synthetic"],
        "parameters": {"trained": surgery, "total": model.count_parameters()[1]},
        "training_images": len(work.images[work.unlabelled]),
        "validation_images": len(work.validation.frame_ids),
        "seed": header["seed"],
        "select_on": header["select_on"],
        **software(),
    }
    predictions = predict_cell(study, cell, model) if cell is not None else {}
    datasets = evaluated_on(study, work.dataset) if cell is not None else [work.dataset]
    with whole_files() as temporary:
        checkpoint = temporary(folder / CellOutput.CHECKPOINT)
        save_checkpoint(model, checkpoint, masked_settings(origin))
        digests: dict[str, Any] = {}
        if cell is not None:
            digests = {"predictions_sha256": save_predictions(study, cell, predictions, temporary)}
            work.digests[cell.id] = sha256_of(checkpoint)
        provenance = {
            **about_run(study, run, datasets),
            **origin,
            "training_seconds": sum(entries["seconds"].values()),
            "cost": {},
            "merging": entries,
            "checkpoint_sha256": sha256_of(checkpoint),
            **digests,
        }
        write_provenance(temporary(folder / CellOutput.PROVENANCE), provenance)
    return folder / CellOutput.CHECKPOINT


def _load_source(study: Study, source: Source) -> MultiTaskModel:
    files = (weights_file(study, backbone) for backbone in study.backbones)
    try:
        if source.cell is not None:
            return load_cell(study, source.cell)
        return load_file(source.path, [file for file in files if file is not None])
    except SettingsError as error:
        raise SettingsError(f"{source.name}: {error}") from None


def _common_dataset(study: Study, headers: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the dataset that all models were trained on.

    Args:
        study: the study.
        headers: the provenance in each checkpoint's header, by name of the model.

    Raises:
        InputError: if the models were trained on different datasets, or not on the study's present dataset.
    """
    first, *_ = headers
    datasets = {name: str(header["cell"]).partition("/")[0] for name, header in headers.items()}
    for name, dataset in datasets.items():
        if dataset != datasets[first]:
            raise InputError(
                f"the datasets differ: {first} was trained on {datasets[first]}, {name} on {dataset}; expected the same."
            )
        digest, expected = (str(headers[model]["manifest_sha256"]) for model in (name, first))
        if digest != expected:
            raise InputError(
                f"the datasets differ: {first} and {name} were trained on {dataset}, with a manifest of sha256 {expected[:12]} and "
                f"of {digest[:12]}; expected the same."
            )
    dataset = datasets[first]
    if dataset not in study.datasets:
        raise InputError(
            f"{first} was trained on {dataset}; study {study.name!r} has {', '.join(study.datasets)}. Name another study: --study."
        )
    manifest = dataset_folder(study, dataset) / "manifest.csv"
    if not manifest.is_file():
        raise InputError(
            f"{manifest}: missing; {dataset} is not built. Run: endoarss step build_dataset --dataset {dataset}."
        )
    if sha256_of(manifest) != headers[first]["manifest_sha256"]:
        raise InputError(
            f"{first} was trained on {dataset} with a manifest of sha256 {headers[first]['manifest_sha256'][:12]}; {manifest} has "
            f"the sha256 {sha256_of(manifest)[:12]}. Train the models again, or run snakemake."
        )
    return dataset


def _check_labels_and_size(study: Study, dataset: str, name: str, models: Mapping[str, MultiTaskModel]) -> None:
    """Raise InputError unless the models have the classes, activities and input size of the study's dataset."""
    settings, labels = next(iter(models.values())).settings, labels_of(study, dataset)
    for what, found, expected in (
        ("classes", settings.classes, tuple(labels.classes)),
        ("activities", settings.activities, tuple(labels.activities)),
        ("input_size", settings.input_size, study.input_size),
    ):
        if found != expected:
            raise InputError(
                f"{name}: {what} {found} in its header; study {study.name!r} has {expected} for {dataset}. Name the study of this model: "
                "--study."
            )


def _check_has_folder(request: MergeRequest) -> None:
    """Raise InputError unless each merged model is a cell of the study, or --out names a folder."""
    if request.out is None and len(request.cells()) < len(request.mergers_and_ranks):
        names = " and ".join(source.name for source in request.sources)
        raise InputError(
            f"{names}: these are not cells of one study that differ only in their task, so the merged model has no folder. Name one with "
            "--out DIR."
        )


def _check_ranks(study: Study, request: MergeRequest, channels: int) -> None:
    """Raise InputError if a rank of Surgery is larger than the width of the models' representations."""
    keys = merging_of(study).surgery.keys_of_ranks
    for _, rank in request.mergers_and_ranks:
        if rank > channels:
            raise InputError(
                f"{keys.get(rank, '--surgery')}: rank {rank}; expected 1 to {channels}, the number of channels of the models' "
                "representations."
            )


def _bias_and_means(
    model: MergedModel, task: str, merged: Tensor, individual: Tensor
) -> tuple[float, NDArray[np.float32]]:
    """Return the bias of the representations that the head of a task gets (after Surgery, if there is any), and their means over tokens.

    Only a few images are processed at once, because the representations of all images after Surgery may not fit into memory.

    Args:
        model: the merged model.
        task: the task.
        merged: representations (N, h, w, C) by the merged model, before Surgery.
        individual: representations (N, h, w, C) of the same images by the single-task model.
    """
    surgery = dict(model.surgery.items()).get(task)
    total, pooled = 0.0, []
    with torch.no_grad():
        for z, target in zip(merged.split(_CHUNK), individual.split(_CHUNK), strict=True):
            corrected = z if surgery is None else surgery(z.to(next(surgery.parameters()).device)).cpu()
            total += mean_l1(corrected, target) * len(z)
            pooled.append(_means_over_tokens(corrected))
    return total / len(merged), np.concatenate(pooled)


def _means_over_tokens(z: Tensor) -> NDArray[np.float32]:
    """Return the means (N, C) over the tokens of representations (N, h, w, C)."""
    return z.mean(dim=(1, 2)).numpy()
