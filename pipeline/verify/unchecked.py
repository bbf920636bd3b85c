"""Say what a verification leaves unchecked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.results import paths
from pipeline.study.cell import Cell
from pipeline.study.cells import models_of
from pipeline.study.folders import cell_folder
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.verify.rows import external_folders


def unchecked(study: Study, repeated: Sequence[Cell], gaps: int) -> list[str]:
    """Return one line for each kind of thing that a verification does not check.

    Args:
        study: the study.
        repeated: the cells that predict again.
        gaps: the number of missing things that the checks list.
    """
    models = models_of(study)
    made = {cell for cell in models if (cell_folder(study, cell) / paths.CellOutput.PROVENANCE).is_file()}
    evaluated = {
        cell for cell in robust_models(study) if all(path.is_file() for path in paths.robustness_files(study, cell))
    }
    again = 1 if evaluated & set(repeated) else 0  # the first one, see `check_predictions`
    counts = {
        "models are missing, so this report shows nothing about them": (len(models) - len(made), len(models)),
        "models did not predict again (--cells)": (len(made - set(repeated)), len(models)),
        "robustness evaluations were not repeated, even in part": (len(evaluated) - again, len(evaluated)),
    }
    lines = [f"{count} of {total} {what}" for what, (count, total) in counts.items() if count]
    lines += [f"{gaps:,} files or results are missing (listed above, all of them with --json)"] if gaps else []
    lines += [
        f"{folder}: the predictions of this external model (only its rows and scores are compared), its tables and figures"
        for folder in external_folders(study)
    ]
    return [*lines, *_drawn_files(study)]


def _drawn_files(study: Study) -> list[str]:
    """Return a line that counts tables, figures and pages, or nothing if there are none."""
    groups: dict[str, list[Path]] = {
        "tables": paths.table_files(study),
        "figures": paths.figure_files(study),
        "the page": [paths.report_file(study)],
        "paper.tex": [paths.paper_file(study)],
    }
    counts = {name: sum(path.is_file() for path in files) for name, files in groups.items()}
    present = ", ".join(f"{name} ({count})" for name, count in counts.items() if count)
    return [f"{present}: `endoarss report` makes them again from the saved results"] if present else []
