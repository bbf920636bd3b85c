"""Make the example report in docs/example from a finished study.

    make demo && python -m benchmarks.example_report

The folder then holds the study's page with fewer images, an image for the README, three figures, and a README.md that shows them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.example_picture import draw_corruption_and_curve
from pipeline.errors import InputError
from pipeline.reporting.make_page import page_of, reductions_of_page
from pipeline.results.paths import report_file
from pipeline.results.study_results import StudyResults
from pipeline.study.loading import load_study
from reports.errors import ResultsError
from reports.page import Gallery, GalleryDataset, Page, Pictures, render_page

FIGURES = ("fig5_segmentation", "fig6_severity", "fig_heatmap")
CORRUPTIONS = ("smoke", "bleeding", "motion_blur", "gaussian_noise", "brightness", "elastic_transform")
IMAGES = 2
"""Number of gallery images per dataset in the example."""
SHOWN = "smoke"
"""The corruption of the README's image."""
QUALITY = 70
"""The quality of the figures' WebP files."""
REDUCED = f"Reduced example: {len(FIGURES)} figures, {IMAGES} gallery images and {len(CORRUPTIONS)} corruptions in the gallery."


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the example report of a finished study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("studies/demo.yaml"))
    parser.add_argument("--out", type=Path, default=Path("docs/example"))
    options = parser.parse_args(arguments)
    study = load_study(options.study)
    if not report_file(study).is_file():
        raise InputError(
            f"{report_file(study)}: does not exist; expected a finished study. Run it first with `make demo`."
        )
    page = page_of(StudyResults(study, reductions_of_page(study)))
    write_example(page, options.out)


def write_example(page: Page, folder: Path) -> None:
    """Write the example report of a page.

    Args:
        page: the page of a study that has generated data and measures robustness.
        folder: folder of the files, which is created if it does not exist.

    Raises:
        InputError: if the study has real data, or lacks scores under corruption or a gallery.
    """
    if not page.facts.synthetic:
        raise InputError(
            f"Study {page.facts.study}: its data is real and must not be redistributed. Use a study with generated data."
        )
    if page.scores is None or page.gallery is None:
        raise InputError(
            f"Study {page.facts.study}: it does not measure robustness, which the example shows. Use studies/demo.yaml."
        )
    folder.mkdir(parents=True, exist_ok=True)
    reduced = reduced_page(page, folder)
    (folder / "report.html").write_text(render_page(reduced), encoding="utf-8")
    draw_corruption_and_curve(page.gallery, page.scores.content, SHOWN, folder / "corruption_and_curve.webp")
    (folder / "README.md").write_text(readme_of(reduced), encoding="utf-8")


def reduced_page(page: Page, folder: Path) -> Page:
    """Return a page with the example's figures, a small gallery and no contact sheets. Its caption states that it is reduced.

    Args:
        page: the complete page.
        folder: folder in which the figures are saved as WebP.
    """
    return replace(
        page,
        facts=replace(page.facts, caption=f"{page.facts.caption}\n{REDUCED}"),
        gallery=reduced_gallery(page.gallery) if page.gallery is not None else None,
        figures=[
            replace(figure, picture=smaller(figure.picture, folder))
            for figure in page.figures
            if figure.anchor in FIGURES
        ],
        datasets=[replace(card, sheet=None) for card in page.datasets],
    )


def smaller(picture: Path, folder: Path) -> Path:
    """Save a figure as WebP in a folder, and return its path."""
    path = folder / f"{picture.stem}.webp"
    with Image.open(picture) as figure:
        figure.convert("RGB").save(path, quality=QUALITY, method=6)
    return path


