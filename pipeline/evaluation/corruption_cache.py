"""The corrupted images of a dataset that are made once for all models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.io.files import read_json
from pipeline.io.hashing import digest, sha256_of
from pipeline.io.import_closure import code_sha256, import_closure
from pipeline.results.paths import corrupted_done_file, corrupted_folder
from pipeline.results.provenance import image_packages
from pipeline.study.components import corruption_modules
from pipeline.study.conditions import conditions_of
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study


def cached_images(study: Study, dataset: str) -> Path:
    """The folder with a dataset's corrupted images.

    Raises:
        InputError: if they are not there, or of other images or settings.
    """
    folder = corrupted_folder(study, dataset)
    mark = corrupted_done_file(study, dataset)
    made = f"Make them: endoarss step corrupt_images --dataset {dataset}."
    if not mark.is_file():
        raise InputError(f"{mark}: missing; robustness.keep_corrupted asks for kept images. {made}")
    about, there = about_cache(study, dataset), read_json(mark)
    other = [key for key in about if there.get(key) != about[key]]
    if other:
        raise InputError(f"{mark}: made with another {', '.join(other)}. {made}")
    return folder


def about_cache(study: Study, dataset: str) -> dict[str, Any]:
    """What corrupted images depend on, as corruptions.json says it."""
    conditions = conditions_of(study)
    return {
        "dataset": dataset_folder(study, dataset).name,
        "manifest_sha256": sha256_of(dataset_folder(study, dataset) / "manifest.csv"),
        "size": study.input_size,
        "synthetic": study.synthetic,
        "code_sha256": _corruption_sha256(conditions.corruptions),
        **conditions.as_dict(),
    }


def _corruption_sha256(names: Sequence[str]) -> str:
    """Digest the code and the package versions that decide how these corruptions change images."""
    modules = "pipeline.evaluation.corrupted_batches", *corruption_modules(names)
    return digest([code_sha256(import_closure(*modules)), image_packages()])
