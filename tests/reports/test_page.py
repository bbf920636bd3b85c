"""The page is one file that fetches nothing, says what is synthetic and what is published, and escapes every name."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

import reports.page
from corruptions import corrupt
from corruptions.catalogue import CATEGORIES
from reports import page
from reports.page.render import picture_url
from reports.page.tables import to_html
from reports.statistics.robustness import Robustness

VENDOR = Path(reports.page.__file__).parent / "vendor"


class Reader(HTMLParser):
    """Collects elements, text by the element it stands in, and what JSON elements hold."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.json: dict[str, Any] = {}
        self.text = ""
        self._element = ""
        self._id: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._element = tag
        self._id = dict(attrs).get("id") if dict(attrs).get("type") == "application/json" else None

    def handle_endtag(self, tag: str) -> None:
        self._element, self._id = "", None

    def handle_data(self, data: str) -> None:
        if self._id:
            self.json[self._id] = json.loads(data)
        elif self._element not in ("script", "style"):
            self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    return reader


def test_the_page_fetches_nothing(page_content: page.Page) -> None:
    text = page.render_page(page_content)
    for tag, attributes in read(text).elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), f"<{tag} {name}={value[:60]!r}>"
        assert tag not in ("base", "iframe", "object", "embed")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None and "@import" not in style[1] and "url(" not in style[1]
    assert "sourceMappingURL" not in text
    assert "default-src 'none'" in text, "and no browser would let it"


def test_names_are_escaped_everywhere(page_content: page.Page) -> None:
    odd = page_content.facts.title.removeprefix("Toy ")
    reader = read(page.render_page(page_content))
    assert not [tag for tag, _ in reader.elements if tag == "i"], "no name became an element"
    assert reader.text.count(odd) >= 4, "title, gap, table and card have it as it is"
    assert odd in reader.json["scores-data"]["datasets"][0]["models"]
    assert reader.json["gallery-data"]["datasets"][0]["models"][1]["label"] == odd
    scripts = sum(tag == "script" for tag, _ in reader.elements)
    assert scripts == 3 + 1 + 6, "three of data, the library, six of the page: no name ended one"


def test_links_lead_somewhere_and_ids_are_unique(page_content: page.Page) -> None:
    elements = read(page.render_page(page_content)).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = [str(attributes["href"]) for tag, attributes in elements if tag == "a"]
    assert {"#scores", "#curves", "#gallery", "#dataset_toy", "#provenance"} <= set(anchors)
    assert {anchor[1:] for anchor in anchors} <= set(ids)


@pytest.mark.parametrize("synthetic", [True, False])
def test_it_says_what_is_synthetic(synthetic: bool, page_content: page.Page) -> None:
    facts = replace(page_content.facts, synthetic=synthetic, partial="")
    text = page.render_page(replace(page_content, facts=facts))
    sections = len(re.findall(r"<h[23] id=", text)) - 2  # gaps and the glossary are no data
    assert text.count('<span class="badge">Synthetic data</span>') == (sections if synthetic else 0)
    assert ("<strong>Synthetic data.</strong>" in text) == synthetic
    assert "PARTIAL DATA" in page.render_page(page_content)


def test_trained_and_merged_models_are_counted(page_content: page.Page) -> None:
    merged = replace(page_content, facts=replace(page_content.facts, merged=2), gaps=[])
    assert "3 trained, 2 merged" in read(page.render_page(merged)).text
    assert "2 merged" not in page.render_page(page_content)


def test_gaps_are_named_with_their_reason(page_content: page.Page) -> None:
    reader = read(page.render_page(page_content))
    assert (
        "C-net on Toy" in reader.text
        and "toy/c" in reader.text
        and "training failed:" in reader.text
        and "not trained yet" in reader.text
    )
    assert "These cells lack results, or results under corruption." in reader.text
    assert "have no results" not in reader.text, "a cell may lack its robustness alone"
    assert "not_drawn.png was not drawn" in reader.text
    assert "Gaps" not in read(page.render_page(replace(page_content, gaps=[]))).text


