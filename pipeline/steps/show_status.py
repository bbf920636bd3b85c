"""What of a study is done, what it takes on disk, and what is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from pipeline.datasets.card import read_card
from pipeline.layout import results_file, robustness_files
from pipeline.study import Study


def show_status(study: Study) -> str:
    """Datasets, cells and robustness evaluations, done or not, and the disk they take."""
    lines = [f"Study {study.name}: {study.settings['title']}", "", "Datasets:"]
    for dataset in study.datasets:
        folder = study.dataset_folder(dataset)
        if not (folder / "dataset.json").is_file():
            lines.append(f"  {dataset}: not built")
            continue
        card = read_card(folder)
        expected = "" if card["expected_frames"] is None else f" of {card['expected_frames']}"
        lines.append(f"  {dataset}: {card['frames']}{expected} frames, {size(_bytes_below(folder))}")
    cells, robust = study.cells(), study.robustness_cells()
    done = [cell for cell in cells if (study.cell_folder(cell) / "provenance.json").is_file()]
    evaluated = [cell for cell in robust if all(path.is_file() for path in robustness_files(study, cell))]
    lines += [
        "",
        f"Cells: {len(done)} of {len(cells)} trained, {len(evaluated)} of {len(robust)} robustness evaluations",
    ]
    lines += [f"  to do: {cell.id}" for cell in cells if cell not in done]
    lines += [f"  to do: robustness of {cell.id}" for cell in robust if cell not in evaluated]
    lines += [
        "",
        f"Results: {'collected' if results_file(study).is_file() else 'not collected'}, {size(_bytes_below(study.results))}",
    ]
    return "\n".join([*lines, f"Free disk: {size(shutil.disk_usage(Path()).free)}"])


def show_estimate(study: Study) -> str:
    """Disk and hours that the study asks for, timed on this machine."""
    # Imports torch, which a plain status does without.
    from pipeline.provenance import software
    from pipeline.steps.estimate import cost_of_cells, disk_of

    lines, total = ["Disk:"], 0
    for dataset in study.datasets:
        built, arrays = disk_of(study, dataset)
        if not built:
            lines.append(f"  {dataset}: unknown until it is built, as are the hours of its cells")
            continue
        total += built + arrays
        lines.append(
            f"  {dataset}: {size(built)} built, {size(arrays)} as arrays of {study.settings['input_size']} pixels"
        )
    costs = list(cost_of_cells(study))
    checkpoints = sum(cost.checkpoint_bytes for cost in costs)
    lines += [f"  checkpoints of {len(costs)} cells: {size(checkpoints)}", f"  in all {size(total + checkpoints)}", ""]
    lines.append(f"Hours on this device ({software()['device']}), one cell at a time, from steps timed just now:")
    for cost in costs:
        robustness = f" + {cost.robustness_hours:.2f} robustness" if cost.robustness_hours else ""
        lines.append(f"  {cost.training_hours:8.2f} {cost.cell.id}{robustness}")
    hours = sum(cost.training_hours + cost.robustness_hours for cost in costs)
    return "\n".join([*lines, f"  {hours:8.2f} in all (without corrupting images, loading and reports)"])


def size(count: float) -> str:
    """Bytes as people read them."""
    units = ("B", "kB", "MB", "GB", "TB")
    index = 0
    while count >= 1000 and index < len(units) - 1:
        count, index = count / 1000, index + 1
    return f"{count:.0f} {units[index]}" if index < 2 else f"{count:.1f} {units[index]}"


def _bytes_below(folder: Path) -> int:
    files: Iterable[Path] = folder.rglob("*") if folder.is_dir() else ()
    return sum(path.stat().st_size for path in files if path.is_file())
