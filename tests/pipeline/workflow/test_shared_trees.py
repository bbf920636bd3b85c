"""Generated raw trees that several studies share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import InputError
from pipeline.results.paths import generated_done_file, study_file
from pipeline.study.loading import make_study
from pipeline.study.models import Study
from pipeline.workflow.shared_trees import check_generated_trees

TREE = Path("data/raw/toy/esd")


@pytest.fixture
def study(
    minimal: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Study]:
    """Return a function that makes a study: (name, frames, written to studies/ or not)."""
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()

    def make(name: str, frames: int, written: bool = False) -> Study:
        settings = minimal(study=name, raw={"generate": {"name": "toy", "esd_frames": frames}})
        if written:
            Path(f"studies/{name}.yaml").write_text(yaml.safe_dump(settings))
        return make_study(settings)

    return make


def generated(study: Study) -> None:
    """Write the completion file of the tree of a study."""
    assert study.raw.generate is not None
    TREE.mkdir(parents=True, exist_ok=True)
    generated_done_file(TREE).write_text(json.dumps({"tree": "esd", "synthetic": True, **study.raw.generate.as_dict()}))


def ran(study: Study) -> None:
    """Write the version of a study that a run writes."""
    study_file(study).parent.mkdir(parents=True, exist_ok=True)
    study_file(study).write_text(json.dumps(study.as_dict()))


def test_a_tree_that_another_study_wants_is_not_replaced(study: Callable[..., Study]) -> None:
    one = study("one", 20, written=True)
    generated(one)
    ran(one)
    with pytest.raises(InputError) as error:
        check_generated_trees(study("two", 30, written=True))
    assert str(error.value).startswith(
        "raw.generate.esd_frames is 30 in study 'two' and 20 in study 'one', but both studies use the raw tree data/raw/toy/esd"
    )
    assert "Give raw.generate.name another value than 'toy'" in str(error.value)


def test_a_study_that_never_ran_protects_nothing(study: Callable[..., Study]) -> None:
    """Changing the demo is possible although the file of demo_full, which shares its trees, is there."""
    generated(study("one", 20, written=True))
    check_generated_trees(study("two", 30, written=True))


def test_the_last_version_that_ran_counts_without_a_file(study: Callable[..., Study]) -> None:
    one = study("one", 20)
    generated(one)
    check_generated_trees(study("two", 30))
    ran(one)
    with pytest.raises(InputError, match=r"delete its file and results/one\.$"):
        check_generated_trees(study("two", 30))


def test_equal_settings_may_share_a_tree(study: Callable[..., Study]) -> None:
    generated(study("one", 20, written=True))
    check_generated_trees(study("two", 20, written=True))


def test_the_only_study_of_a_tree_may_change(study: Callable[..., Study]) -> None:
    one = study("one", 20)
    generated(one)
    ran(one)
    check_generated_trees(study("one", 30, written=True))


def test_both_studies_of_a_tree_may_change_together(study: Callable[..., Study]) -> None:
    one = study("one", 20)
    generated(one)
    ran(one)
    study("one", 30, written=True)
    check_generated_trees(study("two", 30, written=True))


def test_an_unfinished_tree_protects_nothing(study: Callable[..., Study]) -> None:
    ran(study("one", 20, written=True))
    two = study("two", 30)
    check_generated_trees(two)
    TREE.mkdir(parents=True)
    generated_done_file(TREE).write_text("{")
    check_generated_trees(two)
