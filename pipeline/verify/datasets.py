"""Check built datasets against their manifests, cards and provenance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.datasets.arrays import arrays_folder
from pipeline.datasets.manifest import read_manifest
from pipeline.io.files import read_json
from pipeline.io.hashing import sha256_of
from pipeline.results.paths import arrays_file, dataset_files, dataset_provenance_file
from pipeline.study.datasets import dataset_settings
from pipeline.study.folders import dataset_folder
from pipeline.study.models import Study
from pipeline.verify.findings import Check
from pipeline.verify.settings import compare_settings

_BUILD = "Delete the folder and run snakemake, or: endoarss step build_dataset --dataset"
_PACK = "Delete the folder arrays/ and run snakemake, or: endoarss step pack_dataset --dataset"


def check_datasets(study: Study) -> Check:
    """Check images and masks against manifest.csv, arrays against arrays/<size>.json, and manifest and card against the provenance."""
    check = Check("datasets", "images, masks and arrays")
    for dataset in study.datasets:
        folder = dataset_folder(study, dataset)
        if not all(path.is_file() for path in dataset_files(study, dataset)):
            check.gaps.append(f"{folder}: not built")
            continue
        with check.collects_errors(folder):
            rows = read_manifest(folder)
            for row in tqdm(rows, desc=f"verify {folder.name}", unit="frame", mininterval=1.0):
                for kind in ("image", "mask"):
                    check.checked += 1
                    _compare(check, folder / row[kind], row[f"{kind}_sha256"], "manifest.csv", f"{_BUILD} {dataset}.")
            with check.collects_errors(arrays_file(study, dataset)):
                _check_arrays(check, study, dataset, sorted({row["split"] for row in rows}))
            with check.collects_errors(dataset_provenance_file(study, dataset)):
                _check_provenance(check, study, dataset)
    return check


def _compare(check: Check, path: Path, expected: str, record: str, advice: str) -> None:
    """Compare a file with its digest in the file `record`."""
    if not path.is_file():
        check.fail(path, "missing", f"a file of sha256 {expected[:12]}, the digest in {record}", advice)
    else:
        check.compare_digest(path, sha256_of(path), expected, f"the digest in {record}: the file was changed", advice)


def _check_arrays(check: Check, study: Study, dataset: str, splits: list[str]) -> None:
    path, folder, size = arrays_file(study, dataset), dataset_folder(study, dataset), study.input_size
    recorded: dict[str, Any] = read_json(path).get("sha256", {}) if path.is_file() else {}
    if not recorded:
        check.gaps.append(f"{path}: missing, or holds no digests of arrays at {size} pixels")
        return
    for split in splits:
        arrays = arrays_folder(folder, split, size)
        expected = {f"{size}/{arrays.name}/{name}.npy" for name in ("images", "masks")}
        if set(recorded.get(split, {})) != expected:
            unexpected = min(recorded.get(split, {"none": ""}))
            check.fail(
                path,
                f"lists {unexpected} for the split {split}",
                f"{arrays.name}, as the manifest has it",
                f"{_PACK} {dataset}.",
            )
            continue
        if not arrays.is_dir():
            check.gaps.append(f"{arrays}: missing; steps that need them make them again")
            continue
        for name, digest in recorded[split].items():
            check.checked += 1
            _compare(check, folder / "arrays" / name, digest, path.name, f"{_PACK} {dataset}.")


def _check_provenance(check: Check, study: Study, dataset: str) -> None:
    path = dataset_provenance_file(study, dataset)
    if not check.has(path, "missing; who built the dataset is unknown"):
        return
    provenance = read_json(path)
    for file in dataset_files(study, dataset):
        _compare(check, file, provenance.get("sha256", {}).get(file.name, "none"), path.name, f"{_BUILD} {dataset}.")
    compare_settings(check, path, provenance.get("settings", {}), dataset_settings(study, dataset))
