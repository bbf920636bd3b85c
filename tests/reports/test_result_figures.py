"""Figures of results: the same bytes from the same content, text that is large enough, whole and apart, whatever a study lacks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from reports.figures import style
from reports.figures.classes import NO_TRUTH, ClassScores, draw_class_scores
from reports.figures.confusion import Confusion, draw_confusions
from reports.figures.cost import COLUMNS, draw_cost
from reports.figures.heatmap import draw_heatmap
from reports.figures.history import TrainingHistory, draw_histories
from reports.figures.merging import Representations, draw_bias, draw_representations
from reports.figures.robustness import draw_retention, draw_severity
from reports.figures.segmentation import Gallery, draw_segmentation
from reports.figures.style import (
    PAGE,
    SMALL,
    black_or_white,
    draw_message,
    head_height,
    log_ticks,
    luminance,
    overlay,
    text_width,
    wrapped,
)
from tests.sampled import one_in

MARK = "SYNTHETIC DATA (generated scenes). Study toy, protocol standard.\nInitial weights: A random."
GAPS = f"{MARK}\nNo results of {', '.join(f'Net {i} DSelect-k Aligned-MTL on Toy' for i in range(9))}: training failed: {'why ' * 60}."
LONG = "a_name_that_nobody_would_choose but somebody does"
PRINTED = 9.0  # inches: what a page of the paper leaves a figure, see tests/pipeline/reporting/test_paper.py
Draw = Callable[[Path, Path], None]


def gallery(images: int = 3, models: int = 2, classes: int = 3, name: str = "A-net") -> Gallery:
    random = np.random.default_rng(0)
    # Blocks, so that a class is deep enough for its number.
    coarse = random.integers(0, classes, (models + 1, images, 4, 4), np.uint8)
    masks = np.kron(coarse, np.ones((10, 10), np.uint8))
    names = ["truth", *(f"{name} {index}\nHPS\nmIoU {50 + index}.0" for index in range(models))]
    palette = [(0, 0, 0), *(tuple(int(v) for v in random.integers(0, 256, 3)) for _ in range(classes - 1))]
    return Gallery(
        f"Toy of {name}",
        ["background", *(f"{name} class {index}" for index in range(1, classes))],
        palette,
        random.integers(0, 256, (images, 40, 40, 3), np.uint8),
        dict(zip(names, masks, strict=True)),
        [f"best (84.{index})\nidle" for index in range(images)],
        aspect=0.8,
    )


CATEGORIES = {"noise": ("gaussian_noise", "shot_noise"), "blur": ("glass_blur",), "digital": ("contrast",)}


def summary(
    models: int = 3, datasets: int = 1, metrics: tuple[str, ...] = ("accuracy", "miou"), name: str = "Net"
) -> pd.DataFrame:
    random, rows = np.random.default_rng(0), []
    for dataset in range(datasets):
        for model in range(models):
            for metric in metrics:
                about = {
                    "dataset": f"Toy {dataset}",
                    "model": f"{name}-{model} DSelect-k Aligned-MTL",
                    "metric": metric,
                }
                for quantity in ("clean", "mPC"):
                    rows.append(about | {"quantity": quantity, "of": "", "value": random.random()})
                for corruption in (name for names in CATEGORIES.values() for name in names):
                    rows.append(about | {"quantity": "corruption_mean", "of": corruption, "value": random.random()})
    return pd.DataFrame(rows)


def costs(cells: int = 6, datasets: int = 2, accuracy: bool = True, name: str = "Net") -> pd.DataFrame:
    random, rows = np.random.default_rng(0), []
    kinds = ("hps", "mmoe", "tesla", "dselect_k", "single_activity", "single_segmentation")
    for dataset in range(datasets):
        for index in range(cells):
            kind = kinds[index % len(kinds)]
            values = (
                f"Toy {dataset}",
                f"{name} {index % 3}",
                kind,
                4,
                10 ** random.uniform(5, 8),
                random.uniform(10, 900),
                "CPU",
            )
            scores = random.random(2)
            scores[0] = scores[0] if accuracy and kind != "single_segmentation" else np.nan
            scores[1] = scores[1] if kind != "single_activity" else np.nan
            rows.append((*values, *scores))
    return pd.DataFrame(rows, columns=COLUMNS)


def class_scores(classes: int = 7, models: int = 3, name: str = "class") -> ClassScores:
    random = np.random.default_rng(0)
    index = [f"{name} {i}" for i in range(classes)]
    shares = pd.DataFrame(random.random((classes, models)), index, [f"Model {m} of {name}" for m in range(models)])
    support = [*random.integers(1, 3000, classes - 1).tolist(), 0]
    shares.iloc[-1] = np.nan
    return ClassScores("IoU of classes", shares, support)


def confusion(classes: int = 8, largest: int = 20, counts: bool = True, name: str = "class") -> Confusion:
    matrix = np.random.default_rng(0).integers(0, largest, (classes, classes))
    matrix[-1] = 0
    return Confusion(f"Activities\nof {name}", [f"{name} {i}" for i in range(classes)], matrix, counts)


def histories(models: int = 4) -> list[TrainingHistory]:
    kinds = ("hps", "mmoe", "tesla", "dselect_k", "single_activity", "single_segmentation")
    rules = ("equal", "stch", "db_mtl", "moco", "aligned_mtl")
    found = []
    for index in range(models):
        random = np.random.default_rng(index)
        columns = {f"{k}_{t}": random.random(5) for k in ("loss", "weight", "gradient_norm") for t in ("a", "b")}
        rows = pd.DataFrame({"epoch": range(1, 6), **columns, "cosine_a_b": random.uniform(-1, 1, 5)})
        found.append(TrainingHistory(f"Net {index % 3}", kinds[index % 6], rules[index % 5], rows))
    return found


def merging_rows(mergers: int = 5, cases: int = 1, name: str = "merger") -> pd.DataFrame:
    random, rows = np.random.default_rng(1), []
    for index in range(cases):
        about = {"Dataset": f"Toy {index}", "Backbone": "Net"}
        for model in ("Individual models", "Jointly trained: TESLA"):
            scores = dict(zip(("accuracy", "miou", "mean"), 100 * random.random(3), strict=True))
            rows.append(about | {"Model": model, "merger": "", "rank": 0} | scores)
        for merger in range(mergers):
            for rank in (0, 16):
                values = {key: random.random() for key in ("bias_activity", "bias_segmentation", "bias")}
                values |= {key: 100 * random.random() for key in ("accuracy", "miou", "mean")}
                rows.append(about | {"Model": f"{merger} {rank}", "merger": f"{name} {merger}", "rank": rank} | values)
    return pd.DataFrame(rows)


def representations(mergers: int = 5, images: int = 30, name: str = "merger", surgery: bool = True) -> Representations:
    random = np.random.default_rng(2)

    def of_tasks() -> dict[str, np.ndarray]:
        return {task: random.normal(size=(images, 12)).astype(np.float32) for task in ("activity", "segmentation")}

    kinds = ("without", "with") if surgery else ("without",)
    return Representations(
        "Toy", "Net", of_tasks(), {f"{name} {i}": {k: of_tasks() for k in kinds} for i in range(mergers)}
    )


CASES: dict[str, Draw] = {
    "merging": lambda *files: draw_bias(merging_rows(), 16, MARK, *files),
    "merging, four cases, one merger": lambda *files: draw_bias(merging_rows(1, 4), 16, MARK, *files),
    "merging, long names": lambda *files: draw_bias(merging_rows(3, 1, LONG), 16, MARK, *files),
    "merging, what is missing": lambda *files: draw_bias(merging_rows().query("rank == 0"), 16, GAPS, *files),
    "representations": lambda *files: draw_representations([representations()], 16, MARK, *files),
    "representations, two cases": lambda *files: draw_representations(
        [representations(5, 400), representations(2, 3)], 16, MARK, *files
    ),
    "representations, one merger": lambda *files: draw_representations(
        [representations(1, surgery=False)], 16, MARK, *files
    ),
    "representations, long names": lambda *files: draw_representations(
        [representations(3, name=LONG)], 16, MARK, *files
    ),
    "masks": lambda *files: draw_segmentation([gallery(), gallery(2)], MARK, *files),
    "masks, one image and model": lambda *files: draw_segmentation([gallery(1, 1)], MARK, *files),
    "masks, long names": lambda *files: draw_segmentation([gallery(name=LONG)], MARK, *files),
    "masks, many classes": lambda *files: draw_segmentation([gallery(1, 6, 30)], MARK, *files),
    "masks, four datasets": lambda *files: draw_segmentation([gallery(3, 3, 8)] * 4, MARK, *files),
    "masks, missing cells": lambda *files: draw_segmentation([gallery(), gallery(2)], GAPS, *files),
    "heatmap, missing cells": lambda *files: draw_heatmap(summary(), CATEGORIES, GAPS, *files),
    "cost, missing cells": lambda *files: draw_cost(costs(), GAPS, *files),
    "classes, missing cells": lambda *files: draw_class_scores([class_scores()], "Toy", GAPS, *files),
    "confusion, missing cells": lambda *files: draw_confusions([confusion()], "Toy", GAPS, *files),
    "histories, missing cells": lambda *files: draw_histories(histories(), "Toy", GAPS, *files),
    "message, missing cells": lambda *files: draw_message("fig cost", "No cell has results.", GAPS, *files),
    "heatmap": lambda *files: draw_heatmap(summary(), CATEGORIES, MARK, *files),
    "heatmap, one model": lambda *files: draw_heatmap(summary(1), CATEGORIES, MARK, *files),
    "heatmap, 29 models": lambda *files: draw_heatmap(summary(29, 2), CATEGORIES, MARK, *files),
    "heatmap, long names": lambda *files: draw_heatmap(summary(4, name=LONG), CATEGORIES, MARK, *files),
    "heatmap, masks alone": lambda *files: draw_heatmap(summary(7, metrics=("miou",)), CATEGORIES, MARK, *files),
    "cost": lambda *files: draw_cost(costs(), MARK, *files),
    "cost, one cell": lambda *files: draw_cost(costs(1, 1), MARK, *files),
    "cost, 29 cells": lambda *files: draw_cost(costs(29, 4), MARK, *files),
    "cost, masks alone": lambda *files: draw_cost(costs(6, 1, False), MARK, *files),
    "cost, long names": lambda *files: draw_cost(costs(6, 1, name=LONG), MARK, *files),
    "classes": lambda *files: draw_class_scores([class_scores(), class_scores(12)], "Toy", MARK, *files),
    "classes, one panel and model": lambda *files: draw_class_scores([class_scores(3, 1)], "Toy", MARK, *files),
    "classes, long names": lambda *files: draw_class_scores(
        [class_scores(4, 4, LONG), class_scores(4, 4, LONG)], "Toy", MARK, *files
    ),
    "confusion": lambda *files: draw_confusions([confusion(12), confusion(counts=False)], "Toy", MARK, *files),
    "confusion, large counts": lambda *files: draw_confusions([confusion(12, 9999), confusion()], "Toy", MARK, *files),
    "confusion, one panel": lambda *files: draw_confusions([confusion(2, 2)], "Toy", MARK, *files),
    "confusion, long names": lambda *files: draw_confusions(
        [confusion(4, name=LONG), confusion(40, counts=False)], "Toy", MARK, *files
    ),
    "histories": lambda *files: draw_histories(histories(), "Toy", MARK, *files),
    "histories, 29 cells": lambda *files: draw_histories(histories(29), "Toy", MARK, *files),
    "histories, one cell": lambda *files: draw_histories(histories(1), "Toy", MARK, *files),
    "message": lambda *files: draw_message("fig cost", "No cell has results. " * 9, MARK, *files),
}


def texts(figure: Figure) -> list[Text]:
    """The texts that are seen: not those of ticks beyond an axis's limits."""
    hidden = set()
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.majorTicks, *axis.minorTicks]:
                if not min(limits) <= tick.get_loc() <= max(limits):
                    hidden |= {tick.label1, tick.label2}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if "," not in case])
