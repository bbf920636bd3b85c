"""Merge single-task models, apply_surgery on what comes of it, and write each result as any other cell: one process, for the individual
models' representations serve all mergers."""

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

_INDIVIDUAL = "individual"
_CHUNK = 16  # images at a time


def merge_as_asked(
    study: Study, models: Sequence[str], methods: Sequence[str], surgery: int | None, out: Path | None
) -> list[str]:
    """Merge what the arguments name, see `read_request`; if that fails, keep the reason for reports and status.

    Returns:
        The paths of the checkpoints, and what is to be known of them.
    """
    request = read_request(study, models, methods, surgery, out)
    with failure_recorded(study, *request.cells()):
        written = merge_models(study, request)
    return [*map(str, written), *notes_on_unlisted(study, request)]


def merge_models(study: Study, request: MergeRequest) -> list[Path]:
    """Write checkpoint, provenance and, of a cell of the study, predictions of each merged model that is asked for; of a whole group of the
    study the representations of test images too.

    Returns:
        The checkpoints.

    Raises:
        InputError, SettingsError: if the models cannot be merged, naming both sides.
    """
    run, device = RunStart(), choose_device()
    headers = {source.name: origin_of(source.path) for source in request.sources}
    dataset = _common_dataset(study, headers)
    named = {source.name: _loaded(study, source) for source in request.sources}
    models = check_mergeable(named)
    _check_of_study(study, dataset, request.sources[0].name, models)
    _check_nameable(request)
    for name, about in headers.items():
        if about["select_on"] != "val":
            print(f"{name}: trained on the validation frames too: what is chosen on them is chosen on frames it knows.")
        if about["select_on"] == "test":
            print(f"{name}: its epoch was chosen on the test split: what is merged from it scores too well there.")
    mergers = {name: MERGERS.get(name)(**study.mergers.get(name, {})) for name, _ in request.wanted}
    with memory_explained("merging", device, "merging.memory_mib, input_size"):
        work = _Work.begin(study, request, dataset, models, device, headers[request.sources[0].name])
        written: list[Path] = []
        for name, merger in mergers.items():
            ranks = [rank for wanted, rank in request.wanted if wanted == name]
            written += _merge_one(study, request, work, (name, merger), ranks, run)
    if request.group is not None:
        path = representations_file(study, request.group)
        with whole_file(path) as partial, partial.open("wb") as stream:
            digests = {f"sha256 of {cell.id}": np.array(work.digests[cell.id]) for cell in request.group.merged}
            np.savez_compressed(stream, **work.pooled, **digests)  # type: ignore[arg-type]
    return written


