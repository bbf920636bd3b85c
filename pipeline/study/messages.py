"""Write messages about invalid values of a study, with key, value, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from endoarss import schema_words
from endoarss.errors import shown, suggestion
from pipeline.study.models import Study

_LISTED_AT_MOST = 5  # faults in one message


def explain(error: ValidationError, study: Any) -> str:
    """Return a message with the first faults of a study, one line per key.

    Args:
        error: the faults, as pydantic describes them.
        study: the study as plain data.
    """
    lines: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"], study, fault["type"] == "missing")
        key = ".".join(map(str, path)) or "the study"
        lines.setdefault(key, f"{key}: {_message(fault, path)}")
    # If an item of a list is wrong, pydantic reports the list too. Then only the item is listed.
    lines = {key: line for key, line in lines.items() if not any(other.startswith(f"{key}.") for other in lines)}
    more = [f"and {len(lines) - _LISTED_AT_MOST} more."] if len(lines) > _LISTED_AT_MOST else []
    return "\n".join([*list(lines.values())[:_LISTED_AT_MOST], *more])


def described(schema: Mapping[str, Any]) -> str:
    """Return in words which values a part of a study's JSON schema allows, such as "a whole number from 1 to 1,024"."""
    return schema_words.described(schema, resolved)


def schema_at(path: Sequence[str | int]) -> Mapping[str, Any] | None:
    """Return the JSON schema of a key of a study, or None if a study has no such key."""
    schema: Any = _schema()
    for part in path:
        inner = (_schema_of_part(alternative, part) for alternative in alternatives(schema))
        schema = next((part_schema for part_schema in inner if part_schema), None)
        if schema is None:
            return None
    return resolved(schema)


@cache
def _schema() -> dict[str, Any]:
    return Study.model_json_schema()


def _message(fault: Any, path: tuple[str | int, ...]) -> str:
    if fault["type"] == "extra_forbidden":
        parents = alternatives(schema_at(path[:-1]) or {})
        known = [key for parent in parents for key in parent.get("properties", ())]
        name = str(path[-1])
        return f"unknown key.{suggestion(name, known)} Known keys: {', '.join(known)}."
    if fault["loc"][-1:] == ("[key]",):
        names = (schema_at(path[:-1]) or {}).get("propertyNames", {})
        return f"this name is not allowed; expected {described(names)}."
    schema = schema_at(path)
    if fault["type"] == "missing":
        expected = f"; expected {described(schema)}" if schema else ""
        return f"missing{expected}."
    if fault["type"] == "json_invalid":
        return f"holds text that is not Unicode ({fault['ctx']['error']})."
    if fault["type"] == "value_error":
        return f"{fault['ctx']['error']}."
    value = fault["input"]
    expected = described(schema) if schema else fault["msg"]
    if isinstance(value, bool) and schema and schema.get("type") == "string":
        expected += ". YAML reads on, off, yes and no as true and false; put the word in quotes"
    names = [name for alternative in alternatives(schema or {}) for name in alternative.get("enum", ())]
    close = suggestion(value, names) if isinstance(value, str) else ""
    return f"{shown(value)} is not allowed; expected {expected}.{close}"


def _path(location: Sequence[str | int], study: Any, missing: bool) -> tuple[str | int, ...]:
    """Return the path of keys to a fault. A location of pydantic also has names of alternative types, which are dropped."""
    path: list[str | int] = []
    value = study
    for index, part in enumerate(location):
        is_key = (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        )
        if is_key:
            value = value[part]
        if is_key or (missing and index == len(location) - 1):
            path.append(part)
    return tuple(path)


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a JSON schema with its reference resolved."""
    if "$ref" not in schema:
        return schema
    return _schema()["$defs"][schema["$ref"].rpartition("/")[2]] | {
        key: value for key, value in schema.items() if key != "$ref"
    }


def alternatives(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the schemas of the types that a value may have, without that of "no value"."""
    schema = resolved(schema)
    return [resolved(inner) for inner in schema.get("anyOf", [schema]) if inner.get("type") != "null"]


def _schema_of_part(schema: Mapping[str, Any], part: str | int) -> Any:
    if isinstance(part, int):
        prefix = schema.get("prefixItems", ())
        return prefix[part] if part < len(prefix) else schema.get("items")
    of_any_name = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
    return schema.get("properties", {}).get(part) or of_any_name
