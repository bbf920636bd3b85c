"""The JSON schema of a study: its defaults, and what a violation is called."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

SCHEMA = Path(__file__).with_name("study.schema.json")


@cache
def schema() -> dict[str, Any]:
    """Return the schema, which is read once."""
    content: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return content


def explain(error: jsonschema.ValidationError) -> str:
    """Return a violation as a message that names key, value and what is allowed."""
    key = ".".join(str(part) for part in error.absolute_path) or "the study"
    schema: Any = error.schema
    if error.validator == "additionalProperties":
        known = ", ".join(schema.get("properties", {}))
        return f"{key}: {error.message}. Known keys: {known}."
    if error.validator == "required":
        return f"{key}: {error.message}."
    allowed = {k: schema[k] for k in ("type", "enum", "pattern", "minimum", "maximum", "oneOf") if k in schema}
    return f"{key}: {error.instance!r} is not allowed; {error.message}. Allowed: {json.dumps(allowed)}."


def fill_defaults(value: Any, schema: Mapping[str, Any]) -> None:
    """Add the defaults of a schema to a value, in place."""
    if isinstance(value, dict):
        for key, part in schema.get("properties", {}).items():
            if "default" in part:
                value.setdefault(key, json.loads(json.dumps(part["default"])))
            if key in value:
                fill_defaults(value[key], part)
        extra = schema.get("additionalProperties")
        if isinstance(extra, Mapping):
            for key in value:
                fill_defaults(value[key], extra)
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            fill_defaults(item, schema["items"])