@dataclass
class _Work:
    """What all mergers share.

    header: what the first checkpoint says of its training. validation: what chooses. images: some of each part, by its name. seen: the
    part that mergers and Surgery see. individual: the individual models' representations of images, by part and task. mib: what kept
    representations take. pooled: means over tokens of the test images, by "<what>/<task>". digests: SHA-256 of each checkpoint, by its
    cell.
    """

    dataset: str
    models: Mapping[str, MultiTaskModel]
    device: torch.device
    header: Mapping[str, Any]
    validation: Split
    seen: str
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
    ) -> _Work:
        folder, size = dataset_folder(study, dataset), study.input_size
        fitted, validation = split_validation(folder, load_split(folder, "train", size))
        test = load_split(folder, "test", size)
        first, *_ = models.values()
        # The individual models' maps stay, those of one merged model at a time come beside them.
        parts = {"test": test.images} if request.on_test else {"train": fitted.images, "test": test.images}
        counts = tuple(len(images) for images in parts.values())
        plan = plan_cache(first, len(models) + 1, counts, merging_of(study).memory_mib)
        print(f"{dataset}: {plan.describe()}", flush=True)
        some = {
            part: np.array(images[np.arange(kept) * len(images) // kept])  # evenly spread
            for (part, images), kept in zip(parts.items(), plan.stored, strict=True)
        }
        of = {
            part: {task: representations(model, images, device) for task, model in models.items()}
            for part, images in some.items()
        }
        pooled = {f"{_INDIVIDUAL}/{task}": _pooled(z) for task, z in of["test"].items()}
        seen = "test" if request.on_test else "train"
        return cls(dataset, models, device, header, validation, seen, some, of, plan.mib, pooled)


def _merge_one(
    study: Study, request: MergeRequest, work: _Work, named: tuple[str, Merger], ranks: list[int], run: RunStart
) -> list[Path]:
    started = time.perf_counter()
    (merger, merges), batch = named, merging_of(study).surgery
    seen = batch.batch_size * batch.batches
    model, about = merge(
        work.models,
        merges,
        work.images[work.seen],
        lambda model: validation_score(study, work.dataset, work.validation, model),
        work.device,
        work.header["seed"],
        seen,
    )
    merging = time.perf_counter() - started
    tested = representations(model, work.images["test"], work.device)
    merged = tested if request.on_test else representations(model, work.images[work.seen], work.device)
    written = []
    for rank in ranks:
        started = time.perf_counter()
        if rank:
            fitted = {key: value for key, value in batch.as_dict().items() if key not in ("rank", "ablation")}
            apply_surgery(
                model, merged, work.individual[work.seen], rank, SurgerySettings(**fitted, seed=work.header["seed"])
            )
        surgery = time.perf_counter() - started if rank else 0.0
        compared = {task: _compared(model, task, tested, z) for task, z in work.individual["test"].items()}
        bias = {task: mean for task, (mean, _) in compared.items()}
        work.pooled |= {f"{merger}-{rank}/{task}": pooled for task, (_, pooled) in compared.items()}
        shown = about | {
            "bias": bias,
            # Merging is done once for all ranks, and told of the first.
            "seconds": {"merging": round(merging if rank == ranks[0] else 0.0, 2), "surgery": round(surgery, 2)},
            "unlabelled": {"part": "test" if request.on_test else "train", "images": len(work.images[work.seen])},
            "test_images": len(work.images["test"]),
            "kept_representations_mib": round(work.mib, 1),
        }
        written.append(_write(study, request, work, model, (merger, rank), shown, run))
        said = ", ".join(f"{task} {value:.4f}" for task, value in bias.items())
        print(
            f"{merger}{f' with Surgery of rank {rank}' if rank else ''}: mean L1 to the individual models: {said}",
            flush=True,
        )
    return written


def _write(
    study: Study,
    request: MergeRequest,
    work: _Work,
    model: MergedModel,
    wanted: tuple[str, int],
    about: dict[str, Any],
    run: RunStart,
) -> Path:
    merger, rank = wanted
    cell = request.cell(merger, rank)
    folder = cell_folder(study, cell) if cell is not None else request.out
    assert folder is not None, "what _check_nameable saw to"
    first = work.header
    surgery = sum(p.numel() for p in model.surgery.parameters())
    # What decides the checkpoint; times and measurements do not.
    origin = {
        "cell": cell.id if cell is not None else f"{work.dataset}/{model.settings.backbone}/merged/{merger}",
        "settings": cell_settings(study, cell) if cell is not None else settings_of_merging(study, merger, rank),
        "merged_from": {source.name: sha256_of(source.path) for source in request.sources},
        "manifest_sha256": first["manifest_sha256"],
        "weights": first["weights"],
        "preprocessing": first["preprocessing"],  # checkpoints of earlier versions say nothing of it
        "synthetic": study.synthetic,
        "pretrained_on_synthetic": first["pretrained_on_synthetic"],
        "parameters": {"trained": surgery, "total": model.count_parameters()[1]},
        "training_images": len(work.images[work.seen]),
        "validation_images": len(work.validation.frame_ids),
        "seed": first["seed"],
        "select_on": first["select_on"],
        **software(),
    }
    predictions = predict_cell(study, cell, model) if cell is not None else {}
    datasets = evaluated_on(study, work.dataset) if cell is not None else [work.dataset]
    with whole_files() as beside:
        checkpoint = beside(folder / CellOutput.CHECKPOINT)
        save_checkpoint(model, checkpoint, masked_settings(origin))
        kept: dict[str, Any] = {}
        if cell is not None:
            kept = {"predictions_sha256": save_predictions(study, cell, predictions, beside)}
            work.digests[cell.id] = sha256_of(checkpoint)
        provenance = {
            **about_run(study, run, datasets),
            **origin,
            "training_seconds": sum(about["seconds"].values()),
            "cost": {},
            "merging": about,
            "checkpoint_sha256": sha256_of(checkpoint),
            **kept,
        }
        write_provenance(beside(folder / CellOutput.PROVENANCE), provenance)
    return folder / CellOutput.CHECKPOINT


def _loaded(study: Study, source: Source) -> MultiTaskModel:
    files = (weights_file(study, backbone) for backbone in study.backbones)
    try:
        if source.cell is not None:
            return load_cell(study, source.cell)
        return load_file(source.path, [file for file in files if file is not None])
    except SettingsError as error:
        raise SettingsError(f"{source.name}: {error}") from None


def _common_dataset(study: Study, known: Mapping[str, Mapping[str, Any]]) -> str:
    """The dataset that all models were trained on.

    Args:
        known: what each checkpoint says of its training, by name.

    Raises:
        InputError: if it is not one, naming both models, or not the study's present one.
    """
    first, *_ = known
    datasets = {name: str(about["cell"]).partition("/")[0] for name, about in known.items()}
    for name, dataset in datasets.items():
        if dataset != datasets[first]:
            raise InputError(
                f"the datasets differ: {first} was trained on {datasets[first]}, {name} on {dataset}; expected the same."
            )
        digest, expected = (str(known[one]["manifest_sha256"]) for one in (name, first))
        if digest != expected:
            raise InputError(
                f"the datasets differ: {first} and {name} were trained on {dataset}, with a manifest of sha256 {expected[:12]} and "
                f"of {digest[:12]}; expected the same."
            )
    dataset = datasets[first]
    if dataset not in study.datasets:
        raise InputError(
            f"{first} was trained on {dataset}; study {study.name!r} has {', '.join(study.datasets)}. Name another: --study."
        )
    manifest = dataset_folder(study, dataset) / "manifest.csv"
    if not manifest.is_file():
        raise InputError(
            f"{manifest}: missing; {dataset} is not built. Run: endoarss step build_dataset --dataset {dataset}."
        )
    if sha256_of(manifest) != known[first]["manifest_sha256"]:
        raise InputError(
            f"{first} was trained on {dataset} with a manifest of sha256 {known[first]['manifest_sha256'][:12]}; {manifest} is "
            f"{sha256_of(manifest)[:12]}. Train the models again, or run snakemake."
        )
    return dataset


def _check_of_study(study: Study, dataset: str, name: str, models: Mapping[str, MultiTaskModel]) -> None:
    """See that models, which are alike, have the labels and the input size of the study's dataset."""
    settings, labels = next(iter(models.values())).settings, labels_of(study, dataset)
    for what, found, expected in (
        ("classes", settings.classes, tuple(labels.classes)),
        ("activities", settings.activities, tuple(labels.activities)),
        ("input_size", settings.input_size, study.input_size),
    ):
        if found != expected:
            raise InputError(
                f"{name}: {what} {found} in its header; study {study.name!r} has {expected} for {dataset}."
            )


def _check_nameable(request: MergeRequest) -> None:
    """See that there is a place for each model."""
    if request.out is None and len(request.cells()) < len(request.wanted):
        names = " and ".join(source.name for source in request.sources)
        raise InputError(
            f"{names}: not cells of one study that differ in their task alone, so that the merged model has no place of its own. Give one: "
            "--out DIR."
        )


def _compared(model: MergedModel, task: str, merged: Tensor, individual: Tensor) -> tuple[float, NDArray[np.float32]]:
    """The bias of what a task's head sees, from kept representations of the merged model; and its means over tokens. Some images at a
    time, so that nothing of the size of the kept ones comes beside them."""
    surgery = dict(model.surgery.items()).get(task)
    total, pooled = 0.0, []
    with torch.no_grad():
        for z, target in zip(merged.split(_CHUNK), individual.split(_CHUNK), strict=True):
            seen = z if surgery is None else surgery(z.to(next(surgery.parameters()).device)).cpu()
            total += mean_l1(seen, target) * len(z)
            pooled.append(_pooled(seen))
    return total / len(merged), np.concatenate(pooled)


def _pooled(z: Tensor) -> NDArray[np.float32]:
    """(N, h, w, C) -> (N, C): the mean over tokens."""
    return z.mean(dim=(1, 2)).numpy()
