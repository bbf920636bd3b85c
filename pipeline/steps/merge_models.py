"""Merge single-task models, operate on what comes of it, and write each result as any other cell: one process, for the individual
models' representations serve all mergers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoarss.architectures.merged import MergedModel
from endoarss.checkpoints import load_checkpoint, read_header, save_checkpoint
from endoarss.devices import memory_explained
from endoarss.errors import SettingsError
from endoarss.merging.features import plan_cache, representations
from endoarss.merging.fit_surgery import SurgerySettings, mean_l1
from endoarss.merging.merge import check_mergeable, merge, operate
from endoarss.models import MultiTaskModel
from endoarss.registry import MERGERS
from pipeline.datasets.load import Part, load_part, split_validation
from pipeline.errors import InputError
from pipeline.files import sha256_of, whole_file
from pipeline.layout import representations_file
from pipeline.merge_request import MergeRequest, Source
from pipeline.provenance import RunStart, about_run, choose_device, software, write_provenance
from pipeline.secret_values import masked_settings
from pipeline.steps.predict_cell import predict_cell, predictions_sha256
from pipeline.steps.validation_score import validation_score
from pipeline.study import Study

_INDIVIDUAL = "individual"


def merge_models(study: Study, request: MergeRequest) -> list[Path]:
    """Write checkpoint, provenance and, of a cell of the study, predictions of each merged model that is asked for; of a whole group of the
    study the representations of test images too.

    Returns:
        The checkpoints.

    Raises:
        InputError, SettingsError: if the models cannot be merged, naming both sides.
    """
    run, device = RunStart(), choose_device()
    headers = {source.name: read_header(source.path)["provenance"] for source in request.sources}
    dataset = _common_dataset(study, headers)
    named = {source.name: _loaded(source) for source in request.sources}
    models = check_mergeable(named)
    _check_nameable(request)
    with memory_explained("merging", device, "merging.memory_mib, input_size"):
        work = _Work.begin(study, request, dataset, models, device, headers[request.sources[0].name])
        written: list[Path] = []
        for merger in dict.fromkeys(merger for merger, _ in request.wanted):
            ranks = [rank for name, rank in request.wanted if name == merger]
            written += _merge_one(study, request, work, merger, ranks, run)
    if request.group is not None:
        path = representations_file(study, request.group)
        with whole_file(path) as partial, partial.open("wb") as stream:
            np.savez_compressed(stream, **work.pooled)  # type: ignore[arg-type]
    return written


@dataclass
class _Work:
    """What all mergers share.

    header: what the first checkpoint says of its training. validation: what chooses. unlabelled, test: images. individual, tested: the
    individual models' representations of these, by task. mib: what kept representations take. pooled: means over tokens of the test
    images, by "<what>/<task>".
    """

    dataset: str
    models: Mapping[str, MultiTaskModel]
    device: torch.device
    validation: Part
    unlabelled: NDArray[np.uint8]
    test: NDArray[np.uint8]
    individual: dict[str, Tensor]
    tested: dict[str, Tensor]
    mib: float
    pooled: dict[str, NDArray[np.float32]]
    header: Mapping[str, Any]

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
        folder, size = study.dataset_folder(dataset), study.settings["input_size"]
        fitted, validation = split_validation(folder, load_part(folder, "train", size))
        test = load_part(folder, "test", size)
        first, *_ = models.values()
        unlabelled = test.images if request.on_test else fitted.images
        # The individual models' maps stay, those of one merged model at a time come beside them.
        counts = (len(unlabelled), len(test.images))
        plan = plan_cache(first, len(models) + 1, counts, study.merging_settings()["memory_mib"])
        print(f"{dataset}: {plan.describe()}", flush=True)
        some, tested = (
            np.array(images[_spread(len(images), kept)])
            for images, kept in zip((unlabelled, test.images), plan.kept, strict=True)
        )
        individual = {task: representations(model, some, device) for task, model in models.items()}
        of_test = {task: representations(model, tested, device) for task, model in models.items()}
        pooled = {f"{_INDIVIDUAL}/{task}": _pooled(z) for task, z in of_test.items()}
        return cls(dataset, models, device, validation, some, tested, individual, of_test, plan.mib, pooled, header)


def _merge_one(
    study: Study, request: MergeRequest, work: _Work, merger: str, ranks: list[int], run: RunStart
) -> list[Path]:
    started = time.perf_counter()
    make = MERGERS.get(merger)
    settings, batch = study.settings["mergers"].get(merger, {}), study.merging_settings()["surgery"]
    seen = batch["batch_size"] * batch["batches"]
    model, about = merge(
        work.models,
        make(**settings),
        work.unlabelled,
        lambda model: validation_score(study, work.dataset, work.validation, model),
        work.device,
        work.header["seed"],
        seen,
    )
    merging = time.perf_counter() - started
    merged = representations(model, work.unlabelled, work.device)
    tested = representations(model, work.test, work.device)
    written = []
    for rank in ranks:
        started = time.perf_counter()
        if rank:
            fitted = {key: batch[key] for key in ("iterations", "batch_size", "batches", "learning_rate")}
            operate(model, merged, work.individual, rank, SurgerySettings(**fitted, seed=work.header["seed"]))
        after = {task: _operated(model, task, tested) for task in work.models}
        bias = {task: mean_l1(after[task], z) for task, z in work.tested.items()}
        shown = about | {
            "bias": bias,
            "seconds": {
                "merging": round(merging, 2),
                "surgery": round(time.perf_counter() - started, 2) if rank else 0.0,
            },
            "unlabelled": {"part": "test" if request.on_test else "train", "images": len(work.unlabelled)},
            "test_images": len(work.test),
            "kept_representations_mib": round(work.mib, 1),
        }
        written.append(_write(study, request, work, model, (merger, rank), shown, run))
        said = ", ".join(f"{task} {value:.4f}" for task, value in bias.items())
        print(
            f"{merger}{f' with Surgery of rank {rank}' if rank else ''}: mean L1 to the individual models: {said}",
            flush=True,
        )
        work.pooled |= {f"{merger}-{rank}/{task}": _pooled(z) for task, z in after.items()}
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
    folder = study.cell_folder(cell) if cell is not None else request.out
    assert folder is not None, "what _check_nameable saw to"
    (folder / "provenance.json").unlink(missing_ok=True)
    first = work.header
    surgery = sum(p.numel() for p in model.surgery.parameters())
    # What decides the checkpoint; times and measurements do not.
    origin = {
        "cell": cell.id if cell is not None else f"{work.dataset}/{model.settings.backbone}/merged/{merger}",
        "settings": study.cell_settings(cell) if cell is not None else _settings_by_hand(study, merger, rank),
        "merged_from": {source.name: sha256_of(source.path) for source in request.sources},
        "manifest_sha256": first["manifest_sha256"],
        "weights": first["weights"],
        "synthetic": study.synthetic,
        "pretrained_on_synthetic": first["pretrained_on_synthetic"],
        "parameters": {"trained": surgery, "total": model.count_parameters()[1]},
        "training_images": len(work.unlabelled),
        "validation_images": len(work.validation.frame_ids),
        "seed": first["seed"],
        "select_on": first["select_on"],
        **software(),
    }
    with whole_file(folder / "model.safetensors") as partial:
        save_checkpoint(model, partial, masked_settings(origin))
    kept: dict[str, Any] = {}
    if cell is not None:
        predict_cell(study, cell, model)
        kept = {"predictions_sha256": predictions_sha256(study, cell)}
    datasets = study.evaluated_on(work.dataset) if cell is not None else [work.dataset]
    write_provenance(
        folder / "provenance.json",
        {
            **about_run(study, run, datasets),
            **origin,
            "training_seconds": sum(about["seconds"].values()),
            "cost": {},
            "merging": about,
            "checkpoint_sha256": sha256_of(folder / "model.safetensors"),
            **kept,
        },
    )
    return folder / "model.safetensors"


def _settings_by_hand(study: Study, merger: str, rank: int) -> dict[str, Any]:
    return {"merger": {merger: study.settings["mergers"].get(merger, {})}, "surgery_rank": rank}


def _loaded(source: Source) -> MultiTaskModel:
    try:
        return load_checkpoint(source.path)
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
    manifest = study.dataset_folder(dataset) / "manifest.csv"
    if not manifest.is_file():
        raise InputError(f"{manifest}: missing; {dataset} is not built. Run: endoarss build --dataset {dataset}.")
    if sha256_of(manifest) != known[first]["manifest_sha256"]:
        raise InputError(
            f"{first} was trained on {dataset} with a manifest of sha256 {known[first]['manifest_sha256'][:12]}; {manifest} is "
            f"{sha256_of(manifest)[:12]}. Train the models again, or run snakemake."
        )
    for name, about in known.items():
        if about["select_on"] == "last":
            print(
                f"{name}: trained on the validation frames too; what is chosen on them here is chosen on frames it knows."
            )
    return dataset


def _check_nameable(request: MergeRequest) -> None:
    """See that there is a place for each model."""
    if request.out is None and len(request.cells()) < len(request.wanted):
        names = " and ".join(source.name for source in request.sources)
        raise InputError(
            f"{names}: not cells of one study that differ in their task alone, so that the merged model has no place of its own. Give one: "
            "--out DIR."
        )


def _spread(count: int, kept: int) -> NDArray[np.int64]:
    """`kept` of `count` numbers, evenly spread."""
    return np.arange(kept) * count // kept


def _operated(model: MergedModel, task: str, z: Tensor) -> Tensor:
    """What a task's head sees of kept representations."""
    if task not in model.surgery:
        return z
    surgery = model.surgery[task]
    device = next(surgery.parameters()).device
    with torch.inference_mode():
        return torch.cat([surgery(part.to(device)).cpu() for part in z.split(64)])


def _pooled(z: Tensor) -> NDArray[np.float32]:
    """(N, h, w, C) -> (N, C): the mean over tokens."""
    return z.mean(dim=(1, 2)).numpy()
