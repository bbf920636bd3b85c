"""Describe in words what a JSON schema allows, for messages and generated documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Schema = Mapping[str, Any]


def described(schema: Schema, resolved: Callable[[Schema], Schema] = lambda schema: schema) -> str:
    """Return in words what a JSON schema allows, such as "a whole number from 1 to 1,024".

    Args:
        schema: a schema that pydantic wrote.
        resolved: a function that replaces the references in a schema by what they refer to.

    Returns:
        A phrase without a full stop.
    """
    schema = resolved(schema)
    if "expected" in schema:
        return str(schema["expected"])
    if "anyOf" in schema:
        return " or ".join(described(choice, resolved) for choice in schema["anyOf"] if choice.get("type") != "null")
    if "enum" in schema or "const" in schema:
        known = [repr(value) if value == "" else str(value) for value in schema.get("enum", [schema.get("const")])]
        return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} or {known[-1]}"
    kind = schema.get("type")
    if kind == "array":
        return _described_list(schema, resolved)
    if kind == "object":
        closed = "properties" in schema and schema.get("additionalProperties", False) is False
        return f"the keys {', '.join(schema['properties'])}" if closed else "names with values"
    words = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
    return words.get(str(kind), "a value") + _bounds(schema)


def _described_list(schema: Schema, resolved: Callable[[Schema], Schema]) -> str:
    if "prefixItems" in schema:
        return f"a list of {len(schema['prefixItems'])}, each {described(schema['prefixItems'][0], resolved)}"
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    count = f" of {least}" if least == most else f" of at least {least}" if least > 1 else ""
    filled = " that is not empty" if least == 1 and not count else ""
    return f"a list{count}{filled}, each {described(schema['items'], resolved)}"


def _bounds(schema: Schema) -> str:
    low, above, high, below = (
        f"{schema[key]:,.15g}" if key in schema else ""
        for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
    )
    high = high or (f"below {below}" if below else "")
    if above:
        return f" greater than {above}" + (f" and up to {high}" if high else "")
    if low:
        return f" from {low} to {high}" if high else f" of at least {low}"
    return f" up to {high}" if high else ""