def test_every_figure_is_drawn_and_is_the_same_from_the_same(case: str, tmp_path: Path) -> None:
    first, second = ((tmp_path / f"{name}.png", tmp_path / f"{name}.pdf") for name in "ab")
    CASES[case](*first)
    CASES[case](*second)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert np.asarray(Image.open(first[0]).convert("L")).std() > 5
    assert first[1].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("case", one_in(3, CASES))
def test_every_figure_is_whole_and_readable(case: str, figures: list[Figure], tmp_path: Path) -> None:
    CASES[case](tmp_path / "a.png", tmp_path / "a.pdf")
    figure = figures[0]
    assert "SYNTHETIC DATA (generated scenes)" in said(figure)
    assert figure.get_figwidth() <= PAGE + 0.01 or "long names" in case
    shown = texts(figure)
    smallest = min(float(text.get_fontsize()) for text in shown)
    assert smallest >= 6
    if "," not in case or "four" in case or "missing" in case:
        # A figure of a usual study is not larger than what a page of the paper leaves it, so that its letters are not reduced.
        width, height = figure.get_size_inches()
        assert smallest * min(1.0, PAGE / width, PRINTED / height) >= 5.99
    x0, y0, x1, y1 = np.array([text.get_window_extent().extents for text in shown]).T
    beyond = (x0 <= -2) | (y0 <= -2) | (x1 >= figure.bbox.width + 2) | (y1 >= figure.bbox.height + 2)
    assert not beyond.any(), [shown[i] for i in np.flatnonzero(beyond)]
    if "masks" in case and "heatmap" not in case and "cost" not in case:
        return  # numbers stand where classes are
    across = np.minimum.outer(x1, x1) - np.maximum.outer(x0, x0)
    down = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0)
    pairs = np.argwhere(np.triu(np.minimum(across, down) >= 4, 1))
    assert not len(pairs), [f"{shown[i].get_text()!r} lies over {shown[j].get_text()!r}" for i, j in pairs]


