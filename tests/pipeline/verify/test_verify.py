"""`endoarss verify`: a study that is whole passes, and whatever is changed behind its back is found and named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import timm
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pipeline import cli
from pipeline.cli import main
from pipeline.evaluation.robustness import scores_by_condition
from pipeline.io.files import read_json, write_json
from pipeline.io.hashing import sha256_of
from pipeline.io.images import read_ids, write_png
from pipeline.results.predictions import SavedPredictions, write_predictions
from pipeline.sources.synthetic.released_trees import generate_esd
from pipeline.study.cells import cells_of
from pipeline.study.datasets import labels_of
from pipeline.study.loading import load_study
from pipeline.verify.compare import as_stored, difference

RESNET, VIT = "mtlesd/resnet/hps/equal/r4-s0", "mtlesd/dinov2/hps/equal/r4-s0"
CELLS = Path("results/toy/cells")
WEIGHTS = Path("weights.safetensors")
_TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture
def study(study_file: Path, copied: Callable[[str, Callable[[], None]], None]) -> Path:
    """A study of two cells, one of them on frozen weights, with everything done. It is made once and copied."""
    settings = yaml.safe_load(study_file.read_text())
    settings["backbones"]["dinov2"] = {
        "label": "D",
        "model": "vit_small_patch14_dinov2",
        "arguments": _TINY,
        "weights": {"file": str(WEIGHTS)},
    }
    settings["cells"][0]["backbones"] = ["resnet", "dinov2"]
    settings["robustness"]["cells"] = [{"backbone": "resnet"}]
    study_file.write_text(yaml.safe_dump(settings))
    copied("verified_study", partial(finish, study_file))
    return study_file


def finish(study_file: Path) -> None:
    """Do everything of the study, here."""
    model = timm.create_model("vit_small_patch14_dinov2", img_size=56, num_classes=0, **_TINY)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, WEIGHTS)
    for step in (
        ("step", "build_dataset", "--dataset", "mtlesd", "--workers", "1"),
        ("step", "pack_dataset", "--dataset", "mtlesd"),
        *(("train", "--cell", cell) for cell in (RESNET, VIT)),
        *(("evaluate", "--cell", cell) for cell in (RESNET, VIT)),
        ("robustness", "--cell", RESNET, "--workers", "0"),
        ("step", "score_references", "--dataset", "mtlesd"),
        ("step", "collect_results"),
    ):
        assert run(study_file, *step) == 0, step
    keep_digests(RESNET)
    keep_digests(VIT)


def keep_digests(cell: str) -> None:
    """Let provenance say the digests of what there is, as the steps do."""
    path = CELLS / cell / "provenance.json"
    digests = {one.stem: sha256_of(one) for one in (CELLS / cell / "predictions").glob("*.npz")}
    write_json(path, read_json(path) | {"predictions_sha256": digests})
    path = CELLS / cell / "robustness/provenance.json"
    if path.is_file():
        write_json(path, read_json(path) | {"per_image_sha256": sha256_of(path.with_name("per_image.parquet"))})


def run(study_file: Path, *arguments: str) -> int:
    return main([*arguments, "--study", str(study_file)])


def verify(study_file: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit status, and each check by its name."""
    status = run(study_file, "verify", "--json", "report.json", "--workers", "1", *arguments)
    report = read_json(Path("report.json"))
    assert report["passed"] == (status == 0)
    return status, {check["name"]: check for check in report["checks"]}


def wrong(checks: dict[str, dict[str, Any]]) -> dict[str, list[str]]:
    """What is wrong, in one line each, by the check that found it."""
    return {
        name: [f"{one['where']}: {one['found']}; {one['expected']}. {one['advice']}" for one in check["failures"]]
        for name, check in checks.items()
        if check["failures"]
    }


