"""What a module depends on: the project's own modules, a user's, and the data files beside them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from pipeline.io import import_closure as closure
from pipeline.io.import_closure import PACKAGES, PLUMBING, ROOT, code_sha256, import_closure

OWN = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
# Who imports modules by names that are no literal, and why that is no gap.
BY_NAME = {
    "corruptions/catalogue.py": "every operator; the study's conditions say which count",
    "corruptions/own_modules.py": "a user's corruptions, for the command corruptions",
    "corruptions/registry.py": "a user's corruption; the study's conditions say which",
    "endoarss/__init__.py": "the public names that need torch, for users; the pipeline imports their modules itself",
    "endoarss/components/user_modules.py": "a user's components; the cell says which",
    "endoarss/registry.py": "components; the cell says which",
    "pipeline/datasets/kinds.py": "collectors; the dataset says which",
    "pipeline/evaluation/predictor_host.py": "a user's predictor; its files are noted when it runs",
}


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)


def test_a_package_counts_only_for_what_is_taken_from_it() -> None:
    found = import_closure("pipeline.datasets.arrays")
    assert {"corruptions/pictures.py", "pipeline/io/images.py", "pipeline/datasets/card.py"} <= set(found)
    assert "corruptions/api.py" not in found and "corruptions/__init__.py" not in found
    assert "endoarss/metrics/protocol.py" in import_closure("pipeline.evaluation.evaluate_cell")
    assert "endoarss/metrics/evaluator.py" not in import_closure("pipeline.evaluation.evaluate_cell")


def test_data_files_come_with_their_folder() -> None:
    assert "pipeline/sources/synthetic/casts.csv" in import_closure("pipeline.sources.synthetic.casts")
    page = import_closure("reports.page.render")
    assert {"reports/page/page.html.jinja", "reports/page/page.css", "reports/page/vendor/chart.umd.min.js"} <= set(
        page
    )
    assert "reports/paper_numbers/table2_mtlesd.csv" in import_closure("reports.paper_numbers")
    assert not [path for path in page if path.endswith(".md")]


def test_a_users_module_counts_with_helpers_and_base_classes(user_folder: Path) -> None:
    write(user_folder / "closure_of_mine", __init__="from . import early\n", early="", unused="")
    write(user_folder / "closure_of_mine", base="import torch\nimport json\nclass Base: pass\n")
    write(user_folder, closure_helper="from endoarss.heads import Heads\n")
    write(
        user_folder / "closure_of_mine",
        net="from .base import Base\n\ndef make():\n    import closure_helper; return closure_helper\n",
    )
    found = import_closure("closure_of_mine.net")
    own = {path.name for path in map(Path, found) if path.is_absolute()}
    assert own == {"net.py", "base.py", "__init__.py", "early.py", "closure_helper.py"}
    assert "endoarss/heads.py" in found


def test_a_module_that_python_cannot_read_counts_by_itself(user_folder: Path) -> None:
    write(user_folder, closure_torn="import closure_behind\ndef (\n", closure_behind="")
    assert import_closure("closure_torn") == (str(user_folder / "closure_torn.py"),)


def test_a_module_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pipeline\.nowhere: no source file"):
        import_closure("pipeline.nowhere")


def test_what_is_left_out_is_not_followed() -> None:
    whole, less = (import_closure("pipeline.training.train_cell", without=one) for one in ((), {"pipeline.study"}))
    assert "pipeline/study/cells.py" in whole and not [path for path in less if path.startswith("pipeline/study/")]


def test_plumbing_is_there_and_in_no_closure() -> None:
    for name, why in PLUMBING.items():
        path = ROOT / name.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
        assert why.endswith(".") and len(why) < 100, name
    steps = "pipeline.training.train_cell", "pipeline.reporting.make_page", "pipeline.preparation.build_dataset"
    modules = {path.removesuffix(".py").replace("/", ".") for path in import_closure(*steps)}
    assert not [one for one in modules for name in PLUMBING if one == name or one.startswith(f"{name}.")]


def test_import_lines_say_the_same_as_the_whole_tree() -> None:
    for path in OWN:
        text = path.read_text()
        found, whole = (
            {ast.dump(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))}
            for nodes in (closure._statements(path, text), ast.walk(ast.parse(text)))
        )
        assert found == whole, path


def test_modules_that_are_imported_by_name_are_known() -> None:
    loading = {
        str(path.relative_to(ROOT))
        for path in OWN
        if not str(path.relative_to(ROOT)).startswith("pipeline/cli")  # steps; rules ask about each by its own name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in ("import_module", "resolve_name", "__import__")
        and not (node.args and isinstance(node.args[0], ast.Constant))
    }
    assert loading - {"pipeline/io/import_closure.py"} == set(BY_NAME)


def test_a_digest_is_that_of_names_and_contents(user_folder: Path) -> None:
    write(user_folder, closure_one="x = 1\n")
    files = import_closure("closure_one", "pipeline.io.images")
    before = code_sha256(files)
    write(user_folder, closure_one="x = 2\n")
    changed = code_sha256(files)
    assert before != changed and code_sha256(import_closure("pipeline.io.images")) not in (before, changed)
    write(user_folder / "moved", closure_one="x = 2\n")
    moved = [str(user_folder / "moved/closure_one.py") if Path(file).is_absolute() else file for file in files]
    assert code_sha256(moved) == changed, "where it lies does not matter"


def test_nothing_is_imported_to_find_it(user_folder: Path) -> None:
    write(user_folder, closure_raises="raise SystemError\n")
    assert import_closure("closure_raises") and "closure_raises" not in sys.modules