def test_the_same_content_gives_the_same_text(page_content: page.Page) -> None:
    assert page.render_page(page_content) == page.render_page(page_content)


def test_parts_without_content_are_left_out(page_content: page.Page) -> None:
    bare = page.Page(replace(page_content.facts, partial=""), tables=page_content.tables)
    reader = read(page.render_page(bare))
    ids = {attributes.get("id") for _, attributes in reader.elements}
    assert not ids & {"curves", "gallery", "figures", "datasets", "provenance", "gaps"}
    assert "scores" in ids and "Chart.js" not in page.render_page(bare)


def keys(html: str, column: int) -> list[str | None]:
    rows = re.findall(r"<tr>(<th scope=\"row\".*?)</tr>", html, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>", row)[column] for row in rows]
    return [match[1] if (match := re.search(r'data-key="([^"]*)"', cell)) else None for cell in cells]


def test_columns_know_their_kind(page_content: page.Page) -> None:
    html = str(to_html(page_content.tables[0].table, "x", best=True, apart=[4]))
    assert re.findall(r'data-kind="(\w+)"', html) == ["text", "text", "number", "number", "number"]
    assert keys(html, 2) == ["9.5", "80.123", "100", "", "99"]
    assert keys(html, 4) == ["12.3", "", "9.1", "100", ""], "an interval sorts by its value, a dash has no key"
    assert html.count('<tbody class="apart">') == 1 and "Majority" in html.split('<tbody class="apart">')[1]
    assert html.count('class="best"') == 2, "the highest accuracy and the lowest distance; a reference does not compete"
    assert '<td class="best" data-key="100">100.00</td>' in html and '<td class="best" data-key="1">1.00</td>' in html


def test_columns_of_the_paper_are_marked(page_content: page.Page) -> None:
    html = str(to_html(page_content.tables[1].table, "x", of_paper=[1, 4]))
    assert "tag" not in html, "their heads say it"
    assert str(to_html(page_content.tables[1].table, "x", of_paper=[0, 3])).count('<span class="tag">paper</span>') == 2
    assert html.count('class="paper" data-key=') == 8
    assert html.count('colspan="3"') == 2 and html.count("<button") == 7


@pytest.mark.parametrize("name", ["Mean Teacher ViT", "paper, alpha 12", "Reference", "clean", "In the paper", "mean"])
def test_no_name_decides_what_a_row_or_column_is(name: str) -> None:
    index = pd.MultiIndex.from_tuples([(name, "HPS"), ("A-net", "HPS")], names=["Backbone", "Architecture"])
    table = pd.DataFrame({"mIoU (%)": [90.0, 80.0], name: [1.0, 2.0]}, index=index)
    html = str(to_html(table, "x", best=True))
    assert "tag" not in html and "apart" not in html and 'class="paper"' not in html
    assert '<td class="best" data-key="90">' in html
    marked = str(to_html(table, "x", best=True, apart=[0], of_paper=[1]))
    assert marked.count('class="tag"') == 1 and marked.count('<tbody class="apart">') == 1 and "best" not in marked


def test_rows_compete_within_their_group() -> None:
    index = pd.MultiIndex.from_product([["D", "E"], ["1", "4"]], names=["Dataset", "Rank"])
    table = pd.DataFrame({"mIoU (%)": [90.0, 80.0, 40.0, 50.0]}, index=index)
    html = str(to_html(table, "x", best=True, within=("Dataset",)))
    assert html.count('class="best"') == 2 and 'best" data-key="90"' in html and 'best" data-key="50"' in html


def test_a_score_with_the_name_of_its_model_is_a_number() -> None:
    scores = ["62.5 [59.3, 65.3], A-net [big], HPS", "100.0 [99.0, 100.0], 2 models", "9.5, B", "-"]
    html = str(to_html(pd.DataFrame({"Best mIoU (%)": scores}), "x"))
    assert keys(html, 1) == ["62.5", "100", "9.5", ""]
    assert '<th scope="col" data-kind="number" class="words">' in html, "it reads as text"
    assert keys(str(to_html(pd.DataFrame({"n": ["1,234", "5"]}), "x")), 1) == ["1234", "5"]


def test_a_deviation_stands_in_the_cell_of_its_mean() -> None:
    """The cell sorts and wins by the mean; a deviation that one seed does not have is left out."""
    table = pd.DataFrame(
        {"mIoU (%)": [62.5, 70.0], "HD (px)": [3.0, 4.0], "± mIoU (%)": [1.25, np.nan]}, index=["a", "b"]
    )
    html = str(to_html(table, "x", best=True, of_paper=[1]))
    assert '62.50 <span class="more">± 1.25</span>' in html, "which the browser may put below"
    cells = re.findall(r"<td([^>]*)>([^<]*)</td>", re.sub("</?span[^>]*>", "", html))
    assert [text for _, text in cells] == ["62.50 ± 1.25", "3.00", "70.00", "4.00"]
    assert keys(html, 1) == ["62.5", "70"] and html.count("<button") == 3
    assert ["paper" in marks for marks, _ in cells] == [False, True, False, True]
    assert "best" in cells[2][0] and "best" not in cells[0][0]


def test_numbers_are_shown_as_they_are(page_content: page.Page) -> None:
    table = pd.DataFrame(
        {"n": pd.array([2020, pd.NA], "Int64"), "x": [0.5, -1234.567], "b": [True, False], "s": ["1,234", "a"]}
    )
    html = str(to_html(table, "x"))
    for shown in (">2,020<", ">0.50<", ">-1,234.57<", ">True<", ">1,234<"):
        assert shown in html
    assert 'data-key="1234"' in html


def test_series_hold_every_condition(robustness: Robustness) -> None:
    content = page.scores_of(robustness).content
    dataset = content["datasets"][0]
    choices = [choice["key"] for choice in dataset["choices"]]
    assert choices == [
        "mean",
        "mean:digital",
        "gaussian_noise",
        "smoke",
        "elastic_transform",
        "unmoved:elastic_transform",
    ]
    assert dataset["severities"] == [1, 5] and dataset["metrics"] == ["accuracy", "miou", "hd95"]
    series = dataset["values"]["A-net HPS"]["miou"]
    assert series["smoke"] == [[0.9, 0.85, 0.95], [0.8, 0.75, 0.85], [0.4, 0.35, 0.45]], "clean first"
    assert series["mean"][1:] == [[0.8, 0.78, 0.82], [0.4, 0.38, 0.42]], "as measured, with intervals"
    assert series["mean:digital"][1:] == [[0.8], [0.4]], "nobody measured an interval of these"
    assert series["unmoved:elastic_transform"][1] == [0.1, 0.05, 0.15]
    assert dataset["values"]["A-net HPS"]["hd95"]["mean"][1:] == [[24.0], [12.0]]
    assert content["metrics"]["hd95"] == {"name": "HD95", "unit": "px", "scale": 1.0, "higher": False}


def test_a_mean_with_a_gap_is_no_mean(robustness: Robustness) -> None:
    rows = robustness.conditions
    lacking = rows[~((rows["metric"] == "hd95") & (rows["corruption"] == "smoke") & (rows["severity"] == 5))]
    dataset = page.scores_of(replace(robustness, conditions=lacking)).content["datasets"][0]
    series = dataset["values"]["A-net HPS"]["hd95"]
    assert series["smoke"][2] is None and series["mean"][2] is None and series["mean"][1] == [24.0]


def decode(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1])))


