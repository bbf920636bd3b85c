"""The doctor: examine the raw trees of a study's datasets, and export their splits."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.datasets.kinds import WHERE_TO_ASK
from pipeline.doctor.datasets import examine_dataset, examine_headers, examine_pictures, say_never_seen
from pipeline.doctor.findings import ERROR, NOTE, DatasetReport, Finding, Report, SourceReport
from pipeline.doctor.sources import examine_source
from pipeline.errors import InputError
from pipeline.files import whole_file
from pipeline.sources.archives import prepare_root
from pipeline.steps.build_dataset import collect, lacking_of_split, split_of
from pipeline.steps.generate_raw import bring_back_generated
from pipeline.study import Study


def examine(study: Study, datasets: Sequence[str], deep: bool = False, workers: int = 1) -> Report:
    """Examine what the datasets are built from; archives are extracted first.

    Args:
        study: the study. datasets: names of its. deep: decode every picture. workers: processes for that.
    """
    sources: dict[tuple[str, Path], SourceReport] = {}
    for dataset in datasets:
        bring_back_generated(study, dataset)
        for source, root in study.roots(dataset).items():
            if (source, root) not in sources:
                sources[source, root] = _examine_source(study, dataset, source, root)
    reports = [_examine_dataset(study, dataset, sources, deep, workers) for dataset in datasets]
    return Report(study.name, study.synthetic, deep, list(sources.values()), reports)


def _examine_source(study: Study, dataset: str, source: str, root: Path) -> SourceReport:
    report = SourceReport(source, str(root), WHERE_TO_ASK.get(source, "the owner"))
    try:
        prepared = prepare_root(root)
    except InputError as error:
        report.say(ERROR, str(error))
        return report
    scheme = study.dataset_settings(dataset)["scheme"]
    examine_source(report, prepared, not study.synthetic, scheme, study.labels(dataset).activities)
    return report


def _examine_dataset(
    study: Study, dataset: str, sources: Mapping[tuple[str, Path], SourceReport], deep: bool, workers: int
) -> DatasetReport:
    settings, kind = study.dataset_settings(dataset), study.kind(dataset)
    report = DatasetReport(dataset, settings["split"], expected=None if study.synthetic else kind.frames)
    try:
        # Faults are listed, all of them, instead of stopping at the first.
        collected, _ = collect(study, dataset, skip_bad=True)
        split = split_of(study, dataset, collected.samples)
    except InputError as error:
        report.findings.append(Finding(ERROR, str(error)))
        return report
    examine_dataset(report, kind, collected, split, settings["skip_bad"])
    report.findings += [Finding(NOTE, text) for text in lacking_of_split(study, dataset, collected.samples, split)]
    if not deep:
        read = [sources[key] for key in study.roots(dataset).items()]
        unreadable = {path: why for source in read for path, why in source.unreadable.items()}
        headers = {path: header for source in read for path, header in source.headers.items()}
        examine_headers(report, collected.samples, unreadable, headers, settings["skip_bad"])
    else:
        examine_pictures(report, kind, collected.samples, workers, settings["skip_bad"])
    say_never_seen(report)
    return report


def export_split(study: Study, path: Path) -> int:
    """Write the split of every dataset of a study as CSV: dataset, frame_id, sequence, activity, split.

    Returns:
        How many frames were written.

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
