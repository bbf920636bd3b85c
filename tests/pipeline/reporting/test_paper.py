"""The paper compiles with all kinds of names. If it cannot, a message states the reason."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.reporting import write_paper
from pipeline.reporting.models import named
from pipeline.reporting.write_paper import compile_latex
from pipeline.results.paths import figure_files
from pipeline.results.study_results import StudyResults
from pipeline.study.loading import load_study, make_study
from pipeline.study.robust_models import robustness_cells
from reports.figures.style import PAGE
from reports.numbering import OTHERS, SECTIONS, numbered
from reports.paper import Item, render_paper, sections
from reports.tables.latex import to_latex

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
# The worst a name can be: LaTeX's own signs, accents, ligatures, other scripts, and a length that fits nowhere.
NASTY = "A_B & 5% $x$ #1 {y} ~^\\z <b>|c| [d]* \N{EN DASH}±2° 3\N{MULTIPLICATION SIGN}3 «ﬁ» § € Łódź 内視鏡 \N{GREEK SMALL LETTER BETA}--c"
FACTS = {
    "title": NASTY,
    "study": "a_study",
    "synthetic": True,
    "abstract": [NASTY, "Seeds: 0."],
    "datasets": [NASTY],
    "models": NASTY,
    "reproduction": [NASTY],
    "provenance": [NASTY],
}
HEADS = ["Accuracy (%)", "± Accuracy (%)", "HD95 (px)", "ECE (%)", "mCE", "Worst corruption", "Differs"]


def table(rows: int) -> pd.DataFrame:
    """A table with many wide columns, special characters, intervals, long texts and missing values."""
    index = [(NASTY if place % 2 else "ResNet-18 (narrow)", f"{NASTY} {place}", "[x]") for place in range(rows)]
    values = {
        **{head: [float(place) for place in range(rows)] for head in HEADS[:4]},
        "mCE": ["88.3 [85.7, 90.7]"] * rows,
        "Worst corruption": ["gaussian_noise -1.0 [-2.0, 1.0]"] * rows,
        "Differs": [f"{NASTY}, and {NASTY}" if place == 1 else None for place in range(rows)],
    }
    values |= {f"{NASTY} {place}": [None] * rows for place in range(4)}
    names = [NASTY, "architecture", "Weighting"]
    return pd.DataFrame(values, index=pd.MultiIndex.from_tuples(index, names=names))


@pytest.fixture
def document(tmp_path: Path) -> Callable[..., Path]:
    """Write a paper with tables, a figure and a photograph in the folders of a study."""

    def write(tables: dict[str, pd.DataFrame]) -> Path:
        for folder in ("paper", "tables", "figures"):
            (tmp_path / folder).mkdir(exist_ok=True)
        items = [Item("data", "../tables/table_robustness_conditions.csv")]
        numbers = numbered([*tables, "provenance"], True)
        for name, content in tables.items():
            text = to_latex(content, NASTY, f"tab:{name}", True)
            (tmp_path / f"tables/{name}.tex").write_text(text, encoding="utf-8")
            items.append(Item("table", f"../tables/{name}.tex", number=numbers[name]))
        figure = plt.figure(figsize=(12, 2))
        for name in ("fig6_severity.pdf", "contact_mtlesd.jpg"):
            figure.savefig(
                tmp_path / "figures" / name, metadata={"CreationDate": None} if name.endswith("pdf") else None
            )
            items.append(Item("figure", f"../figures/{name}", NASTY, Path(name).stem[-1]))
        plt.close(figure)
        source = tmp_path / "paper" / "paper.tex"
        provenance = to_latex(table(45).iloc[:, :2], NASTY, "tab:provenance")
        source.write_text(render_paper(items, (numbers["provenance"], provenance), FACTS), encoding="utf-8")
        return source

    return write


@needs_latex
def test_a_paper_with_special_characters_in_names_compiles_without_warnings(
    document: Callable[..., Path], tmp_path: Path
) -> None:
    levels = pd.MultiIndex.from_product([["Accuracy (%)", NASTY], ["a", "b", "difference"]])
    wide = pd.DataFrame([[1.0] * 6], index=pd.MultiIndex.from_tuples([("x", NASTY)]), columns=levels)
    source = document({"table2_mtlesd": table(5), "table_new": table(45).iloc[:, :3], "table_leakage": wide})
    log = _log_of_two_runs(source, tmp_path)
    assert not re.findall(r"Overfull \\hbox \((?:[2-9]\d|\d{3,})\.\d+pt too wide\)[^\n]*", log)
    for fault in ("undefined", "multiply defined", "not found", "Missing character", "No file ../"):
        assert fault not in log, fault
    pdf = source.with_suffix(".pdf")
    compile_latex(source, pdf)
    first = pdf.read_bytes()
    compile_latex(source, pdf)
    assert first.startswith(b"%PDF") and pdf.read_bytes() == first, "the same bytes every time"
    assert sorted(path.name for path in source.parent.iterdir()) == ["paper.pdf", "paper.tex"]


def _log_of_two_runs(source: Path, folder: Path) -> str:
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", f"-output-directory={folder}", source.name]
    for _ in range(3):
        done = subprocess.run(command, cwd=source.parent, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "paper.log").read_text(errors="replace")


@needs_latex
def test_every_table_compiles_in_another_document(tmp_path: Path) -> None:
    """The document loads booktabs, graphicx and longtable, and T1 fonts."""
    for name, content in (("short", table(5)), ("long", table(45).iloc[:, :1])):
        (tmp_path / f"{name}.tex").write_text(to_latex(content, NASTY, name, True))
    own = r"\documentclass{article}\usepackage{booktabs,graphicx,longtable}\begin{document}\input{short}\input{long}\end{document}"
    source = tmp_path / "own.tex"
    source.write_text(own.replace(r"\begin{document}", r"\usepackage[T1]{fontenc}\begin{document}"))
    compile_latex(source, tmp_path / "own.pdf")
    assert (tmp_path / "own.pdf").is_file()


@needs_latex
def test_a_failure_shows_the_errors_of_latex_and_keeps_the_old_pdf(tmp_path: Path) -> None:
    source, pdf = tmp_path / "paper.tex", tmp_path / "paper.pdf"
    pdf.write_bytes(b"old")
    source.write_text("\\documentclass{article}\n\\begin{document}\n\\nosuchcommand\n\\end{document}\n")
    with pytest.raises(InputError, match=r"Undefined control sequence") as caught:
        compile_latex(source, pdf)
    log = tmp_path / "paper.log"
    assert str(log) in str(caught.value) and "nosuchcommand" in str(caught.value) and log.is_file()
    assert pdf.read_bytes() == b"old"
    source.write_text("\\documentclass{article}\\begin{document}a\\end{document}\n")
    compile_latex(source, pdf)
    assert pdf.read_bytes().startswith(b"%PDF") and not log.exists()


def test_without_pdflatex_people_are_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_paper.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="apt install texlive-latex-base texlive-latex-recommended lmodern"):
        compile_latex(tmp_path / "paper.tex", tmp_path / "paper.pdf")


def test_synthetic_data_is_stated_first(document: Callable[..., Path]) -> None:
    text = document({}).read_text(encoding="utf-8")
    abstract = text.split(r"\begin{abstract}")[1]
    assert abstract.lstrip().startswith(r"\noindent\textbf{Synthetic data.}")
    real = render_paper([], ("S1", ""), {**FACTS, "synthetic": False})
    assert "Synthetic data" not in real


def test_known_and_unknown_tables_and_figures_are_in_the_right_sections() -> None:
    names = ["history_x", "table_cost", "table_own", "fig5_segmentation", "table2_mtlesd", "table1_datasets", "fig_new"]
    found = sections([Item("table", f"../tables/{name}.tex") for name in names])
    assert list(found) == [section for section in SECTIONS if section in found]
    assert [item.name for item in found["Datasets"]] == ["table1_datasets"]
    assert [item.name for item in found[OTHERS]] == ["table2_mtlesd", "table_own", "fig_new", "fig5_segmentation"]
    assert [item.name for item in found["Cost and training"]] == ["table_cost", "history_x"]


def test_a_paper_without_its_tables_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(Path(__file__).parents[3] / "studies/demo.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"table1_datasets.csv and \d+ more: missing. Run the steps before this one"):
        write_paper.write_paper(study)


@needs_latex
def test_the_pdf_has_the_numbers_of_the_page(document: Callable[..., Path], tmp_path: Path) -> None:
    tables = {
        "table2_mtlesd": table(3),
        "table2_mtlesd_against_paper": table(3),
        "table_comparison": table(45).iloc[:, :2],
    }
    _log_of_two_runs(document(tables), tmp_path)
    numbers = dict(re.findall(r"newlabel\{tab:(\w+)\}\{\{(\w+)\}", (tmp_path / "paper.aux").read_text()))
    assert numbers == {
        "table2_mtlesd": "2",
        "table2_mtlesd_against_paper": "2b",
        "table_comparison": "S1",
        "provenance": "S2",
    }


@needs_latex
def test_a_figure_that_does_not_fit_leaves_no_page_half_empty(tmp_path: Path) -> None:
    """The next table fills the page. The figure follows it, before the later figure."""
    sizes = {"first": (7, 3), "fig_high": (7, 7), "fig_last": (7, 1)}
    items = []
    for name, size in sizes.items():
        plt.figure(figsize=size).savefig(tmp_path / f"{name}.pdf")
        plt.close()
        items.append(Item("figure", f"{name}.pdf", "c", "1"))
    (tmp_path / "table_x.tex").write_text(to_latex(pd.DataFrame({"a": [1.0]}), "c", "tab:x"))
    source = tmp_path / "paper.tex"
    body = render_paper([*items[:2], Item("table", "table_x.tex", number="1"), items[2]], ("S1", ""), FACTS)
    source.write_text(body, encoding="utf-8")
    _log_of_two_runs(source, tmp_path)
    pages = dict(re.findall(r"newlabel\{(?:fig|tab):(\w+)\}\{\{\w*\}\{(\d+)\}", (tmp_path / "paper.aux").read_text()))
    assert pages["x"] == pages["first"] < pages["fig_high"] <= pages["fig_last"]


@needs_latex
def test_a_figure_before_a_long_table_is_printed_before_it(document: Callable[..., Path], tmp_path: Path) -> None:
    """The order is kept, and a table that does not fit leaves no page empty."""
    tables = {"table2_a": table(12), "table_comparison": table(90).iloc[:, :2], "table_leakage": table(3).iloc[:, :2]}
    source = document(tables)
    _log_of_two_runs(source, tmp_path)
    places = {
        name: int(page)
        for name, page in re.findall(r"newlabel\{tab:(\w+)\}\{\{S?\d+\}\{(\d+)\}", (tmp_path / "paper.aux").read_text())
    }
    assert places["table2_a"] <= places["table_comparison"] < places["table_leakage"]
    assert list(places) == [*tables, "provenance"]


def test_no_figure_is_printed_smaller_than_six_points() -> None:
    """Figures are as wide as the text, and the page has room for the highest figure."""
    template = (Path(write_paper.__file__).parents[2] / "reports/paper/paper.tex.jinja").read_text(encoding="utf-8")
    found = re.search(r"textwidth=([\d.]+)in,vmargin=([\d.]+)cm", template)
    assert found is not None and float(found[1]) >= PAGE
    text_height = (29.7 - 2 * float(found[2])) / 2.54
    for name in ("fig_cost", "fig5_segmentation", "fig2_single_and_multi_task", "fig_classes_x", "history_x"):
        assert Item("figure", f"../figures/{name}.pdf").height * text_height >= 9, name


def test_captions_of_results_name_split_protocol_and_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(Path(__file__).parents[3] / "studies/demo.yaml")
    monkeypatch.setattr(
        write_paper, "study_caption", lambda results, select_on: "THE STUDY, protocol standard, seed 0."
    )
    monkeypatch.setattr(write_paper, "data_caption", lambda study: "THE DATA.")
    figures = figure_files(study)
    numbers = write_paper._numbers(study, [], figures)
    captions = {i.name: i.caption for i in write_paper._items(StudyResults(study), numbers, [], figures)}
    assert "Split of MTLEndovis, by sequence: by sequence. THE STUDY" in captions["fig_classes_mtlendovis_by_sequence"]
    assert "Split of MTLESD: given. THE STUDY, protocol standard, seed 0." in captions["history_mtlesd"]
    assert "Split of MTLESD: given; of MTLEndovis: random by activity; of " in captions["fig_cost"]
    for name in ("class_balance", "leakage", "contact_mtlesd"):
        assert captions[name].endswith(". THE DATA.")


def test_the_paper_names_and_counts_missing_results(monkeypatch: pytest.MonkeyPatch) -> None:
    study = load_study(Path(__file__).parents[3] / "studies/demo.yaml")
    first, second, *_ = robust = robustness_cells(study)
    some, none = StudyResults(study), StudyResults(study)
    some.missing_cells = some.missing_models = {first: "the disk was full"}
    some.missing_robustness = some.missing_robust_models = {
        first: "the disk was full",
        second: "its robustness is not evaluated yet",
    }
    some.present_models = ()
    said = " ".join(write_paper._abstract(some))
    assert f"{len(robust) - 2} of the {len(robust)} that the study asks for is evaluated under corruptions" in said
    assert "1 of the trainings has no results. The last section names what is missing, and why." in said
    monkeypatch.setattr(write_paper, "_joined", lambda names: "")
    software = write_paper._software(some)
    assert "ResNet-10 (narrow) MMoE DB-MTL on MTLESD has no results: the disk was full." in software
    assert f"{named(study, second)} has no results under corruptions: its robustness is not evaluated yet." in software
    none.missing_cells = none.missing_models = none.missing_robustness = none.missing_robust_models = {}
    whole = " ".join(write_paper._abstract(none))
    assert f"{len(robust)} of them are evaluated under corruptions" in whole and "missing" not in whole


def test_the_abstract_counts_only_further_trainings_with_validation_frames() -> None:
    study = load_study(Path(__file__).parents[3] / "studies/demo.yaml")
    block = {"datasets": ["mtlesd"], "backbones": ["dinov2"], "architectures": ["hps"], "weightings": ["equal"]}
    settings = study.as_dict()
    settings["training"]["select_on"] = "val"
    settings["cells"].append({**block, "select_on": "last"})
    for studied, expected in (
        (
            study,
            "3 further trainings have their epochs chosen on validation frames. 20 models are merged from those of",
        ),
        (make_study(settings), "models are merged from those of single tasks."),
    ):
        results = StudyResults(studied)
        results.missing_cells = results.missing_models = results.missing_robustness = results.missing_robust_models = {}
        said = " ".join(write_paper._abstract(results))
        assert expected in said and ("further" in said) == (studied is study)
