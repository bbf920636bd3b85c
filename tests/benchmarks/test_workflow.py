"""What the benchmark of the workflow counts, and what it refuses to count."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import workflow
from pipeline.errors import InputError

STUDY = Path(__file__).parents[2] / "studies/quick.yaml"
LOG = "Provided cores: {cores}\n...\n{done} of 3 steps ({share}%) done\nElapsed time: 0:01:{seconds}\n"


def leave(log: str, *seconds: float) -> None:
    Path(".snakemake/log").mkdir(parents=True, exist_ok=True)
    Path(".snakemake/log/2026.snakemake.log").write_text(log)
    for number, taken in enumerate(seconds):
        path = Path(f"results/quick/benchmarks/step/{number}.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{taken}\t0:00:00\n")


def test_the_share_is_of_the_bare_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    leave(LOG.format(cores=1, done=3, share=100, seconds="06.0"), 40, 20)
    found = workflow.overhead(STUDY)
    assert found == {"elapsed_s": 66, "bare_s": 60, "overhead": pytest.approx(0.1), "jobs": 2}
    leave(LOG.format(cores=2, done=3, share=100, seconds="06.0"))
    with pytest.raises(InputError, match="was not complete, or not on one core"):
        workflow.overhead(STUDY)
    leave(LOG.format(cores=1, done=3, share=100, seconds="06.0"), 40, 20, 1)
    with pytest.raises(InputError, match="3 jobs have recorded times, but 2 ran"):
        workflow.overhead(STUDY)


def test_planning_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "_RUNS", 1)
    found = workflow.planning(STUDY)
    assert found["jobs"] > 5 and found["seconds"] > 0.2 and found["peak_mib"] > 20
