"""dvc.yaml as it is written: from Snakemake's plan, whole, the same every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.study.cells import trainings_of
from pipeline.study.loading import load_study
from pipeline.workflow import use_study
from pipeline.workflow.dvc_stages import CHECK, stages_text
from pipeline.workflow.snakemake_jobs import planned_jobs

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["params.yaml", "studies/paper.yaml"])
def test_stages_are_the_plan_and_the_same_every_time(
    name: str, link_checkout: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(link_checkout(tmp_path))
    study, given, jobs = load_study(Path(name)), yaml.safe_load(Path(name).read_text()), planned_jobs(Path(name))
    text = stages_text(study, given, jobs)
    assert text == stages_text(study, given, planned_jobs(Path(name)))
    stages = yaml.safe_load(text)["stages"]
    trained = [stage for stage in stages if stage.startswith("train_cell-")]
    assert sorted(trained) == sorted(f"train_cell-{cell.id.replace('/', '-')}" for cell in trainings_of(study))
    called = [stage for key, stage in stages.items() if not key.startswith((CHECK, "code-"))]
    assert len(called) == len(jobs) and all(
        f" --allowed-rules {job.rule} -- " in stages[job.name]["cmd"] for job in jobs
    )
    written = [
        path for stage in stages.values() for path in (*stage.get("outs", ()), *map(tuple, stage.get("metrics", ())))
    ]
    assert len({str(path) for path in written}) == len(written), "an output of two stages"
    if name == "params.yaml":
        assert (ROOT / "dvc.yaml").read_text() == text, "run: endoarss use params.yaml"
        assert "data/raw/synthetic/esd/generated.json" in stages["build_dataset-mtlesd"]["deps"]
    else:
        # A real raw tree is followed by its digest, and is no output: DVC never copies it.
        assert "data/raw/esd" in stages["build_dataset-mtlesd"]["deps"]
        assert not any(str(path).startswith("data/raw") for path in written)


def test_a_study_that_is_not_valid_changes_nothing(
    link_checkout: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = link_checkout(tmp_path)
    monkeypatch.chdir(checkout)
    (checkout / "params.yaml").unlink()
    (checkout / "params.yaml").write_text("study: before\n")
    (checkout / "mine.yaml").write_text((ROOT / "studies/quick.yaml").read_text().replace("input_size", "size"))
    with pytest.raises(InputError, match=r"mine\.yaml: input_size: missing"):
        use_study.use_study(Path("mine.yaml"))
    assert (checkout / "params.yaml").read_text() == "study: before\n" and not (checkout / "dvc.yaml").exists()
