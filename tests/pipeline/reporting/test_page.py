"""A study's page: its gallery shows the images and masks of the evaluation, and cells without results are gaps with a reason."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from corruptions import corrupt_pair
from pipeline.cli import main
from pipeline.datasets.load import Split, load_split
from pipeline.evaluation.scores import scores_of
from pipeline.reporting.make_page import page_of
from pipeline.reporting.models import named
from pipeline.reporting.page_gallery import gallery_of
from pipeline.reporting.page_tables import columns_of_paper, rows_apart
from pipeline.reporting.shown_cells import image_ious
from pipeline.results.gallery import read_gallery
from pipeline.results.paths import note_file, report_file, robustness_files, table_files
from pipeline.results.row_files import read_rows
from pipeline.results.study_results import StudyResults
from pipeline.study.cells import find_cell, models_of
from pipeline.study.datasets import labels_of
from pipeline.study.folders import dataset_folder
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from reports.names import MEANINGS_OF_REFERENCES, REFERENCES
from reports.page import Gallery, GalleryModel, Page

CELL = "mtlesd/resnet/hps/equal/r4-s0"
ALONE = "mtlesd/resnet/single_activity/equal/r4-s0"
LACKING = "mtlesd/resnet/hps/db_mtl/r4-s0"


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


@pytest.fixture
def study(study_file: Path, copied: Callable[[str, Callable[[], None]], None]) -> Study:
    """A study with three cells: one is evaluated, one predicts only activities, and one is not trained. It is made once and copied."""
    settings = yaml.safe_load(study_file.read_text())
    block = settings["cells"][0]
    settings["cells"] = [
        block,
        {**block, "architectures": ["single_activity"]},
        {**block, "weightings": ["db_mtl"]},
    ]
    settings["title"] = "Toy <&>"
    settings["robustness"]["severities"] = [1, 2, 3, 5]
    study_file.write_text(yaml.safe_dump(settings))

    def make() -> None:
        steps = [("step", "build_dataset", "--dataset", "mtlesd"), ("step", "score_references", "--dataset", "mtlesd")]
        steps += [(step, "--cell", cell) for cell in (CELL, ALONE) for step in ("train", "evaluate")]
        steps += [("robustness", "--workers", "0", "--cell", CELL, "--cell", ALONE), ("step", "collect_results")]
        for step in steps:
            assert run(study_file, *step) == 0, step

    copied("page_study", make)
    return load_study(study_file)


def part_of(study: Study) -> Split:
    return load_split(dataset_folder(study, "mtlesd"), "test", 56)


def decoded(gallery: Gallery, number: int | None) -> Image.Image:
    assert number is not None
    return Image.open(io.BytesIO(base64.b64decode(gallery.pictures.urls[number].split(",", 1)[1])))


def ids_of(gallery: Gallery, number: int | None) -> NDArray[np.uint8]:
    """Return the mask of a picture, whose palette is in the order of the classes."""
    return np.asarray(decoded(gallery, number))


def model_of(gallery: Gallery, cell: str) -> GalleryModel:
    return next(model for model in gallery.datasets[0].models if model.cell == cell)


@pytest.mark.slow
def test_the_page_of_a_study_with_gaps(study: Study, study_file: Path) -> None:
    assert run(study_file, "step", "make_page") == 0
    text = report_file(study).read_text(encoding="utf-8")
    assert LACKING in text and "R HPS DB-MTL on MTLESD" in text and "not trained yet" in text
    assert "Toy &lt;&amp;&gt;" in text and "Synthetic data" not in text
    assert "was not drawn" in text, "a figure that is not there is no error"
    assert run(study_file, "step", "make_page") == 0
    assert report_file(study).read_text(encoding="utf-8") == text

    page: Page = page_of(StudyResults(study))
    assert [(gap.cell, gap.model, gap.lacks) for gap in page.gaps] == [(LACKING, "R HPS DB-MTL on MTLESD", "results")]
    assert {section.anchor for section in page.tables} >= {"table1_datasets", "table2_mtlesd", "table7_robustness"}
    assert page.scores is not None and page.scores.content["datasets"][0]["severities"] == [1, 2, 3, 5]
    by_name = {section.anchor: section for section in page.tables}
    said = re.search(r"No results of R HPS DB-MTL[^:.]*: not trained yet\.", by_name["table2_mtlesd"].note)
    assert said is not None and said[0] in re.sub("</?a[^>]*>", "", text), "the note stands on the page"
    trainings = page.provenance[0].table
    assert list(trainings.index) == [
        ("R HPS Equal on MTLESD", CELL),
        ("R Classification only on MTLESD", ALONE),
    ]
    assert trainings["Data"].str.fullmatch("[0-9a-f]{12}").all() and (trainings["Software"] == "S1").all()


def test_notes_explain_what_their_tables_show(study: Study) -> None:
    page = page_of(StudyResults(study))
    notes = {section.anchor: section.note for section in page.tables}
    for note in (page.glance_note, notes["table_comparison"], notes["table7_robustness"], notes["table_reproduction"]):
        assert "these intervals are too narrow" in note, "the sequences of MTLESD are not known"
    for label, meaning in MEANINGS_OF_REFERENCES.items():
        assert f"{label}: {meaning}." in notes["table2_mtlesd"]
    assert "HD is a distance between rows of class ids" in notes["table2_mtlesd_against_paper"]
    assert "comparison of models has all ranks" not in notes["table2_mtlesd"]
    assert "Only models of rank" not in notes["table_reproduction"]
    (costs,) = (section.table for section in page.tables if section.anchor == "table_cost")
    assert set(costs.index.get_level_values("Rank")) == {"-"}, "a ResNet with hard parameter sharing has no adapters"
    assert not {"fig5_segmentation", "fig_heatmap"} - {figure.anchor for figure in page.figures if figure.note}


def test_every_model_of_the_demo_has_a_name_of_its_own() -> None:
    study = load_study(Path(__file__).parents[3] / "studies/demo.yaml")
    names = {cell.id: named(study, cell) for cell in models_of(study)}
    assert len(set(names.values())) == len(names)
    assert names["mtlendovis/endoarss/tesla/db_mtl/r1-s0"] == "EndoARSS-tiny TESLA DB-MTL, rank 1 on MTLEndovis"
    chosen = "epoch chosen on validation frames"
    assert names["mtlesd/dinov2/tesla/stch/r4-s0-val"] == f"ViT-tiny/14 TESLA STCH on MTLESD, {chosen}"
    assert (
        names["mtlesd/dinov2/merged/ties/r4-s0-val-surgery16"] == f"ViT-tiny/14 TIES + Surgery 16 on MTLESD, {chosen}"
    )


def marks(page: Page, anchor: str) -> tuple[list[Any], list[Any]]:
    """Return the separated rows of a table, and its columns of the paper."""
    (section,) = (section for section in page.tables if section.anchor == anchor)
    rows, columns = sorted(section.apart), sorted(section.of_paper)
    return list(section.table.index[rows]), list(section.table.columns[columns])


def test_separated_rows_and_columns_do_not_depend_on_the_names_of_models(study: Study, study_file: Path) -> None:
    settings = yaml.safe_load(study_file.read_text())
    for label in ("Mean Teacher ViT", "paper, alpha 12", "Reference"):
        settings["backbones"]["resnet"]["label"] = label
        study_file.write_text(yaml.safe_dump(settings))
        assert run(study_file, "step", "collect_results") == 0
        page = page_of(StudyResults(load_study(study_file)))
        rows, columns = marks(page, "table2_mtlesd")
        assert sorted(row[1] for row in rows) == sorted(REFERENCES.values()) and columns == []
        rows, columns = marks(page, "table2_mtlesd_against_paper")
        assert rows == [] and [whose for _, whose in columns] == ["paper"] * 6
        rows, columns = marks(page, "table7_robustness")
        assert [row[0] for row in rows] == ["", "", "not averaged"] and columns == []
        assert [row[1] for row in rows[:2]] == ["mean corrupted", "clean"]
        assert [str(head).split(": ")[0] for head in marks(page, "table1_datasets")[1]] == ["Paper"] * 5
        assert marks(page, "table_reproduction") == ([], ["In the paper"])
        assert marks(page, "table_comparison") == ([], [])


def test_the_mean_row_of_the_comparison_with_the_paper_is_separated() -> None:
    heads = pd.MultiIndex.from_product([["AC (%), paper"], ["ours", "paper", "difference"]])
    table = pd.DataFrame(1.0, pd.Index(["smoke", "mean"], name="Corruption"), heads)
    name = "table7_robustness_against_paper"
    assert rows_apart(name, table, False, ()) == [1] and columns_of_paper(name, table) == [1]
    assert rows_apart("table_mine_against_paper", table, False, ()) == [], "a dataset may be called so"
    assert columns_of_paper("table_mine_against_paper", table) == []


def test_no_heading_repeats_itself(study: Study) -> None:
    page = page_of(StudyResults(study))
    titles = [section.title for section in page.tables] + [section.title for section in page.figures]
    assert "Table 2b. Results on MTLESD compared with the paper's Table II" in titles
    for title in titles:
        assert title.count("the paper's") <= 1 and title.count("MTLESD") <= 1, title
    assert len(set(titles)) == len(titles)


def test_a_study_without_comparison_shows_no_numbers_of_the_paper(study: Study, study_file: Path) -> None:
    def names_of(page: Page) -> set[str]:
        return {section.anchor for section in page.tables}

    of_paper = {"table2_mtlesd_against_paper", "table_reproduction"}
    compared = page_of(StudyResults(study))
    assert of_paper <= names_of(compared) and compared.shows_paper and compared.claims.startswith("The paper's claims")
    settings = yaml.safe_load(study_file.read_text())
    del settings["compare_with_paper"]
    study_file.write_text(yaml.safe_dump(settings))
    alone = load_study(study_file)
    page = page_of(StudyResults(alone))
    assert names_of(page) == names_of(compared) - of_paper and not page.shows_paper and page.claims == ""
    assert [section.title.split(".")[0] for section in page.tables] == [
        f"Table {n + 1}" for n in range(len(page.tables))
    ]
    assert not any("Paper" in str(head) for section in page.tables for head in section.table.columns)
    assert not of_paper & {path.stem for path in table_files(alone)}
    assert run(study_file, "step", "make_tables") == 0 and not note_file(alone).exists()


def test_the_summary_of_synthetic_data_has_no_verdicts(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "synthetic", True)
    assert page_of(StudyResults(study)).claims == ""


def test_the_gallery_shows_the_saved_masks(study: Study) -> None:
    gallery, part, labels = gallery_of(StudyResults(study)), part_of(study), labels_of(study, "mtlesd")
    assert gallery.missing == [("R HPS DB-MTL on MTLESD", "not trained yet")]
    (dataset,) = gallery.datasets
    assert dataset.title == "MTLESD" and [name for name, _ in dataset.classes] == list(labels.classes[1:])
    frame_ids = [image.frame_id for image in dataset.images]
    assert len(frame_ids) == min(3, len(part.frame_ids))
    model = model_of(gallery, CELL)
    kept_ids, kept = read_gallery(robustness_files(study, find_cell(study, CELL)).gallery)
    rows = read_rows(robustness_files(study, find_cell(study, CELL)).rows, part.frame_ids, labels)
    assert dataset.severities == (1, 3, 5) and set(rows["severity"]) == {0, 1, 2, 3, 5}
    shown_conditions = {(c, s) for c, s in zip(rows["corruption"], rows["severity"], strict=True) if s != 2}
    assert kept_ids == frame_ids and set(kept) == shown_conditions, "no more is kept than the page shows"
    assert set(model.masks) == set(model.results) == {f"{name}/{severity}" for name, severity in kept}
    for (name, severity), masks in kept.items():
        key = f"{name}/{severity}"
        for i, image in enumerate(dataset.images):
            index = part.frame_ids.index(image.frame_id)
            pixels, truth = np.array(part.images[index]), np.array(part.masks[index])
            if name:
                pixels, truth = corrupt_pair(pixels, truth, name, severity, seed=0, image_id=image.frame_id)
            shown, true_mask = image.pictures[key]
            assert (ids_of(gallery, true_mask) == truth).all() and (
                ids_of(gallery, model.masks[key][i]) == masks[i]
            ).all()
            assert np.abs(np.asarray(decoded(gallery, shown), int) - pixels).mean() < 10, "what JPEG loses"
            one = rows[(rows["frame_id"] == image.frame_id) & (rows["corruption"] == name) & rows["mask_warped"]]
            one = one[one["severity"] == severity]
            scores = {s["metric"]: s["value"] for s in scores_of(one, labels) if not s["class"]}
            answer = model.results[key][i]
            # Over the classes of truth or prediction, as figure 5 says of the same image.
            assert answer["miou"] == pytest.approx(image_ious(one, len(labels.classes))[0], abs=1e-6)
            classes = set(np.unique(truth)) | set(np.unique(masks[i]))
            pairs = [(truth == c, masks[i] == c) for c in classes]
            dices = [2 * (true & told).sum() / (true.sum() + told.sum()) for true, told in pairs]
            ious = [(true & told).sum() / (true | told).sum() for true, told in pairs]
            assert answer["miou"] == pytest.approx(np.mean(ious), abs=1e-6)
            assert answer["dice"] == pytest.approx(np.mean(dices), abs=1e-6)
            assert answer["hd95"] == pytest.approx(scores["hd95"], abs=1e-4)
            assert (answer["activity"] == image.activity) == (scores["accuracy"] == 1)


def test_a_model_without_masks_is_in_the_gallery(study: Study) -> None:
    gallery = gallery_of(StudyResults(study))
    model = model_of(gallery, ALONE)
    assert model.masks == {} and set(model.results) == set(model_of(gallery, CELL).results)
    assert all(set(answer) == {"activity"} for answers in model.results.values() for answer in answers)


def test_a_study_without_robustness(study: Study, study_file: Path) -> None:
    settings = yaml.safe_load(study_file.read_text())
    del settings["robustness"]
    study_file.write_text(yaml.safe_dump(settings))
    page = page_of(StudyResults(load_study(study_file)))
    assert page.scores is None and page.gallery is None
    assert run(study_file, "step", "make_page") == 0
    assert 'id="gallery"' not in report_file(study).read_text(encoding="utf-8")


def test_the_disk_is_not_blamed_for_the_fault_of_a_library(
    minimal: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Image encoders raise OSError without a number. Errors of the file system have one."""
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(minimal()))
    for error, blamed in ((OSError("encoder error -2"), False), (OSError(28, "No space left on device"), True)):

        def fail(study: Study, error: OSError = error) -> None:
            raise error

        monkeypatch.setattr("pipeline.reporting.make_page.make_page", fail)
        assert run(path, "step", "make_page") == 1
        said = capsys.readouterr().err
        assert (error.strerror or str(error)) in said and ("Free some space" in said) == blamed
