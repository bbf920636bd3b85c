"""Everything after training, of a study like the paper's: 130 models, two seeds, merging on two datasets, robustness at 224 pixels.

What trainings would leave is made up in the formats of the pipeline: rows of a few worsened masks, mixed. Nothing is trained.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.load import Split, load_split
from pipeline.evaluation.measure import measure
from pipeline.evaluation.score_references import score_references
from pipeline.io.files import whole_files, write_json
from pipeline.io.hashing import sha256_of
from pipeline.preparation.build_dataset import build_dataset
from pipeline.preparation.generate_raw import generate_raw
from pipeline.redaction import masked_settings
from pipeline.reporting.make_report import make_report
from pipeline.results.gallery import SIZE, representative, shown_severities, write_gallery
from pipeline.results.paths import (
    figure_files,
    generated_trees,
    history_file,
    predictions_file,
    report_file,
    representations_file,
    rows_file,
    table_files,
)
from pipeline.results.predictions import SavedPredictions, write_predictions
from pipeline.results.provenance import RunStart, about_run
from pipeline.study.cell import Cell, MergingGroup
from pipeline.study.cells import merging_groups, models_of
from pipeline.study.conditions import conditions_of
from pipeline.study.datasets import evaluated_on, labels_of
from pipeline.study.fingerprints import cell_settings
from pipeline.study.folders import cell_folder, dataset_folder, results_folder
from pipeline.study.loading import make_study
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models, robustness_cells

# How far the made-up masks are moved, in shares of the image: the first answers are the best.
_MOVED = (0.01, 0.03, 0.06, 0.12, 0.25)
_EPOCHS = 40
_TASKS = ("activity", "segmentation")


def fabricate(study: Study) -> None:
    """Build the datasets of a generated study, and write the results of each model, generated with its id as seed."""
    for tree in generated_trees(study):
        generate_raw(study, tree)
    for dataset in study.datasets:
        build_dataset(study, dataset, 0)
    answers = {dataset: _Answers.of(study, dataset) for dataset in study.datasets}
    for dataset in study.datasets:
        score_references(study, dataset)
    base = about_run(study, RunStart(), study.datasets, with_model=False)
    for cell in models_of(study):
        _write_model(study, cell, base, answers)
    for group in merging_groups(study):
        _write_representations(study, group, answers[group.singles[0].dataset])
    for cell in robust_models(study):
        _write_robustness(study, cell, base, answers[cell.dataset])


@dataclass
class _Answers:
    """Generated predictions on a test split: rows of all images with the best masks first, the masks, and the images of the gallery."""

    part: Split
    rows: pd.DataFrame
    masks: NDArray[np.uint8]
    images: list[int]

    @classmethod
    def of(cls, study: Study, dataset: str) -> _Answers:
        """Masks moved farther and farther, activities wrong more and more often."""
        size, labels = study.input_size, labels_of(study, dataset)
        part, rng = load_split(dataset_folder(study, dataset), "test", size), np.random.default_rng(0)
        rows, masks = [], []
        for place, share in enumerate(_MOVED):
            moved = np.roll(np.array(part.masks), round(share * size), axis=(1, 2))
            activity = confidence = None
            if part.activities is not None:
                wrong = rng.random(len(part.frame_ids)) < 0.1 + 0.12 * place
                activity = np.where(wrong, rng.integers(len(labels.activities), size=len(wrong)), part.activities)
                confidence = rng.uniform(0.3, 1, len(wrong)).astype(np.float32)
            rows.append(measure(part, np.array(part.masks), labels, activity, moved, confidence))
            masks.append(moved)
        return cls(part, pd.concat(rows, ignore_index=True), np.stack(masks), representative(part, SIZE))

    def drawn(self, rng: np.random.Generator, quality: float) -> NDArray[np.int64]:
        """Which answer each image gets. quality: 1 for the best ones, 0 for the worst."""
        centre = (1 - quality) * (len(_MOVED) - 1)
        return np.clip(np.rint(rng.normal(centre, 0.9, len(self.part.frame_ids))), 0, len(_MOVED) - 1).astype(int)

    def rows_of(self, cell: Cell, drawn: Sequence[NDArray[np.int64]]) -> pd.DataFrame:
        """The rows of a model that gave these answers, of the tasks that it solves; of one condition after the other."""
        count = len(self.part.frame_ids)
        chosen = self.rows.iloc[np.concatenate([of_condition * count + np.arange(count) for of_condition in drawn])]
        return chosen[[name for name in chosen if _has(cell, str(name))]].reset_index(drop=True)

    def masks_of(self, drawn: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The masks of these answers."""
        return self.masks[drawn, np.arange(len(drawn))]


def _has(cell: Cell, column: str) -> bool:
    if column in ("frame_id", "sequence"):
        return True
    return cell.architecture != ("single_segmentation" if column.startswith("activity_") else "single_activity")


def _rng(cell: Cell) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(cell.id.encode()))


