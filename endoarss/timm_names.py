"""The names of timm's models, read from timm's source files, because importing timm takes seconds and every study needs them."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from endoarss.errors import SettingsError, shown, suggestion

_MODEL = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
_WITH_TAG = re.compile(r"""["'](\w+)\.(\w+)["']\s*:""")


def check_is_timm_model(name: str) -> None:
    """Raise an error if timm has no model of this name. If timm is not installed, every name is accepted; nothing can be trained then.

    Args:
        name: a name such as "resnet101" or "vit_base_patch14_dinov2.lvd142m"; the part after the dot names pretrained weights.

    Raises:
        SettingsError: if timm has no such model or weights; the message suggests the closest names.
    """
    model, _, tag = name.partition(".")
    models, tags = _source_names()
    if not models:
        return
    if model not in models:
        raise SettingsError(
            f"timm has no model {shown(name)}.{suggestion(model, models)} `timm.list_models()` lists all {len(models):,}."
        )
    # Some models reuse the tags of other models, so a tag counts as known if any model has it.
    if tag and not any(tag in known for known in tags.values()):
        own = sorted(tags.get(model, ()))
        raise SettingsError(
            f"timm has no weights {shown(tag)} of {model}.{suggestion(tag, own)} Known: {', '.join(own) or 'none'}."
        )


def kind_of_model(name: str) -> str:
    """Return the kind of a timm model, which is the name of the module that defines it.

    Args:
        name: a name such as "resnet101" or "vit_base_patch14_dinov2.lvd142m".

    Returns:
        A module name such as "vision_transformer"; empty if timm is not installed or has no such model.
    """
    return _source_names()[0].get(name.partition(".")[0], "")


@cache
def _source_names() -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return the module of each model, and the tags of pretrained weights by model name; both are empty if timm is not installed."""
    spec = find_spec("timm")
    folders = (spec and spec.submodule_search_locations) or []
    paths = [path for folder in folders for path in sorted(Path(folder, "models").glob("*.py"))]
    texts = {path.stem: path.read_text(encoding="utf-8") for path in paths}
    tags: dict[str, set[str]] = {}
    for text in texts.values():
        for name, tag in _WITH_TAG.findall(text):
            tags.setdefault(name, set()).add(tag)
    return {name: module for module, text in texts.items() for name in _MODEL.findall(text)}, tags