def test_a_whole_study_passes_and_nothing_of_it_is_touched(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().rglob("*") if path.is_file()}
    capsys.readouterr()
    status, checks = verify(study)
    assert status == 0 and wrong(checks) == {}
    assert {name: check["checked"] for name, check in checks.items()} == {
        "study": 2 + 1,  # trainings, a robustness
        "datasets": 20 * 2 + 4,  # pictures and masks, two arrays a part
        "checkpoints": 2,
        "side files": 2 + 1,  # histories, the masks of a gallery
        "rows": 2 * 3 + 3 + 1,  # rows and two metrics.json a cell, references, the robustness
        "results": len(pd.read_parquet("results/toy/results.parquet")),
        "predictions": 2 + 3,  # predictions, and clean and two corruptions
    }
    assert not any(check["gaps"] or check["warnings"] or check["notes"] for check in checks.values())
    said = capsys.readouterr().out
    assert "datasets: 44 images, masks and arrays checked, 0 wrong\n" in said
    assert "not checked:" not in said, "every model predicted again, and nothing is drawn"
    Path("report.json").unlink()
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in Path().rglob("*") if path.is_file()}
    assert after == before


def test_a_changed_mask_and_a_lost_picture(study: Path) -> None:
    rows = pd.read_csv("data/datasets/mtlesd/manifest.csv")
    mask, image = (Path("data/datasets/mtlesd") / rows[kind][i] for kind, i in (("mask", 0), ("image", 3)))
    pixels = read_ids(mask).copy()
    pixels[0, 0] = (pixels[0, 0] + 1) % 7
    write_png(mask, pixels)
    image.unlink()
    status, checks = verify(study, "--cells", "0")
    (changed, lost) = wrong(checks).pop("datasets")
    assert status == 1 and changed.startswith(f"{mask}: sha256 ") and "the file was changed" in changed
    assert lost.startswith(f"{image}: missing") and "endoarss step build_dataset --dataset mtlesd" in lost


def test_changed_arrays(study: Path) -> None:
    (masks,) = Path("data/datasets/mtlesd/arrays").glob("56/train-*/masks.npy")
    flip(masks)
    status, checks = verify(study, "--cells", "0")
    assert status == 1 and list(wrong(checks)) == ["datasets"]
    assert (
        wrong(checks)["datasets"][0].startswith(f"{masks}: sha256")
        and "endoarss step pack_dataset" in wrong(checks)["datasets"][0]
    )


def test_a_dataset_built_otherwise(study: Path) -> None:
    """With other settings, or from another tree and without a new training: what was made on it is of another build."""
    change(study, lambda settings: settings["datasets"]["mtlesd"].update(split_seed=7))
    assert any("made with split_seed 0" in line for line in wrong(verify(study, "--cells", "0")[1])["datasets"])
    Path("raw").mkdir()
    generate_esd(Path("raw"), frames=20, height=96, width=120, seed=9)
    change(study, lambda settings: settings["raw"].update(esd="raw"))
    assert (
        run(study, "step", "build_dataset", "--dataset", "mtlesd") == 0
        and run(study, "step", "pack_dataset", "--dataset", "mtlesd") == 0
    )
    status, checks = verify(study, "--cells", "0")
    found = wrong(checks)
    assert status == 1 and "datasets" not in found
    assert sum("made on mtlesd with a manifest of sha256" in line for line in found["study"]) == 3