def test_pictures_are_kept_once_and_small() -> None:
    pictures, palette = page.Pictures(), [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
    mask = np.random.default_rng(0).integers(0, 3, (20, 30), np.uint8)
    image = np.full((448, 300, 3), 90, np.uint8)
    assert pictures.add_mask(mask, palette) == pictures.add_mask(mask.copy(), palette) == 0
    assert pictures.add_image(image) == 1 and len(pictures.urls) == 2
    shown = np.asarray(decode(pictures.urls[0]).convert("RGBA"))
    assert (shown[..., 3] == np.where(mask > 0, 255, 0)).all(), "the background is transparent"
    assert (shown[mask > 0][:, :3] == np.asarray(palette)[mask[mask > 0]]).all()
    small = decode(pictures.urls[1])
    assert small.format == "JPEG" and small.size == (150, 224)


def grain(image: NDArray[np.uint8]) -> float:
    """How far pixels deviate from the four beside them, channel by channel."""
    values = image.astype(float)
    beside = sum(np.roll(values, step, axis) for step in (-1, 1) for axis in (0, 1)) / 4
    return float((values - beside)[1:-1, 1:-1].std())


@pytest.mark.parametrize("size", [84, 224])
@pytest.mark.parametrize("name", [*CATEGORIES["noise"], "pixelate"])
def test_a_picture_shows_the_noise_that_the_model_saw(name: str, size: int) -> None:
    """At every severity, on a smooth image and on a plain one; no buffer is too small for it."""
    pictures, ramp = page.Pictures(), np.linspace(60, 200, size)[:, None, None]
    smooth = np.broadcast_to(ramp, (size, size, 3)).astype(np.uint8)
    for image in (smooth, np.full((size, size, 3), 128, np.uint8)):
        for severity in (1, 3, 5):
            seen = corrupt(image, name, severity)
            shown = np.asarray(decode(pictures.urls[pictures.add_image(seen)]))
            assert shown.shape == seen.shape and abs(grain(shown) - grain(seen)) <= max(0.2 * grain(seen), 2)


def test_figures_are_kept_exactly_unless_photographs_make_them_large(tmp_path: Path) -> None:
    chart = np.full((300, 400, 3), 255, np.uint8)
    chart[::7, :] = (200, 30, 60)
    photograph = np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)
    urls = {}
    for name, pixels in (("chart", chart), ("photograph", photograph)):
        Image.fromarray(pixels).save(path := tmp_path / f"{name}.png")
        urls[name] = picture_url(path)
        assert urls[name].startswith("data:image/webp;base64,") and urls[name] == picture_url(path)
    assert (np.asarray(decode(urls["chart"]).convert("RGB")) == chart).all()
    assert len(urls["photograph"]) < 0.6 * (tmp_path / "photograph.png").stat().st_size
    Image.fromarray(photograph).save(sheet := tmp_path / "sheet.jpg")
    assert base64.b64decode(picture_url(sheet).split(",", 1)[1]) == sheet.read_bytes()
    assert picture_url(tmp_path / "missing.png") == ""


