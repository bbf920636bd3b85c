"""Models under corruption: together or alone, here or in other processes, at once or after an interruption, the same rows; and
models that are no cells."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from corruptions import corrupt_pair
from corruptions.command.cli import main as corruptions_command
from pipeline.cli import main
from pipeline.datasets.load import Split, load_split
from pipeline.errors import InputError
from pipeline.evaluation import corrupted_batches as corrupted
from pipeline.evaluation import evaluate_robustness
from pipeline.evaluation.corrupted_batches import CLEAN, Conditions, CorruptedBatch
from pipeline.evaluation.measure import measure, measure_mask
from pipeline.evaluation.robustness import ModelUnderTest, Prediction, evaluate, gather, scores_by_condition
from pipeline.evaluation.scores import scores_of
from pipeline.io import files
from pipeline.io.hashing import sha256_of
from pipeline.io.images import read_ids, read_rgb, write_png
from pipeline.labels.classes import ESD, LabelSet
from pipeline.results.paths import corrupted_folder
from pipeline.study.cells import cells_of
from pipeline.study.conditions import conditions_of
from pipeline.study.folders import dataset_folder
from pipeline.study.loading import load_study, make_study
from pipeline.study.robust_models import robustness_baseline
from tests.pipeline.undrawn import figures_left_empty

CONDITIONS = Conditions(("smoke", "elastic_transform", "gaussian_noise"), (2, 5), seed=3)
CELL = "mtlesd/resnet/hps/equal/r4-s0"


@pytest.fixture(scope="module")
def part() -> Split:
    """Nine pictures of noise and blocks, with masks and activities."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (9, 40, 40, 3), np.uint8)
    masks = np.zeros((9, 40, 40), np.uint8)
    for index in range(9):
        masks[index, 5 + index : 20 + index, 8:30] = 1 + index % 3
        images[index][masks[index] > 0] = 40 * masks[index].max()
    ids = [f"frame_{index}" for index in range(9)]
    return Split(ids, ["a"] * 5 + ["b"] * 4, images, masks, random.integers(0, 3, 9))


def by_brightness(shift: int) -> Callable[[CorruptedBatch, int], Prediction]:
    """A model that answers by a pixel's brightness and an image's mean."""

    def answer(piece: CorruptedBatch, position: int) -> Prediction:
        assert piece.images is not None
        images = piece.images[position].astype(int)
        return (images.mean(axis=(1, 2, 3)) + shift).astype(int) % 3, ((images.mean(axis=3) + shift) // 90).astype(
            np.uint8
        )

    return answer


def rows_of(model: ModelUnderTest) -> pd.DataFrame:
    return gather(model, CONDITIONS)[0]


def subject_at(folder: Path, name: str, shift: int = 0) -> ModelUnderTest:
    folder = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    return ModelUnderTest(name, by_brightness(shift), folder)


