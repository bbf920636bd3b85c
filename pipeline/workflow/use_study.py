"""Select the study that `snakemake` and `dvc repro` run: write params.yaml, and the folder names that dvc.yaml uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import InputError
from pipeline.io.files import write_if_changed
from pipeline.results import paths
from pipeline.study.folders import dataset_folder, pretrained_file, results_folder, roots_as_written
from pipeline.study.loading import load_study
from pipeline.study.models import Study

PARAMS = Path("params.yaml")
NAMES = Path(".dvc/study.yaml")

_HEAD = "# {path}, written by `endoarss use` with all defaults. DVC compares it key by key, and `dvc exp run -S` sets keys.\n"
_NAMES_HEAD = "# Folders of the study in params.yaml, for dvc.yaml. Written by `endoarss use`.\n"


def use(path: Path) -> str:
    """Write a study to params.yaml with all defaults, and its folder names for dvc.yaml. Return what to print.

    Raises:
        InputError: if the study is not valid, or DVC cannot track its raw trees. No file is written in that case.
    """
    study = load_study(path)
    settings = yaml.safe_dump(study.as_dict(), sort_keys=False, allow_unicode=True, width=120)
    names = yaml.safe_dump(names_for_dvc(study), sort_keys=False, allow_unicode=True, width=1000)
    if path.resolve() != PARAMS.resolve():
        write_if_changed(PARAMS, _HEAD.format(path=path) + settings)
    if NAMES.parent.is_dir():
        write_if_changed(NAMES, _NAMES_HEAD + names)
    return f"{PARAMS} is {path}. `snakemake --cores 2` and `dvc repro` run it."


def names_for_dvc(study: Study) -> dict[str, Any]:
    """Return the values that replace the names in braces in dvc.yaml.

    Raises:
        InputError: if a raw tree is named by an environment variable.
    """
    weights = pretrained_file(study)
    return {
        "results": str(results_folder(study)),
        "generated": [str(root) for root in paths.generated_trees(study).values()],
        "pretrained": [str(weights.with_suffix(""))] if weights else [],
        "built": {
            name: {
                "folder": str(dataset_folder(study, name)),
                "arrays": str(paths.arrays_file(study, name).with_suffix("")),
                "raw": _exactly_three(roots_as_written(study, name)),
            }
            for name in study.datasets
        },
    }


def _exactly_three(roots: list[str]) -> list[str]:
    """Return three raw trees: lists in dvc.yaml have a fixed length, so the last tree is repeated."""
    for root in roots:
        if "${" in root:
            raise InputError(
                f"raw tree {root!r}: DVC files are shared with other people and machines, so they must not hold environment variables. "
                "Make a link to the tree, e.g. data/raw/esd, and name the link in the study."
            )
    trees = list(dict.fromkeys(roots))
    return [*trees, *trees[-1:] * (3 - len(trees))]
