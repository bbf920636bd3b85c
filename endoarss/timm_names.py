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


def kind_of_model(name: str) -> str:
    """Return the kind of a timm model: the module it is written in, such as "vision_transformer"; empty where timm is not installed."""
    return _source_names()[0].get(name.partition(".")[0], "")


@cache
def _source_names() -> tuple[dict[str, str], dict[str, set[str]]]:
    """The module of each model, and the tags of pretrained weights by the name they stand with; empty without timm."""
    spec = find_spec("timm")
    folders = (spec and spec.submodule_search_locations) or []
    paths = [path for folder in folders for path in sorted(Path(folder, "models").glob("*.py"))]
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    tags: dict[str, set[str]] = {}
    for text in texts.values():
        for name, tag in _WITH_TAG.findall(text):
            tags.setdefault(name, set()).add(tag)
    return {name: module for module, text in texts.items() for name in _MODEL.findall(text)}, tags