def flip(path: Path) -> None:
    """Change the last byte of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x40
    path.write_bytes(content)


def change(study_file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    settings = yaml.safe_load(study_file.read_text())
    edit(settings)
    study_file.write_text(yaml.safe_dump(settings))


def test_a_flipped_byte_in_a_checkpoint(study: Path) -> None:
    checkpoint = CELLS / VIT / "model.safetensors"
    flip(checkpoint)
    status, checks = verify(study, "--cell", VIT)
    (line,) = wrong(checks)["checkpoints"]
    assert status == 1 and line.startswith(f"{checkpoint}: sha256 ") and "the file was changed" in line
    assert f"{checkpoint}: its SHA-256 is" in wrong(checks)["predictions"][0]


def test_other_frozen_weights(study: Path) -> None:
    flip(WEIGHTS)
    status, checks = verify(study)
    assert (
        status == 1
        and f"{WEIGHTS}: sha256" in wrong(checks)["checkpoints"][0]
        and VIT in wrong(checks)["checkpoints"][0]
    )
    assert "weights.safetensors is a different file (sha256" in wrong(checks)["predictions"][0]


def test_a_changed_row(study: Path) -> None:
    path = CELLS / RESNET / "eval/mtlesd/per_image.parquet"
    rows = pd.read_parquet(path)
    frame = rows["frame_id"][2]
    rows.loc[2, "activity_predicted"] = (rows["activity_predicted"][2] + 1) % 3
    rows.to_parquet(path, index=False)
    status, checks = verify(study, "--cells", "0")
    found = wrong(checks)
    assert status == 1 and set(found) == {"rows", "results"}
    assert f"{path}, activity_predicted of frame_id {frame} (1 of 4 rows differ): " in found["rows"][0]
    assert any(
        "metrics.json, mtlesd macro_f1 (" in line and "per_image.parquet gives" in line for line in found["rows"]
    )
    assert "results.parquet, value of dataset mtlesd, backbone resnet" in found["results"][0]


def test_changed_predictions(study: Path) -> None:
    path = CELLS / RESNET / "predictions/mtlesd.npz"
    spoil(path, 5)
    status, checks = verify(study, "--cell", RESNET)
    found = wrong(checks)
    assert status == 1 and set(found) == {"rows", "predictions"}
    assert found["rows"][0].startswith(f"{path}: sha256 ") and "endoarss evaluate --again" in found["rows"][0]
    assert "which its predictions give" in found["rows"][1] and str(path) in found["predictions"][0]


def test_exchanged_predictions_are_found_without_a_model(study: Path) -> None:
    """Scored again and collected they hold together, but they are of another cell."""
    first, second = (CELLS / cell / "predictions/mtlesd.npz" for cell in (RESNET, VIT))
    shutil.move(first, "kept.npz")
    shutil.move(second, first)
    shutil.move("kept.npz", second)
    for cell in (RESNET, VIT):
        assert run(study, "evaluate", "--cell", cell) == 1, "they are not as the trainings made them"
        (CELLS / cell / "done.json").unlink()
        assert run(study, "evaluate", "--cell", cell) == 0
    assert run(study, "step", "collect_results") == 1, "they are no results of the trainings"
    status, checks = verify(study, "--cells", "0")
    lines = wrong(checks).pop("rows")
    assert (
        status == 1
        and len(lines) == 2
        and all("the digest in provenance.json: the file was changed" in x for x in lines)
    )
    for cell in (RESNET, VIT):
        path = CELLS / cell / "provenance.json"
        write_json(path, {key: value for key, value in read_json(path).items() if key != "predictions_sha256"})
    assert run(study, "step", "collect_results") == 0
    assert verify(study, "--cells", "0")[0] == 0, "an earlier version wrote no digests"


def test_a_checkpoint_of_another_cell(study: Path) -> None:
    path = CELLS / VIT / "model.safetensors"
    shutil.copy(CELLS / RESNET / "model.safetensors", path)
    about = path.with_name("provenance.json")
    write_json(about, read_json(about) | {"checkpoint_sha256": sha256_of(path)})
    lines = wrong(verify(study, "--cells", "0")[1])["checkpoints"]
    assert lines[0].startswith(f'{path}: its header has cell "{RESNET}"; "{VIT}", as in provenance.json')
    assert any("its header has settings " in line for line in lines)
    path.write_bytes(b"torn")
    assert any("has no checkpoint header" in x for x in wrong(verify(study, "--cells", "0")[1])["checkpoints"])


def spoil(path: Path, pixels: int) -> None:
    """Give some pixels another class."""
    with np.load(path, allow_pickle=False) as stored:
        kept = SavedPredictions(stored["frame_id"].tolist(), stored["activity"], stored["confidence"], stored["masks"])
    assert kept.masks is not None
    kept.masks.reshape(-1)[:pixels] = (kept.masks.reshape(-1)[:pixels] + 1) % 7
    write_predictions(path, kept)


@pytest.mark.parametrize(("pixels", "kind"), [(5, "notes"), (56 * 56, "warnings")])
def test_predictions_of_another_device_may_differ(study: Path, pixels: int, kind: str) -> None:
    spoil(CELLS / RESNET / "predictions/mtlesd.npz", pixels)
    (CELLS / RESNET / "done.json").unlink()
    assert run(study, "evaluate", "--cell", RESNET) == 0
    keep_digests(RESNET)
    assert run(study, "step", "collect_results") == 0
    for path in (CELLS / RESNET / "provenance.json", CELLS / RESNET / "robustness/provenance.json"):
        write_json(path, read_json(path) | {"device": "Some GPU"})
    status, checks = verify(study, "--cell", RESNET)
    assert status == 0, wrong(checks)
    (line,) = checks["predictions"][kind]
    assert "% of pixels, 100.0000% of activities" in line and "device Some GPU, here CPU" in line


def test_changed_rows_under_corruption(study: Path) -> None:
    path = CELLS / RESNET / "robustness/per_image.parquet"
    rows = pd.read_parquet(path)
    rows["predicted_1"] += 1
    rows.to_parquet(path, index=False)
    status, checks = verify(study, "--seed", "3")
    found = wrong(checks)
    assert status == 1 and {"rows", "results", "predictions"} == set(found)
    assert (
        f"{path}, predicted_1 of severity 0" in found["predictions"][0]
        and "the rows of clean, " in found["predictions"][0]
    )


def test_forged_rows_under_corruption_are_found_without_a_model(study: Path) -> None:
    """Scores and results made from them hold together, but nobody measured them."""
    path = CELLS / RESNET / "robustness/per_image.parquet"
    rows = pd.read_parquet(path)
    rows["activity_predicted"] = rows["activity_true"]
    rows.to_parquet(path, index=False)
    loaded = load_study(study)
    scores = scores_by_condition(rows, labels_of(loaded, "mtlesd"))
    metrics = path.with_name("metrics.json")
    write_json(metrics, read_json(metrics) | {"scores": scores})
    assert run(study, "step", "collect_results") == 0
    status, checks = verify(study, "--cells", "0")
    (line,) = wrong(checks).pop("rows")
    assert status == 1 and line.startswith(f"{path}: sha256 ") and "evaluate the robustness again" in line


def test_results_of_another_run(study: Path) -> None:
    path = Path("results/toy/results.parquet")
    table = pd.read_parquet(path)
    table.loc[7, "value"] += 1e-12
    table.to_parquet(path, index=False)
    status, checks = verify(study, "--cells", "0")
    (value, digest) = wrong(checks)["results"]
    assert status == 1 and list(wrong(checks)) == ["results"]
    assert "(1 of " in value and "which the saved rows give" in value
    assert (
        digest.startswith(f"{path}: sha256 ")
        and "the file belongs to another run" in digest
        and "endoarss step collect_results" in digest
    )
    table.iloc[:-3].to_parquet(path, index=False)
    assert f"{len(table) - 3:,} rows" in wrong(verify(study, "--cells", "0")[1])["results"][0]


def test_a_references_row(study: Path) -> None:
    path = Path("results/toy/references/mtlesd/all_background.parquet")
    rows = pd.read_parquet(path)
    rows.loc[0, "truth_1"] += 1
    rows.to_parquet(path, index=False)
    assert str(path) in wrong(verify(study, "--cells", "0")[1])["rows"][0]


def test_another_setting_of_the_study(study: Path) -> None:
    change(study, lambda settings: settings["training"]["schedules"]["mtlesd"].update(learning_rate=0.5))
    status, checks = verify(study, "--cells", "0")
    lines = wrong(checks)["study"]
    assert status == 1 and len(lines) == 2
    assert 'made with schedule {"epochs": 3, "learning_rate": 0.001}' in lines[0] and "as the study has it" in lines[0]
    change(study, lambda settings: settings["training"]["schedules"]["mtlesd"].update(learning_rate=0.001))
    change(study, lambda settings: settings["robustness"].update(seed=9))
    (line,) = wrong(verify(study, "--cells", "0")[1])["study"]
    assert "robustness/provenance.json: made with seed 0; 9, as the study has it" in line


def test_another_label_changes_nothing(study: Path) -> None:
    change(study, lambda settings: settings.update(title="Another"))
    status, checks = verify(study, "--cells", "0")
    assert status == 0 and "the study has changed since results were collected" in checks["study"]["warnings"][0]


def test_what_is_not_there_is_a_gap(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (f"{CELLS / VIT}/predictions", f"{CELLS / RESNET}/robustness", "results/toy/references"):
        shutil.rmtree(name)
    for name in ("results/toy/results.parquet", "data/datasets/mtlesd.provenance.json"):
        Path(name).unlink()
    capsys.readouterr()
    status, checks = verify(study)
    assert status == 0 and all(checks[name]["gaps"] for name in ("study", "datasets", "rows", "results", "predictions"))
    said = capsys.readouterr().out
    assert (
        f"missing: {RESNET}: its robustness is not evaluated yet" in said
        and "results.parquet: not collected yet" in said
    )
    shutil.rmtree("results")
    shutil.rmtree("data")
    status, checks = verify(study)
    assert status == 0 and checks["study"]["checked"] == 0 and f"{RESNET}: not trained yet" in checks["study"]["gaps"]
    last = capsys.readouterr().out.split("not checked:\n")[1]
    assert "  2 of 2 models are missing, so this report shows nothing about them\n" in last
    gaps = sum(len(check["gaps"]) for check in checks.values())
    assert f"  {gaps} files or results are missing (listed above" in last
    assert read_json(Path("report.json"))["not_checked"] == [line.strip() for line in last.splitlines()]


def test_the_end_says_what_is_not_checked(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("tables/table1_datasets.csv", "report/index.html"):
        path = Path("results/toy", name)
        path.parent.mkdir()
        path.touch()
    capsys.readouterr()
    assert verify(study, "--cells", "0")[0] == 0
    assert capsys.readouterr().out.split("not checked:\n")[1].splitlines() == [
        "  2 of 2 models did not predict again (--cells)",
        "  1 of 1 robustness evaluations were not repeated, even in part",
        "  tables (1), the page (1): `endoarss report` makes them again from the saved results",
    ]


def test_changed_rows_of_an_external_model(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("results/toy/predictors/mine/mtlesd")
    shutil.copytree(CELLS / RESNET / "robustness", folder / "robustness")
    capsys.readouterr()
    status, checks = verify(study, "--cells", "0")
    assert status == 0 and checks["rows"]["checked"] == 2 * 3 + 3 + 2
    assert f"\n  {folder}: the predictions of this external model" in capsys.readouterr().out
    path = folder / "robustness/per_image.parquet"
    rows = pd.read_parquet(path)
    rows["activity_predicted"] = rows["activity_true"]
    rows.to_parquet(path, index=False)
    status, checks = verify(study, "--cells", "0")
    found = wrong(checks).pop("rows")
    assert status == 1 and found[0].startswith(f"{path}: sha256 ")
    assert found[1].startswith(f"{path.with_name('metrics.json')}, accuracy")
    path.unlink()
    shutil.copytree(folder, folder.with_name("gone"))
    status, checks = verify(study, "--cells", "0")
    assert status == 0 and checks["rows"]["gaps"] == [
        f"{folder.with_name('gone')}: the study has no dataset 'gone'",
        f"{path}: missing",
    ]


def test_results_without_data_are_verified_as_far_as_can_be(study: Path) -> None:
    for name in ("data", "results/toy/references"):
        shutil.rmtree(name)
    WEIGHTS.unlink()
    status, checks = verify(study, "--cells", "2")
    assert status == 0, wrong(checks)
    assert all(checks[name]["gaps"] for name in checks)
    assert checks["checkpoints"]["checked"] == 2 and checks["rows"]["checked"] == 2 * 2 + 1
    spoil(CELLS / VIT / "predictions/mtlesd.npz", 5)
    metrics = CELLS / RESNET / "eval/mtlesd/metrics.json"
    write_json(metrics, read_json(metrics) | {"protocol": "another"})
    flip(Path("results/toy/results.parquet"))
    found = wrong(verify(study, "--cells", "0")[1])
    assert set(found) == {"rows", "results"} and len(found["rows"]) == 3, found
    assert "manifest.csv: missing" in verify(study, "--cells", "0")[1]["results"]["gaps"][0]


def test_a_torn_file_does_not_hide_the_others(study: Path) -> None:
    (CELLS / RESNET / "provenance.json").write_text("{")
    (CELLS / VIT / "eval/mtlesd/per_image.parquet").write_bytes(b"torn")
    status, checks = verify(study, "--cells", "0")
    found = wrong(checks)
    assert status == 1 and "provenance.json: not JSON" in found["study"][0]
    assert any("per_image.parquet: not a table" in line for line in found["rows"]) and "datasets" not in found


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--cell", "a/b"), 1, "has no cell 'a/b'. Its first cells: mtlesd"),
        (("--cells", "-1"), 2, "--cells: '-1': expected a whole number of at least 0"),
        (("--workers", "-1"), 2, "--workers: '-1': expected a whole number of at least 0"),
    ],
)
def test_what_cannot_be_meant(
    study: Path, arguments: tuple[str, ...], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study, "verify", *arguments) == status
    assert message in capsys.readouterr().err


def test_without_models_torch_is_not_imported(study: Path) -> None:
    program = (
        "import sys; from pipeline.cli import main;"
        f"assert main(['verify', '--study', {str(study)!r}, '--cells', '0', '--workers', '1']) == 0;"
        "assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_sample_is_drawn_by_its_seed(study: Path) -> None:
    from pipeline.verify.predictions import sample

    loaded = load_study(study)
    assert [cell.id for cell in sample(loaded, 1, 5)] == [RESNET], "one whose robustness was evaluated"
    assert sample(loaded, 2, 0) == sample(loaded, 9, 1) == list(cells_of(loaded)) and sample(loaded, 0, 0) == []


def test_tables_are_compared_value_by_value() -> None:
    table = pd.DataFrame({"frame_id": ["a", "b"], "x": [1.0, np.nan], "n": [1, 2], "s": ["u", None]})
    stored = as_stored(table)
    assert difference(stored, as_stored(table.copy()), ["frame_id"]) is None
    other = as_stored(table.assign(x=[1.0, 0.0]))
    found = difference(stored, other, ["frame_id"])
    assert found is not None and (found.where, found.found, found.expected) == ("x of frame_id b", "nan", "0.0")
    for changed in (table.assign(n=[1.0, 2.0]), table[["x", "frame_id", "n", "s"]], table.drop(columns="n"), table[:1]):
        assert difference(stored, as_stored(changed), ["frame_id"]) is not None


def _spoil_mask(path: Path) -> None:
    kept = dict(np.load(path, allow_pickle=False))
    kept["masks"] = kept["masks"].copy()
    kept["masks"][0, 0, 0] = 200
    np.savez_compressed(path, **kept)


def _spoil_confidence(path: Path) -> None:
    kept = dict(np.load(path, allow_pickle=False))
    kept["confidence"] = np.full_like(kept["confidence"], np.nan)
    np.savez_compressed(path, **kept)


def _spoil_gallery(path: Path) -> None:
    kept = dict(np.load(path, allow_pickle=False))
    kept["masks"] = np.full_like(kept["masks"], 99)
    np.savez_compressed(path, **kept)


@pytest.mark.parametrize(
    ("name", "spoil", "kind", "words"),
    [
        ("predictions/mtlesd.npz", _spoil_mask, "rows", "masks of the image .* holds 200; expected 0 to 6"),
        ("predictions/mtlesd.npz", _spoil_confidence, "rows", "confidence of the image .* holds nan"),
        ("robustness/gallery.npz", _spoil_gallery, "side files", "a mask holds 99; expected 0 to 6"),
        (
            "robustness/gallery.npz",
            lambda p: p.write_bytes(b"PK\3\4"),
            "side files",
            "gallery.npz: the saved masks cannot be used",
        ),
        ("history.csv", lambda p: p.write_text("seconds\n2\n"), "side files", "history.csv: has no column epoch"),
        ("history.csv", lambda p: p.write_bytes(b"\xff\xfe\x00"), "side files", "history.csv"),
        ("provenance.json", lambda p: p.write_text("[" * 100_000), "study", "provenance.json: not JSON"),
        ("provenance.json", lambda p: p.write_text('{"seed": "x"}'), "study", "provenance.json: lacks"),
        ("eval/mtlesd/metrics.json", lambda p: p.write_text('{"scores": 7}'), "rows", "metrics.json"),
        ("eval/mtlesd/per_image.parquet", lambda p: p.write_bytes(b"PAR1"), "rows", "per_image.parquet"),
        ("robustness/provenance.json", lambda p: p.write_text("{}"), "study", "robustness"),
    ],
)
def test_verify_survives_and_names_what_it_looks_for(
    study: Path, name: str, spoil: Callable[[Path], object], kind: str, words: str
) -> None:
    """One damaged value ends no other check, and the report names the file."""
    spoil(CELLS / RESNET / name)
    status, checks = verify(study, "--cells", "1")
    found = " | ".join(wrong(checks).get(kind, []))
    assert status == 1 and re.search(words, found), wrong(checks)
    assert set(checks) == {"study", "datasets", "checkpoints", "side files", "rows", "results", "predictions"}
    assert checks["datasets"]["checked"] == 44 and not wrong(checks).get("datasets")


@pytest.mark.parametrize("digest_fits", [False, True])
def test_predicting_again_with_a_damaged_checkpoint_replaces_nothing(
    study: Path, digest_fits: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither one that is another file than its provenance says, nor one whose values are no numbers."""
    folder = CELLS / RESNET
    checkpoint = folder / "model.safetensors"
    tensors = load_file(checkpoint)
    with safe_open(checkpoint, framework="pt") as stored:
        metadata = stored.metadata()
    name = next(name for name, tensor in tensors.items() if name.startswith("heads.") and tensor.ndim > 1)
    tensors[name][:] = float("nan")
    save_file(tensors, checkpoint, metadata=metadata)
    if digest_fits:
        about = read_json(folder / "provenance.json")
        write_json(folder / "provenance.json", about | {"checkpoint_sha256": sha256_of(checkpoint)})
    (folder / "done.json").unlink()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for command in (("evaluate", "--again"), ("robustness", "--workers", "0")):
        assert run(study, *command, "--cell", RESNET) == 1
        said = capsys.readouterr().err
        assert ("values that are not finite" if digest_fits else "model.safetensors: its SHA-256 is") in said
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    after.pop(folder / "robustness_failure.json", None)
    assert after == before
