"""README.md is short and shows the table of the example report, which is small and marked; what the page on one GPU counts is right."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from pipeline.status.estimate import disk_of, timed_models
from pipeline.study.cells import trainings_of
from pipeline.study.loading import load_study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "docs/example"


def table_in(text: str) -> list[str]:
    """Return the lines of the first table of scores."""
    return re.search(r"^\| dataset \(synthetic\).*\n(?:\|.*\n)+", text, re.MULTILINE)[0].splitlines()


def test_it_is_a_page_long_and_says_how_long_its_commands_take() -> None:
    assert 60 <= len(README.splitlines()) <= 95
    assert re.search(r"`make demo` takes about <!-- minutes -->\d+ minutes", README)
    assert re.search(r"`make test` takes about <!-- test minutes -->\d+ minutes", README)


def test_its_table_is_that_of_the_example_report() -> None:
    table = table_in((EXAMPLE / "README.md").read_text(encoding="utf-8"))
    assert table_in(README) == table, "copy the table from docs/example/README.md"


def test_the_example_report_is_small_marked_and_names_no_machine() -> None:
    files = {path.name: path for path in EXAMPLE.iterdir()}
    assert set(files) == {
        "README.md",
        "report.html",
        "corruption_and_curve.webp",
        "fig5_segmentation.webp",
        "fig6_severity.webp",
        "fig_heatmap.webp",
    }
    assert sum(path.stat().st_size for path in files.values()) < 1_500_000
    page = files["report.html"].read_text(encoding="utf-8")
    assert "<strong>Synthetic data.</strong>" in page and "Reduced example" in page
    assert not re.search(r"/(home|root|tmp|work|Users)/", page)
    assert "synthetic" in files["README.md"].read_text(encoding="utf-8")


def test_its_python_runs() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {"image": image}
    exec(block, names)
    assert names["smoky"].shape == image.shape and not np.array_equal(names["smoky"], image)


def test_the_page_on_one_gpu_counts_the_trainings_and_the_disk_of_its_studies() -> None:
    text = (ROOT / "docs/paper-on-one-gpu.md").read_text(encoding="utf-8")
    assert set(re.findall(r"studies/(\w+)\.yaml", text)) == {"quick", "paper"}
    for name in ("quick", "paper"):
        study = load_study(ROOT / f"studies/{name}.yaml")
        built, arrays = np.sum([disk_of(study, dataset) for dataset in study.datasets], axis=0) / 1e9
        assert f"| `{name}` | {built:.1f} GB | {arrays:.1f} GB |" in text
    trainings = len(trainings_of(study))
    assert f"({len(timed_models(study))} for `paper`)" in text
    (epochs,) = {schedule.epochs for schedule in study.training.schedules.values()}
    assert f"about {trainings * epochs * 1600 / 1e6:.0f} million training images" in text
    assert f"({trainings} trainings x {epochs} epochs x about 1,600 images)" in text
    assert f"({trainings} trainings)" in text and f"{trainings // len(study.seeds)} trainings per seed" in text
