"""Names are known without torch; a user's module is found like the project's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from endoarss import list_architectures, list_backbones, list_weightings, registry
from endoarss.errors import SettingsError


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
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_of_the_users_registers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_weightings.py").write_text(
        "from endoarss.registry import register_weighting\n"
        "from endoarss.weightings.base import Weighting\n"
        '@register_weighting("first_only")\n'
        "class FirstOnly(Weighting):\n"
        "    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "_user_modules", [])
    registry.add_module("my_weightings")
    assert "first_only" in list_weightings()
    assert registry.WEIGHTINGS.get("first_only").__name__ == "FirstOnly"
    with pytest.raises(SettingsError, match="no module 'not_there'"):
        registry.add_module("not_there")
