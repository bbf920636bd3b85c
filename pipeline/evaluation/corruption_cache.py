"""Find and check the cache of corrupted images of a dataset. `corrupt_images` fills the cache once for all models."""

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
    """Return the folder with the corrupted images of a dataset.

    Raises:
        InputError: if the folder is not complete, or was made from other images or settings.
    """
    folder = corrupted_folder(study, dataset)
    done_file = corrupted_done_file(study, dataset)
    advice = f"Make them: endoarss step corrupt_images --dataset {dataset}."
    if not done_file.is_file():
        raise InputError(f"{done_file}: missing, although robustness.keep_corrupted asks for stored images. {advice}")
    expected, stored = cache_settings(study, dataset), read_json(done_file)
    changed = [key for key in expected if stored.get(key) != expected[key]]
    if changed:
        raise InputError(f"{done_file}: made with another {', '.join(changed)}. {advice}")
    return folder


def cache_settings(study: Study, dataset: str) -> dict[str, Any]:
    """Return all that the corrupted images depend on, as corruptions.json stores it."""
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
