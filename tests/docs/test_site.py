"""The documentation site: built strictly, with links to files of the repository that lead to copies of them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT

pytest.importorskip("mkdocs", reason="the extra docs is not installed")

from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import Abort

HOOK = ROOT / "docs/_hooks/repository_files.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with the hook, the documents of its root, and one page."""
    (tmp_path / "docs/_hooks").mkdir(parents=True)
    shutil.copy(HOOK, tmp_path / "docs/_hooks")
    spec = importlib.util.spec_from_file_location("repository_files", HOOK)
    assert spec is not None and spec.loader is not None
    hook: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    for name in hook.PAGES:
        (tmp_path / name).write_text("# Of the root\n\n[page](docs/index.md#here)\n")
    (tmp_path / "settings.yaml").write_text("a: 1\n")
    anchors = "validation: {anchors: warn, links: {not_found: warn}}"
    (tmp_path / "mkdocs.yml").write_text(
        f"site_name: A\nuse_directory_urls: false\nexclude_docs: _hooks/\nhooks: [docs/_hooks/repository_files.py]\n{anchors}\n"
    )
    return tmp_path


def built(project: Path, page: str) -> str:
    """Build the site strictly, with a text on its only page, and return that page."""
    (project / "docs/index.md").write_text(f"# Here\n\n{page}\n")
    build(load_config(str(project / "mkdocs.yml"), strict=True))
    return (project / "site/index.html").read_text(encoding="utf-8")


def test_links_that_leave_the_folder_lead_to_pages_and_copies(project: Path) -> None:
    page = built(project, "[a](../CONTRIBUTING.md#of-the-root) [b](../settings.yaml)")
    assert 'href="CONTRIBUTING.html#of-the-root"' in page and 'href="repository/settings.yaml"' in page
    assert (project / "site/repository/settings.yaml").read_text() == "a: 1\n"
    assert 'href="index.html#here"' in (project / "site/CONTRIBUTING.html").read_text()


def test_a_link_to_no_file_of_the_repository_ends_it(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Abort):
        built(project, "[a](../gone.yaml)")
    assert "index.md links to ../gone.yaml, which does not exist in the repository." in caplog.text


def test_an_anchor_that_is_not_there_ends_it(project: Path) -> None:
    with pytest.raises(Abort):
        built(project, "[a](../CONTRIBUTING.md#nowhere)")
