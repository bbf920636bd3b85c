"""The steps by hand, through the command line, on the smallest study: what each writes, and what it says when it cannot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from endoarss.checkpoints import read_header
from endoarss.metrics.catalogue import METRICS
from endoarss.metrics.protocol import STANDARD
from pipeline.cli import main
from pipeline.datasets.load import load_split
from pipeline.evaluation.measure import measure
from pipeline.evaluation.scores import scores_of
from pipeline.labels.classes import ESD
from pipeline.preparation.build_dataset import build_dataset
from pipeline.results.row_files import read_rows
from pipeline.status import estimate
from pipeline.status.estimate import checkpoint_bytes_of, cost_of_cells, disk_of, frames_of, timed_models
from pipeline.status.show_status import show_estimate
from pipeline.study.loading import load_study, make_study
from pipeline.study.models import Study

CELL = "mtlesd/resnet/hps/equal/r4-s0"


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


@pytest.mark.slow
def test_every_step_by_hand(study_file: Path) -> None:
    for step in (
        ("step", "build_dataset", "--dataset", "mtlesd"),
        ("train", "--cell", CELL),
        ("evaluate", "--cell", CELL),
        ("evaluate", "--cell", CELL, "--again"),
        ("robustness", "--cell", CELL),
        ("step", "score_references", "--dataset", "mtlesd"),
        ("step", "collect_results"),
        ("step", "make_tables"),
        ("step", "draw_figures"),
        ("step", "draw_datasets"),
        ("step", "draw_leakage"),
        ("step", "make_page"),
    ):
        assert run(study_file, *step) == 0, step
    folder = Path("results/toy/cells") / CELL
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["cell"] == CELL and provenance["seed"] == 0 and not provenance["synthetic"]
    assert read_header(folder / "model.safetensors").provenance["manifest_sha256"] == provenance["manifest_sha256"]
    assert len(pd.read_csv(folder / "history.csv")) == 3
    for part in ("training", "inference"):
        assert provenance["cost"][part]["images_per_second"] > 0 and provenance["cost"][part]["memory_mib"] > 0
    assert not (folder / ".training").exists(), "a training that is done keeps no states to go on from"
    assert "Training (images/s)" in Path("results/toy/tables/table_cost.csv").read_text()
    assert Path("results/toy/figures/history_mtlesd.png").stat().st_size > 10_000

    results = pd.read_parquet("results/toy/results.parquet")
    corrupted = results[results["corruption"] != ""]
    assert set(corrupted["corruption"]) == {"smoke", "elastic_transform"}
    assert set(corrupted[~corrupted["mask_warped"]]["corruption"]) == {"elastic_transform"}
    rows = pd.read_parquet(folder / "robustness" / "per_image.parquet")
    images = len(load_split(Path("data/datasets/mtlesd"), "test", 56).frame_ids)
    assert len(rows) == images * (1 + 2 + 2 * 2), "clean, smoke once, elastic both ways, two severities"
    assert not list(Path("results").rglob("*.partial")) and not list(Path("data").rglob("*.partial"))

    # Kept rows give the kept scores again.
    per_image = pd.read_parquet(folder / "eval/mtlesd/per_image.parquet")
    accuracy = (per_image["activity_true"] == per_image["activity_predicted"]).mean()
    stored = results[
        (results["metric"] == "accuracy") & (results["corruption"] == "") & (results["backbone"] == "resnet")
    ]
    assert stored["value"].item() == pytest.approx(accuracy)
    counts = {
        kind: per_image[[f"{kind}_{c}" for c in range(7)]].sum().to_numpy() for kind in ("both", "truth", "predicted")
    }
    present = counts["truth"] > 0
    iou = counts["both"] / (counts["truth"] + counts["predicted"] - counts["both"])
    miou = results[(results["metric"] == "miou") & (results["corruption"] == "") & (results["backbone"] == "resnet")]
    assert miou["value"].item() == pytest.approx(iou[present].mean())


def test_references_are_what_they_say(study_file: Path) -> None:
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    assert run(study_file, "step", "score_references", "--dataset", "mtlesd") == 0
    part = load_split(Path("data/datasets/mtlesd"), "test", 56)
    value = {}
    for path in Path("results/toy/references/mtlesd").glob("*.parquet"):
        scores = scores_of(read_rows(path, part.frame_ids, ESD), ESD)
        value[path.stem] = {score["metric"]: score["value"] for score in scores if not score["class"]}
    assert len(value) == 3
    majority = np.bincount(load_split(Path("data/datasets/mtlesd"), "train", 56).activities).argmax()
    assert value["majority_activity"]["accuracy"] == pytest.approx((part.activities == majority).mean())
    assert value["all_background"]["miou_foreground"] == 0
    # The first activity has no instrument of its own; the others share theirs in some frames.
    assert value["majority_activity"]["accuracy"] < value["activity_from_instruments"]["accuracy"] <= 1


def test_training_again_gives_the_same_bits(study_file: Path) -> None:
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    stored = []
    for _ in range(2):
        assert run(study_file, "train", "--cell", CELL) == 0 and run(study_file, "evaluate", "--cell", CELL) == 0
        eval_folder = Path("results/toy/cells") / CELL / "eval/mtlesd"
        stored.append([(eval_folder / name).read_bytes() for name in ("metrics.json", "per_image.parquet")])
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--cell", CELL), "data/datasets/mtlesd/dataset.json: missing; this dataset is not built"),
        (("train", "--cell", "a/b"), "has no cell 'a/b'. Its first cells: mtlesd"),
        (
            ("step", "build_dataset", "--dataset", "mtlendovis"),
            "has no dataset 'mtlendovis'. Did you mean 'mtlesd'? Its datasets: mtlesd",
        ),
        (("step", "generate_raw", "--tree", "esd"), "does not generate a tree 'esd'"),
        (("step", "pretrain_backbone"), "has no key pretraining"),
        (("robustness", "--cell", CELL), "mtlesd"),
        (("step", "collect_results"), "manifest.csv: missing; this dataset is not built"),
        (("step", "make_page"), "results.parquet: missing. Run the steps"),
    ],
)
def test_a_step_that_cannot_run_says_why(
    study_file: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study_file, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(study_file.parent.rglob("*.safetensors"))


def test_a_missing_raw_tree_says_where_to_ask(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = yaml.safe_load(study_file.read_text())
    settings["raw"]["esd"] = "data/raw/nowhere"
    study_file.write_text(yaml.safe_dump(settings))
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 1
    assert (
        "data/raw/nowhere: no such folder. The MTLESD tree is expected here; it is available from"
        in capsys.readouterr().err
    )
    assert not Path("data").exists() or not any(Path("data").rglob("manifest.csv"))


def test_list_shows_components_and_cells(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(study_file, "list") == 0
    shown = capsys.readouterr().out
    assert re.search(r"(?m)^architectures:\n(  .*\n)*  mmoe +\S+mmoe\.py$", shown) and f"{CELL}  + robustness" in shown


def test_measuring_a_dataset_without_activities(study_file: Path) -> None:
    build_dataset(load_study(study_file), "mtlesd")
    part = load_split(Path("data/datasets/mtlesd"), "test", 56)
    labels = replace(ESD, activities=())
    scores = scores_of(measure(replace(part, activities=None), part.masks, labels, None, part.masks), labels)
    metrics = {score["metric"] for score in scores}
    of_masks = {metric.name for metric in METRICS[STANDARD] if not metric.of_activities}
    assert metrics == of_masks > {"miou", "dice_foreground", "iou", "pixel_recall", "hd95", "ssim", "surface_missing"}
    assert next(s["value"] for s in scores if s["metric"] == "hd95") == 0
    assert next(s["value"] for s in scores if s["metric"] == "miou") == 1


def test_status_says_what_is_done_and_what_it_will_take(study_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(study_file, "status") == 0
    said = capsys.readouterr().out
    assert "mtlesd: not built" in said and "Cells: 1: 1 pending" in said and "Robustness: 1: 1 pending" in said
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    assert run(study_file, "train", "--cell", CELL) == 0 and run(study_file, "evaluate", "--cell", CELL) == 0
    capsys.readouterr()
    assert run(study_file, "status", "--estimate") == 0
    said, progress = capsys.readouterr()
    assert "mtlesd: 20 of 2020 frames" in said and "Cells: 1: 1 done" in said
    assert "checkpoints of 1 cells: " in said and f"{CELL} + " in said and "Not included: pretraining" in said
    assert re.search(r"^  in all [1-9]\d* (s|min)$", said, re.MULTILINE)
    assert re.search(r"^Models to time on this device \(.*\): 1\.", progress, re.MULTILINE)
    assert "timing model 1 of 1: resnet hps equal" in progress


def test_an_estimate_without_built_frames_is_unknown(minimal: Callable[..., dict[str, Any]]) -> None:
    """Frames of the user's own are not counted before the dataset is built: nothing is timed, and no sum says 0."""
    own = {"plain": {"classes": ["background", "tool"], "images": "i", "masks": "m"}}
    schedules = {"training": {"schedules": {"own": {"epochs": 3, "learning_rate": 0.001}}}}
    block = {
        "datasets": ["own"],
        "backbones": ["resnet"],
        "architectures": ["single_segmentation"],
        "weightings": ["equal"],
    }
    study = make_study(minimal(raw={}, datasets={"own": own}, cells=[block], **schedules))
    assert not timed_models(study) and not list(cost_of_cells(study))
    said = "\n".join(show_estimate(study))
    assert "own: unknown until it is built" in said and "unknown 1 cells of own, until it is built" in said
    assert re.search(r"^  in all at least \d.* [kM]B$", said, re.MULTILINE) and "  in all unknown\n" in said


