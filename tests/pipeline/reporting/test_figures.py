"""Figures and paper of a study with gaps, made by the commands that people type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure
from matplotlib.text import Text

from pipeline.cli import main
from pipeline.results.paths import result_figures, robustness_files, study_file
from pipeline.study.cells import find_cell
from pipeline.study.folders import cell_folder, results_folder
from pipeline.study.loading import load_study

CELL = "mtlesd/resnet/hps/equal/r4-s0"
OTHER = "mtlesd/resnet/hps/db_mtl/r4-s0"


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


@pytest.fixture
def half_done(study_file: Path, copied: Callable[[str, Callable[[], None]], None]) -> Path:
    """The toy study with a second weighting, of which the first is trained; robustness is asked for, and not evaluated. It is made once
    and copied."""
    settings = yaml.safe_load(study_file.read_text())
    settings["cells"][0]["weightings"] = ["equal", "db_mtl"]
    settings["training"]["schedules"]["mtlesd"]["epochs"] = 1
    study_file.write_text(yaml.safe_dump(settings))

    def make() -> None:
        for step in (
            ("step", "build_dataset", "--dataset", "mtlesd"),
            ("step", "score_references", "--dataset", "mtlesd"),
            ("train", "--cell", CELL),
            ("evaluate", "--cell", CELL),
            ("step", "collect_results"),
        ):
            assert run(study_file, *step) == 0

    copied("half_done_study", make)
    return study_file


def test_figures_and_paper_of_a_study_with_gaps(
    half_done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: dict[str, str] = {}

    def keep(self: Figure, path: Path, *arguments: object, **settings: object) -> None:
        said[Path(path).name.split(".")[1]] = " ".join(" ".join(t.get_text() for t in self.findobj(Text)).split())
        Path(path).touch()

    monkeypatch.setattr(Figure, "savefig", keep)
    study = load_study(half_done)
    capsys.readouterr()
    assert run(half_done, "step", "draw_figures") == 0
    written = capsys.readouterr().out.split()
    assert written == [str(path) for paths in result_figures(study).values() for path in paths]
    for name in result_figures(study):
        assert "No results of" in said[name] and "R HPS DB-MTL" in said[name], name
    for name in ("fig_cost", "fig5_segmentation", "history_mtlesd"):
        assert (
            said[name].count("not trained yet") == 1 and "R HPS Equal" not in said[name].split("No results of")[1][:60]
        )
    assert "its robustness is not evaluated yet" in said["fig6_severity"]

    # A history that is lost is a gap of its figure.
    (cell_folder(study, find_cell(study, CELL)) / "history.csv").unlink()
    assert run(half_done, "step", "draw_figures", "--only", "history_mtlesd") == 0
    assert "No history of R HPS Equal: history.csv is missing." in said["history_mtlesd"]


def test_damaged_masks_are_named(half_done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks = Path("results/toy/cells") / CELL / "predictions/mtlesd.npz"
    whole = masks.read_bytes()
    for torn in (whole[: len(whole) // 2], whole[:-1], b"", whole[:200] + b"\0" * 50 + whole[250:]):
        masks.write_bytes(torn)
        capsys.readouterr()
        assert run(half_done, "step", "draw_figures", "--only", "fig5_segmentation") == 1
        said = capsys.readouterr().err
        assert f"{masks}: no saved predictions of these images" in said and "Traceback" not in said


@pytest.mark.usefixtures("undrawn")
def test_the_paper_names_a_file_of_settings_that_exists(half_done: Path) -> None:
    study = load_study(half_done)
    for step in ("draw_datasets", "make_tables", "draw_figures", "write_paper"):
        assert run(half_done, "step", step) == 0, step
    kept = study_file(study)
    assert json.loads(kept.read_text()) == json.loads(json.dumps(study.as_dict()))
    text = (results_folder(study) / "paper/paper.tex").read_text()
    assert f"studies/{kept.name}" in text
    assert "R HPS DB-MTL on MTLESD has no results: not trained yet." in text
    assert "R HPS Equal on MTLESD has no results under corruptions: its robustness is not evaluated yet." in text
    assert "0 of the 2 that the study asks for are evaluated under corruptions" in text
    assert not robustness_files(study, find_cell(study, CELL)).scores.is_file()


def test_the_settings_are_the_bytes_that_snakemake_writes() -> None:
    """Byte by byte."""
    rules = (Path(__file__).parents[3] / "pipeline/rules/common.smk").read_text()
    line = 'json.dumps(study.as_dict(), indent=2) + "\\n"'
    assert line in rules and line in (Path(__file__).parents[3] / "pipeline/reporting/write_paper.py").read_text()
