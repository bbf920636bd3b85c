"""Renders the page as one HTML file with content, style and scripts."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from reports.page.content import Page
from reports.page.gallery import QUALITY, SIDE
from reports.page.tables import to_html
from reports.page.terms import Terms

_HERE = Path(__file__).parent
# columns.js comes before print.js, so that folded columns are unfolded before they are measured for printing.
_SCRIPTS = ("page.js", "columns.js", "print.js", "tables.js", "curves.js", "gallery.js")
_MAX_LOSSLESS = 300_000  # bytes: larger figures are stored as lossy WebP
_LIBRARY = _HERE / "vendor" / "chart.umd.min.js"


def render_page(page: Page) -> str:
    """Return the page as HTML; the same content gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["table"] = to_html
    environment.filters["picture"] = picture_url
    terms = Terms()
    environment.filters["terms"] = terms.linked
    return environment.get_template("page.html.jinja").render(
        page=page,
        facts=page.facts,
        terms=terms,
        quality=QUALITY,
        side=SIDE,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        print_style=Markup((_HERE / "print.css").read_text(encoding="utf-8")),
        scores=_json(page.scores.content) if page.scores is not None else None,
        gallery=_json(_gallery(page)) if page.gallery is not None else None,
        pictures=_json(page.gallery.pictures.urls) if page.gallery is not None else None,
        library=_library() if page.scores is not None else None,
        scripts=[Markup((_HERE / name).read_text(encoding="utf-8")) for name in _SCRIPTS],
    )


def picture_url(path: Path) -> str:
    """Return a picture as a data URL, or "" if the file is absent.

    JPEG and WebP files stay unchanged. PNG becomes lossless WebP, or lossy WebP if the lossless file would be large.
    """
    if not path.is_file():
        return ""
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix)
    if kind is not None:
        return _data_url(kind, path.read_bytes())
    with Image.open(path) as picture:
        lossless = _webp(picture, {"lossless": True, "method": 1})  # faster than the default, and figures are no larger
        return _data_url("webp", lossless if len(lossless) <= _MAX_LOSSLESS else _webp(picture, {"quality": 90}))


def _webp(picture: Image.Image, options: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "webp", **options)
    return stream.getvalue()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _gallery(page: Page) -> dict[str, Any]:
    assert page.gallery is not None
    return {"datasets": [asdict(dataset) for dataset in page.gallery.datasets]}


def _json(content: Any) -> Markup:
    """Return JSON that cannot close the script element around it."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _library() -> Markup:
    """Return the chart library without the line that refers to its source map file."""
    return Markup(re.sub(r"\n//# sourceMappingURL=.*", "", _LIBRARY.read_text(encoding="utf-8")))
