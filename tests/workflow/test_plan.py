"""What Snakemake plans: quick checks that run no step."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.results.paths import study_file
from pipeline.study.cells import trainings_of
from pipeline.study.loading import load_study

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(link_checkout: Callable[[Path], Path], tmp_path: Path) -> Path:
    return link_checkout(tmp_path)


def jobs(plan: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, re.MULTILINE)}


def test_the_default_study_is_planned_from_nothing(checkout: Path, snakemake: Run) -> None:
    plan = snakemake(checkout, "-n")
    assert plan.returncode == 0, plan.stderr
    planned = jobs(plan)
    assert (
        planned["train_cell"] == len(trainings_of(load_study(checkout / "params.yaml")))
        and planned["generate_raw"] == 3
        and planned["pretrain_backbone"] == 1
    )


@pytest.mark.slow
def test_a_given_study_is_never_merged_with_the_default(checkout: Path, snakemake: Run) -> None:
    plan = snakemake(checkout, "-n", study="studies/paper.yaml")
    assert plan.returncode == 0, plan.stderr
    planned = jobs(plan)
    assert "generate_raw" not in planned and "pretrain_backbone" not in planned
    assert planned["train_cell"] == 3 * (82 + 6 + 3 + 12)
    assert planned["merge_models"] == planned["evaluate_merged_cells"] == planned["evaluate_merged_robustness"] == 3 * 2
    assert "results/demo" not in plan.stdout and "synthetic" not in plan.stdout


def test_a_mistake_in_the_study_stops_before_anything_runs(checkout: Path, snakemake: Run) -> None:
    text = (ROOT / "studies/demo.yaml").read_text()
    assert "weightings: [stch]" in text
    (checkout / "study.yaml").write_text(text.replace("weightings: [stch]", "weightings: [stsh]"))
    plan = snakemake(checkout, "-n", study="study.yaml")
    assert plan.returncode != 0
    message = "unknown weighting 'stsh'. Did you mean 'stch'? Known: aligned_mtl"
    assert message in plan.stdout + plan.stderr and "Traceback" not in plan.stderr
    assert not (checkout / "results").exists() and not (checkout / "data").exists()


@pytest.mark.slow
def test_a_tree_of_another_study_is_not_replaced(
    checkout: Path, snakemake: Run, small_study: Callable[..., str]
) -> None:
    study = load_study(checkout / "studies/demo.yaml")
    demo = study.raw.generate
    assert demo is not None
    version = checkout / study_file(study)  # the demo ran
    version.parent.mkdir(parents=True)
    version.write_text(json.dumps(study.as_dict()))
    tree = checkout / f"data/raw/{demo.name}/esd"
    tree.mkdir(parents=True)
    (tree / "generated.json").write_text(json.dumps(demo.as_dict()))
    (checkout / "study.yaml").write_text(small_study("small", raw={"generate": {"name": demo.name, "esd_frames": 20}}))
    plan = snakemake(checkout, "-n", study="study.yaml")
    said = plan.stdout + plan.stderr
    assert plan.returncode != 0 and "Traceback" not in said
    assert "raw.generate.esd_frames is 20 in study 'small' and 210 in study 'demo'" in said
    assert jobs(snakemake(checkout, "-n", study="studies/demo_full.yaml"))["train_cell"]  # equal settings


def test_a_missing_environment_variable_is_named(checkout: Path, snakemake: Run) -> None:
    plan = snakemake(checkout, "-n", study="studies/endovis2017_parts.yaml", without="ENDOARSS_SAMPLE_DATA")
    assert plan.returncode != 0
    said = plan.stdout + plan.stderr
    assert "environment variable ENDOARSS_SAMPLE_DATA is not set" in said and "Traceback" not in said
    assert not (checkout / "results").exists()


def test_every_rule_has_log_and_benchmark() -> None:
    for path in sorted((ROOT / "pipeline/rules").glob("*.smk")):
        for rule in re.split(r"(?m)^ *rule ", path.read_text())[1:]:
            for directive in ("log:", "benchmark:", "shell:"):
                assert directive in rule, (path.name, rule.split(":")[0], directive)
