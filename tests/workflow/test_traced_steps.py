"""The code that a step is said to depend on is compared with what it imports and opens when it really runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.io.import_closure import PLUMBING
from pipeline.study.cells import find_cell, merging_groups
from pipeline.study.loading import load_study
from pipeline.study.models import Study
from pipeline.study.robust_models import robust_models
from pipeline.workflow.step_code import (
    code_of,
    code_of_cells,
    code_of_dataset,
    code_of_pretraining,
    code_of_robustness,
    code_of_study,
)

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}
OF_STUDY = {
    *("collect_results", "draw_datasets", "draw_leakage", "make_tables", "draw_figures", "make_page", "write_paper"),
}


def settings_of(text: str) -> dict[str, Any]:
    block = {"datasets": ["mtlesd"], "backbones": ["dinov2"], "weightings": ["equal"]}
    weights = {"file": "data/weights/traced.safetensors"}
    return {
        **yaml.safe_load(text),
        "pretraining": {"name": "traced", "backbone": "dinov2", "scenes": 16, "epochs": 1},
        "backbones": {
            "dinov2": {"label": "V", "model": "vit_small_patch14_dinov2", "arguments": VIT, "weights": weights}
        },
        "cells": [
            {**block, "architectures": ["tesla"], "weightings": ["db_mtl"]},
            {**block, "architectures": ["hps", "single_activity", "single_segmentation"], "select_on": "val"},
        ],
        "merging": {"mergers": ["ties"], "surgery": {"iterations": 2, "rank": 2, "ablation": []}},
        "robustness": {
            **{"cells": [{"weighting": "db_mtl"}], "corruptions": ["contrast", "elastic_transform"]},
            **{"severities": [1], "keep_corrupted": True},
        },
    }


class Trace:
    """What was recorded, and what the closure says of each step."""

    def __init__(self, record: dict[str, Any], study: Study) -> None:
        self.record, self.study = record, study
        self.there = set(record["there"])
        self.imports: dict[str, list[tuple[str, list[str]]]] = {}
        for importer, module, names in record["edges"]:
            self.imports.setdefault(importer, []).append((module, names))

    def code(self, label: str) -> set[str]:
        """The files of a step's code, below the project's root; in another working folder the rules have whole paths."""
        files = {Path(file) for file in self.files(label)}
        return {str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file) for file in files}

    def files(self, label: str) -> tuple[str, ...]:
        rule, _, cell = label.partition(" ")
        module = self.record["modules"][label]
        if rule in OF_STUDY:
            return code_of_study(module)
        if rule == "pretrain_backbone":
            return code_of_pretraining()
        if rule == "build_dataset":
            return code_of_dataset(module, self.study, "mtlesd")
        (group,) = merging_groups(self.study)
        if rule == "merge_models":
            return code_of_cells(module, self.study, *group.singles, *group.merged)
        if rule in ("corrupt_images", "evaluate_robustness"):
            return code_of_robustness(module, self.study, *(robust_models(self.study) if "evaluate" in rule else ()))
        return code_of_cells(module, self.study, find_cell(self.study, cell)) if cell else code_of(module)

    def passed_by(self, label: str) -> set[str]:
        """The modules that the step says it does not depend on, each by its name."""
        found = set(PLUMBING)
        if label.split()[0] not in OF_STUDY:
            found |= {"pipeline.study"}
        if label == "build_dataset":
            found |= {"pipeline.preparation.generate_raw"}
        if label.startswith("train_cell") and not label.endswith("-val"):
            found |= {"pipeline.training.validation_score"}
        if label.startswith("train_cell"):
            found |= {"pipeline.training.corrupt_training"}
        return found

    def reached(self, label: str) -> set[str]:
        """The modules that the step's module took something from, directly or through others, in the run."""
        passed = self.passed_by(label)
        first = self.record["modules"][label]
        seen, waiting = {first}, [first]
        while waiting:
            for module, names in self.imports.get(waiting.pop(), ()):
                for target in self.taken(module, names):
                    if target not in seen and not any(f"{target}.".startswith(f"{one}.") for one in passed):
                        seen.add(target)
                        waiting.append(target)
        return seen

    def taken(self, module: str, names: list[str]) -> Iterator[str]:
        if not names:
            yield module
        for name in names:
            inner = f"{module}.{name}"
            handed_on = [source for source, given in self.imports.get(module, ()) if name in given]
            is_package = any(one.startswith(f"{module}.") for one in self.there)
            if inner in self.there:
                yield inner
            elif is_package and handed_on:
                yield from self.taken(handed_on[0], [name])
            else:
                yield module


@pytest.fixture(scope="module")
def trace(small_study: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trace]:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "study.yaml").write_text(yaml.safe_dump(settings_of(small_study("traced"))))
    command = [sys.executable, str(Path(__file__).with_name("trace_steps.py")), "study.yaml", "record.json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-6000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield Trace(json.loads((folder / "record.json").read_text()), load_study(Path("study.yaml")))


def modules_of(files: tuple[str, ...]) -> set[str]:
    return {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in files if path.endswith(".py")
    }


def test_every_module_that_a_step_took_something_from_is_in_its_code(trace: Trace) -> None:
    for label in trace.record["modules"]:
        reached = trace.reached(label)
        assert len(reached) > 5 and not reached - modules_of(trace.code(label)), label


def test_every_component_that_a_step_loaded_by_name_is_in_its_code(trace: Trace) -> None:
    loaded = {label: set(names) for label, names in trace.record["loaded"].items() if label}
    every = set().union(*loaded.values())
    assert {"endoarss.backbones.dinov2", "endoarss.weightings.db_mtl", "endoarss.merging.ties"} <= every
    assert {
        "endoarss.architectures.merged",
        "pipeline.datasets.released",
        "corruptions.operators.smoke",
    } <= every | trace.there
    for label, names in loaded.items():
        assert not names - modules_of(trace.code(label)), label


def test_every_file_of_the_project_that_a_step_opened_is_in_its_code(trace: Trace) -> None:
    opened = {
        label: {path for path in paths if not path.endswith(".py")} for label, paths in trace.record["opened"].items()
    }
    assert (
        "reports/page/page.html.jinja" in opened["make_page"]
        and "reports/paper/paper.tex.jinja" in opened["write_paper"]
    )
    for label, paths in opened.items():
        if label:  # before the first step the study is read
            assert not paths - set(trace.code(label)), label
