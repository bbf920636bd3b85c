"""The names of timm's models, read from its source text: importing timm takes seconds, and a study is read at every plan."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from endoarss.errors import SettingsError, shown, suggestion

_MODEL = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
_WITH_TAG = re.compile(r"""["'](\w+)\.(\w+)["']\s*:""")


def check_is_timm_model(name: str) -> None:
    """Refuse a name that timm has no model of. Where timm is not installed no name is refused: results are read there, not trained.

    Args:
        name: such as "resnet101" or "vit_base_patch14_dinov2.lvd142m"; what stands after the dot names pretrained weights.

    Raises:
        SettingsError: with the closest names.
    """
    model, _, tag = name.partition(".")
    models, tags = _source_names()
    if not models:
        return
    if model not in models:
        raise SettingsError(
            f"timm has no model {shown(name)}.{suggestion(model, models)} `timm.list_models()` lists all {len(models):,}."
        )
    # Some models take over the tags of others, so that a tag counts as known if any model has it.
    if tag and not any(tag in known for known in tags.values()):
        own = sorted(tags.get(model, ()))
        raise SettingsError(
            f"timm has no weights {shown(tag)} of {model}.{suggestion(tag, own)} Known: {', '.join(own) or 'none'}."
        )


@cache
def _source_names() -> tuple[frozenset[str], dict[str, set[str]]]:
    """The names of all models, and the tags of pretrained weights by the name they stand with; empty without timm."""
    spec = find_spec("timm")
    folders = (spec and spec.submodule_search_locations) or []
    texts = [
        path.read_text(encoding="utf-8") for folder in folders for path in sorted(Path(folder, "models").glob("*.py"))
    ]
    tags: dict[str, set[str]] = {}
    for text in texts:
        for name, tag in _WITH_TAG.findall(text):
            tags.setdefault(name, set()).add(tag)
    return frozenset(name for text in texts for name in _MODEL.findall(text)), tags
