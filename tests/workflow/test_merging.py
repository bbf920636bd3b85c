"""Merging through Snakemake: two seeds, two mergers, from nothing; and what runs again when something changes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

Run = Callable[..., subprocess.CompletedProcess[str]]
STUDY = """
study: merged
title: Merged
seeds: [0, 1]
raw:
  generate: {name: merged, seed: 5, height: 64, width: 80, esd_frames: 20}
datasets:
  mtlesd: {}
input_size: 56
pretraining: {name: merged, backbone: dinov2, scenes: 32, epochs: 1}
backbones:
  dinov2:
    label: D
    model: vit_small_patch14_dinov2
    arguments: {embed_dim: 24, depth: 2, num_heads: 2}
    weights: {file: data/weights/merged.safetensors}
heads: {segmentation_channels: 16, activity_channels: 16}
training:
  select_on: val
  schedules:
    mtlesd: {epochs: 2, learning_rate: 0.01}
cells:
  - {datasets: [mtlesd], backbones: [dinov2], architectures: [single_activity, single_segmentation, hps], weightings: [equal]}
mergers:
  adamerging_layer: {iterations: 3}
merging:
  mergers: [ties, adamerging_layer]
  surgery: {rank: 4, ablation: [2], iterations: 20}
robustness: {cells: [{architecture: hps}], corruptions: [contrast], severities: [3]}
"""


@pytest.fixture(scope="module")
def done(link_checkout: Callable[[Path], Path], snakemake: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, run from nothing."""
    folder = link_checkout(tmp_path_factory.mktemp("merged"))
    (folder / "study.yaml").write_text(STUDY)
    run = snakemake(folder, study="study.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    return folder


def planned(folder: Path, snakemake: Run, **changes: object) -> dict[str, int]:
    """How many jobs of each rule would run with some settings replaced."""
    settings = {**yaml.safe_load(STUDY), **changes}
    (folder / "changed.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    plan = snakemake(folder, "-n", study="changed.yaml")
    assert plan.returncode == 0, plan.stdout + plan.stderr
    lines = [line.split() for line in plan.stdout.split("Job stats:")[-1].splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit()}


@pytest.mark.long
def test_two_seeds_are_merged_scored_and_shown_together(done: Path, snakemake: Run) -> None:
    plan = snakemake(done, "-n", study="study.yaml")
    assert "Nothing to be done" in plan.stdout + plan.stderr and "Error" not in plan.stdout + plan.stderr
    table = pd.read_csv(done / "results/merged/tables/merging.csv")
    assert len(table) == 2 + 2 * 2 and table["miou_std"].notna().all()
    assert table[["mpc_accuracy", "mpc_miou"]].notna().all(axis=None)
    results = pd.read_parquet(done / "results/merged/results.parquet")
    merged = results[results["merger"] != ""]
    assert set(merged["seed"]) == {0, 1} and set(merged["surgery"]) == {0, 2, 4}
    assert len(list(done.glob("results/merged/merging/mtlesd/dinov2/r4-s*-val/representations.npz"))) == 2
    # Whatever was trained with the study's own way to choose stands in the other tables too, merged models do not.
    own = pd.read_csv(done / "results/merged/tables/table2_mtlesd.csv")
    assert set(own["architecture"]) >= {"hps", "single_activity", "single_segmentation"}
    assert "merged" not in set(own["architecture"])


@pytest.mark.long
def test_what_changed_of_merging_is_what_runs_again(done: Path, snakemake: Run) -> None:
    merging = yaml.safe_load(STUDY)["merging"]
    again = {"merge_models": 2, "evaluate_merged_cells": 2, "evaluate_merged_robustness": 2}

    def of_models(jobs: dict[str, int]) -> dict[str, int]:
        return {
            rule: jobs[rule] for rule in ("train_cell", "evaluate_cell", "evaluate_robustness", *again) if rule in jobs
        }

    assert (
        of_models(planned(done, snakemake, mergers={"ties": {"keep": 0.5}, "adamerging_layer": {"iterations": 3}}))
        == again
    )
    longer = {**merging, "surgery": {**merging["surgery"], "iterations": 21}}
    assert of_models(planned(done, snakemake, merging=longer)) == again
    assert of_models(planned(done, snakemake, merging={**merging, "unlabelled": "test"})) == again
    turned = {**merging, "surgery": {"rank": 2, "ablation": [4], "iterations": 20}}
    assert of_models(planned(done, snakemake, merging=turned)) == {"evaluate_merged_robustness": 2}, "the same models"
    assert of_models(planned(done, snakemake, title="Another")) == {}
    fewer = planned(done, snakemake, merging={**merging, "robustness": False})
    assert of_models(fewer) == {} and fewer["make_tables"] == 1