def reduced_gallery(gallery: Gallery) -> Gallery:
    """Return a gallery with the first images of each dataset, under the example's corruptions."""
    pictures = Pictures()
    new_numbers: dict[int, int] = {}

    def number(old: int) -> int:
        if old not in new_numbers:
            new_numbers[old] = len(pictures.urls)
            pictures.urls.append(gallery.pictures.urls[old])
        return new_numbers[old]

    def number_of_mask(old: int | None) -> int | None:
        return None if old is None else number(old)

    def reduced(dataset: GalleryDataset) -> GalleryDataset:
        images = [
            replace(
                image,
                pictures={
                    key: (number(of_image), number_of_mask(mask)) for key, (of_image, mask) in shown(image.pictures)
                },
            )
            for image in dataset.images[:IMAGES]
        ]
        models = [
            replace(
                model,
                masks={key: list(map(number_of_mask, masks[:IMAGES])) for key, masks in shown(model.masks)},
                results={key: results[:IMAGES] for key, results in shown(model.results)},
            )
            for model in dataset.models
        ]
        return replace(dataset, images=images, models=models)

    return replace(gallery, datasets=[reduced(dataset) for dataset in gallery.datasets], pictures=pictures)


def shown(by_condition: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the entries whose condition, "<corruption>/<severity>", is clean or one of the example's corruptions."""
    return [(key, value) for key, value in by_condition.items() if key.rsplit("/", 1)[0] in ("", *CORRUPTIONS)]


def readme_of(page: Page) -> str:
    """Return the text of the example's README.md: the table and the images, marked as synthetic."""
    assert page.scores is not None
    figures = [
        f"{figure.title}:\n\n![{figure.title}, synthetic data]({figure.picture.name})" for figure in page.figures
    ]
    return "\n\n".join([_INTRODUCTION, "\n".join(table_of(page.scores.content)), _PICTURE, *figures]) + "\n"


_INTRODUCTION = """# Example report (synthetic data)

This folder shows a part of the results of `make demo`. **Every number and every picture comes from generated scenes and says nothing about
surgery.**

- [report.html](report.html) is the demo's page with all tables and curves, but fewer pictures. Download it and open it in a browser. It
  needs no network.
- [Read it in this order](../getting-started.md#3-open-the-report). [Tables and figures](../reference/tables.md) says what each table and
  figure shows, and the [glossary](../glossary.md) explains abbreviations.
- The table and the figures below are from the same run. Their numbers, such as S18, are those of the full report. "Corrupted" is the mean
  over nineteen corruptions and their severities.

After `make demo`, `python -m benchmarks.example_report` writes all files of this folder. README.md shows the same table."""
_PICTURE = f"""![Images under {SHOWN}, predicted masks, and mIoU against severity, synthetic data](corruption_and_curve.webp)"""


def table_of(scores: Mapping[str, Any]) -> list[str]:
    """Return a Markdown table of accuracy and mIoU on clean and on corrupted images, one row per model.

    Args:
        scores: the content of a page's `Scores`.

    Returns:
        The lines of the table. "corrupted" is the mean over corruptions and severities; "-" stands for a score that does not exist.
    """
    metrics = {"accuracy": "accuracy", "miou": "mIoU"}
    heads = [f"{title}, {where} (%)" for title in metrics.values() for where in ("clean", "corrupted")]
    lines = [f"| dataset (synthetic) | model | {' | '.join(heads)} |", "|---|---|" + "---:|" * len(heads)]
    for dataset in scores["datasets"]:
        for model, values in dataset["values"].items():
            values_shown = [
                cell for metric in metrics for cell in _clean_and_corrupted(values.get(metric, {}).get("mean"))
            ]
            lines.append(f"| {dataset['title']} | {model} | {' | '.join(values_shown)} |")
    return lines


def _clean_and_corrupted(points: Sequence[Sequence[float] | None] | None) -> tuple[str, str]:
    """Return the clean and the mean corrupted score as text."""
    if points is None or any(point is None for point in points):
        return "-", "-"
    clean, *corrupted = [100 * point[0] for point in points if point is not None]
    return f"{clean:.1f}", f"{statistics.mean(corrupted):.1f}"


if __name__ == "__main__":
    try:
        main()
    except (InputError, ResultsError) as error:
        sys.exit(str(error))
