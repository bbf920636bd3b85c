"""The command `endoarss doctor`: check the raw trees of a study's datasets, and export their splits."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.build import check_split_is_readable
from pipeline.datasets.kinds import PLAIN, WHERE_TO_ASK
from pipeline.datasets.sample import Collected
from pipeline.errors import InputError
from pipeline.io.files import whole_file, write_json
from pipeline.preparation.build_dataset import check_frames, collect, split_of, split_warnings
from pipeline.preparation.doctor.datasets import Headers, add_never_seen, inspect_dataset, read_failures
from pipeline.preparation.doctor.findings import ERROR, NOTE, DatasetReport, Finding, Report, SourceReport
from pipeline.preparation.doctor.show import show
from pipeline.preparation.doctor.sources import Need, inspect_source, read_headers
from pipeline.redaction import masked, masked_content
from pipeline.sources.archives import prepare_root
from pipeline.sources.contacts import PLAIN_LABELS, PLAIN_MASKS
from pipeline.sources.plain import find_tree
from pipeline.study.datasets import build_of, columns_of, kind_name, kind_of, known_dataset, labels_of
from pipeline.study.folders import roots_of
from pipeline.study.models import Study


def doctor(
    study: Study, datasets: Sequence[str], deep: bool, json_file: Path | None, split_file: Path | None, workers: int
) -> None:
    """Check the raw trees of a study, print the report without secrets, and write the requested files.

    Args:
        study: the study.
        datasets: names of its datasets; empty for all.
        deep: decode every image and mask.
        json_file: file for the report as JSON.
        split_file: file for the split of every frame as CSV.
        workers: number of processes of a deep check.

    Raises:
        InputError: if a dataset does not belong to the study, or if a raw tree cannot be used.
    """
    report = check_sources(
        study, [known_dataset(study, name) for name in datasets] or list(study.datasets), deep, workers
    )
    print(masked(show(report)))
    if json_file is not None:
        write_json(json_file, masked_content(report.as_dict()))
    errors = [finding.text for dataset in report.datasets for finding in dataset.findings if finding.level == ERROR]
    if errors:
        others = f" The report lists {len(errors) - 1} more." if len(errors) > 1 else ""
        raise InputError(f"the raw trees cannot be used. {errors[0]}{others}")
    if split_file is not None:
        print(f"{split_file}: written, with the split of {export_split(study, split_file)} frames.")


def check_sources(study: Study, datasets: Sequence[str], deep: bool = False, workers: int = 1) -> Report:
    """Extract archives, then check the raw trees of the datasets with the same functions that build the datasets.

    Args:
        study: the study.
        datasets: names of datasets of the study.
        deep: decode every image and mask.
        workers: number of processes of a deep check.
    """
    collections: dict[str, Collected | InputError] = {}
    for dataset in datasets:
        try:
            # With skip_bad the report lists all faults instead of the first one.
            collections[dataset], _ = collect(study, dataset, skip_bad=True)
        except InputError as error:
            collections[dataset] = error
    usable = [collected for collected in collections.values() if isinstance(collected, Collected)]
    files = [path for collected in usable for sample in collected.samples for path in sample.files]
    headers = read_headers(files, "headers")
    sources: dict[tuple[str, Path, str], SourceReport] = {}
    for dataset in datasets:
        for source, root in roots_of(study, dataset).items():
            if source in (PLAIN_MASKS, PLAIN_LABELS):
                continue  # checked together with the images
            owner = dataset if source == PLAIN else ""  # your own frames belong to a single dataset
            if (source, root, owner) not in sources:
                built_from_it = (
                    [owner] if owner else [name for name in datasets if roots_of(study, name).get(source) == root]
                )
                sources[source, root, owner] = _inspect_source(study, built_from_it, source, root, headers)
    reports = [_inspect_dataset(study, dataset, collections[dataset], headers, deep, workers) for dataset in datasets]
    return Report(study.name, study.synthetic, deep, list(sources.values()), reports)


def _inspect_source(study: Study, datasets: Sequence[str], source: str, root: Path, headers: Headers) -> SourceReport:
    """Return the report on a raw tree that the datasets `datasets` are built from."""
    report = SourceReport(source, str(root), WHERE_TO_ASK.get(source, "the owner"))
    try:
        prepared = prepare_root(root)
        roots = roots_of(study, datasets[0])
        annotations = roots.get("vqla2018")
        need = Need(
            not study.synthetic,
            {kind_name(study, dataset) for dataset in datasets},
            prepare_root(annotations) if annotations else None,
            study.raw.endovis2018_scheme,
            labels_of(study, datasets[0]).activities,
            headers,
            find_tree({name: prepare_root(path) for name, path in roots.items()}, columns_of(study, datasets[0]))
            if source == PLAIN
            else None,
        )
    except InputError as error:
        report.add(ERROR, str(error))
        return report
    inspect_source(report, prepared, need)
    return report


def _inspect_dataset(
    study: Study, dataset: str, collected: Collected | InputError, headers: Headers, deep: bool, workers: int
) -> DatasetReport:
    build, kind = build_of(study, dataset), kind_of(study, dataset)
    report = DatasetReport(dataset, build.split, expected=None if study.synthetic else kind.frames)
    if isinstance(collected, InputError):
        report.findings.append(Finding(ERROR, str(collected)))
        return report
    split: dict[str, str] = {}
    try:
        split = split_of(study, dataset, collected.samples)
    except InputError as error:
        report.findings.append(Finding(ERROR, str(error)))
    skip_bad = build.skip_bad
    failures = read_failures(report, kind, collected.samples, split, headers, deep, skip_bad, workers)
    inspect_dataset(report, kind, collected, split, failures, skip_bad)
    readable = [sample for sample in collected.samples if not (skip_bad and sample.frame_id in failures)]
    warnings = split_warnings(study, dataset, readable, split) if split else []
    report.findings += [Finding(NOTE, text) for text in warnings]
    if skip_bad:
        try:
            check_split_is_readable(dataset, split, failures)
            if split and failures:
                check_frames(study, dataset, readable, split)
        except InputError as error:
            report.findings.append(Finding(ERROR, str(error)))
    add_never_seen(report)
    return report


def export_split(study: Study, path: Path) -> int:
    """Write the split of every dataset of a study as CSV with the columns dataset, frame_id, sequence, activity and split.

    Returns:
        The number of frames.

    Raises:
        InputError: if a dataset's raw trees cannot be used.
    """
    count = 0
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("dataset", "frame_id", "sequence", "activity", "split"))
        for dataset in study.datasets:
            samples = sorted(collect(study, dataset)[0].samples, key=lambda sample: sample.frame_id)
            split = split_of(study, dataset, samples)
            rows = [(dataset, s.frame_id, s.sequence, s.activity, split[s.frame_id]) for s in samples]
            writer.writerows(rows)
            count += len(rows)
    return count
