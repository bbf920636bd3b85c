"""Messages about values of a study that its models refuse: key, value, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import ValidationError

from endoarss import schema_words
from endoarss.errors import shown, suggestion
from pipeline.study.models import Study

_MOST = 5  # faults that one message lists


def explain(error: ValidationError, given: Any) -> str:
    """Return the faults of a study, one line per key.

    Args:
        error: what pydantic found.
        given: the study as plain data, which the faults are in.
    """
    lines: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"], given, fault["type"] == "missing")
        key = ".".join(map(str, path)) or "the study"
        lines.setdefault(key, f"{key}: {_message(fault, path)}")
    # pydantic refuses a list with a wrong item as a whole; only the item is reported.
    lines = {key: line for key, line in lines.items() if not any(other.startswith(f"{key}.") for other in lines)}
    more = [f"and {len(lines) - _MOST} more."] if len(lines) > _MOST else []
    return "\n".join([*list(lines.values())[:_MOST], *more])


def described(schema: Mapping[str, Any]) -> str:
    """Return in words what a part of a study's JSON schema allows, such as "a whole number from 1 to 1,024"."""
    return schema_words.described(schema, resolved)


def schema_at(path: Sequence[str | int]) -> Mapping[str, Any] | None:
    """Return the JSON schema of a key of a study, or None if a study has no such key."""
    found: Any = _schema()
    for part in path:
        found = next((step for step in (_step(one, part) for one in alternatives(found)) if step), None)
        if found is None:
            return None
    return resolved(found)


@cache
def _schema() -> dict[str, Any]:
    return Study.model_json_schema()


def _message(fault: Any, path: tuple[str | int, ...]) -> str:
    if fault["type"] == "extra_forbidden":
        known = [key for one in alternatives(schema_at(path[:-1]) or {}) for key in one.get("properties", ())]
        name = str(path[-1])
        return f"unknown key.{suggestion(name, known)} Known keys: {', '.join(known)}."
    if fault["loc"][-1:] == ("[key]",):
        names = (schema_at(path[:-1]) or {}).get("propertyNames", {})
        return f"this name is not allowed; expected {described(names)}."
    schema = schema_at(path)
    if fault["type"] == "missing":
        wanted = f"; expected {described(schema)}" if schema else ""
        return f"missing{wanted}."
    if fault["type"] == "json_invalid":
        return f"holds text that is not Unicode ({fault['ctx']['error']})."
    if fault["type"] == "value_error":
        return f"{fault['ctx']['error']}."
    value = fault["input"]
    expected = described(schema) if schema else fault["msg"]
    if isinstance(value, bool) and schema and schema.get("type") == "string":
        expected += ". YAML reads on, off, yes and no as true and false; put the word in quotes"
    names = [name for one in alternatives(schema or {}) for name in one.get("enum", ())]
    close = suggestion(value, names) if isinstance(value, str) else ""
    return f"{shown(value)} is not allowed; expected {expected}.{close}"


def _path(location: Sequence[str | int], given: Any, missing: bool) -> tuple[str | int, ...]:
    """Return the keys of a fault's location. Entries that are not keys of the study are names of pydantic's branches, and are dropped."""
    path: list[str | int] = []
    for place, part in enumerate(location):
        inside = (isinstance(given, dict) and part in given) or (
            isinstance(given, list) and isinstance(part, int) and part < len(given)
        )
        if inside:
            given = given[part]
        if inside or (missing and place == len(location) - 1):
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
    """Return the alternative schemas of a value, without "no value"."""
    schema = resolved(schema)
    return [resolved(one) for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]


def _step(schema: Mapping[str, Any], part: str | int) -> Any:
    if isinstance(part, int):
        prefix = schema.get("prefixItems", ())
        return prefix[part] if part < len(prefix) else schema.get("items")
    of_names = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
    return schema.get("properties", {}).get(part) or of_names