def _quality(cell: Cell) -> float:
    """Return the quality of a model for all seeds. Similar models have a similar quality, so that differences have either sign."""
    model = "/".join(
        (cell.dataset, cell.backbone, cell.architecture, cell.weighting, str(cell.rank), str(cell.surgery))
    )
    return 0.45 + 0.4 * (zlib.crc32(model.encode()) % 1000) / 1000


def _checkpoint(cell: Cell) -> str:
    return f"{zlib.crc32(cell.id.encode()):064x}"


def _write_model(study: Study, cell: Cell, base: dict[str, Any], answers: dict[str, _Answers]) -> None:
    folder, rng = cell_folder(study, cell), _rng(cell)
    for dataset in evaluated_on(study, cell.dataset):
        own = answers[dataset]
        drawn = own.drawn(rng, _quality(cell))
        rows = own.rows_of(cell, [drawn])
        path = rows_file(study, cell, dataset)
        path.parent.mkdir(parents=True)
        rows.to_parquet(path, index=False)
        told = {
            name: rows[f"activity_{name}"].to_numpy() for name in ("predicted", "confidence") if "activity_true" in rows
        }
        masks = own.masks_of(drawn) if "truth_0" in rows else None
        kept = SavedPredictions(own.part.frame_ids, told.get("predicted"), told.get("confidence"), masks)
        with whole_files() as beside:
            write_predictions(beside(predictions_file(study, cell, dataset)), kept)
    # Few sizes, as there are few backbones: costs of many models are the same.
    trained = 1_000_000 * (1 + len(cell.backbone)) * (1 + len(cell.architecture) % 3)
    about = {
        **base,
        "cell": cell.id,
        "settings": masked_settings(cell_settings(study, cell)),
        "manifest_sha256": base["datasets"][cell.dataset],
        "weights": {"source": "none", "sha256": ""},
        "pretrained_on_synthetic": False,
        "parameters": {"trained": trained, "total": 3 * trained},
        "training_images": 100,
        "training_seconds": 1000.0,
        "seed": cell.seed,
        "select_on": cell.select_on,
        "cost": {
            kind: {"images_per_second": 90.0 + len(cell.architecture), "memory_mib": 5000.0}
            for kind in ("training", "inference")
        },
        "checkpoint_sha256": _checkpoint(cell),
    }
    if cell.merger:
        sources = next(group.singles for group in merging_groups(study) if cell in group.merged)
        about["merged_from"] = {source.id: _checkpoint(source) for source in sources}
        bias = {task: float(rng.uniform(0.05, 0.3) / (1 + bool(cell.surgery))) for task in _TASKS}
        about["merging"] = {"bias": bias, "test_images": 10, "coefficients": rng.uniform(0, 1, 4).tolist()}
    else:
        _write_history(study, cell, rng)
    write_json(folder / "provenance.json", about)


def _write_history(study: Study, cell: Cell, rng: np.random.Generator) -> None:
    tasks = [task for task in _TASKS if cell.architecture in (f"single_{task}",)] or list(_TASKS)
    epochs = np.arange(1, _EPOCHS + 1)
    rows = {"epoch": epochs, "seconds": 1.0, "images_per_second": 90.0, "memory_mib": 5000.0}
    for task in tasks:
        rows[f"loss_{task}"] = rng.uniform(0.5, 2) * np.exp(-epochs / 15) * rng.uniform(0.8, 1.2, _EPOCHS)
        rows[f"weight_{task}"] = rng.uniform(0.3, 0.7) + rng.normal(0, 0.03, _EPOCHS)
        rows[f"gradient_norm_{task}"] = rng.uniform(0.1, 5) * rng.uniform(0.7, 1.3, _EPOCHS)
    if len(tasks) > 1:
        rows["cosine_activity_segmentation"] = rng.normal(0, 0.2, _EPOCHS).clip(-1, 1)
    if cell.select_on == "val":
        rows["validation"] = rng.uniform(0.3, 0.8, _EPOCHS)
    pd.DataFrame(rows).to_csv(history_file(study, cell), index=False)


def _write_representations(study: Study, group: MergingGroup, answers: _Answers) -> None:
    rng, count = _rng(group.singles[0]), len(answers.part.frame_ids)
    kept: dict[str, Any] = {f"individual/{task}": rng.normal(size=(count, 16)).astype(np.float32) for task in _TASKS}
    for cell in group.merged:
        for task in _TASKS:
            far = rng.normal(0, 0.3 if cell.surgery else 0.8, (count, 16)).astype(np.float32)
            kept[f"{cell.merger}-{cell.surgery}/{task}"] = kept[f"individual/{task}"] + far
        kept[f"sha256 of {cell.id}"] = np.array(_checkpoint(cell))
    path = representations_file(study, group)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **kept)