def test_the_gallery_says_what_its_pictures_are(page_content: page.Page) -> None:
    text = read(page.render_page(page_content)).text
    assert "Images are stored as JPEG of quality 75; the models got the original images." in text
    large = replace(page_content, facts=replace(page_content.facts, resolution=448))
    assert "quality 75, shrunk to 224 pixels;" in read(page.render_page(large)).text


def test_the_library_is_what_its_note_says() -> None:
    note = (VENDOR / "README.md").read_text()
    assert hashlib.sha256((VENDOR / "chart.umd.min.js").read_bytes()).hexdigest() in note
    version = re.search(r"Chart\.js v([\d.]+)", (VENDOR / "chart.umd.min.js").read_text()[:200])
    assert version is not None and f"| {version[1]} | MIT" in note
    assert "MIT License" in (VENDOR / "chart.LICENSE.md").read_text()


def test_the_best_is_no_difference() -> None:
    table = pd.DataFrame({"to best": ["best", "-3.0 [-5.0, -1.0]", "+0.0 [-1.0, +1.0]", "-"]})
    html = str(to_html(table, "x"))
    assert keys(html, 1) == ["0", "-3", "0", ""] and html.count('data-kind="number"') == 2


@pytest.mark.parametrize(("ending", "kind"), [("webp", "webp"), ("jpg", "jpeg")])
def test_pictures_that_are_compressed_already_stay_as_they_are(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"figure.{ending}"
    Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)).save(path, quality=40)
    expected = base64.b64encode(path.read_bytes()).decode("ascii")
    assert picture_url(path) == f"data:image/{kind};base64,{expected}"
