"""The example report is made from a page: smaller, marked, and of generated data alone."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import example_report
from benchmarks.example_picture import overlaid, picture_of
from pipeline.errors import InputError
from reports.page import (
    Facts,
    FigureSection,
    Gallery,
    GalleryDataset,
    GalleryImage,
    GalleryModel,
    Page,
    Pictures,
    Scores,
)
from reports.page.gallery import condition_key

PALETTE = [(0, 0, 0), (255, 0, 0)]
CONDITIONS = [("", 0), ("smoke", 1), ("smoke", 5), ("contrast", 1)]


def gallery() -> Gallery:
    """Three images, a shade for each image and condition; the mask of each has another size."""
    pictures = Pictures()

    def image(number: int) -> int:
        return pictures.add_image(np.full((40, 40, 3), 10 * number, np.uint8))

    def mask(number: int) -> int:
        return pictures.add_mask((np.arange(1600).reshape(40, 40) < 40 * number).astype(np.uint8), PALETTE)

    keys = [condition_key(*condition) for condition in CONDITIONS]
    images = [
        GalleryImage(f"frame{i}", "cut", {key: (image(4 * i + k), mask(4 * i + k)) for k, key in enumerate(keys)})
        for i in range(3)
    ]
    masks: dict[str, list[int | None]] = {key: [mask(20 + k), None, mask(30 + k)] for k, key in enumerate(keys)}
    answers = {key: [{"miou": 0.1 * i} for i in range(3)] for key in keys}
    model = GalleryModel("Model", "cell", 1, masks, answers)
    return Gallery([GalleryDataset("Data", [("tool", "#ff0000")], (1, 5), images, [model])], pictures)


def scores() -> dict[str, Any]:
    values = {
        "miou": {"mean": [[0.5, 0.4, 0.6], [0.3], [0.1]], "smoke": [[0.5, 0.4, 0.6], [0.4], None]},
        "accuracy": {"mean": [[0.9], None, [0.7]]},
    }
    about = {"name": "mIoU", "unit": "%", "scale": 100, "higher": True}
    dataset = {
        "title": "Data",
        "severities": [1, 5],
        "choices": [],
        "models": ["Model"],
        "metrics": ["miou", "accuracy"],
    }
    return {"metrics": {"miou": about, "accuracy": about}, "datasets": [{**dataset, "values": {"Model": values}}]}


@pytest.fixture
def page(tmp_path: Path) -> Page:
    figures = []
    for name in (*example_report.FIGURES, "fig_cost"):
        path = tmp_path / f"{name}.png"
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path)
        figures.append(FigureSection(name, name, f"Title of {name}", path))
    facts = Facts("Title", "demo", "standard", [0], 1, 40, synthetic=True, caption="SYNTHETIC DATA.")
    return Page(facts, scores=Scores(scores(), ()), gallery=gallery(), figures=figures)


def test_the_gallery_has_the_first_images_under_the_examples_corruptions() -> None:
    whole = gallery()
    reduced = example_report.reduced_gallery(whole)
    before, after = whole.datasets[0], reduced.datasets[0]
    assert [image.frame_id for image in after.images] == ["frame0", "frame1"]
    assert set(after.images[0].pictures) == set(after.models[0].masks) == {"/0", "smoke/1", "smoke/5"}
    for i, image in enumerate(after.images):
        for key, numbers in image.pictures.items():
            for new, old in zip(numbers, before.images[i].pictures[key], strict=True):
                assert new is not None and old is not None
                assert reduced.pictures.urls[new] == whole.pictures.urls[old]
    first, second = after.models[0].masks["smoke/1"]
    old = before.models[0].masks["smoke/1"][0]
    assert first is not None and old is not None and second is None
    assert reduced.pictures.urls[first] == whole.pictures.urls[old]
    assert after.models[0].results["/0"] == [{"miou": 0.0}, {"miou": 0.1}]
    assert len(reduced.pictures.urls) == len(set(reduced.pictures.urls)) < len(whole.pictures.urls)


def test_it_writes_the_page_the_figures_and_a_readme(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "docs/example"
    example_report.write_example(page, folder)
    names = {f"{name}.webp" for name in (*example_report.FIGURES, "corruption_and_curve")}
    assert {path.name for path in folder.iterdir()} == names | {"README.md", "report.html"}
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert example_report.REDUCED in html and "Synthetic data" in html
    assert html.count('src="data:image/webp') == len(example_report.FIGURES) and "fig_cost" not in html
    content = json.loads(re.search(r'id="gallery-data">(.*?)</script>', html)[1])
    assert len(content["datasets"][0]["images"]) == example_report.IMAGES
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "(synthetic data)" in readme and all(f"]({name})" in readme for name in names)


def test_the_table_has_clean_scores_and_means_over_severities() -> None:
    *_, row = example_report.table_of(scores())
    assert row == "| Data | Model | - | - | 50.0 | 20.0 |"


def test_real_data_and_a_study_without_robustness_are_refused(page: Page, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"demo: its data is real and must not be redistributed"):
        example_report.write_example(replace(page, facts=replace(page.facts, synthetic=False)), tmp_path / "x")
    with pytest.raises(InputError, match=r"demo: it does not measure robustness"):
        example_report.write_example(replace(page, gallery=None), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_study_that_has_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Path(__file__).parents[2] / "studies/demo.yaml"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"report/index.html: does not exist; expected a finished study"):
        example_report.main(["--study", str(study), "--out", str(tmp_path / "out")])


def test_a_mask_lies_over_its_image_where_it_is_not_transparent() -> None:
    pictures = Pictures()
    mask = np.zeros((40, 40), np.uint8)
    mask[:10] = 1
    over = picture_of(pictures.urls[pictures.add_mask(mask, PALETTE)])
    image = np.full((40, 40, 4), 100, np.uint8)
    mixed = overlaid(image, over)
    assert (mixed[10:] == 100).all()
    assert mixed[0, 0].tolist() == [round(100 * 0.35 + 255 * 0.65), 35, 35, 100]