def said(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in texts(figure))


def test_a_mask_has_the_numbers_of_its_classes(figures: list[Figure], tmp_path: Path) -> None:
    shown = gallery(1, 1)
    draw_segmentation([shown], MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    _, truth, answer = figures[0].axes
    for axes, mask in zip((truth, answer), shown.masks.values(), strict=True):
        numbers = {text.get_text(): text.get_position() for text in axes.texts}
        assert set(numbers) == {str(i) for i in np.unique(mask) if i}
        assert all(mask[0][y, x] == int(number) for number, (x, y) in numbers.items())
    assert {"1  A-net class 1", "2  A-net class 2", "best (84.0)\nidle"} <= set(said(figures[0]).split("\n")) | {
        text.get_text() for text in texts(figures[0])
    }


def test_a_cell_of_the_heatmap_is_its_score(figures: list[Figure], tmp_path: Path) -> None:
    rows = summary(2)
    rows.loc[rows["quantity"] == "corruption_mean", "value"] = 0.251
    draw_heatmap(rows, CATEGORIES, MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    words = [text.get_text() for text in texts(figures[0])]
    assert words.count("25.1") == 2 * 2 * 4
    assert {"noise", "blur", "digital", "Gaussian noise", "clean", "mean"} <= set(words)


def test_what_is_not_defined_is_a_dash(figures: list[Figure], tmp_path: Path) -> None:
    rows = summary(2)
    gone = (rows["quantity"] == "corruption_mean") & rows["model"].str.startswith("Net-1")
    draw_heatmap(rows[~gone], CATEGORIES, MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    assert [text.get_text() for text in texts(figures[0])].count("-") == 2 * 4


def test_a_class_without_truth_says_so_and_has_no_bar(figures: list[Figure], tmp_path: Path) -> None:
    panel = class_scores(3, 2)
    panel.shares.iloc[-1] = 0.0  # predicted, but never there
    draw_class_scores([panel], "Toy", MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    words = [text.get_text() for text in texts(figures[0])]
    assert words.count(NO_TRUTH) == 1 and "class 2\n(n = 0)" in words
    assert len(figures[0].axes[0].patches) == 2 * 2


def test_a_row_without_truth_is_marked(figures: list[Figure], tmp_path: Path) -> None:
    draw_confusions([confusion(3)], "Toy", MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    words = [text.get_text() for text in texts(figures[0])]
    assert words.count("no truth") == 1 and "class 2 (0)" in words


def test_a_little_is_not_nothing(figures: list[Figure], tmp_path: Path) -> None:
    matrix = np.array([[9999, 1], [0, 7]])
    draw_confusions(
        [Confusion("Pixels", ["a", "b"], matrix, counts=False)], "T", MARK, tmp_path / "a.png", tmp_path / "a.pdf"
    )
    words = [text.get_text() for text in figures[0].axes[0].texts]
    assert words == ["100", "<1", "100"]


def test_each_training_is_one_marker_a_panel(figures: list[Figure], tmp_path: Path) -> None:
    rows = costs(6, 1)
    draw_cost(rows, MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    assert [len(axes.lines) for axes in figures[0].axes] == [5, 5, 5, 5]
    looks = {(line.get_color(), line.get_fillstyle(), line.get_marker()) for line in figures[0].axes[0].lines}
    assert len(looks) == 5 and "Speed: CPU." in said(figures[0])


def test_ranks_are_told_apart(figures: list[Figure], tmp_path: Path) -> None:
    rows = costs(6, 1)
    draw_cost(pd.concat([rows, rows.iloc[[2]].assign(rank=16)]), MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    draw_cost(rows, MARK, tmp_path / "b.png", tmp_path / "b.pdf")
    labels = [sorted(text.get_text() for text in axes.texts) for axes in figures[0].axes]
    assert labels == [["r16", "r4"]] * 4 and "r4: adapters of rank 4" in said(figures[0])
    assert not any(axes.texts for axes in figures[1].axes) and "rank" not in said(figures[1])


def test_no_marker_of_the_costs_hides_another(figures: list[Figure], tmp_path: Path) -> None:
    """Models of one backbone cost the same, and many score the same."""
    rows = costs(39, 2).assign(parameters=4e6, images_per_second=90.0)
    rows[["accuracy", "miou"]] = rows[["accuracy", "miou"]].round(1)
    draw_cost(rows, MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    figure = figures[0]
    figure.set_dpi(72)
    for axes in figure.axes:
        size = axes.lines[0].get_markersize()
        places = np.array([axes.transData.transform(line.get_xydata()[0]) for line in axes.lines])
        apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag([np.inf] * len(places))
        assert len(places) > 20 and apart.min() >= size, "points of 1/72 inch"
        panel = axes.get_window_extent()
        assert places[:, 0].min() >= panel.x0 and places[:, 0].max() <= panel.x1


def test_the_trainings_of_a_panel_are_told_by_their_colours(figures: list[Figure], tmp_path: Path) -> None:
    """Of every architecture under every weighting; single tasks show different quantities."""
    rows = histories(1)[0].rows
    kinds, rules = ("mmoe", "dselect_k", "tesla", "hps"), ("equal", "stch", "db_mtl", "moco", "aligned_mtl")
    shown = [TrainingHistory(f"Net {i}", kind, rule, rows) for i in range(3) for kind in kinds for rule in rules]
    shown += [TrainingHistory("Net 1", "Single tasks", "equal", rows[["epoch", f"loss_{task}"]]) for task in "ab"]
    draw_histories(shown, "Toy", MARK, tmp_path / "a.png", tmp_path / "a.pdf")
    assert len(figures[0].axes) == 13 * 6
    for axes in figures[0].axes:
        colours = [line.get_color() for line in axes.lines if len(line.get_xdata()) > 2]
        assert len(colours) == len(set(colours)) <= len(rules)
    assert figures[0].get_figheight() <= PRINTED and {"Net 0", "Net 2", "Single\ntasks"} <= {
        text.get_text() for text in texts(figures[0])
    }


def test_overlay_leaves_the_background() -> None:
    image, palette = np.full((2, 2, 3), 100, np.uint8), [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
    painted = overlay(image, np.array([[0, 1], [2, 0]], np.uint8), palette)
    assert painted[0, 0].tolist() == [100, 100, 100] and painted[0, 1].tolist() == [185, 45, 45]


@pytest.mark.parametrize("inches", [0.3, 1.0, 4.0])
def test_wrapped_text_is_not_wider(inches: float) -> None:
    for text in ("", "one", f"{LONG}\nDB-MTL", "x" * 80):
        shown = wrapped(text, inches)
        assert text_width([shown]) <= inches + 1e-9
        assert shown.replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.1), (0.05, 1.2), (1e-4, 1e5), (3.0, 3.1), (1e-12, 1e12)])
def test_ticks_of_a_logarithmic_axis(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert len(ticks) <= 6 and all(low <= tick <= high for tick in ticks) and ticks == sorted(ticks)


def curves(metrics: tuple[str, ...] = ("accuracy", "miou"), models: int = 2) -> pd.DataFrame:
    rows = []
    for model in range(models):
        for metric in metrics:
            about = {"dataset": "Toy", "model": f"Net {model}", "metric": metric, "interval_over": "9 images"}
            for quantity, names in (
                ("clean", [""]),
                ("severity_mean", ["1", "5"]),
                ("retention", ["1", "5"]),
                ("category_rPC", ["noise", "blur"]),
                ("corruption_mean", ["smoke"]),
            ):
                rows += [
                    about | {"quantity": quantity, "of": of, "value": 0.5, "low": 0.4, "high": 0.6} for of in names
                ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("metrics", [("miou",), ("accuracy", "miou")])
@pytest.mark.parametrize("draw", [draw_severity, draw_retention])
def test_curves_say_what_is_missing_within_their_width(
    draw: Callable[..., None], metrics: tuple[str, ...], figures: list[Figure], tmp_path: Path
) -> None:
    draw(curves(metrics), GAPS, tmp_path / "a.png", tmp_path / "a.pdf")
    figure = figures[0]
    assert "No results of Net 0 DSelect-k Aligned-MTL on Toy," in " ".join(said(figure).split())
    for text in texts(figure):
        box = text.get_window_extent()
        assert box.x0 > -2 and box.x1 < figure.bbox.width + 2 and box.y1 < figure.bbox.height + 2, text
        assert float(text.get_fontsize()) * min(1, PAGE / figure.get_figwidth()) >= 6
    heights = [axes.get_position().height * figure.get_figheight() for axes in figure.axes]
    assert min(heights) > 1.5, "the head does not take the panels' place"


@pytest.mark.parametrize("case", ["heatmap", "confusion"])
def test_numbers_are_read_on_any_colour(case: str, figures: list[Figure], tmp_path: Path) -> None:
    CASES[case](tmp_path / "a.png", tmp_path / "a.pdf")
    seen = 0
    for axes in figures[0].axes:
        if not axes.collections or not axes.texts:
            continue
        colours = np.asarray(axes.collections[0].get_facecolor())
        columns = round(max(axes.get_xlim()))
        for text in axes.texts:
            if text.get_text() in ("-", "no truth"):
                continue
            column, row = (int(value) for value in text.get_position())
            light = sorted([luminance(to_rgb(text.get_color())), luminance(colours[row * columns + column])])
            assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, text
            seen += 1
    assert seen > 10


def test_luminance_and_contrast() -> None:
    assert luminance((1, 1, 1)) == pytest.approx(1) and luminance((0, 0, 0)) == 0
    assert luminance((1, 0, 0, 1)) == pytest.approx(0.2126)
    assert black_or_white((0.5, 0.5, 0.5)) == "black" and black_or_white((0.4, 0.4, 0.4)) == "white"


def test_letters_that_the_font_lacks_are_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "_warned", set())
    rows = costs(6, 1, name="内視鏡")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        draw_cost(rows, MARK, tmp_path / "a.png", tmp_path / "a.pdf")
        draw_cost(rows, MARK, tmp_path / "b.png", tmp_path / "b.pdf")
    (only,) = (str(warning.message) for warning in caught)
    assert "'内視鏡 0': the font of the figures, DejaVu Sans, lacks 内 (U+5185), 視 (U+8996), 鏡 (U+93E1)" in only


def test_a_head_is_no_smaller_for_what_is_missing() -> None:
    assert SMALL >= 6 and head_height(GAPS) > head_height(MARK) + 0.2
