"""Read a study and validate it: the edge between what people write and typed Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from endoarss.errors import SettingsError
from endoarss.registry import add_module
from pipeline.errors import InputError
from pipeline.study.checks import check_study
from pipeline.study.schema import explain, fill_defaults, schema
from pipeline.study.study import Study
from pipeline.study.text import read_study_text


def load_study(path: Path) -> Study:
    """Read a study's YAML (or JSON) file.

    Raises:
        InputError: naming file, key, value and what is allowed.
    """
    if not path.exists():
        raise InputError(f"{path}: no such study. Kept studies are in studies/.")
    settings = read_study_text(path)
    try:
        return make_study(settings)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def make_study(settings: Any) -> Study:
    """Validate settings against the schema and the known names, and fill in defaults.

    Raises:
        InputError: naming key, value and what is allowed.
    """
    known = schema()
    try:
        settings = json.loads(json.dumps(settings, default=str))  # a copy, and plain types alone
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the study holds what JSON cannot: {error}.") from None
    errors = sorted(jsonschema.Draft202012Validator(known).iter_errors(settings), key=lambda e: list(map(str, e.path)))
    if errors:
        raise InputError(explain(jsonschema.exceptions.best_match(errors) or errors[0]))
    fill_defaults(settings, known)
    study = Study(settings)
    try:
        for module in settings["components"]:
            add_module(module)
        check_study(study)
    except SettingsError as error:
        raise InputError(str(error)) from None
    return study
