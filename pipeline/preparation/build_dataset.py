"""Build one dataset of a study from its raw trees."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.datasets.build import assign_splits, check_unique, write_dataset
from pipeline.datasets.card import GENERATED, LICENCES, read_card
from pipeline.datasets.sample import Collected, Order, Sample
from pipeline.datasets.split_checks import check_split, lacking_activities
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


def collect(study: Study, dataset: str, skip_bad: bool = False) -> tuple[Collected, Order]:
    """The frames of one dataset of a study, archives extracted first.

    Args:
        study: the study. dataset: a name of its. skip_bad: as the dataset's own setting, which it adds to.

    Raises:
        InputError: if a raw tree is missing, incomplete or not in its layout.
    """
    build = build_of(study, dataset)
    order = Order(
        dataset,
        labels_of(study, dataset),
        {source: prepare_root(root) for source, root in roots_of(study, dataset).items()},
        build.scheme,
        build.skip_bad or skip_bad,
        columns_of(study, dataset),
    )
    return recipe_of(study, dataset).collect(order), order


def split_of(study: Study, dataset: str, samples: Sequence[Sample]) -> dict[str, str]:
    """Return the part of each frame under the dataset's split rule, by frame id.

    Test sequences that the study names must be there; of the default ones those count that are, for a download may be partial.

    Raises:
        InputError: if two frames have the same id, the rule does not fit the frames, or it leaves too few to train, to test or to
            choose the epoch on.
    """
    try:
        return _checked_split(study, dataset, samples)
    except InputError as error:
        roots = ", ".join(str(root) for root in dict.fromkeys(roots_of(study, dataset).values()))
        raise InputError(f"{dataset} of {roots}: {error}") from None


def _checked_split(study: Study, dataset: str, samples: Sequence[Sample]) -> dict[str, str]:
    build = build_of(study, dataset)
    test = list(build.test)
    if not build.named:
        there = {sample.sequence for sample in samples}
        test = [name for name in test if name in there] or test
    check_unique(samples)
    split = assign_splits(samples, build.split, build.split_seed, test)
    check_frames(study, dataset, samples, split)
    return split


def check_frames(study: Study, dataset: str, samples: Sequence[Sample], split: Mapping[str, str]) -> None:
    """See that frames do for what the study wants of their split: to train, to choose and to test.

    Args:
        samples: frames of the dataset, all of them or those that can be read. split: the part of each frame id, and of others.

    Raises:
        InputError: if a part has too few, with the counts.
    """
    trainings = _trainings(study, dataset)
    validated = any(cell.select_on == "val" for cell in trainings)
    check_split(dataset, samples, split, split_rule(study, dataset), bool(trainings), validated)


def lacking_of_split(study: Study, dataset: str, samples: Sequence[Sample], split: Mapping[str, str]) -> list[str]:
    """Say which activities the dataset's split leaves without frames to test or to train on; see `lacking_activities`."""
    return lacking_activities(samples, split, split_rule(study, dataset), bool(_trainings(study, dataset)))


def _trainings(study: Study, dataset: str) -> list[Cell]:
    return [cell for cell in trainings_of(study) if cell.dataset == dataset]


def build_dataset(study: Study, dataset: str, workers: int = 1, skip_bad: bool = False) -> None:
    """Write data/datasets/<name>, and beside it <name>.provenance.json: when and by what it was built. What is inside changes with
    what it is built from alone, for what is trained from it hangs on that.

    Args:
        study: the study. dataset: a name of its. workers: processes. skip_bad: see `collect`.

    Raises:
        InputError: if a raw tree is missing, incomplete or not in its layout, or a frame cannot be read.
    """
    run, build, kind = RunStart(), build_of(study, dataset), kind_of(study, dataset)
    collected, order = collect(study, dataset, skip_bad)
    for name, note in collected.notes.items():
        print(f"{dataset}: {name}: {note}", file=sys.stderr)
    split = split_of(study, dataset, collected.samples)
    for note in lacking_of_split(study, dataset, collected.samples, split):
        print(f"{dataset}: {note}", file=sys.stderr)
    card: dict[str, Any] = {
        "name": dataset,
        "kind": kind_name(study, dataset),
        "synthetic": study.synthetic,
        "expected_frames": None if study.synthetic else kind.frames,
        "split_rule": build.split,
        "split_seed": build.split_seed if build.split == RANDOM_BY_ACTIVITY else None,
        "test_names": list(build.test),
        "licences": [GENERATED] if study.synthetic else list(dict.fromkeys(LICENCES[source] for source in order.roots)),
    }
    folder = dataset_folder(study, dataset)
    enough = partial(check_frames, study, dataset, split=split)
    write_dataset(folder, kind.labels, collected, split, order.roots, card, workers, order.skip_bad, enough)
    about = {
        **about_run(study, run, [dataset], with_model=False),
        "dataset": dataset,
        "settings": dataset_settings(study, dataset),
        "seed": build.split_seed,
        "sha256": {path.name: sha256_of(path) for path in dataset_files(study, dataset)},
        "sources": read_card(folder)["sources"],
    }
    write_provenance(dataset_provenance_file(study, dataset), about)
