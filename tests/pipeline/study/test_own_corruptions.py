"""Corruptions of a user's own in a study, and which corruptions decide which result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corruptions import STANDARD_CORRUPTIONS
from corruptions.catalogue import STANDARD_CATEGORIES
from pipeline.errors import InputError
from pipeline.study.cells import cells_of
from pipeline.study.conditions import Conditions, conditions_of, training_corruptions
from pipeline.study.loading import make_study
from pipeline.workflow.step_code import TRAINING, code_of_cells, code_of_robustness

Make = Callable[..., dict[str, Any]]
ROOT = Path(__file__).parents[3]
ROBUSTNESS = "pipeline.evaluation.evaluate_robustness"
PLAN = """
import json, sys
from pathlib import Path
from pipeline.study.loading import make_study
from pipeline.study.conditions import conditions_of
from pipeline.study.cells import cells_of
from pipeline.workflow.step_code import code_of_robustness
from corruptions import known_categories, moves_pixels
study = make_study(json.loads(Path("study.json").read_text()))
assert conditions_of(study).corruptions[-2:] == ("saturate", "my_haze"), conditions_of(study)
assert known_categories()["occlusion"][-1] == "my_haze" and not moves_pixels("my_haze")
code = code_of_robustness("pipeline.evaluation.evaluate_robustness", study, cells_of(study)[0])
assert any(file.endswith("my_haze.py") for file in code), code
assert not {"torch", "my_haze", "stray"} & set(sys.modules), "planning imports none of them"
import importlib.util
assert importlib.util.find_spec("stray") is None, "only what the study names is looked for in the working directory"
from pipeline.evaluation.corrupted_batches import _corrupt, _Item
from pipeline.study.components import own_corruptions
import numpy as np
from corruptions import corrupt
image = np.full((40, 40, 3), 90, np.uint8)
assert (corrupt(image, "my_haze", 2) == 45).all() and "my_haze" in sys.modules
"""


def test_a_study_finds_one_in_the_working_directory_and_planning_imports_neither_it_nor_torch(
    minimal: Make, tmp_path: Path
) -> None:
    (tmp_path / "stray.py").touch()
    (tmp_path / "my_haze.py").write_text(
        "from corruptions import register_corruption\n\n\n"
        '@register_corruption("my_haze", "occlusion")\ndef my_haze(image, severity, prepared):\n    return image // severity\n'
    )
    given = minimal(components=["my_haze"], robustness={"cells": [{}], "corruptions": ["standard", "my_haze"]})
    (tmp_path / "study.json").write_text(json.dumps(given))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", PLAN], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def with_corruptions(minimal: Make, corruptions: Any, **more: Any) -> Any:
    return make_study(minimal(robustness={"cells": [{}], "corruptions": corruptions, **more}))


def test_lists_are_resolved(minimal: Make) -> None:
    assert conditions_of(with_corruptions(minimal, "standard")).corruptions == STANDARD_CORRUPTIONS
    assert conditions_of(with_corruptions(minimal, ["noise", "smoke"])).corruptions == (
        *STANDARD_CATEGORIES["noise"],
        "smoke",
    )
    published = conditions_of(with_corruptions(minimal, "standard", profile="authors_code")).corruptions
    assert set(STANDARD_CORRUPTIONS) - set(published) == {"smoke", "bleeding"}
    with pytest.raises(InputError, match="robustness.corruptions: unknown name 'smoke'"):
        with_corruptions(minimal, ["smoke"], profile="authors_code")


def test_a_result_depends_on_the_corruptions_that_it_used(minimal: Make) -> None:
    study = with_corruptions(minimal, ["smoke"])
    code = code_of_robustness(ROBUSTNESS, study, cells_of(study)[0])
    assert "corruptions/operators/smoke.py" in code and "corruptions/operators/spatter.py" not in code
    assert not [file for file in code_of_cells(TRAINING, study, cells_of(study)[0]) if "corruptions/operators" in file]


def test_the_standard_field_of_view_is_no_part_of_what_decides(minimal: Make) -> None:
    """Results from before there was a choice stay current."""
    assert "field_of_view" not in Conditions(("smoke",), (1,)).as_dict()
    kept = conditions_of(with_corruptions(minimal, "standard", field_of_view="keep"))
    assert kept.as_dict()["field_of_view"] == "keep"


def test_training_on_corruptions(minimal: Make) -> None:
    given = minimal()
    assert training_corruptions(make_study(given)) is None
    given["training"]["augmentation"] = {"corruptions": ["blur"], "severities": [1, 3], "flip_vertical": 0.5}
    study = make_study(given)
    asked = training_corruptions(study)
    assert asked is not None and asked.names == STANDARD_CATEGORIES["blur"]
    assert (asked.severities, asked.probability) == ((1, 3), 0.5)
    code = code_of_cells(TRAINING, study, cells_of(study)[0])
    assert "corruptions/operators/zoom_blur.py" in code and "corruptions/operators/smoke.py" not in code
    assert "pipeline/training/corrupt_training.py" in code
    given["training"]["augmentation"] = {"severities": [1]}
    with pytest.raises(InputError, match="training.augmentation.severities: has no effect without corruptions"):
        make_study(given)
