"""What runs again after what changed: asked of Snakemake, case by case, and written as a table into docs/workflow.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workflow.recorded import RESNET, STCH, planned

pytestmark = pytest.mark.slow
DOC = Path(__file__).parents[2] / "docs/workflow.md"
BEGIN, END = "<!-- written by tests/workflow/test_reruns.py -->\n", "<!-- end -->\n"
REPORT = {"collect_results": 1, "make_tables": 1, "draw_figures": 1, "make_page": 1, "write_paper": 1}
SHOWN = {"make_tables": 1, "draw_figures": 1, "make_page": 1, "write_paper": 1}
OF_STUDY = {**REPORT, "draw_datasets": 1}
SCORED = {"evaluate_cell": 3, "evaluate_robustness": 1}
BUILT = {"check_sources": 1, "build_dataset": 1, "pack_dataset": 1, "score_references": 1}
TRAINED = {"train_cell": 3, **SCORED}
Edit = Callable[[Path], None]
OWN = """\
from corruptions.registry import register_corruption


@register_corruption("own", "noise")
def own(image, severity, prepared):
    return image // severity
"""


class Case(NamedTuple):
    """What changed, how to change it, and how many jobs of each rule then run."""

    what: str
    edit: Edit
    jobs: dict[str, int]


def comment(file: str) -> Edit:
    """Add a comment to a file of code."""

    def edit(folder: Path) -> None:
        with (folder / file).open("a") as stream:
            stream.write("\n# a comment\n")

    return edit


def setting(old: str, new: str) -> Edit:
    """Change the study."""

    def edit(folder: Path) -> None:
        text = (folder / "params.yaml").read_text()
        assert text.count(old) == 1, old
        (folder / "params.yaml").write_text(text.replace(old, new))

    return edit


def byte(pattern: str) -> Edit:
    """Change one byte of a file, whose size stays."""

    def edit(folder: Path) -> None:
        (path, *_) = sorted(folder.glob(pattern))
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    return edit


def new(file: str, text: str) -> Edit:
    """Add a file."""

    def edit(folder: Path) -> None:
        (folder / file).write_text(text)

    return edit


def gone(file: str) -> Edit:
    """Delete a file."""
    return lambda folder: (folder / file).unlink()


def touched(folder: Path) -> None:
    """Give all results and all code the times of a copy, later ones first."""
    for number, path in enumerate(
        sorted(path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    ):
        if not {".dvc", ".snakemake", ".decides"} & set(path.parts):
            os.utime(path, (1.7e9 - number, 1.7e9 - number))


CASES = [
    Case("nothing", lambda folder: None, {}),
    Case("the times of all files, as after a copy", touched, {}),
    Case(
        "a setting of one weighting",
        setting("beta: 0.9", "beta: 0.5"),
        {"train_cell": 2, "evaluate_cell": 2, "evaluate_robustness": 1, **REPORT},
    ),
    Case(
        "the file of one weighting",
        comment("endoarss/weightings/stch.py"),
        {"train_cell": 1, "evaluate_cell": 1, **REPORT},
    ),
    Case("code of every training", comment("endoarss/training.py"), {**TRAINED, **REPORT, "pretrain_backbone": 1}),
    Case(
        "thread counts",
        comment("pipeline/io/one_thread.py"),
        {"generate_raw": 1, "pretrain_backbone": 1, **BUILT, **TRAINED, **OF_STUDY},
    ),
    Case("a metric", comment("endoarss/metrics/segmentation.py"), {**SCORED, "score_references": 1, **REPORT}),
    Case("a corruption", comment("corruptions/operators/contrast.py"), {"evaluate_robustness": 1, **REPORT}),
    Case("a new corruption", new("corruptions/operators/own.py", OWN), {}),
    Case(
        "which rows a table of the paper shows", comment("pipeline/study/paper_cells.py"), {"draw_datasets": 1, **SHOWN}
    ),
    Case("the order of `weightings` in the study", setting("  - db_mtl\n  - stch\n", "  - stch\n  - db_mtl\n"), REPORT),
    Case("a dataset's title", setting("mtlesd:\n    split", "mtlesd:\n    title: Another\n    split"), OF_STUDY),
    Case("a backbone's label", setting("label: R\n", "label: Another\n"), REPORT),
    Case("how a table is set", comment("reports/tables/latex.py"), SHOWN),
    Case("the style of the page", comment("reports/page/page.css"), {"make_page": 1}),
    Case("a key that decides no result (`cells_per_gpu`)", setting("cells_per_gpu: 1", "cells_per_gpu: 2"), {}),
    Case("code that decides no result (locks, messages)", comment("pipeline/locking/locks.py"), {}),
    Case(
        "a file of a raw tree", byte("data/raw/mini/esd/**/*.png"), {"generate_raw": 1, **BUILT, **TRAINED, **OF_STUDY}
    ),
    Case(
        "an image of a built dataset",
        byte("data/datasets/mtlesd-mini/images/*.png"),
        {**BUILT, "check_sources": 0, **TRAINED, **OF_STUDY},
    ),
    Case(
        "an array of a dataset",
        byte("data/datasets/mtlesd-mini/arrays/56/train-*/images.npy"),
        {"pack_dataset": 1, "score_references": 1, **TRAINED, **REPORT},
    ),
    Case(
        "weights that the study pretrained",
        byte("data/weights/mini.safetensors"),
        {"pretrain_backbone": 1, "train_cell": 2, "evaluate_cell": 2, "evaluate_robustness": 1, **REPORT},
    ),
    Case(
        "predictions of a cell",
        byte(f"results/mini/cells/{STCH}/predictions/mtlesd.npz"),
        {"train_cell": 1, "evaluate_cell": 1, **REPORT},
    ),
    Case(
        "a checkpoint that was deleted",
        gone(f"results/mini/cells/{RESNET}/model.safetensors"),
        {"train_cell": 1, "evaluate_cell": 1, **REPORT},
    ),
    Case(
        "rows of a cell that were deleted",
        gone(f"results/mini/cells/{RESNET}/eval/mtlesd/per_image.parquet"),
        {"evaluate_cell": 1, **REPORT},
    ),
    Case(
        "a table that was deleted",
        gone("results/mini/tables/table2_mtlesd.csv"),
        {"make_tables": 1, "make_page": 1, "write_paper": 1},
    ),
    Case(
        "a second seed",
        setting("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n"),
        {"train_cell": 3, "evaluate_cell": 3, "evaluate_robustness": 1, **REPORT},
    ),
]


@contextmanager
def undone(folder: Path) -> Iterator[None]:
    """Put back the bytes of every file that the block changes."""
    kept = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not {".git", ".dvc", ".snakemake", ".decides", "__pycache__", "studies", "logs"} & set(path.parts)
    }
    try:
        yield
    finally:
        for path, content in kept.items():
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_what_changed_runs_exactly_this_again(recorded: Path, case: Case) -> None:
    with undone(recorded):
        case.edit(recorded)
        assert planned(recorded) == {rule: count for rule, count in case.jobs.items() if count}


def test_taken_back_edits_leave_nothing_to_do(recorded: Path) -> None:
    assert planned(recorded) == {}


def rows() -> str:
    """The table of docs/workflow.md."""
    lines = ["| what changed | jobs that run again |", "|---|---|"]
    for case in CASES:
        jobs = ", ".join(f"{count} {rule}" for rule, count in case.jobs.items() if count) or "none"
        lines.append(f"| {case.what} | {jobs} |")
    return "\n".join(lines) + "\n"


def test_the_documentation_has_this_table() -> None:
    """ENDOARSS_WRITE_DOCS=1 writes it."""
    text = DOC.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    expected = before + BEGIN + rows() + END + after
    if os.environ.get("ENDOARSS_WRITE_DOCS"):
        DOC.write_text(expected)
    assert DOC.read_text() == expected, "run it with ENDOARSS_WRITE_DOCS=1"