@pytest.fixture(scope="module")
def alone(part: Split, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    model = subject_at(tmp_path_factory.mktemp("alone"), "one")
    evaluate([model], part, ESD, CONDITIONS, workers=0)
    return rows_of(model)


def test_rows_are_those_of_corrupting_and_measuring_by_hand(part: Split, alone: pd.DataFrame) -> None:
    conditions = [(CLEAN, 0, True), *((n, s, True) for n in CONDITIONS.corruptions for s in (2, 5))]
    conditions += [("elastic_transform", s, False) for s in (2, 5)]
    assert len(alone) == len(conditions) * 9
    for name, severity, moved in conditions:
        chosen = alone[
            (alone["corruption"] == name) & (alone["severity"] == severity) & (alone["mask_warped"] == moved)
        ]
        assert list(chosen["frame_id"]) == part.frame_ids and list(chosen["sequence"]) == part.sequences
        for index, row in enumerate(chosen.to_dict("records")):
            image, truth = part.images[index], part.masks[index]
            if name:
                image, after = corrupt_pair(image, truth, name, severity, seed=3, image_id=part.frame_ids[index])
                truth = after if moved else truth
            activity, masks = by_brightness(0)(
                CorruptedBatch(name, (severity,), range(1), image[None, None], truth[None, None]), 0
            )
            assert row["activity_predicted"] == activity[0]
            for key, value in measure_mask(truth, masks[0], len(ESD.classes)).items():
                np.testing.assert_equal(row[key], value)


@pytest.mark.parametrize(("workers", "images"), [(0, 9), (2, 2)])
def test_together_and_apart_are_the_same(
    part: Split, alone: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, images: int
) -> None:
    """Also from other processes, in batches of two images, the last of one: they come in order."""
    monkeypatch.setattr(corrupted, "_BATCH_BYTES", images * 2 * part.images[0].nbytes)
    first, second = subject_at(tmp_path, "one"), subject_at(tmp_path, "two", 17)
    evaluate([first, second], part, ESD, CONDITIONS, workers)
    pd.testing.assert_frame_equal(rows_of(first), alone)
    assert not rows_of(second)["predicted_0"].equals(alone["predicted_0"])


def test_each_image_is_corrupted_once_for_all_models(
    part: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for function in ("sweep", "sweep_pair"):
        real = getattr(corrupted, function)

        def counted(*arguments: Any, real: Any = real, **named: Any) -> Any:
            calls.append(named["image_id"])
            return real(*arguments, **named)

        monkeypatch.setattr(corrupted, function, counted)
    evaluate([subject_at(tmp_path, name) for name in ("one", "two", "three")], part, ESD, CONDITIONS, workers=0)
    assert sorted(calls) == sorted(part.frame_ids * 3), (
        "once for each of three corruptions, whatever the severities and models"
    )


@pytest.mark.parametrize("stop_at", ["", "elastic_transform", "gaussian_noise"])
def test_an_interrupted_evaluation_goes_on(part: Split, alone: pd.DataFrame, tmp_path: Path, stop_at: str) -> None:
    model, seen = subject_at(tmp_path, "one"), []
    answer = model.predict

    def stopping(piece: CorruptedBatch, position: int) -> Prediction:
        if piece.name == stop_at:
            raise KeyboardInterrupt
        return answer(piece, position)

    def noting(piece: CorruptedBatch, position: int) -> Prediction:
        seen.append(piece.name)
        return answer(piece, position)

    with pytest.raises(KeyboardInterrupt):
        evaluate([ModelUnderTest("one", stopping, model.folder)], part, ESD, CONDITIONS, workers=0)
    again = ModelUnderTest("one", noting, model.folder)
    evaluate([again], part, ESD, CONDITIONS, workers=0)
    names = [CLEAN, *CONDITIONS.corruptions]
    assert set(seen) == set(names[names.index(stop_at) :]), "what was done before is not done again"
    pd.testing.assert_frame_equal(rows_of(again), alone)


def test_the_published_profile_leaves_masks(part: Split, tmp_path: Path) -> None:
    conditions = Conditions(("elastic_transform", "gamma_correction"), (1,), profile="authors_code")
    model = subject_at(tmp_path, "one")
    evaluate([model], part, ESD, conditions, workers=0)
    rows = gather(model, conditions)[0]
    assert rows["mask_warped"].all() and len(rows) == 3 * 9
    assert not any(conditions.moves_masks(name) for name in conditions.corruptions)


def test_a_model_of_one_task(part: Split, tmp_path: Path) -> None:
    both = by_brightness(0)
    for name, keep in (("activity", 0), ("segmentation", 1)):
        folder = tmp_path / name
        folder.mkdir()

        def answer(piece: CorruptedBatch, position: int, keep: int = keep) -> Prediction:
            given = both(piece, position)
            return (given[0], None) if keep == 0 else (None, given[1])

        model = ModelUnderTest(name, answer, folder)
        evaluate([model], part, ESD, CONDITIONS, workers=0)
        rows = rows_of(model)
        assert ("activity_predicted" in rows) == (keep == 0) and ("truth_0" in rows) == (keep == 1)
        metrics = {score["metric"] for score in scores_by_condition(rows, ESD)}
        assert ("accuracy" in metrics) == (keep == 0) and ("hd95" in metrics) == (keep == 1)


def test_scores_of_rows_are_those_of_the_whole_split(part: Split, alone: pd.DataFrame) -> None:
    clean = [s for s in scores_by_condition(alone, ESD) if s["corruption"] == CLEAN]
    activity, masks = by_brightness(0)(CorruptedBatch(CLEAN, (0,), range(9), part.images[None], part.masks[None]), 0)
    expected = scores_of(measure(part, part.masks, ESD, activity, masks), ESD)
    assert [{k: s[k] for k in ("metric", "class", "value", "n")} for s in clean] == expected


def test_surfaces_of_a_split_are_means_over_images_then_classes() -> None:
    labels = LabelSet(("background", "one", "two", "three"), ((0, 0, 0),) * 4, ())
    truth = np.zeros((2, 20, 20), np.uint8)
    truth[0, 2:6, 2:6], truth[1, 2:6, 2:6], truth[1, 10:14, 10:14] = 1, 1, 2
    masks = np.zeros_like(truth)
    masks[0, 2:6, 3:7], masks[1, 2:6, 2:6] = 1, 1  # one pixel to the right; exact; the second class is missed
    masks[0, 15, 15] = 3  # a class without truth
    one = Split(["a", "b"], ["", ""], np.zeros((2, 20, 20, 3), np.uint8), truth, None)
    scores = {(s["metric"], s["class"]): s for s in scores_of(measure(one, truth, labels, None, masks), labels)}
    assert scores["hd95", "one"]["value"] == pytest.approx(0.5) and scores["hd95", "one"]["n"] == 2
    assert scores["hd95", "two"]["value"] == pytest.approx(np.hypot(20, 20)) and scores["hd95", "two"]["n"] == 1
    assert scores["hd95", ""]["value"] == pytest.approx((0.5 + np.hypot(20, 20)) / 2), "classes with truth alone"
    assert scores["surface_missing", ""]["value"] == 2


def test_activities_are_not_scored_twice(alone: pd.DataFrame) -> None:
    """Where masks move, the scores against the others say nothing new of activities."""
    unmoved = {score["metric"] for score in scores_by_condition(alone, ESD) if not score["mask_warped"]}
    assert "miou" in unmoved and not unmoved & {"accuracy", "macro_f1", "modal_share", "f1"}


# From here on through the command line, on a small built dataset.


@pytest.fixture
def study_file(study_file: Path) -> Path:
    """The toy study, smaller still: one epoch on 42 pixels."""
    settings = yaml.safe_load(study_file.read_text())
    settings["input_size"] = 42
    settings["heads"] = {"segmentation_channels": 8, "activity_channels": 8}
    settings["backbones"]["resnet"]["arguments"] = {"channels": [8, 8, 8, 8]}
    settings["training"]["schedules"]["mtlesd"]["epochs"] = 1
    settings["robustness"]["seed"] = 4
    study_file.write_text(yaml.safe_dump(settings))
    return study_file


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


@pytest.fixture
def trained(study_file: Path, copied: Callable[[str, Callable[[], None]], None]) -> Path:
    """The file of the toy study, whose dataset is built and whose cell is trained. Both are made once and copied."""

    def make() -> None:
        assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
        assert run(study_file, "train", "--cell", CELL) == 0

    copied("robust_study", make)
    return study_file


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip().splitlines()[-1]


def per_image(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "robustness" / "per_image.parquet")


def test_kept_images_give_the_same_rows(trained: Path) -> None:
    folder = Path("results/toy/cells") / CELL
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 0
    made = per_image(folder)
    metrics = (folder / "robustness/metrics.json").read_bytes()
    assert not [path for path in folder.rglob("*") if "partial" in path.name or ".lock" in path.name]
    latency = json.loads((folder / "robustness/provenance.json").read_text())["latency_ms"]
    assert set(latency) == {"clean", "smoke", "elastic_transform"} and all(value > 0 for value in latency.values())

    settings = yaml.safe_load(trained.read_text())
    settings["robustness"]["keep_corrupted"] = True
    trained.write_text(yaml.safe_dump(settings))
    study = load_study(trained)
    assert run(trained, "step", "corrupt_images", "--dataset", "mtlesd", "--workers", "0") == 0
    kept = corrupted_folder(study, "mtlesd")
    test = load_split(dataset_folder(study, "mtlesd"), "test", 42)
    for name, severity in (("smoke", 5), ("elastic_transform", 1)):
        for image, mask, frame in zip(test.images, test.masks, test.frame_ids, strict=True):
            expected, moved = corrupt_pair(image, mask, name, severity, seed=4, image_id=frame)
            np.testing.assert_array_equal(read_rgb(kept / name / str(severity) / "images" / f"{frame}.png"), expected)
            if name == "elastic_transform":
                np.testing.assert_array_equal(read_ids(kept / name / str(severity) / "masks" / f"{frame}.png"), moved)
    assert json.loads((kept / "corruptions.json").read_text())["seed"] == 4
    assert not list(kept.rglob(".*"))
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 0
    pd.testing.assert_frame_equal(per_image(folder), made)
    assert (folder / "robustness/metrics.json").read_bytes() == metrics


def test_kept_images_of_something_else_are_refused(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = yaml.safe_load(trained.read_text())
    settings["robustness"] |= {"keep_corrupted": True, "corruptions": ["contrast"]}
    trained.write_text(yaml.safe_dump(settings))
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 1
    assert (
        "missing, although robustness.keep_corrupted asks for stored images. Make them: endoarss step corrupt_images"
        in said(capsys)
    )
    assert run(trained, "step", "corrupt_images", "--dataset", "mtlesd", "--workers", "0") == 0
    manifest = Path("data/datasets/mtlesd/manifest.csv")
    manifest.write_text(manifest.read_text() + "\n")
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 1
    assert "manifest.csv: was changed after build_dataset made it" in said(capsys)
    manifest.with_name("done.json").unlink()
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 1
    assert "made with another manifest_sha256. Make them: endoarss step corrupt_images --dataset mtlesd" in said(capsys)


@pytest.mark.parametrize("stop_at", ["per_image.parquet", "metrics.json", "provenance.json"])
def test_a_stop_while_results_are_written_loses_nothing(
    trained: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str
) -> None:
    for module in (evaluate_robustness, files):
        real = module.whole_file

        @contextmanager
        def stopping(path: Path, real: Any = real) -> Iterator[Path]:
            with real(path) as partial:
                yield partial
            if path.name == stop_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(module, "whole_file", stopping)
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 130
    monkeypatch.undo()
    monkeypatch.chdir(trained.parent)
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 0
    folder = Path("results/toy/cells") / CELL / "robustness"
    assert {path.name for path in folder.iterdir()} == {
        "per_image.parquet",
        "metrics.json",
        "gallery.npz",
        "provenance.json",
        "done.json",
        "decided_by.json",
    }
    assert len(pd.read_parquet(folder / "per_image.parquet")) == 4 * (1 + 2 + 4)
    assert not list(folder.parent.glob(".*"))


@pytest.mark.usefixtures("undrawn")
def test_what_other_code_measured_is_measured_again(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A predictor that crashed and was mended: its old answers are not mixed with the new ones."""
    Path("mended.py").write_text(
        "import numpy as np\ncalls = []\ndef f(images):\n    calls.append(1)\n    assert len(calls) < 2, 'crash'\n"
        "    return np.eye(7, dtype=np.float32)[0][None, :, None, None] * np.ones((len(images), 1, 42, 42), np.float32)\n"
    )
    tested = ("robustness", "--dataset", "mtlesd", "--workers", "0", "--out", "out", "--predictor", "mended:f")
    assert run(trained, *tested) == 1
    assert "failed for images (4, 42, 42, 3): mended.py, line 5, in f: AssertionError: crash" in capsys.readouterr().err
    assert list(Path("out").glob(".robustness.partial/.parts/clean.parquet"))
    Path("mended.py").write_text(
        "import numpy as np\ndef f(images):\n"
        "    return np.eye(7, dtype=np.float32)[1][None, :, None, None] * np.ones((len(images), 1, 42, 42), np.float32)\n"
    )
    assert run(trained, *tested) == 0
    assert (per_image(Path("out"))["predicted_1"] == 42 * 42).all()


@pytest.mark.usefixtures("undrawn")
def test_a_predictor_stands_beside_the_cells(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("beside.py").write_text(PREDICTOR)
    tested = ("robustness", "--dataset", "mtlesd", "--workers", "0", "--out", "out", "--beside", "--predictor")
    assert run(trained, *tested, "beside:good") == 1
    message = said(capsys)
    assert f"--beside: no cell of mtlesd has its robustness evaluated; missing: {CELL}. Evaluate cells with" in message
    assert run(trained, "evaluate", "--cell", CELL) == 0
    assert run(trained, "robustness", "--cell", CELL, "--workers", "0") == 0
    assert run(trained, *tested, "beside:good") == 0
    summary = pd.read_csv("out/tables/table_robustness_summary.csv")
    assert set(summary["model"]) == {"R HPS Equal", "beside:good"}
    page = Path("out/report/index.html").read_text(encoding="utf-8")
    assert "R HPS Equal" in page and "beside:good" in page
    assert run(trained, "robustness", "--cell", CELL, "--beside") == 1
    assert "--beside: this option is only for --predictor" in said(capsys)


PREDICTOR = """
import numpy as np

def good(images):
    light = images.astype(np.float32).mean(axis=3) / 255
    scores = np.stack([1 - light, light, *[light * 0] * 5], axis=1)
    return {"segmentation": scores, "activity": np.stack([light.mean(axis=(1, 2)) * k for k in (1, -1, 0)], axis=1)}

def masks_alone(images):
    return good(images)["segmentation"]

def wrong_shape(images):
    return good(images)["segmentation"][:, :3]

not_a_function = 3
"""


@pytest.mark.slow
def test_any_predictor_gets_the_same_tables(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "predictor_of_a_test.py").write_text(PREDICTOR)
    tested = ("robustness", "--dataset", "mtlesd", "--workers", "0", "--label", "Light", "--predictor")
    assert run(trained, *tested, "predictor_of_a_test:good") == 0
    folder = Path("results/toy/predictors/Light/mtlesd")
    printed, rows = capsys.readouterr(), per_image(folder)
    assert printed.out.startswith(str(folder))
    images, conditions = (
        rows["frame_id"].nunique(),
        len(rows[rows["mask_warped"]].drop_duplicates(["corruption", "severity"])),
    )
    assert f"robustness of Light, {images} images x {conditions} conditions: 100%" in printed.err
    assert f" {images * conditions}/{images * conditions} " in printed.err
    assert {"activity_predicted", "truth_1", "hd95_1"} <= set(rows.columns)
    sources = json.loads((folder / "robustness/provenance.json").read_text())["sources_sha256"]
    assert sources == {"predictor_of_a_test.py": sha256_of(tmp_path / "predictor_of_a_test.py")}
    table = (folder / "tables/table7_robustness.csv").read_text()
    assert "smoke" in table and "Light" in table and (folder / "tables/table7_robustness.tex").is_file()
    assert (folder / "figures/fig6_severity.png").stat().st_size > 10_000
    page = (folder / "report/index.html").read_text(encoding="utf-8")
    assert "Robustness of Light on MTLESD" in page and 'id="scores-data"' in page
    assert re.findall(r"<h3[^>]*>(\w+ \w+)\.", page) == ["Table 1", "Table 2", "Figure 1", "Figure 2", "Figure 3"]
    assert "was not drawn" not in page
    with figures_left_empty():
        hand_in_what_is_not_right(trained, tested, rows, capsys)


def hand_in_what_is_not_right(
    trained: Path, tested: tuple[str, ...], rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    """Give a predictor of masks alone, names that folders cannot have or that are taken, and functions that do not fit."""
    assert run(trained, *tested, "predictor_of_a_test:masks_alone", "--out", "elsewhere") == 0
    pd.testing.assert_series_equal(per_image(Path("elsewhere"))["both_1"], rows["both_1"])
    for label, message in (("..", "expected a name with letters"), ("Li_ght", "")):
        assert run(trained, *tested, "predictor_of_a_test:good", "--label", label) == (1 if message else 0)
        assert not message or message in said(capsys)
    assert run(trained, *tested, "predictor_of_a_test:good", "--label", "Li ght") == 1
    assert "holds the results of 'Li_ght'. Choose another --label or --out" in said(capsys)
    assert run(trained, *tested, "predictor_of_a_test:good", "--workers", "-1") == 2
    assert "--workers: '-1': expected a whole number of at least 0." in capsys.readouterr().err
    for name, message in (
        (
            "wrong_shape",
            "returned segmentation as float32 (4, 3, 42, 42); expected class scores, floats (4, 7, 42, 42)",
        ),
        ("not_a_function", "has no function 'not_a_function'"),
    ):
        assert run(trained, *tested, f"predictor_of_a_test:{name}") == 1
        assert message in said(capsys)
    assert run(trained, *tested, "no_such_module:f") == 1
    assert "there is no module 'no_such_module': neither no_such_module.py in " in said(capsys)
    assert run(trained, *tested, "nothing") == 1
    assert "expected MODULE:FUNCTION" in said(capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_masks_predicted_elsewhere_get_the_same_tables(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody makes a copy of the dataset with the corruptions' own command, predicts on it, and hands in the masks."""
    Path("light.py").write_text(PREDICTOR)
    tested = ("robustness", "--dataset", "mtlesd", "--workers", "0")
    assert run(trained, *tested, "--predictor", "light:masks_alone", "--out", "by_function") == 0
    images = dataset_folder(load_study(trained), "mtlesd") / "images"
    chosen = (
        "--corruption",
        "smoke,elastic_transform",
        "--severity",
        "1,5",
        "--seed",
        "4",
        "--size",
        "42",
        "--workers",
        "1",
    )
    assert corruptions_command(["apply", str(images), "copy", *chosen]) == 0
    for path in sorted(Path("copy").rglob("*.png")):
        target = Path("predicted") / path.relative_to("copy").parent.parent / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        light = read_rgb(path).astype(np.float32).mean(axis=2) / 255
        write_png(target, (light > 1 - light).astype(np.uint8))
    assert run(trained, *tested, "--predictions", "predicted", "--out", "by_masks") == 0
    pd.testing.assert_frame_equal(per_image(Path("by_masks")), per_image(Path("by_function")))
    part = load_split(Path("data/datasets/mtlesd"), "test", 42)

    lines = ["corruption,severity,frame_id,activity"]
    for name, severity in (("clean", 0), *((n, s) for n in ("smoke", "elastic_transform") for s in (1, 5))):
        lines += [f"{name},{severity},{frame},{ESD.activities[1]}" for frame in part.frame_ids]
    Path("predicted/activity.csv").write_text("\n".join(lines))
    assert run(trained, *tested, "--predictions", "predicted", "--out", "by_masks") == 0
    assert (per_image(Path("by_masks"))["activity_predicted"] == 1).all()

    Path("predicted/activity.csv").write_text("\n".join(lines[:-1]))
    assert run(trained, *tested, "--predictions", "predicted", "--out", "by_masks") == 1
    assert f"no activity of {part.frame_ids[-1]} under elastic_transform, severity 5" in said(capsys)
    Path("predicted/activity.csv").write_text("\n".join([*lines[:-1], "smoke,1,x,flying"]))
    assert run(trained, *tested, "--predictions", "predicted", "--out", "by_masks") == 1
    assert f"activity.csv, line {len(lines)}: " in said(capsys)
    Path("predicted/activity.csv").unlink()
    one = Path("predicted/smoke/5") / f"{part.frame_ids[0]}.png"
    for pixels, message in (
        (
            np.zeros((50, 42), np.uint8),
            "42x50 pixels; expected 42x42. Make the copy with `corruptions apply --size 42`",
        ),
        (np.full((42, 42), 99, np.uint8), "value 99; expected class ids 0 to 6"),
    ):
        write_png(one, pixels)
        assert run(trained, *tested, "--predictions", "predicted", "--out", "by_masks") == 1
        assert message in said(capsys)
    one.unlink()
    assert run(trained, *tested, "--predictions", "predicted", "--out", "by_masks") == 1
    assert "this mask is missing; in all, 1 of 20 are missing" in said(capsys)
    Path("empty").mkdir()
    for folder, message in (("nowhere", "no such folder"), ("empty", "holds no folder named like a corruption")):
        assert run(trained, *tested, "--predictions", folder) == 1
        assert message in said(capsys)

    shutil.rmtree("predicted/smoke")
    for made, message in (
        (json.dumps({"seed": 5, "size": 42}), "the copy was made with seed 5; the study has 4"),
        (json.dumps({"seed": 4, "size": 224}), "the copy was made with size 224; the study has 42"),
        ("{torn", "corruptions.json: not JSON"),
    ):
        Path("predicted/corruptions.json").write_text(made)
        assert run(trained, *tested, "--predictions", "predicted", "--out", "less") == 1
        assert message in said(capsys)
    Path("predicted/corruptions.json").unlink()
    assert run(trained, *tested, "--predictions", "predicted", "--out", "less") == 0
    assert "predicted: no folder for smoke; tables leave these corruptions out" in capsys.readouterr().err
    assert set(per_image(Path("less"))["corruption"]) == {"", "elastic_transform"}
    assert "latency_ms" not in json.loads(Path("less/robustness/provenance.json").read_text())
    Path("predicted/smok").mkdir()
    assert run(trained, *tested, "--predictions", "predicted", "--out", "less") == 1
    assert "predicted/smok: no corruption has this name. Did you mean 'smoke'? Known: gaussian_noise" in said(capsys)


def test_robustness_of_what_does_not_fit_says_so(
    study_file: Path, minimal: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study_file, "robustness", "--cell", CELL, "--label", "x") == 1
    assert "--label: this option is only for --predictor and --predictions" in said(capsys)
    for models in ((), ("--cell", CELL, "--predictor", "a:b")):
        assert run(study_file, "robustness", *models) == 2
        assert "expected one of --cell, --predictor and --predictions" in capsys.readouterr().err
    with pytest.raises(InputError, match="profile"):
        make_study(minimal(robustness={"cells": [{}], "profile": "paper"}))
    with pytest.raises(InputError, match="smoke"):
        make_study(minimal(robustness={"cells": [{}], "profile": "authors_code", "corruptions": ["smoke"]}))
    published = make_study(minimal(robustness={"cells": [{}], "profile": "authors_code"}))
    assert len(conditions_of(published).corruptions) == 17


def test_the_study_names_a_baseline(minimal: Callable[..., dict[str, Any]]) -> None:
    study = make_study(minimal(robustness={"cells": [{}], "baseline": {"architecture": "hps"}}))
    assert robustness_baseline(study, "mtlesd") == cells_of(study)[0]
    assert robustness_baseline(make_study(minimal(robustness={"cells": [{}]})), "mtlesd") is None
    with pytest.raises(InputError, match="baseline"):
        make_study(minimal(robustness={"cells": [{}], "baseline": {"architecture": "tesla"}}))


@pytest.mark.usefixtures("undrawn")
def test_a_helper_that_is_imported_late_counts_when_an_evaluation_goes_on(trained: Path) -> None:
    """Answers of the helper as it was are thrown away, and provenance names it."""
    Path("helper.py").write_text("VALUE = 1\n")
    Path("late.py").write_text(
        "import pathlib\nimport numpy as np\ndef f(images):\n    import helper\n"
        "    if pathlib.Path('stop').exists():\n        raise ValueError('stopped')\n"
        "    pathlib.Path('calls').open('a').write('x')\n"
        "    if len(pathlib.Path('calls').read_text()) == 2:\n        pathlib.Path('stop').touch()\n"
        "    return np.full(images.shape[:3], helper.VALUE)\n"
    )
    tested = ("robustness", "--dataset", "mtlesd", "--workers", "0", "--out", "out", "--predictor", "late:f")
    assert run(trained, *tested) == 1
    Path("stop").unlink()
    Path("helper.py").write_text("VALUE = 0\n")
    assert run(trained, *tested) == 0
    rows = pd.read_parquet("out/robustness/per_image.parquet")
    assert (rows["predicted_1"] == 0).all()
    about = json.loads(Path("out/robustness/provenance.json").read_text())
    assert set(about["sources_sha256"]) == {"late.py", "helper.py"}
    assert not Path("out/robustness/.sources.json").exists()
