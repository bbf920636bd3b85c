"""What Snakemake plans: quick checks that run no step."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def snakemake(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in `folder`, which has links to what the workflow needs."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a fresh checkout: the code by link, nothing built."""
    kept = (
        "corruptions",
        "endoarss",
        "reports",
        "pipeline",
        "profiles",
        "studies",
        "Snakefile",
        "params.yaml",
        "environment.yml",
    )
    for name in kept:
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def jobs(plan: subprocess.CompletedProcess[str]) -> dict[str, int]:
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", plan.stdout + plan.stderr, re.MULTILINE)}


def test_the_default_study_is_planned_from_nothing(checkout: Path) -> None:
    plan = snakemake("-n", "--cores", "2", folder=checkout)
    assert plan.returncode == 0, plan.stderr
    planned = jobs(plan)
    assert planned["train"] == 16 and planned["generate_raw"] == 3 and planned["pretrain_backbone"] == 1


def test_a_given_study_is_never_merged_with_the_default(checkout: Path) -> None:
    plan = snakemake("-n", "--cores", "2", "--configfile", "studies/paper.yaml", folder=checkout)
    assert plan.returncode == 0, plan.stderr
    planned = jobs(plan)
    assert "generate_raw" not in planned and "pretrain_backbone" not in planned
    assert planned["train"] == 3 * (2 * 3 * 3 * 3 + 2 * 2)
    assert "results/demo" not in plan.stdout and "synthetic" not in plan.stdout


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("weightings: [stch]", "weightings: [stsh]", "unknown weighting 'stsh'; known: db_mtl, equal, stch"),
        (
            "severities: [1, 2, 3, 4, 5]",
            "severities: [6]",
            "robustness.severities: unknown name 6; known: 1, 2, 3, 4, 5",
        ),
        ("input_size: 84", "input_size: many", "input_size: 'many' is not allowed"),
        ("seeds: [0]", "sead: [0]", "'sead' was unexpected"),
    ],
)
def test_a_mistake_in_the_study_stops_before_anything_runs(checkout: Path, old: str, new: str, message: str) -> None:
    text = (ROOT / "studies/demo.yaml").read_text()
    assert old in text
    (checkout / "study.yaml").write_text(text.replace(old, new))
    plan = snakemake("-n", "--cores", "1", "--configfile", "study.yaml", folder=checkout)
    assert plan.returncode != 0
    assert message in plan.stdout + plan.stderr and "Traceback" not in plan.stderr
    assert not (checkout / "results").exists() and not (checkout / "data").exists()


def test_a_missing_environment_variable_is_named(checkout: Path) -> None:
    arguments = ("-n", "--cores", "1", "--configfile", "studies/endovis2017_parts.yaml")
    environment = {name: value for name, value in os.environ.items() if name != "ENDOARSS_SAMPLE_DATA"}
    plan = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert plan.returncode != 0
    said = plan.stdout + plan.stderr
    assert "environment variable ENDOARSS_SAMPLE_DATA, which is not set" in said and "Traceback" not in said
    assert not (checkout / "results").exists()


def test_every_rule_has_log_benchmark_and_environment() -> None:
    for path in sorted((ROOT / "pipeline/rules").glob("*.smk")):
        for rule in re.split(r"(?m)^ *rule ", path.read_text())[1:]:
            for directive in ("log:", "benchmark:", "conda:", "shell:"):
                assert directive in rule, (path.name, rule.split(":")[0], directive)
