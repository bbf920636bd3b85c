"""The page in a browser: it sorts, filters, draws and shows, by mouse and by keyboard, on a phone and in the dark, and asks for nothing."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports import page
from reports.page.tables import DASH

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (the extra `dev` has it)")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.remote.webelement import WebElement  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900"),
)
USABLE_MS = 2000

pytestmark = pytest.mark.skipif(
    not (CHROMIUM.exists() and DRIVER.exists()), reason=f"{CHROMIUM} or {DRIVER} is not there (Debian: chromium-driver)"
)


class Opened:
    """A page that is open in a browser."""

    def __init__(self, driver: Any, file: Path) -> None:
        self.driver = driver
        self.file = file
        self.open()

    def open(self) -> None:
        """Load the page anew; what the browser's own pages asked for before is forgotten."""
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.driver.get(self.file.as_uri())

    def find(self, selector: str) -> WebElement:
        found: WebElement = self.driver.find_element(By.CSS_SELECTOR, selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """What stands in elements, whether they can be seen or not."""
        return [str(e.get_property("textContent")) for e in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def scroll_to(self, selector: str, until: str) -> None:
        """Scroll to a part that starts once somebody comes near it, and wait until it has."""
        self.run(f"document.querySelector('{selector}').scrollIntoView()")
        WebDriverWait(self.driver, 10).until(lambda _: self.run(f"return {until}"))

    def to_curves(self) -> None:
        self.scroll_to("#curves", "!!Chart.getChart('curves-chart')")

    def to_gallery(self) -> None:
        self.scroll_to(
            "#gallery",
            "document.querySelector('#gallery-image').complete && !!document.querySelector('#gallery-image').src",
        )

    def complaints(self) -> list[str]:
        """Errors of the console, and whatever was asked for besides the page itself."""
        found = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            if event["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                about = event["params"]
                url = about.get("url") or about["request"]["url"]
                if not url.startswith("data:") and url.split("#")[0] != self.file.as_uri():
                    found.append(f"asked for {url}")
        return found

    def wait_for_complaint(self, word: str) -> None:
        """Wait until a complaint has a word: the console is told a little after the page is there."""
        found: list[str] = []
        for _ in range(100):
            found += self.complaints()
            if any(word in complaint for complaint in found):
                return
            time.sleep(0.1)
        pytest.fail(f"no complaint of {word!r}, but {found}")


def start(folder: Path) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for option in (*OPTIONS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("browser")
    driver = start(folder)
    # It begins at a page of its own, which asks for much.
    driver.get("about:blank")
    yield driver
    driver.quit()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def opened(driver: Any, page_content: page.Page, tmp_path: Path) -> Iterator[Opened]:
    file = tmp_path / "index.html"
    file.write_text(page.render_page(page_content), encoding="utf-8")
    opened = Opened(driver, file)
    yield opened
    assert opened.complaints() == []
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def column(opened: Opened, index: int) -> list[str]:
    return opened.texts(f"#scores + .table-block tbody tr:not([hidden]) > :nth-child({index})")


def test_it_is_usable_at_once(opened: Opened) -> None:
    timing = opened.run("return performance.getEntriesByType('navigation')[0].toJSON()")
    assert 0 < timing["domContentLoadedEventEnd"] < USABLE_MS and 0 < timing["loadEventEnd"] < USABLE_MS
    opened.to_curves()
    opened.to_gallery()


def test_a_column_sorts_both_ways_and_back(opened: Opened) -> None:
    head = opened.find("#scores + .table-block th:nth-child(3)")
    button = head.find_element(By.TAG_NAME, "button")
    first = column(opened, 3)
    assert first == ["9.50", "80.12", "100.00", DASH, "99.00"]
    button.click()
    assert head.get_attribute("aria-sort") == "ascending" and column(opened, 3) == first, (
        "numbers, not texts; the reference stays"
    )
    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert column(opened, 3) == ["100.00", "80.12", "9.50", DASH, "99.00"], "dashes come last in both directions"
    other = opened.find("#scores + .table-block th:nth-child(5) button")
    other.send_keys(Keys.SPACE)
    assert head.get_attribute("aria-sort") == "none"
    assert [text.split()[0] for text in column(opened, 5)] == ["9.1", "12.3", "100.0", DASH, DASH]
    other.click()
    other.click()
    assert column(opened, 3) == first, "a third time gives the first order back"


def test_a_head_below_others_sorts(opened: Opened) -> None:
    button = opened.find("#deep + .table-block thead tr:last-child th:nth-child(6) button")
    button.click()
    button.click()
    assert opened.texts("#deep + .table-block tbody th") == ["d", "c", "b", "a"]


def test_rows_are_filtered_by_all_words(opened: Opened) -> None:
    box = opened.find("#scores + .table-block input[type=search]")
    box.send_keys("hps NET")
    assert column(opened, 2) == ["HPS", "HPS", "HPS"]
    box.send_keys(" a-")
    assert column(opened, 1) == ["A-net"]
    assert opened.find("#scores + .table-block output").text == "1 of 5 rows"
    box.clear()
    box.send_keys(Keys.SPACE)
    assert len(column(opened, 1)) == 5


def chart(opened: Opened) -> Any:
    return opened.run(
        "const c = Chart.getChart('curves-chart');"
        "return {labels: c.data.labels, lines: c.data.datasets.filter((d) => d.label).map((d) => [d.label, d.data]),"
        " sets: c.data.datasets.length, axis: c.options.scales.y.title.text, colour: c.options.scales.y.title.color}"
    )


def test_curves_follow_the_choices(opened: Opened) -> None:
    opened.to_curves()
    first = chart(opened)
    assert first["labels"] == ["0", "1", "5"] and first["lines"][0][0] == "A-net HPS"
    assert first["lines"][0][1] == pytest.approx([90, 80, 40]) and first["sets"] == 6, (
        "each line with two edges of its band"
    )
    Select(opened.find("#curves-metric")).select_by_visible_text("HD95 (px)")
    assert chart(opened)["axis"] == "HD95 (px)" and len(chart(opened)["lines"]) == 1
    corruption = opened.find("#curves-corruption")
    Select(corruption).select_by_visible_text("elastic transform, masks not moved")
    assert chart(opened)["lines"][0][1] == pytest.approx([27, 0.1, 0.1])
    corruption.send_keys(Keys.ARROW_UP)
    assert chart(opened)["lines"][0][1] == pytest.approx([27, 24, 12]), "by keyboard too"
    Select(opened.find("#curves-metric")).select_by_visible_text("Accuracy (%)")
    opened.find("#curves-models input").send_keys(Keys.SPACE)
    assert len(chart(opened)["lines"]) == 1 and chart(opened)["lines"][0][0] != "A-net HPS"
    opened.find("#curves-bands").click()
    assert chart(opened)["sets"] == 1
    assert opened.texts("#curves-values tbody td") == ["80.0 [75.0, 85.0]", "70.0 [65.0, 75.0]", "30.0 [25.0, 35.0]"]
    assert "Toy" in str(opened.find("#curves-chart").get_attribute("aria-label"))


def test_the_gallery_follows_the_choices(opened: Opened) -> None:
    opened.to_gallery()

    def shown() -> list[str]:
        names = ("image", "truth", "prediction")
        return [str(opened.find(f"#gallery-{name}").get_attribute("src")) for name in names]

    first = shown()
    assert first[0].startswith("data:image/jpeg") and all(url.startswith("data:image/png") for url in first[1:])
    severity = opened.find("#gallery-severity")
    severity.send_keys(Keys.ARROW_RIGHT)
    second = shown()
    assert opened.find("#gallery-severity-value").text == "5" and severity.get_attribute("aria-valuetext") == "5"
    assert second[0] != first[0] and second[1] == first[1] and second[2] != first[2]
    status = str(opened.find("#gallery-status").get_property("textContent"))
    assert "Gaussian noise, severity 5" in status and "mIoU (%) 2.0" in status
    corruption = opened.find("#gallery-corruption")
    assert "masks not moved" not in corruption.text and "mean" not in corruption.text
    corruption.send_keys(Keys.ARROW_DOWN)
    assert shown()[0] != second[0]
    rows = opened.texts("#gallery-scores tbody tr")
    assert rows[0] == "Activityidle ✓" and "mIoU (%)4.040.0 [35.0, 45.0]" in rows, (
        "this image, and the whole test split"
    )
    buttons = opened.driver.find_elements(By.CSS_SELECTOR, "#gallery-images button")
    buttons[1].send_keys(Keys.ENTER)
    assert buttons[1].get_attribute("aria-pressed") == "true"
    assert opened.texts("#gallery-scores tbody tr")[0] == "Activityidle ✗ (true: cutting)"
    Select(opened.find("#gallery-model")).select_by_index(1)
    assert not opened.find("#gallery-prediction").is_displayed()
    assert "this model predicts no masks" in opened.find("#gallery-box .panels").text
    Select(corruption).select_by_visible_text("none (clean)")
    assert not severity.is_enabled() and opened.find("#gallery-severity-value").text == "clean"
    opened.find("#gallery-opacity").send_keys(Keys.HOME)
    assert opened.run("return getComputedStyle(document.querySelector('#gallery-truth')).opacity") == "0"
    assert opened.texts("#gallery-legend li") == ["x <&> y", "y"]


def test_everything_is_reached_by_keyboard(opened: Opened) -> None:
    opened.find("body").send_keys(Keys.TAB)
    assert opened.driver.switch_to.active_element.get_attribute("class") == "skip"
    opened.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert opened.run("return location.hash") == "#summary"
    opened.to_curves()
    opened.to_gallery()
    unnamed = opened.run(
        "return [...document.querySelectorAll('button, select, input')].filter("
        "(e) => !(e.textContent.trim() || e.closest('label')?.textContent.trim() || e.title)).length"
    )
    assert unnamed == 0
    button = opened.find("#scores + .table-block th button")
    button.send_keys(Keys.SHIFT)  # any key: what is focused by script alone may show no ring
    assert opened.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"


WIDER = (
    "return [...document.querySelectorAll('.wide:not(:has(#curves-values, #gallery-scores))')]"
    ".filter((b) => b.scrollWidth > b.clientWidth).map((b) => b.ariaLabel)"
)


@pytest.mark.parametrize("width", [1400, 390, 320])
def test_tables_fold_to_the_window(opened: Opened, width: int) -> None:
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 800}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.open()
    opened.to_curves()
    opened.to_gallery()
    assert opened.run("return document.documentElement.scrollWidth") <= width
    assert width < 390 or opened.run(WIDER) == []
    assert opened.run("return document.querySelector('.contents details').open") == (width > 800), (
        "it would cover a phone"
    )
    said = opened.find("#broad + .table-block .columns summary").text
    assert said.endswith("of 30 columns shown; choose") and 1 <= int(said.split()[0]) < 30


def test_columns_unfold_at_a_click_and_on_paper(opened: Opened) -> None:
    block = "#broad + .table-block"
    last = f"{block} thead th:last-child, {block} tbody tr:first-child td:last-child"

    def hidden() -> set[bool]:
        return {not e.is_displayed() for e in opened.driver.find_elements(By.CSS_SELECTOR, last)}

    assert hidden() == {True}
    opened.find(f"{block} summary").click()
    opened.find(f"{block} .columns label:last-child input").click()
    assert hidden() == {False} and opened.run(WIDER) == ["A broad table"], "which scrolls within its box"
    opened.find(f"{block} .columns label:last-child input").click()
    opened.run("dispatchEvent(new Event('beforeprint'))")
    assert hidden() == {False}
    opened.run("dispatchEvent(new Event('afterprint'))")
    assert hidden() == {True}


def test_columns_below_one_head_fold_together(opened: Opened) -> None:
    size = {"width": 520, "height": 844, "deviceScaleFactor": 1, "mobile": False}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened.open()
    assert opened.find("#deep + .table-block .columns summary").text == "1 of 2 groups of columns shown; choose"
    heads = [
        e for e in opened.driver.find_elements(By.CSS_SELECTOR, "#deep + .table-block thead th") if e.is_displayed()
    ]
    assert [e.text.split()[0] for e in heads] == ["AC", "Model", "ours", "paper", "difference"]
    assert heads[0].get_attribute("colspan") == "3"


# Relative luminance and contrast as WCAG 2.2 defines them, of each element with a text of its own against the ground behind it.
CONTRASTS = """
const channel = (v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const rgba = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const colour = rgba(getComputedStyle(e).backgroundColor);
    if (colour[3] !== 0) return colour;
  }
  return [255, 255, 255];
};
const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
const seen = (e) => own(e) && e.checkVisibility() && !['SCRIPT', 'STYLE', 'OPTION'].includes(e.tagName);
return [...document.body.querySelectorAll('*')].filter(seen).map((e) => {
  const [a, b] = [light(rgba(getComputedStyle(e).color)), light(ground(e))];
  return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName, e.textContent.slice(0, 30)];
}).sort((a, b) => a[0] - b[0])[0];
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_reads_well_in_light_and_dark(opened: Opened, scheme: str) -> None:
    feature = [{"name": "prefers-color-scheme", "value": scheme}]
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
    opened.open()
    opened.to_curves()
    opened.to_gallery()
    ground = opened.run("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    worst = opened.run(CONTRASTS)
    assert worst[0] >= 4.5, worst
    before = chart(opened)["colour"]
    other = [{"name": "prefers-color-scheme", "value": "dark" if scheme == "light" else "light"}]
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": other})
    WebDriverWait(opened.driver, 10).until(lambda _: chart(opened)["colour"] != before)


def test_print_shows_every_column(opened: Opened) -> None:
    opened.to_curves()
    opened.to_gallery()
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    opened.run("dispatchEvent(new Event('beforeprint'))")
    opened.run("document.body.style.width = '970px'")  # a sheet's
    edges = opened.run(
        "return [...document.querySelectorAll('.wide > table')].map((t) => [t.getBoundingClientRect().right, t.style.zoom])"
    )
    assert all(right <= 970 for right, _ in edges), edges
    zoomed = [zoom for _, zoom in edges if zoom]
    assert len(zoomed) == 1 and 0 < float(zoomed[0]) < 1, "the broad table alone"
    widths = opened.run(
        "return [...document.querySelectorAll('#deep + .table-block thead button')].map((b) => getComputedStyle(b).minWidth)"
    )
    assert set(widths) == {"0px"}, "no rule of the screen keeps a column wide"
    opened.run("document.body.style.width = ''")
    opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    opened.run("dispatchEvent(new Event('afterprint'))")
    assert opened.run(
        "return [document.querySelector('#broad + .table-block table').style.zoom, document.documentElement.className,"
        " document.getElementById('print-style').media]"
    ) == ["", "", "print"]


def test_only_sections_begin_a_sheet(driver: Any, page_content: page.Page, tmp_path: Path) -> None:
    file = tmp_path / "glance.html"
    glance = pd.DataFrame({"Best mIoU (%)": ["9.5 [9.0, 9.9], A-net", "62.5, B-net"]}, index=["Toy", "Other"])
    file.write_text(page.render_page(replace(page_content, glance=glance)), encoding="utf-8")
    opened = Opened(driver, file)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    breaks = opened.run(
        "return ['glance', 'gaps', 'tables', 'figures'].map((id) => getComputedStyle(document.getElementById(id)).breakBefore)"
    )
    assert breaks == ["auto", "auto", "page", "page"]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    opened.find("#glance + .wide th:nth-child(2) button").click()
    assert opened.texts("#glance + .wide tbody th") == ["Toy", "Other"], "9.5 before 62.5"


def test_an_error_or_a_request_is_noticed(opened: Opened) -> None:
    """What the other tests rest on: that complaints are seen."""
    broken = opened.file.with_name("broken.html")
    text = opened.file.read_text(encoding="utf-8").replace(
        '"use strict";', '"use strict"; throw new Error("broken");', 1
    )
    policy = text.index('<meta http-equiv="Content-Security-Policy"')
    text = text[:policy] + text[text.index(">", policy) + 1 :].replace("</body>", '<img src="missing.png"></body>')
    broken.write_text(text, encoding="utf-8")
    assert opened.complaints() == []
    found = Opened(opened.driver, broken)
    found.wait_for_complaint("broken")
    found.open()
    found.wait_for_complaint("missing.png")


def test_it_keeps_within_itself(opened: Opened) -> None:
    """Even a picture of elsewhere that got into the page would not be asked for."""
    stray = opened.file.with_name("stray.html")
    stray.write_text(
        opened.file.read_text(encoding="utf-8").replace("</body>", '<img src="missing.png"></body>'), encoding="utf-8"
    )
    Opened(opened.driver, stray).wait_for_complaint("Content Security Policy")


def test_without_curves_and_gallery(driver: Any, page_content: page.Page, tmp_path: Path) -> None:
    file = tmp_path / "bare.html"
    bare = page.Page(page_content.facts, tables=page_content.tables)
    file.write_text(page.render_page(bare), encoding="utf-8")
    opened = Opened(driver, file)
    opened.find("#scores + .table-block th button").click()
    assert opened.complaints() == []


def test_a_table_of_many_row_labels_fits_a_phone(driver: Any, page_content: page.Page, tmp_path: Path) -> None:
    labels = ["MTLEndovis", "ResNet-101", "Segmentation only", "Aligned-MTL", "4"]
    index = ["Dataset", "Backbone", "Architecture", "Weighting", "Rank"]
    table = pd.DataFrame([[*labels, 123456.0, 1.0]], columns=[*index, "Trained parameters", "Seconds"]).set_index(index)
    section = page.TableSection("labels", "Labels", "Many labels", "", table)
    file = tmp_path / "index.html"
    file.write_text(page.render_page(replace(page_content, tables=[section])), encoding="utf-8")
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened = Opened(driver, file)
    assert opened.run(WIDER) == []
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
