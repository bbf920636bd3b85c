"""Profiles name rules and options by hand: what they say is held against the rules. Nothing is submitted here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = {
    name: text
    for path in sorted((ROOT / "pipeline/rules").glob("*.smk"))
    for name, text in re.findall(r"(?ms)^ *rule (\w+):\n(.*?)(?=^ *rule |\Z)", path.read_text())
}


@pytest.fixture(scope="module")
def slurm() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())


def test_slurm_repeats_what_the_default_profile_says(slurm: dict[str, Any]) -> None:
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert default.items() <= slurm.items()


def test_every_rule_with_a_gpu_asks_slurm_for_one_and_stands_in_no_group(slurm: dict[str, Any]) -> None:
    with_gpu = {name for name, text in RULES.items() if "gpu=GPU" in text}
    assert len(with_gpu) == 5 and set(slurm["set-resources"]) == with_gpu
    assert all(asked == {"gres": "gpu:1", "gpu": 0} for asked in slurm["set-resources"].values())
    assert not with_gpu & set(slurm["groups"]) and set(slurm["groups"]) < set(RULES)


def test_every_rule_that_takes_all_cores_of_a_machine_names_its_cpus_on_slurm(slurm: dict[str, Any]) -> None:
    assert set(slurm["set-threads"]) == {name for name, text in RULES.items() if "workflow.cores" in text}


def test_every_rule_says_its_memory_and_time() -> None:
    assert RULES and all("**needs(" in text for text in RULES.values())
