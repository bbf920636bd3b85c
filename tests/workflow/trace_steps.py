"""Run every step of a study in one process, and write down what is imported and opened. Started by test_traced_steps.py.

Nothing but the standard library is imported before the recording begins.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("corruptions", "endoarss", "pipeline", "reports")
edges: set[tuple[str, str, tuple[str, ...]]] = set()
loaded: dict[str, list[str]] = {}
opened: dict[str, list[str]] = {}
now = ""


def record() -> None:
    """Note from now on who imports what, what is imported by its name, and which files are opened."""
    plain_import, plain_load = builtins.__import__, importlib.import_module

    def noting_import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        about = globals or {}
        whole = importlib.util.resolve_name("." * level + name, about.get("__package__")) if level else name
        if whole.split(".")[0] in PACKAGES:
            edges.add((about.get("__name__", ""), whole, tuple(fromlist or ())))
        return plain_import(name, globals, locals, fromlist, level)

    def noting_load(name: str, package: str | None = None) -> Any:
        if name.split(".")[0] in PACKAGES:
            loaded.setdefault(now, []).append(name)
        return plain_load(name, package)

    def note_opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str):
            path = Path(arguments[0])
            own = path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in PACKAGES
            if own and "__pycache__" not in path.parts:
                opened.setdefault(now, []).append(str(path.relative_to(ROOT)))

    builtins.__import__, importlib.import_module = noting_import, noting_load
    sys.addaudithook(note_opened)


def steps(study: Any) -> Iterator[tuple[str, str, Callable[[Any], object]]]:
    """Yield each step in order: its label, its module, and how its function is called."""
    from pipeline.study.cells import merging_groups, models_of, trainings_of
    from pipeline.study.robust_models import robust_models

    (tree, dataset), (group,) = ("esd", "mtlesd"), merging_groups(study)
    yield "generate_raw", "pipeline.preparation.generate_raw", lambda m: m.generate_raw(study, tree)
    yield "pretrain_backbone", "pipeline.training.pretrain_backbone", lambda m: m.pretrain_backbone(study)
    yield "build_dataset", "pipeline.preparation.build_dataset", lambda m: m.build_dataset(study, dataset)
    yield "pack_dataset", "pipeline.preparation.pack_dataset", lambda m: m.pack_dataset(study, dataset)
    for cell in trainings_of(study):
        yield f"train_cell {cell.id}", "pipeline.training.train_cell", lambda m, cell=cell: m.train_cell(study, cell)
    yield "merge_models", "pipeline.training.merge_models", lambda m: m.merge_models(study, request(study, group))
    scored = "pipeline.evaluation.evaluate_cell"
    yield "evaluate_cell", scored, lambda m: [m.evaluate_cell(study, cell) for cell in models_of(study)]
    yield "corrupt_images", "pipeline.evaluation.corrupt_images", lambda m: m.corrupt_images(study, dataset, 0)
    tested = "pipeline.evaluation.evaluate_robustness"
    yield "evaluate_robustness", tested, lambda m: m.evaluate_robustness(study, robust_models(study), 0)
    yield "score_references", "pipeline.evaluation.score_references", lambda m: m.score_references(study, dataset)
    yield "collect_results", "pipeline.evaluation.collect_results", lambda m: m.collect_results(study)
    yield "draw_datasets", "pipeline.reporting.figures.draw_datasets", lambda m: m.draw_datasets(study)
    yield "draw_leakage", "pipeline.reporting.figures.draw_datasets", lambda m: m.draw_leakage(study)
    yield "make_tables", "pipeline.reporting.tables.make_tables", lambda m: m.make_tables(study)
    yield "draw_figures", "pipeline.reporting.figures.draw_figures", lambda m: m.draw_figures(study)
    yield "make_page", "pipeline.reporting.make_page", lambda m: m.make_page(study)
    yield "write_paper", "pipeline.reporting.write_paper", lambda m: m.write_paper(study)


def request(study: Any, group: Any) -> Any:
    from pipeline.training.merge_request import read_request

    return read_request(study, [cell.id for cell in group.singles])


def main(study_file: str, out: str) -> None:
    """Run all steps of a study in the working folder, and write the record as JSON."""
    global now
    record()
    from pipeline.io.one_thread import use_one_thread

    use_one_thread()
    from pipeline.study.loading import load_study

    study = load_study(Path(study_file))
    modules = {}
    for label, module, call in steps(study):
        now, modules[label] = label, module
        __import__(module)
        call(sys.modules[module])
    there = sorted(name for name in sys.modules if name.split(".")[0] in PACKAGES)
    found = {"modules": modules, "edges": sorted(edges), "loaded": loaded, "opened": opened, "there": there}
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