def test_the_disk_is_shown_before_any_model_is_timed(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model is timed")

    monkeypatch.setattr(estimate, "_time_model", refuse)
    lines = show_estimate(load_study(study_file))
    assert any(line.startswith("  in all ") for line in islice(lines, 4))


def test_each_model_is_timed_once(
    study_file: Path, minimal: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models differ in backbone, architecture or weighting, not in seed or rank."""
    timed: list[str] = []

    def time_model(study: Study, cell: Any, label: str, predicts: bool) -> Any:
        timed.append(label)
        return estimate._Speed(1.0, 1.0)

    monkeypatch.setattr(estimate, "_time_model", time_model)
    costs = list(cost_of_cells(make_study(minimal(seeds=[0, 1, 2]))))
    assert timed == ["timing model 1 of 1: resnet hps equal"] and len(costs) == 3


def test_what_a_study_will_take_grows_with_frames_and_epochs(
    study_file: Path, minimal: Callable[..., dict[str, Any]]
) -> None:
    study = load_study(study_file)
    assert frames_of(study, "mtlesd") == {"train": 1616, "test": 404}, "of the whole download, where nothing is built"
    built, arrays = disk_of(study, "mtlesd")
    assert arrays == 2020 * 56 * 56 * 4 and built > 2e9
    generated = make_study(minimal(raw={"generate": {"name": "toy", "esd_frames": 50}}))
    assert sum(frames_of(generated, "mtlesd").values()) == 50
    ((cost,), (longer,)) = (list(cost_of_cells(_with_epochs(study, epochs))) for epochs in (3, 300))
    assert longer.training > 20 * cost.training > 0 and cost.robustness > 0


def test_a_robustness_evaluation_includes_corrupting(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_time_model", lambda *_, **__: estimate._Speed(0.0, 0.0))
    ((cost,), study) = (list(cost_of_cells(load_study(study_file))), load_study(study_file))
    assert cost.robustness > 0
    kept = study.as_dict() | {"robustness": {**study.as_dict()["robustness"], "keep_corrupted": True}}
    ((cost,),) = (list(cost_of_cells(make_study(kept))),)
    assert cost.robustness == 0, "stored images are corrupted once, not for each cell"


def test_the_estimated_checkpoint_is_as_large_as_the_file(study_file: Path) -> None:
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    assert run(study_file, "train", "--cell", CELL) == 0
    size = (Path("results/toy/cells") / CELL / "model.safetensors").stat().st_size
    assert 0.8 * size < checkpoint_bytes_of(load_study(study_file)) < size


def _with_epochs(study: Study, epochs: int) -> Study:
    training = {"schedules": {"mtlesd": {"epochs": epochs, "learning_rate": 0.001}}}
    return make_study({**study.as_dict(), "training": training})


@pytest.mark.slow
def test_a_stopped_cell_goes_on_and_ends_the_same(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after its first epoch it leaves a state; started again it gives the weights it would have given, bit for bit.
    What was kept under other settings is not gone on from."""
    from safetensors.torch import load_file

    from endoarss.checkpoints import tensors_sha256
    from pipeline.training import train_cell

    def digest() -> str:
        return tensors_sha256(load_file(folder / "model.safetensors").items())

    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    folder = Path("results/toy/cells") / CELL
    assert run(study_file, "train", "--cell", CELL) == 0
    expected = digest()

    def stop(row: dict[str, float]) -> None:
        raise KeyboardInterrupt

    def start_and_stop() -> None:
        (folder / "model.safetensors").unlink()
        with monkeypatch.context() as patched:
            patched.setattr(train_cell, "_tensorboard", lambda *_: stop)
            assert run(study_file, "train", "--cell", CELL) == 130
        assert [path.name for path in (folder / ".training").iterdir()] == ["epoch-000001.safetensors"]

    start_and_stop()
    assert run(study_file, "train", "--cell", CELL) == 0
    assert digest() == expected
    assert len(pd.read_csv(folder / "history.csv")) == 3 and not (folder / ".training").exists()

    start_and_stop()
    settings = yaml.safe_load(study_file.read_text())
    settings["training"]["schedules"]["mtlesd"]["learning_rate"] = 0.002
    study_file.write_text(yaml.safe_dump(settings))
    assert run(study_file, "train", "--cell", CELL) == 0
    rates = set(pd.read_csv(folder / "history.csv")["learning_rate"])
    assert rates == {0.002}, "all three epochs at the new rate"


def test_scores_on_the_way_and_events(study_file: Path) -> None:
    settings = yaml.safe_load(study_file.read_text())
    settings["training"] |= {"score_every": 2, "tensorboard": True}
    study_file.write_text(yaml.safe_dump(settings))
    assert run(study_file, "step", "build_dataset", "--dataset", "mtlesd") == 0
    assert run(study_file, "train", "--cell", CELL) == 0
    folder = Path("results/toy/cells") / CELL
    history = pd.read_csv(folder / "history.csv")
    assert history["validation"].notna().tolist() == [False, True, True]
    assert list((folder / "tensorboard").glob("events*"))


def test_an_epoch_chosen_on_the_test_part_is_tagged(study_file: Path) -> None:
    """As the authors' code chooses: a variant of its own, and every table says so."""
    settings = yaml.safe_load(study_file.read_text())
    settings["training"]["select_on"] = "test"
    del settings["robustness"]
    study_file.write_text(yaml.safe_dump(settings))
    for step in (
        ("step", "build_dataset", "--dataset", "mtlesd"),
        ("train", "--cell", f"{CELL}-test"),
        ("evaluate", "--cell", f"{CELL}-test"),
        ("step", "score_references", "--dataset", "mtlesd"),
        ("step", "collect_results"),
        ("step", "make_tables"),
    ):
        assert run(study_file, *step) == 0, step
    tables = Path("results/toy/tables")
    assert all("EPOCH CHOSEN ON THE TEST SPLIT" in path.read_text() for path in tables.glob("*.tex"))
    for path in tables.glob("*.csv"):
        table = pd.read_csv(path)
        assert set(table["select_on"]) == ({"test"} if len(table) else set()), path
