"""Read a study's file, validate it, and return it as a typed `Study`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from endoarss.errors import SettingsError
from pipeline.errors import InputError
from pipeline.study.checks import check_study
from pipeline.study.components import add_components
from pipeline.study.messages import explain
from pipeline.study.models import Study
from pipeline.study.text import read_study_text


def load_study(path: Path) -> Study:
    """Read a study's YAML (or JSON) file.

    Raises:
        InputError: if the file cannot be read or a value is wrong; the message has file, key, value, and what is allowed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such study. The stored studies are in studies/.")
    settings = read_study_text(path)
    try:
        return make_study(settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def make_study(settings: Any) -> Study:
    """Return a study from plain data, validated and with defaults filled in.

    Raises:
        InputError: if a value is wrong; the message has key, value, and what is allowed.
    """
    try:
        text = json.dumps(settings, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the study holds a value that JSON cannot represent: {error}.") from None
    _check_keys(settings, ())
    try:
        study = Study.model_validate_json(text)
    except ValidationError as error:
        raise InputError(explain(error, json.loads(text))) from None
    try:
        add_components(study.components)
        check_study(study)
    except SettingsError as error:
        raise InputError(str(error)) from None
    return study


def _check_keys(value: Any, path: tuple[str, ...]) -> None:
    """Raise InputError if a key is neither text nor a whole number. Whole numbers are mask values, the keys of `plain.values`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, bool) or not isinstance(key, str | int):
                where = ".".join(path) or "the study"
                raise InputError(
                    f"{where}: the key {key!r} is not text. YAML reads words such as on, off, yes, no and null as values; put the "
                    "word in quotes."
                )
            _check_keys(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_keys(inner, (*path, str(index)))