def _write_robustness(study: Study, cell: Cell, base: dict[str, Any], answers: _Answers) -> None:
    tested, rng = conditions_of(study), _rng(cell)
    conditions = [("", 0), *((name, severity) for name in tested.corruptions for severity in tested.severities)]
    drawn = [answers.drawn(rng, _quality(cell) - 0.1 * severity) for _, severity in conditions]
    rows = answers.rows_of(cell, drawn)
    rows = rows[[name for name in rows if not name.startswith("pixels_")]]
    rows[["corruption", "severity"]] = np.repeat(np.array(conditions, object), len(answers.part.frame_ids), axis=0)
    rows["severity"] = rows["severity"].astype(int)
    unmoved = rows[rows["corruption"].map(tested.moves_masks)] if "truth_0" in rows else rows[:0]
    shown = [c for c in conditions if c[1] in (0, *shown_severities(tested.severities)) and "truth_0" in rows]
    masks = [answers.masks_of(drawn[conditions.index(condition)])[answers.images] for condition in shown]
    folder = cell_folder(study, cell) / "robustness"
    folder.mkdir()
    both = pd.concat([rows.assign(mask_warped=True), unmoved.assign(mask_warped=False)], ignore_index=True)
    both.to_parquet(folder / "per_image.parquet", index=False)
    write_json(folder / "metrics.json", {"scores": []})
    kept = np.stack(masks) if masks else np.empty((0, 0, 0, 0), np.uint8)
    frame_ids = [answers.part.frame_ids[image] for image in answers.images] if masks else []
    keys = pd.DataFrame(shown, columns=["corruption", "severity"])
    write_gallery(folder / "gallery.npz", frame_ids, keys, kept)
    latency = dict.fromkeys(["clean", *tested.corruptions], 11.0)
    about = {"checkpoint_sha256": _checkpoint(cell), "frames": len(answers.part.frame_ids), "latency_ms": latency}
    about["per_image_sha256"] = sha256_of(folder / "per_image.parquet")
    write_json(folder / "provenance.json", base | about)


def study_of_paper_size() -> Study:
    """The paper's study on generated frames: every model on MTLESD, few models on MTLEndovis, and merged models on both."""
    settings = yaml.safe_load((Path(__file__).parents[3] / "studies/paper.yaml").read_text(encoding="utf-8"))
    sizes = {"height": 84, "width": 112, "endovis2018_frames": 80, "endovis2017_every": 6, "esd_frames": 40}
    settings |= {"raw": {"generate": {"name": "paper_size", **sizes}}, "seeds": [0, 1]}
    del settings["datasets"]["mtlendovis_by_sequence"], settings["training"]["schedules"]["mtlendovis_by_sequence"]
    first, *_, merged, _ = settings["cells"]
    singles = {"architectures": ["hps", "single_activity", "single_segmentation"], "weightings": ["equal"]}
    few = {"datasets": ["mtlendovis"], "architectures": ["dselect_k", "mmoe", "tesla"], "weightings": ["db_mtl"]}
    settings["cells"] = [
        {**first, "datasets": ["mtlesd"]},
        {**first, **singles, "datasets": ["mtlesd"], "backbones": ["dinov2"]},
        {**first, **few, "backbones": ["resnet"]},
        merged,
        {**merged, "architectures": ["tesla"], "weightings": ["db_mtl"]},
    ]
    settings["merging"]["mergers"] = ["averaging", "ties"]
    robust = [{key: value for key, value in one.items() if key != "dataset"} for one in settings["robustness"]["cells"]]
    settings["robustness"]["cells"] = robust
    return make_study(settings)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The study with its reports, in its folder."""
    with contextlib.chdir(tmp_path_factory.mktemp("paper_size")):
        study = study_of_paper_size()
        fabricate(study)
        make_report(study)
        yield study


@pytest.mark.slow
def test_all_results_after_training_exist(done: Study) -> None:
    assert len(models_of(done)) >= 89 and len(done.seeds) > 1
    assert {group.singles[0].dataset for group in merging_groups(done)} == {"mtlesd", "mtlendovis"}
    assert all(path.stat().st_size > 0 for path in (*table_files(done), *figure_files(done)))
    for path in figure_files(done):
        if path.suffix == ".png":
            assert np.asarray(Image.open(path).convert("L")).std() > 5, path


@pytest.mark.slow
def test_the_page_is_small_enough_to_send(done: Study) -> None:
    """The study has 224 pixels, all corruptions, and robustness on two datasets."""
    robust = {cell.dataset for cell in robustness_cells(done)}
    assert robust == {"mtlesd", "mtlendovis"} and done.input_size == 224
    assert report_file(done).stat().st_size < 15_000_000


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_paper_fits_its_pages(done: Study, tmp_path: Path) -> None:
    """No box is far too wide or too high. The text that explains a table is below it, not in its caption."""
    sources = [path for path in table_files(done) if path.suffix == ".tex"]
    paper = results_folder(done) / "paper/paper.tex"
    for path in (*sources, paper):
        for caption in re.findall(r"\\caption\{(.*)\}", path.read_text(encoding="utf-8")):
            assert 0 < len(caption) <= 1500, path
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", f"-output-directory={tmp_path}", paper.name]
    for _ in range(3):  # widths of long tables settle
        ran = subprocess.run(command, cwd=paper.parent, capture_output=True, text=True, errors="replace", check=False)
        assert ran.returncode == 0, ran.stdout[-3000:]
    log = (tmp_path / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert not re.findall(r"Overfull \\[hv]box \(\d{2,}\.\d+pt[^\n]*", log)
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
