"""Names and settings are known without torch; see components/ for modules of a user's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
