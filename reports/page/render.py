"""The page as HTML: content, style and scripts in one file."""

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
# columns.js before print.js: what is folded is unfolded before it is measured for paper.
_SCRIPTS = ("page.js", "columns.js", "print.js", "tables.js", "curves.js", "gallery.js")
_MOST_EXACT = 300_000  # bytes of a figure without loss
_LIBRARY = _HERE / "vendor" / "chart.umd.min.js"


def render_page(page: Page) -> str:
    """The page; the same content gives the same text."""
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
    shows_scores = page.scores is not None
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
        library=_library() if shows_scores else None,
        scripts=[Markup((_HERE / name).read_text(encoding="utf-8")) for name in _SCRIPTS],
    )


def picture_url(path: Path) -> str:
    """Return a picture as a data URL, or "" if the file is absent.

    JPEG and WebP stay as they are. PNG becomes WebP, without loss unless photographs in it would make that large.
    """
    if not path.is_file():
        return ""
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}.get(path.suffix)
    if kind is not None:
        return _data_url(kind, path.read_bytes())
    with Image.open(path) as picture:
        exact = _webp(picture, {"lossless": True, "method": 1})  # the quicker method, for figures no larger
        return _data_url("webp", exact if len(exact) <= _MOST_EXACT else _webp(picture, {"quality": 90}))


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
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _library() -> Markup:
    """The chart library, without the line that names a file beside it."""
    return Markup(re.sub(r"\n//# sourceMappingURL=.*", "", _LIBRARY.read_text(encoding="utf-8")))
