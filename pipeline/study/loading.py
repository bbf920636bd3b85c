"""Read and validate a study: turn what users write into typed Python."""

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
        InputError: with file, key, value and what is allowed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such study. The stored studies are in studies/.")
    settings = read_study_text(path)
    try:
        return make_study(settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def make_study(settings: Any) -> Study:
    """Validate settings as YAML gives them, and fill in defaults.

    Raises:
        InputError: with key, value and what is allowed.
    """
    try:
        text = json.dumps(settings, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the study holds a value that JSON cannot hold: {error}.") from None
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
    """Keys are text, or whole numbers (values of masks); YAML makes others of words without quotes."""
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
        for place, inner in enumerate(value):
            _check_keys(inner, (*path, str(place)))
