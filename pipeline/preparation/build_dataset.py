"""Build one dataset of a study from its raw trees."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.datasets.build import assign_splits, check_unique, write_dataset
from pipeline.datasets.card import GENERATED, LICENCES, read_card
from pipeline.datasets.sample import Collected, CollectRequest, Sample
from pipeline.datasets.split_checks import activity_warnings, check_split
from pipeline.errors import InputError
from pipeline.io.hashing import sha256_of
from pipeline.labels.splits import RANDOM_BY_ACTIVITY
from pipeline.results.paths import dataset_files, dataset_provenance_file
from pipeline.results.provenance import RunStart, about_run, write_provenance
from pipeline.sources.archives import prepare_root
from pipeline.study.cell import Cell
from pipeline.study.cells import trainings_of
from pipeline.study.datasets import (
    build_of,
    columns_of,
    dataset_settings,
    kind_name,
    kind_of,
    labels_of,
    recipe_of,
    split_rule,
)
from pipeline.study.folders import dataset_folder, roots_of
from pipeline.study.models import Study


def collect(study: Study, dataset: str, skip_bad: bool = False) -> tuple[Collected, CollectRequest]:
    """Extract archives, then collect the frames of one dataset of a study.

    Args:
        study: the study.
        dataset: name of one of its datasets.
        skip_bad: leave out unusable frames, even if the dataset's settings say otherwise.

    Returns:
        The collected frames, and the request that was passed to the collector.

    Raises:
        InputError: if a raw tree is missing, incomplete, or has another layout.
    """
    build = build_of(study, dataset)
    request = CollectRequest(
        dataset,
        labels_of(study, dataset),
        {source: prepare_root(root) for source, root in roots_of(study, dataset).items()},
        build.scheme,
        build.skip_bad or skip_bad,
        columns_of(study, dataset),
    )
    return recipe_of(study, dataset).collect(request), request


def split_of(study: Study, dataset: str, samples: Sequence[Sample]) -> dict[str, str]:
    """Return train or test by frame id under the dataset's split rule.

    Test sequences that the study names must exist. Default test sequences may be absent, because a download may be partial.

    Raises:
        InputError: if two frames have the same id, if the rule does not fit the frames, or if a split has too few frames for training,
            validation or testing.
    """
    try:
        return _checked_split(study, dataset, samples)
    except InputError as error:
        roots = ", ".join(str(root) for root in dict.fromkeys(roots_of(study, dataset).values()))
        raise InputError(f"{dataset} from {roots}: {error}") from None


def _checked_split(study: Study, dataset: str, samples: Sequence[Sample]) -> dict[str, str]:
    build = build_of(study, dataset)
    test_names = list(build.test)
    if not build.named:
        present = {sample.sequence for sample in samples}
        test_names = [name for name in test_names if name in present] or test_names
    check_unique(samples)
    split = assign_splits(samples, build.split, build.split_seed, test_names)
    check_frames(study, dataset, samples, split)
    return split


def check_frames(study: Study, dataset: str, samples: Sequence[Sample], split: Mapping[str, str]) -> None:
    """Raise an error if the frames are too few for the study's training, validation and testing.

    Args:
        study: the study.
        dataset: name of one of its datasets.
        samples: all frames of the dataset, or only the readable ones.
        split: train or test by frame id, also for frames that are not in `samples`.

    Raises:
        InputError: if a split has too few frames; the message names the counts.
    """
    trainings = _trainings(study, dataset)
    validated = any(cell.select_on == "val" for cell in trainings)
    check_split(dataset, samples, split, split_rule(study, dataset), bool(trainings), validated)


def split_warnings(study: Study, dataset: str, samples: Sequence[Sample], split: Mapping[str, str]) -> list[str]:
    """Return warnings about activities without test or training frames; see `activity_warnings`."""
    return activity_warnings(samples, split, split_rule(study, dataset), bool(_trainings(study, dataset)))


def _trainings(study: Study, dataset: str) -> list[Cell]:
    return [cell for cell in trainings_of(study) if cell.dataset == dataset]


def build_dataset(study: Study, dataset: str, workers: int = 1, skip_bad: bool = False) -> None:
    """Build data/datasets/<name>, and write <name>.provenance.json next to it, which says when and how the dataset was built.

    Trainings depend on the folder's bytes, so these must depend on the raw trees and settings alone. The time of the build is therefore
    outside the folder.

    Args:
        study: the study.
        dataset: name of one of its datasets.
        workers: number of processes.
        skip_bad: see `collect`.

    Raises:
        InputError: if `collect`, `split_of` or `write_dataset` raises it.
    """
    run, build, kind = RunStart(), build_of(study, dataset), kind_of(study, dataset)
    collected, request = collect(study, dataset, skip_bad)
    for name, note in collected.notes.items():
        print(f"{dataset}: {name}: {note}", file=sys.stderr)
    split = split_of(study, dataset, collected.samples)
    for note in split_warnings(study, dataset, collected.samples, split):
        print(f"{dataset}: {note}", file=sys.stderr)
    card: dict[str, Any] = {
        "name": dataset,
        "kind": kind_name(study, dataset),
        "synthetic": study.synthetic,
        "expected_frames": None if study.synthetic else kind.frames,
        "split_rule": build.split,
        "split_seed": build.split_seed if build.split == RANDOM_BY_ACTIVITY else None,
        "test_names": list(build.test),
        "licences": [GENERATED]
        if study.synthetic
        else list(dict.fromkeys(LICENCES[source] for source in request.roots)),
    }
    folder = dataset_folder(study, dataset)
    check = partial(check_frames, study, dataset, split=split)
    write_dataset(folder, kind.labels, collected, split, request.roots, card, workers, request.skip_bad, check)
    provenance = {
        **about_run(study, run, [dataset], with_model=False),
        "dataset": dataset,
        "settings": dataset_settings(study, dataset),
        "seed": build.split_seed,
        "sha256": {path.name: sha256_of(path) for path in dataset_files(study, dataset)},
        "sources": read_card(folder)["sources"],
    }
    write_provenance(dataset_provenance_file(study, dataset), provenance)
