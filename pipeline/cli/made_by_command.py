"""Find the results that a command makes, from the values of its options. `pipeline.cli.commands` records these results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.results.paths import generated_trees
from pipeline.study.cells import find_cell
from pipeline.study.datasets import known_dataset
from pipeline.training.merge_request import read_request
from pipeline.workflow.result import Result
from pipeline.workflow.results_of_study import ResultsOfStudy


def made_by(what: str, results: ResultsOfStudy, values: Mapping[str, Any]) -> list[Result]:
    """Return the results of the study that a command makes, upstream first. The list is empty if it makes only other files.

    Args:
        what: "merged", "report", "paper", or the name of the method of `ResultsOfStudy` that returns a result.
        results: the results of the study.
        values: the values of the command's options, by name.

    Raises:
        InputError: if the study has no such cell or dataset, or models cannot be merged as the options say.
    """
    if what == "merged":
        return _merged(results, values)
    if what == "report":
        # A report with gaps shows a part of its study. It is not recorded, so it is never current.
        return [] if values["if_gaps"] else results.of_report()
    if what == "paper":
        return [results.write_paper(), *([results.compile_paper()] if values["pdf"] else [])]
    make = getattr(results, what)
    if "tree" in values:
        return [make(values["tree"])] if values["tree"] in generated_trees(results.study) else []
    if "cell" in values or "cells" in values:
        cell_ids = dict.fromkeys(values["cells"] if "cells" in values else [values["cell"]])
        return [make(find_cell(results.study, cell_id)) for cell_id in cell_ids]
    if "datasets" in values:
        return [make(known_dataset(results.study, name)) for name in values["datasets"]]
    if "dataset" in values:
        # With --skip-bad, the dataset may lack frames that the study asks for, so it is not recorded.
        return [] if values.get("skip_bad") else [make(known_dataset(results.study, values["dataset"]))]
    if (what == "pretrain_backbone" and results.study.pretraining is None) or values.get("only"):
        return []
    return [make()]


def _merged(results: ResultsOfStudy, values: Mapping[str, Any]) -> list[Result]:
    arguments = {key: values[key] for key in ("models", "methods", "surgery", "out")}
    request = read_request(results.study, **arguments)
    singles = tuple(source.cell for source in request.sources if source.cell is not None)
    merged = [results.merge_models(cell, singles) for cell in request.cells()]
    return [*merged, *([results.represent_group(request.group)] if request.group else [])]
