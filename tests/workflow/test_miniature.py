"""A miniature of the whole DAG, run for real, and the study on real frames where they are given."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipeline.results.gallery import read_gallery
from tests.workflow.recorded import compile_code

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow

NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")
MINI = yaml.safe_load((ROOT / "tests/workflow/mini.yaml").read_text())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, so that a test may change a file of it."""
    folder = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("corruptions", "endoarss", "reports", "pipeline", "profiles", "studies"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("Snakefile", "params.yaml", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    compile_code(folder)
    (folder / "mini.yaml").write_text(yaml.safe_dump(MINI, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def done(checkout: Path, snakemake: Run) -> Path:
    run = snakemake(checkout, study="mini.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    return checkout


def test_everything_is_there_and_marked_synthetic(done: Path) -> None:
    results = done / "results/mini"
    names = ["table1_datasets", "table2_mtlesd", "table3_mtlendovis", "table4_mtlendovis_gen", "table7_robustness"]
    names += ["table_mtlendovis_by_sequence", "table_leakage", "table_similarity", "table_robustness_summary"]
    for name in names:
        assert (results / "tables" / f"{name}.csv").stat().st_size > 0
        assert "SYNTHETIC DATA" in (results / "tables" / f"{name}.tex").read_text()
    drawn = (
        "fig5_segmentation",
        "fig6_severity",
        "fig_retention",
        "fig_heatmap",
        "fig_cost",
        *(f"fig_{kind}_{dataset}" for kind in ("classes", "confusion") for dataset in MINI["datasets"]),
        "fig1_classes_by_activity",
        "class_balance",
        "leakage",
    )
    sheets = [f"contact_{dataset}.jpg" for dataset in MINI["datasets"]]
    for name in (*(f"{name}.png" for name in drawn), *sheets):
        assert np.asarray(Image.open(results / "figures" / name).convert("L")).std() > 5
    page = (results / "report/index.html").read_text()
    assert "Synthetic data." in page and "mtlesd/endoarss/tesla/db_mtl/r4-s0" in page
    rows = pd.read_parquet(results / "results.parquet")
    assert rows["synthetic"].all() and set(rows["eval_dataset"]) == set(MINI["datasets"])
    assert set(rows[rows["corruption"] != ""]["severity"]) == {1, 5}
    folders = {path.name for path in (done / "data/datasets").iterdir() if path.is_dir()}
    assert folders == {f"{dataset}-mini" for dataset in MINI["datasets"]}
    # A model is tested on MTLEndovis-Gen once: after training on the split random_by_activity.
    gen = rows[(rows["eval_dataset"] == "mtlendovis_gen") & (rows["backbone"] != "reference")]
    assert set(gen["dataset"]) == {"mtlendovis"}


def test_afterwards_there_is_nothing_to_do(done: Path, snakemake: Run) -> None:
    plan = snakemake(done, "-n", study="mini.yaml")
    assert plan.returncode == 0 and "Nothing to be done" in plan.stdout + plan.stderr


def test_cleaning_a_finished_study_leaves_nothing_to_do(done: Path, snakemake: Run) -> None:
    """With leftovers of a stopped run, a cell and a version of the study that are gone: only they go."""
    cell = min(done.glob("results/mini/cells/mtlesd/*/*/*/r4-s0"))
    litter = [cell / ".training/epoch-000001.safetensors", cell / "eval/mtlesd/.metrics.json.4194304.partial"]
    litter += [done / "results/mini/studies/0123456789ab.json"]
    litter += [done / "results/mini/cells/mtlesd/resnet/hps/equal/r4-s0/model.safetensors"]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    before = {path for path in done.rglob("*") if path.is_file() and ".locks" not in path.parts}
    command = [sys.executable, "-m", "pipeline.cli", "clean", "--study", "mini.yaml", "--yes", "--shared"]
    environment = os.environ | {"PYTHONPATH": str(done), "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(command, cwd=done, env=environment, capture_output=True, text=True, check=True).stdout
    after = {path for path in done.rglob("*") if path.is_file() and ".locks" not in path.parts}
    assert before - after == set(litter), said
    plan = snakemake(done, "-n", study="mini.yaml")
    assert plan.returncode == 0 and "Nothing to be done" in plan.stdout + plan.stderr


def test_kept_images_are_made_once_and_give_the_same_rows(done: Path, snakemake: Run) -> None:
    settings = yaml.safe_load((done / "mini.yaml").read_text())
    settings["robustness"]["keep_corrupted"] = True
    (done / "kept.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    cell = min(done.glob("results/mini/cells/mtlesd/*/*/*/*/robustness"))
    made = pd.read_parquet(cell / "per_image.parquet")
    run = snakemake(done, str(cell.relative_to(done) / "done.json"), study="kept.yaml")
    out = run.stdout + run.stderr
    assert run.returncode == 0, out[-8000:]
    assert (
        out.count("rule corrupt_images:") == 1
        and out.count("rule evaluate_robustness:") == 1
        and "rule train_cell:" not in out
    )
    pd.testing.assert_frame_equal(pd.read_parquet(cell / "per_image.parquet"), made)
    frames = made["frame_id"].nunique()
    assert len(list(done.glob("data/corrupted/mtlesd-mini-*/smoke/5/images/*.png"))) == frames
    assert "rule corrupt_images:" not in (again := snakemake(done, "-n", study="kept.yaml")).stdout + again.stderr
    snakemake(done, study="mini.yaml")


def test_what_changed_is_what_reruns(done: Path, snakemake: Run) -> None:
    """A weighting's setting trains its own cell again; a report's file trains nothing; a touched file does nothing."""
    settings = yaml.safe_load((done / "mini.yaml").read_text())
    settings["weightings"]["db_mtl"] = {"beta": 0.5}
    (done / "changed.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    plan = snakemake(done, "-n", study="changed.yaml")
    out = plan.stdout + plan.stderr
    assert plan.returncode == 0
    assert out.count("rule train_cell:") == 1 and "cell=mtlesd/endoarss/tesla/db_mtl/r4-s0" in out
    assert (
        out.count("rule evaluate_robustness:") == 1
        and "rule build_dataset:" not in out
        and "rule pretrain_backbone:" not in out
    )
    settings = yaml.safe_load((done / "mini.yaml").read_text())
    settings["robustness"]["cells"].append({"dataset": "mtlendovis"})
    settings["backbones"]["dinov2"]["label"] = "Another name"
    (done / "changed.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    out = (plan := snakemake(done, "-n", study="changed.yaml")).stdout + plan.stderr
    assert (
        out.count("rule evaluate_robustness:") == 1
        and "rule train_cell:" not in out
        and "rule pretrain_backbone:" not in out
    )

    settings = yaml.safe_load((done / "mini.yaml").read_text())
    settings["robustness"]["baseline"] = {"backbone": "endoarss"}
    (done / "changed.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    out = (plan := snakemake(done, "-n", study="changed.yaml")).stdout + plan.stderr
    assert out.count("rule make_tables:") == 1 and "rule evaluate_robustness:" not in out

    weighting = done / "endoarss/weightings/stch.py"
    text = weighting.read_text()
    weighting.write_text(text)
    plan = snakemake(done, "-n", study="mini.yaml")
    assert "Nothing to be done" in plan.stdout + plan.stderr, "the same content, another time"
    weighting.write_text(text + "\n# changed\n")
    out = (plan := snakemake(done, "-n", study="mini.yaml")).stdout + plan.stderr
    assert out.count("rule train_cell:") == 2 and "cell=mtlendovis/resnet/mmoe/stch/r4-s0" in out
    weighting.write_text(text)

    reader = done / "pipeline/sources/released.py"
    text = reader.read_text()
    reader.write_text(text + "\n# changed\n")
    out = (plan := snakemake(done, "-n", study="mini.yaml")).stdout + plan.stderr
    assert out.count("rule build_dataset:") == 1 and "cell=mtlendovis" not in out
    reader.write_text(text)

    tables = done / "reports/tables/scores.py"
    text = tables.read_text()
    tables.write_text(text + "\n# changed\n")
    out = (plan := snakemake(done, "-n", study="mini.yaml")).stdout + plan.stderr
    assert "rule make_tables:" in out and "rule train_cell:" not in out
    tables.write_text(text)


def test_a_broken_picture_stops_the_build_with_its_name(done: Path, snakemake: Run, tmp_path: Path) -> None:
    settings = yaml.safe_load((done / "mini.yaml").read_text())
    raw = Path(shutil.copytree(done / "data/raw/mini/esd", tmp_path / "esd"))
    broken = sorted((raw / "test").rglob("image/*.png"))[0]
    broken.write_bytes(broken.read_bytes()[:300])
    settings |= {"study": "broken", "raw": {"esd": str(raw)}, "datasets": {"mtlesd": {}}}
    settings["cells"] = settings["cells"][:1]
    del settings["training"]["schedules"]["mtlendovis_by_sequence"]
    (done / "broken.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    run = snakemake(done, "data/datasets/mtlesd/done.json", study="broken.yaml")
    assert run.returncode != 0
    assert f"{broken.name}: it is not a readable image" in run.stdout + run.stderr
    assert not (done / "data/datasets/mtlesd/manifest.csv").exists()


def test_a_study_at_the_size_of_the_paper_from_nothing_to_its_page(checkout: Path, snakemake: Run) -> None:
    """224 pixels and severity 5: noise there is what encoders of pictures find hardest."""
    settings = yaml.safe_load((checkout / "mini.yaml").read_text())
    settings |= {"study": "large", "input_size": 224, "datasets": {"mtlesd": {}}}
    settings["raw"]["generate"] |= {"name": "large", "height": 180, "width": 224}
    settings["backbones"] = {name: settings["backbones"][name] | {"weights": "none"} for name in ("resnet", "dinov2")}
    settings["training"]["schedules"] = {"mtlesd": {"epochs": 1, "learning_rate": 0.001}}
    block = {"datasets": ["mtlesd"], "architectures": ["hps"], "weightings": ["equal"]}
    settings["cells"] = [{**block, "backbones": ["resnet", "dinov2"]}]
    settings["robustness"] = {"cells": [{}], "corruptions": [*NOISES, "elastic_transform"], "severities": [1, 2, 3, 5]}
    del settings["pretraining"], settings["weightings"]
    (checkout / "large.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    run = snakemake(checkout, study="large.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    results = checkout / "results/large"
    assert 500_000 < (results / "report/index.html").stat().st_size < 15_000_000
    for kept in results.glob("cells/*/*/*/*/*/robustness/gallery.npz"):
        frames, masks = read_gallery(kept)
        assert len(frames) == 3 and {severity for _, severity in masks} == {0, 1, 3, 5}
        assert {mask.shape for mask in masks.values()} == {(3, 224, 224)}


def test_real_frames_from_raw_to_curves(checkout: Path, snakemake: Run, sample_data: Path) -> None:
    """The study on real EndoVis-2017 frames: no activities, so nothing that needs them appears."""
    settings = yaml.safe_load((checkout / "studies/endovis2017_parts.yaml").read_text())
    settings["study"] = "parts"
    assert settings["input_size"] == 224
    settings["pretraining"] |= {"name": "parts", "scenes": 16, "epochs": 1}
    settings["backbones"]["endoarss"]["weights"]["file"] = "data/weights/parts.safetensors"
    settings["training"]["schedules"]["endovis2017_parts"]["epochs"] = 25
    settings["robustness"]["severities"] = [1, 5]
    (checkout / "parts.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    run = snakemake(checkout, study="parts.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    results = checkout / "results/parts"
    rows = pd.read_parquet(results / "results.parquet")
    assert not rows["synthetic"].any() and not set(rows["metric"]) & {"accuracy", "macro_f1", "f1"}
    assert rows["corruption"].nunique() == 20, "nineteen and clean"
    names = {path.name for path in (results / "tables").iterdir()}
    expected = (
        "table1_datasets",
        "table_endovis2017_parts",
        "table7_robustness",
        "table_robustness_summary",
        "table_comparison",
        "table_cost",
    )
    pairs = {f"{name}.{kind}" for name in expected for kind in ("csv", "tex")}
    long = ("table_robustness_conditions", "table_pairs", "table_classes", "table_confusion")
    assert names == pairs | {f"{name}.csv" for name in long} | {"done.json", "decided_by.json"}
    assert "Accuracy" not in (results / "tables/table_endovis2017_parts.tex").read_text()
    page = (results / "report/index.html").read_text()
    assert "Accuracy" not in page and page.count("data:image/jpeg") > 19 * 2 and len(page) < 15_000_000
    scores = pd.read_csv(results / "tables/table_endovis2017_parts.csv").set_index("backbone_label")["miou_foreground"]
    assert scores["ResNet-26 (narrow)"] > 15 and scores["EndoARSS-tiny"] > 15 and scores["reference"] == 0
    manifest = pd.read_csv(checkout / "data/datasets/endovis2017_parts/manifest.csv")
    assert len(manifest) == 5 and (manifest["split"] == "test").sum() == 1
    assert set(manifest["width"]) == {1280} and set(manifest["height"]) == {1024}


@pytest.mark.long
def test_a_validation_variant_is_a_cell_of_its_own(done: Path, snakemake: Run) -> None:
    settings = yaml.safe_load((done / "mini.yaml").read_text())
    settings |= {"study": "validated", "datasets": {"mtlendovis": {}}, "robustness": {"cells": [{}], "severities": [1]}}
    settings["robustness"]["corruptions"] = ["contrast"]
    settings["training"] |= {"select_on": "val", "schedules": {"mtlendovis": {"epochs": 3, "learning_rate": 0.001}}}
    settings["cells"] = [{**settings["cells"][2], "datasets": ["mtlendovis"]}]
    (done / "validated.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    run = snakemake(done, study="validated.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    folder = done / "results/validated/cells/mtlendovis/resnet/mmoe/stch/r4-s0-val"
    history = pd.read_csv(folder / "history.csv")
    assert len(history) == 3 and history["validation"].between(0, 1).all()
    rows = pd.read_parquet(done / "results/validated/results.parquet")
    assert set(rows[rows["backbone"] != "reference"]["select_on"]) == {"val"}
    caption = (done / "results/validated/tables/table3_mtlendovis.tex").read_text()
    assert "epoch chosen on a validation split" in caption


@pytest.mark.long
def test_what_a_raw_tree_gains_is_seen_and_what_it_lacks_is_marked(done: Path, snakemake: Run, tmp_path: Path) -> None:
    """A partial download, completed later: tables of the first run say so, and the second builds the dataset again."""
    settings = yaml.safe_load((done / "mini.yaml").read_text())
    raw = Path(shutil.copytree(done / "data/raw/mini/esd", tmp_path / "esd"))
    kept = tmp_path / "kept"
    shutil.move(raw / "train/2", kept)
    schedule = {"mtlesd": {"epochs": 2, "learning_rate": 0.001}}
    settings |= {
        "study": "gained",
        "raw": {"esd": str(raw)},
        "datasets": {"mtlesd": {}},
        "training": {"schedules": schedule},
    }
    settings["cells"] = [{**settings["cells"][1], "backbones": ["resnet"]}]
    settings["backbones"] = {"resnet": settings["backbones"]["resnet"]}
    for key in ("robustness", "pretraining"):
        del settings[key]
    (done / "gained.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    tables = done / "results/gained/tables"
    for expected in (16, 20):
        run = snakemake(done, study="gained.yaml")
        assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
        assert f"PARTIAL DATA (MTLESD {expected} of 2,020 frames)" in (tables / "table1_datasets.tex").read_text()
        assert pd.read_csv(tables / "table2_mtlesd.csv")["partial"].all()
        assert "PARTIAL DATA" in (done / "results/gained/report/index.html").read_text()
        if kept.exists():
            shutil.move(kept, raw / "train/2")
    plan = snakemake(done, "-n", study="gained.yaml")
    assert "Nothing to be done" in plan.stdout + plan.stderr
