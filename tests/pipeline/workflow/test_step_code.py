"""The code of steps: what the study loads by name counts, what a job does not call does not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from endoarss.registry import WEIGHTINGS
from pipeline.errors import InputError
from pipeline.io.import_closure import ROOT, code_sha256, import_closure, module_file
from pipeline.study.cells import cells_of, trainings_of
from pipeline.study.loading import make_study
from pipeline.workflow import step_code
from pipeline.workflow.step_code import TRAINING, code_of, code_of_cells, code_of_pretraining, code_of_study

CATALOGUE = "endoarss/metrics/catalogue.py"
Make = Callable[..., dict[str, Any]]


def with_cells(minimal: Make, **changes: Any) -> dict[str, Any]:
    given = minimal()
    given["cells"] = [{**given["cells"][0], **changes}]
    return given


def test_metrics_count_for_trainings_whose_epochs_are_scored(minimal: Make) -> None:
    given = minimal()
    study = make_study(given)
    assert CATALOGUE not in code_of_cells(TRAINING, study, *cells_of(study))
    given["training"]["score_every"] = 2
    study = make_study(given)
    assert CATALOGUE in code_of_cells(TRAINING, study, *cells_of(study))
    given = minimal()
    given["cells"].append({**given["cells"][0], "select_on": "val"})
    study = make_study(given)
    scored = {cell.select_on: CATALOGUE in code_of_cells(TRAINING, study, cell) for cell in trainings_of(study)}
    assert scored == {"last": False, "val": True}


def test_another_component_is_other_code(minimal: Make) -> None:
    """A training that was interrupted goes on only with the code that began it."""
    study = make_study(with_cells(minimal, weightings=["equal", "moco"]))
    equal, moco = cells_of(study)
    one, other = (set(code_of_cells(TRAINING, study, cell)) for cell in (equal, moco))
    assert one ^ other == {"endoarss/weightings/equal.py", "endoarss/weightings/moco.py"}
    digests = {step_code.training_code_sha256(study, cell) for cell in (equal, moco)}
    assert len(digests) == 2 and code_sha256(code_of_cells(TRAINING, study, equal)) in digests


def test_thread_counts_are_code_of_every_step() -> None:
    for files in (code_of("pipeline.evaluation.evaluate_cell"), code_of_study("pipeline.reporting.make_page")):
        assert "pipeline/io/one_thread.py" in files


def test_the_study_decides_rows_of_tables_and_only_settings_of_models() -> None:
    assert "pipeline/study/cells.py" in code_of_study("pipeline.reporting.tables.make_tables")
    assert "pipeline/study/cells.py" not in code_of("pipeline.evaluation.evaluate_cell")
    assert "pipeline/labels/classes.py" in code_of("pipeline.evaluation.evaluate_cell")


def test_what_is_left_out_by_name_is_there() -> None:
    named = step_code._CORRUPTING, step_code._SCORING, step_code._LABELS, step_code._BEFORE_EVERY_STEP
    for module in (*named, TRAINING):
        assert module_file(module) is not None, module
    assert module_file(step_code._STUDY) is not None
    # It would count if it were not left out.
    assert "pipeline/training/validation_score.py" in import_closure(TRAINING)


def test_pretraining_has_the_parts_that_it_names() -> None:
    files = code_of_pretraining()
    text = (ROOT / "pipeline/training/pretrain_backbone.py").read_text()
    for kind, name in (("backbone", "dinov2"), ("architecture", "hps")):
        assert f'"{kind}": "{name}"' in text and f"endoarss/{kind}s/{name}.py" in files


def test_a_users_package_counts_even_where_packages_are_installed(
    minimal: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    package = installed / "installed_models"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "base.py").write_text("class Base: pass\n")
    (installed / "installed_other.py").touch()
    (package / "net.py").write_text(
        "import json\nimport installed_other\n"
        "from endoarss.registry import register_weighting\nfrom installed_models.base import Base\n\n\n"
        '@register_weighting("installed")\nclass Mine(Base):\n    pass\n'
    )
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr("endoarss.registry._user_modules", [])
    study = make_study({**with_cells(minimal, weightings=["installed"]), "components": ["installed_models.net"]})
    own = {Path(path).name for path in code_of_cells(TRAINING, study, *cells_of(study)) if Path(path).is_absolute()}
    assert own == {"__init__.py", "base.py", "net.py"}


@pytest.mark.parametrize(
    ("made", "module"),
    [
        ('type("Made", (ABC,), {})', "abc"),
        ('types.new_class("Made", (ABC,))', "abc|types"),
        ("installed_made.Made", "installed_made"),
        ('type("Made", (ABC,), {"__module__": __name__})', ""),
    ],
    ids=["by type", "by new_class", "of an installed package", "by type with its module"],
)
def test_a_component_without_a_source_file_is_refused(
    minimal: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, module: str
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    head = "import types\nfrom endoarss.registry import register_weighting\nfrom abc import ABC\n"
    (installed / "installed_made.py").write_text(f"{head}class Made(ABC):\n    pass\n")
    (tmp_path / "my_made.py").write_text(f'{head}import installed_made\nregister_weighting("made")({made})\n')
    for folder in (installed, tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("endoarss.registry._user_modules", [])
    for name in ("my_made", "installed_made"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for kept in ("_imported", "_described"):
        monkeypatch.setattr(WEIGHTINGS, kept, dict(getattr(WEIGHTINGS, kept)))
    step_code._modules_of.cache_clear()
    study = make_study({**with_cells(minimal, weightings=["made"]), "components": ["my_made"]})
    if module:
        words = f"the weighting 'made' belongs to the module ({module}), which has no source file of yours"
        with pytest.raises(InputError, match=words):
            code_of_cells(TRAINING, study, *cells_of(study))
    else:
        assert any(Path(path).name == "my_made.py" for path in code_of_cells(TRAINING, study, *cells_of(study)))
