"""Every block of code in the tutorials and in the README runs as it stands; where one is replaced, a comment says why."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from corruptions import CORRUPTIONS
from endoarss.metrics import evaluate_classification
from pipeline.study.cells import trainings_of
from pipeline.study.loading import load_study
from tests.docs.blocks import ROOT, blocks_of, link_checkout, run_page

TUTORIALS = ROOT / "docs/tutorials"
RUN_HERE = {"my-model", "my-frames", "new-weighting", "model-in-tables", "pandas", "merging", "predict"}
# The study that `new` writes trains for minutes, so that a model learns: here two epochs and two corruptions show that the path works.
FEWER_EPOCHS = {
    "snakemake --cores 2": "sed -i -E 's/epochs: [0-9]+/epochs: 2/; s/every: [0-9]+/every: 1/; "
    "s/severities: .*]/severities: [5], corruptions: [smoke, contrast]/' studies/my_frames.yaml && snakemake --cores 2"
}

# The study of weightings trains three seeds, so that its intervals contain the variation between trainings: here one, for fewer epochs.
FEWER_TRAININGS = {"seeds: [0, 1, 2]": "seeds: [0]", "epochs: 20": "epochs: 4", "esd_frames: 100": "esd_frames: 60"}


def test_every_tutorial_is_run_here() -> None:
    assert {page.stem for page in TUTORIALS.glob("*.md") if blocks_of(page)} == RUN_HERE


@pytest.mark.slow
def test_my_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = run_page(TUTORIALS / "my-model.md", tmp_path)
    table, summary, rows = names["table"], names["summary"], names["rows"]
    assert list(table.index) == sorted(CORRUPTIONS) and table.shape[1] == 5
    assert summary["value"]["mPC"] < summary["value"]["clean"] > 0.8, (
        "the model has learnt, and corruption costs accuracy"
    )
    assert summary["low"]["mPC"] < summary["value"]["mPC"] < summary["high"]["mPC"]
    smoke = rows[(rows["corruption"] == "smoke") & (rows["severity"] == 5)]
    expected = evaluate_classification(smoke["activity_true"], smoke["activity_predicted"], classes=2).accuracy
    assert table.loc["smoke", 5] == pytest.approx(expected) and summary["value"]["mPC"] == pytest.approx(
        table.mean(axis=None)
    )
    printed = capsys.readouterr().out
    assert "1536 predictions: 16 images" in printed and "19 of 19: " in printed
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "my_report/tables/table7_robustness.csv").is_file()
    assert "SYNTHETIC DATA" in (tmp_path / "my_report/report/index.html").read_text()
    assert "mIoU" in (tmp_path / "my_mask_report/report/index.html").read_text() and len(names["miou"]) == 1 + 19 * 5


@pytest.mark.slow
def test_my_frames(tmp_path: Path) -> None:
    names = run_page(TUTORIALS / "my-frames.md", link_checkout(tmp_path), FEWER_EPOCHS)
    assert {"accuracy", "miou"} <= set(names["clean"]["metric"])
    assert (tmp_path / "results/my_frames/report/index.html").is_file()


@pytest.fixture(scope="module")
def with_weightings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which the tutorial of weightings was followed, which others go on from."""
    folder = link_checkout(tmp_path_factory.mktemp("weightings"))
    names = run_page(TUTORIALS / "new-weighting.md", folder, FEWER_TRAININGS)
    assert {"equal", "loss_share", "unit_gradients"} <= set(names["table"]["weighting"])
    assert len(names["pairs"]) == 6 and (names["pairs"]["low"] <= names["pairs"]["high"]).all()
    return folder


def test_the_study_of_weightings_has_three_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks_of(TUTORIALS / "new-weighting.md"):
        if block.title:
            path = tmp_path / block.title
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.text)
    assert len(trainings_of(load_study(path))) == 9


@pytest.mark.slow
def test_a_new_weighting_and_what_its_results_hold(with_weightings: Path) -> None:
    names = run_page(TUTORIALS / "pandas.md", with_weightings)
    results, curve = names["results"], names["curve"]
    assert set(results["weighting"]) >= {"equal", "loss_share", "unit_gradients"}
    assert list(curve.index) == [1, 5] and set(curve.columns) == {"smoke", "gaussian_noise"}
    assert 0 <= names["mpc"]["loss_share"] <= 1 and names["rows"]["iou_1"].between(0, 1).any()


@pytest.mark.slow
def test_predicting_with_a_trained_model(with_weightings: Path) -> None:
    names = run_page(TUTORIALS / "predict.md", with_weightings)
    assert list(names["activities"]) == [0, 10, 20] and set(names["activities"].values()) <= set(
        names["predictor"].activities
    )
    results = pd.read_parquet(with_weightings / "results/weightings/results.parquet")
    rows = results[(results["weighting"] == "equal") & (results["metric"] == "accuracy")]
    (of_study,) = rows.loc[(rows["corruption"] == "") & (rows["class"] == ""), "value"]
    scores = names["scores"]
    (own,) = scores.loc[(scores["metric"] == "accuracy") & (scores["class"] == ""), "value"]
    assert own == of_study


@pytest.mark.slow
def test_a_model_in_the_tables_of_a_study(with_weightings: Path) -> None:
    conditions = run_page(TUTORIALS / "model-in-tables.md", with_weightings)["conditions"]
    assert conditions.astype(str).apply(lambda row: row.str.contains("My model")).any(axis=None)


@pytest.mark.slow
def test_the_commands_of_the_readme(with_weightings: Path) -> None:
    first, robustness = [block.text for block in blocks_of(ROOT / "README.md") if block.language == "bash"]
    # tests/workflow/test_demo.py runs the demo; this is a test already.
    assert re.findall(r"(?m)^make (\w+)", first) == ["demo", "test"]
    # The tests run in the environment already, and without the demo: the study of the tutorial takes its place.
    setup, command = robustness.strip().splitlines()
    assert setup == "make setup && source .venv/bin/activate"
    page = with_weightings / "readme.md"
    page.write_text(f"```bash\n{command} --study studies/weightings.yaml\n```\n")
    (with_weightings / "my_model.py").write_text(
        next(block.text for block in blocks_of(TUTORIALS / "model-in-tables.md") if block.title == "my_model.py")
    )
    run_page(page, with_weightings)


@pytest.mark.slow
def test_merging(tmp_path: Path) -> None:
    names = run_page(TUTORIALS / "merging.md", link_checkout(tmp_path))
    assert isinstance(names["table"], pd.DataFrame) and (tmp_path / "merged/model.safetensors").is_file()


def test_a_block_that_fails_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```bash\nfalse\n```\n")
    with pytest.raises(AssertionError, match="false"):
        run_page(page, tmp_path)
    page.write_text("```python\nassert 1 == 2\n```\n")
    with pytest.raises(AssertionError):
        run_page(page, tmp_path)
    page.write_text("Nothing to run.\n")
    with pytest.raises(AssertionError, match="no longer holds"):
        run_page(page, tmp_path, {"snakemake": "true"})
