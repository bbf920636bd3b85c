"""A hook of mkdocs: it makes pages of the documents in the repository's root, and copies the other files of it that pages link to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
# A block of code, whose links do not count, or the target of a link.
_LINK = re.compile(r"```.*?```|(?<=\]\()(?![a-z]+:)([^)\s#]+)(#[^)\s]*)?(?=\))", re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the documents of the root, and every file of the repository that a page links to."""
    for name in PAGES:
        files.append(
            File.generated(config, name, content=_without_docs_folder((ROOT / name).read_text(encoding="utf-8")))
        )
    linked = {path for page in files.documentation_pages() for path in _linked_outside(page)}
    for path in sorted(linked - set(PAGES)):
        files.append(File.generated(config, f"repository/{path}", abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links that leave docs/ to the pages and the copies that `on_files` added."""
    up = "../" * page.file.src_uri.count("/")

    def new_target(match: re.Match[str]) -> str:
        outside = _outside(page.file.src_uri, match[1]) if match[1] else None
        if outside is None:
            return match[0]
        return f"{up}{outside if outside in PAGES else f'repository/{outside}'}{match[2] or ''}"

    return _LINK.sub(new_target, markdown)


def _without_docs_folder(text: str) -> str:
    """Return a document of the root with links relative to docs/, because it becomes a page of that folder."""
    return _LINK.sub(lambda match: match[0].removeprefix("docs/"), text)


def _linked_outside(page: File) -> set[str]:
    """Return the files outside docs/ that a page links to, as paths from the repository's root."""
    paths = {_outside(page.src_uri, link) for link, _ in _LINK.findall(page.content_string) if link}
    return {path for path in paths if path is not None}


def _outside(page: str, link: str) -> str | None:
    """Return the target of a link as a path from the repository's root, or None if it is inside docs/ or a page."""
    folder = ROOT if page in PAGES else ROOT / "docs"
    path = Path(folder, Path(page).parent, link).resolve()
    if path.is_relative_to(ROOT / "docs") or (page in PAGES and (ROOT / "docs" / link).exists()):
        return None
    if not path.exists():
        raise PluginError(f"{page} links to {link}, which does not exist in the repository. Correct the link.")
    outside = path.relative_to(ROOT).as_posix()
    return None if page in PAGES and outside in PAGES else outside
