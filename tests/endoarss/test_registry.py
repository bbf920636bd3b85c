"""Names and settings are known without torch; see components/ for modules of a user's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

import endoarss
from endoarss import list_architectures, list_backbones, list_weightings


def test_the_names_of_the_issue_are_there() -> None:
    assert set(list_backbones()) >= {"resnet", "dinov2", "endoarss"}
    assert set(list_architectures()) >= {"hps", "mmoe", "tesla", "single_activity", "single_segmentation"}
    assert set(list_weightings()) >= {"equal", "stch", "db_mtl"}


@pytest.mark.parametrize(
    "module",
    ["endoarss", "pipeline.study.cells", "pipeline.results.paths", "pipeline.cli", "corruptions", "endoarss.metrics"],
)
def test_planning_and_listing_import_no_torch(module: str) -> None:
    code = (
        f"import sys, {module}, endoarss; endoarss.list_backbones(); "
        "endoarss.registry.check_settings('weightings', 'db_mtl', {'beta': 0.5}); "
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


PUBLIC = [
    "build_model",
    "list_architectures",
    "list_backbones",
    "list_mergers",
    "list_weightings",
    "load_checkpoint",
    "load_predictor",
]


def test_public_names_are_listed_before_torch_is_imported() -> None:
    code = f"import sys, endoarss; assert dir(endoarss) == ['__version__', *{PUBLIC}], dir(endoarss); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert set(endoarss.__all__) == set(PUBLIC)
    with pytest.raises(AttributeError, match="module 'endoarss' has no attribute 'load_predictors'"):
        endoarss.load_predictors  # noqa: B018


def test_all_names_can_be_imported_without_torch() -> None:
    """Where torch is missing, the names that need it are still listed, and say what to install."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from endoarss import *\n"
        "assert list_backbones() and 'build_model' not in globals()\n"
        "import endoarss; assert 'load_predictor' in dir(endoarss)\n"
        "try: endoarss.load_predictor\n"
        "except ModuleNotFoundError as error: assert \"endoarss.load_predictor needs torch: pip install 'endoarss[train]'\" == str(error)\n"
        "else: raise AssertionError"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
