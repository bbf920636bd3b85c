"""Tables as LaTeX: what is marked, how heads and names are written, what breaks over pages."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.measures import HIGHER_IS_BETTER
from reports.tables.latex import LONG, to_latex
from reports.tables.latex_text import escape

NAMES = ["Backbone", "Architecture", "Weighting"]


def scores(columns: dict[str, list[object]], rows: list[tuple[str, ...]] | None = None) -> pd.DataFrame:
    """Scores of models A, B, C, ... and of whatever rows are given."""
    count = len(next(iter(columns.values())))
    rows = rows or [("Net", chr(65 + place), "Equal") for place in range(count)]
    return pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(rows, names=NAMES[: len(rows[0])]))


def cells(text: str) -> list[list[str]]:
    """The cells of the rows below the heads."""
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if "&" in line]
    return [[cell.strip() for cell in re.sub(r" \\\\(\[2pt\])?$", "", row).split(" & ")] for row in rows]


def column(text: str, place: int) -> list[str]:
    return [row[place] for row in cells(text)]


def marked(table: pd.DataFrame, **options: object) -> str:
    return to_latex(table, "A caption", "tab:x", True, **options)  # type: ignore[arg-type]


def test_the_best_is_bold_and_the_second_underlined() -> None:
    text = marked(scores({"Accuracy (%)": [90.0, 91.0, 89.0], "HD95 (px)": [4.0, 9.0, 2.5]}))
    assert column(text, 3) == [r"\underline{90.00}", r"\textbf{91.00}", "89.00"]
    assert column(text, 4) == [r"\underline{4.00}", "9.00", r"\textbf{2.50}"], "the lower distance wins"


def test_without_highlight_nothing_is_marked() -> None:
    text = to_latex(scores({"Accuracy (%)": [90.0, 91.0]}), "c", "l")
    assert r"\textbf" not in text and r"\underline" not in text


@pytest.mark.parametrize("head", ["HD (px)", "HD95 (px)", "ASSD (px)", "ECE (%)", "mCE", "Relative mCE"])
def test_errors_and_distances_are_better_when_lower(head: str) -> None:
    text = marked(scores({head: [1.0, 2.0]}))
    assert column(text, 3) == [r"\textbf{1.00}", r"\underline{2.00}"]
    assert r"$\downarrow$" in text and r"$\uparrow$" not in text


def test_heads_have_arrows_and_units() -> None:
    text = to_latex(scores({"Accuracy (%)": [1.0], "HD95 (px)": [1.0], "Frames": [1]}), "c", "l")
    flat = re.sub(r"\\begin\{tabular\}\[b\]\{@\{\}r@\{\}\}|\\end\{tabular\}", "", text).replace(r"\\(", " (")
    assert r"Accuracy (\%) $\uparrow$ & HD95 (px) $\downarrow$ & Frames \\" in flat


def test_what_shows_equal_shares_a_mark() -> None:
    text = marked(scores({"mIoU (%)": [50.001, 49.999, 40.0, 40.0, 30.0]}))
    assert column(text, 3) == [r"\textbf{50.00}"] * 2 + [r"\underline{40.00}"] * 2 + ["30.00"]


@pytest.mark.parametrize("values", [[50.0], [50.0, np.nan], [np.nan, np.nan]])
def test_one_value_alone_has_no_mark(values: list[float]) -> None:
    text = marked(scores({"mIoU (%)": values}))
    assert r"\textbf" not in text and r"\underline" not in text


def test_references_the_paper_deviations_and_differences_do_not_compete() -> None:
    rows = [("Net", "A", "Equal"), ("Net", "B", "Equal"), ("Reference", "Majority", "-")]
    table = scores(
        {
            "Accuracy (%)": [80.0, 70.0, 99.0],
            "± Accuracy (%)": [1.0, 2.0, np.nan],
            "Paper: Accuracy (%)": [97.0, 98.0, np.nan],
            "Frames": [3, 4, 5],
        },
        rows,
    )
    text = marked(table)
    assert column(text, 3) == [r"\textbf{80.00} $\pm$ 1.00", r"\underline{70.00} $\pm$ 2.00", "99.00"]
    assert column(text, 4) == ["97.00", "98.00", "--"] and column(text, 5) == ["3", "4", "5"]
    levels = pd.MultiIndex.from_product([["mIoU (%)"], ["random by activity", "by sequence", "difference"]])
    wide = pd.DataFrame([[3.0, 2.0, 1.0], [4.0, 1.0, 3.0]], index=table.index[:2], columns=levels)
    found = marked(wide)
    assert column(found, 3) == ["3.00", "4.00"] and column(found, 5) == ["1.00", "3.00"]
    assert column(found, 4) == [r"\textbf{2.00}", r"\underline{1.00}"]


def test_rows_compete_within_their_group() -> None:
    rows = [("One", "A"), ("One", "B"), ("Two", "A"), ("Two", "B")]
    text = marked(scores({"mIoU (%)": [1.0, 2.0, 9.0, 8.0]}, rows), groups=["Backbone"])
    assert column(text, 2) == [r"\underline{1.00}", r"\textbf{2.00}", r"\textbf{9.00}", r"\underline{8.00}"]


def test_values_with_intervals_compete_by_their_value() -> None:
    text = marked(scores({"mCE": ["88.3 [85.7, 90.7]", "100.0 [100.0, 100.0]", "-"]}))
    assert r"\textbf{88.3}" in text and r"\underline{100.0}" in text and "{[}85.7, 90.7{]}" in text
    assert column(text, 3)[2] == "--"


def test_missing_values_are_dashes_and_negative_ones_have_a_minus() -> None:
    values = [np.nan, None, pd.NA, -1234.5, -0.001]
    text = to_latex(scores({"Value": pd.array(values, dtype=object)}), "c", "l")  # type: ignore[dict-item]
    assert column(text, 3) == ["--", "--", "--", "$-$1,234.50", "0.00"]
    assert column(to_latex(scores({"N": [12345, 7]}), "c", "l"), 3) == ["12,345", "7"]


def test_heads_of_several_levels_span_their_columns() -> None:
    columns = pd.MultiIndex.from_tuples(
        [("Accuracy (%)", "D", "a"), ("Accuracy (%)", "D", "b"), ("mIoU (%)", "D", "a")]
    )
    table = pd.DataFrame([[1.0, 2.0, 3.0]], index=pd.MultiIndex.from_tuples([("x", "y")]), columns=columns)
    text = to_latex(table, "c", "l")
    first, rules, second = text.split(r"\toprule")[1].split("\n")[1:4]
    assert first == r" &  & \multicolumn{2}{c}{Accuracy (\%) $\uparrow$} & \multicolumn{1}{c}{mIoU (\%) $\uparrow$} \\"
    assert rules == r"\cmidrule(lr){3-4} \cmidrule(lr){5-5}"
    assert second == r" &  & \multicolumn{2}{c}{D} & \multicolumn{1}{c}{D} \\", "the same head below another is another"
    assert "multirow" not in text


def test_a_label_stands_once_and_groups_apart() -> None:
    rows = [("One", "A", "x"), ("One", "A", "y"), ("One", "B", "x"), ("", "B", "x")]
    text = to_latex(scores({"N": [1, 2, 3, 4]}, rows), "c", "l")
    assert [row[:3] for row in cells(text)] == [["One", "A", "x"], ["", "", "y"], ["", "B", "x"], ["", "B", "x"]]
    assert text.count(r"\addlinespace") == 1


def test_wide_tables_shrink_and_long_ones_break_over_pages() -> None:
    short = to_latex(scores({"N": list(range(LONG))}), "c_d", "tab:l")
    assert (
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" in short
        and "longtable" not in short.split("\n", 1)[1]
    )
    long = to_latex(scores({"N": list(range(LONG + 1))}), "c_d", "tab:l")
    assert r"\begin{longtable}{lllr}" in long and r"\endfirsthead" in long and r"\endlastfoot" in long
    assert r"\caption{c\_d}\label{tab:l}\\" in long and r"\resizebox" not in long
    assert long.count(r"Backbone & Architecture & Weighting & N \\") == 2, "the head stands on each page"
    assert long.count("Net & ") == LONG + 1, "every row has all its labels"


def test_names_are_escaped_everywhere() -> None:
    nasty = "A_B & 5% $x$ #1 {y} ~ ^ \\z <b> |c|"
    written = escape(nasty)
    table = pd.DataFrame({nasty: ["v_1"]}, index=pd.Index([nasty], name=nasty))
    text = to_latex(table, nasty, "l")
    assert rf"\caption{{{written}}}" in text and r"v\_1" in text
    for raw in ("A_B", " & 5%", "$x$", "#1 ", "<b>", "|c|"):
        assert raw not in text.replace(r"\#1", "")


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("a\N{EN DASH}b \N{EM DASH} c--", "a--b --- c-{}-"),
        ("3\N{MULTIPLICATION SIGN}3 ±2° ≤ 5", r"3$\times$3 $\pm$2$^{\circ}$ $\leq$ 5"),
        ("[a]*", "{[}a{]}{*}"),
        ('"a"', "''a''"),
        ("Müller, Łódź", "Müller, Łódź"),
        ("ﬁne ŧ", "fine U+0167"),
        ("内視鏡", "U+5185U+8996U+93E1"),
        ("a--b, ,,", "a-{}-b, ,{},"),
        ("a\nb\tc", "a b c"),
        ("e\u0301", "é"),
        ("β₁", r"$\beta$1"),
    ],
)
def test_text_becomes_what_pdflatex_can_set(given_text: str, expected: str) -> None:
    assert escape(given_text) == expected


@given(st.text(max_size=30))
def test_any_text_is_balanced_and_short_of_active_characters(text: str) -> None:
    written = escape(text)
    bare = re.sub(r"\\[a-zA-Z]+\{\}|\\[&%$#_{}]", "", written)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not re.search(r"[%#&_]", bare)


def test_every_direction_belongs_to_one_head() -> None:
    assert HIGHER_IS_BETTER["Accuracy (%)"] and not HIGHER_IS_BETTER["HD95 (px)"] and not HIGHER_IS_BETTER["mCE"]


@pytest.mark.parametrize("rows", [3, LONG + 5])
def test_intervals_are_printed_in_six_points_or_more(rows: int) -> None:
    """A short table is shrunk by little, its columns parted where they are many; a long one names the size."""
    values: list[object] = ["-20.5 [-34.4, -17.3]"] * rows
    text = to_latex(scores({f"Quantity {place}": values for place in range(12)}), "c", "l")
    assert text.count(r"\toprule") >= 2 and r"\tiny" not in text
    small = r"{\scriptsize {[}" if rows <= LONG else r"{\fontsize{6}{7}\selectfont {[}"
    assert text.count(small) == 12 * rows


def test_what_latex_cannot_set_takes_the_room_of_its_code_point() -> None:
    heads = {f"{'内' * 6} {place}": [1.0] * (LONG + 1) for place in range(12)}
    plain = {f"{'a' * 6} {place}": [1.0] * (LONG + 1) for place in range(12)}
    parts = [to_latex(scores(table), "c", "l").count(r"\begin{longtable}") for table in (heads, plain)]  # type: ignore[arg-type]
    assert parts[0] > parts[1]


@pytest.mark.parametrize("rows", [3, 30, LONG + 5])
def test_a_note_stands_below_the_table_and_not_in_its_caption(rows: int) -> None:
    """However long it is: a caption is measured as one line, and TeX can measure no line of 6 metres."""
    note = "Why & how_much. " * 300
    text = to_latex(scores({"N": list(range(rows))}), "Title. Data.", "l", note=note)
    assert r"\caption{Title. Data.}" in text
    assert text.index(escape(note[:15])) > text.rindex(r"\bottomrule"), "below all parts"
    assert (r"\begin{longtable}" in text) == (rows > 3), "a page has no room for 30 rows and all of it"
    short = to_latex(scores({"N": [1]}), "Title.", "l", note="Why.")
    assert short.index("Why.") < short.index(r"\end{table}") and "Why." not in to_latex(scores({"N": [1]}), "c", "l")


def test_a_deviation_takes_room_in_its_column() -> None:
    heads = [f"Score {place} (%)" for place in range(9)]
    plain = {head: [50.0] * (LONG + 1) for head in heads}
    both = plain | {f"± {head}": [8.84] * (LONG + 1) for head in heads}
    parts = [to_latex(scores(table), "c", "l").count(r"\begin{longtable}") for table in (plain, both)]  # type: ignore[arg-type]
    assert parts[0] == 1 < parts[1]
