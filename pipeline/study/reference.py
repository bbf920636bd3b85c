"""Write the JSON schema of a study (for editors) and the page of study keys from the models: python -m pipeline.study.reference."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.io.files import write_if_changed
from pipeline.study.messages import alternatives, described
from pipeline.study.models import Study

SCHEMA, PAGE = Path("docs/study.schema.json"), Path("docs/study-keys.md")
_HEAD = """# Keys of a study

A study is a YAML file that declares what is trained and reported. `studies/` has complete examples. In the titles below, `NAME` stands for
a name of your choice, and `-` for each entry of a list. Editors can complete and check a study with `study.schema.json`. With a YAML
language server, the first line of the study names it: `# yaml-language-server: $schema=../docs/study.schema.json`.

This page and the schema are generated from `pipeline/study/models.py` by `python -m pipeline.study.reference`.
"""


def schema_text() -> str:
    """Return the JSON schema of a study as text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}
    return json.dumps(schema, indent=1) + "\n"


def keys_page(studies: Path = Path("studies")) -> str:
    """Return the page of study keys as Markdown.

    Args:
        studies: the folder of the stored studies, from which examples are taken.
    """
    examples = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(studies.glob("*.yaml"))]
    lines = [_HEAD]
    for path, part in _sections(Study.model_json_schema(), ()):
        lines.append(f"\n## {'.'.join(path) or 'Top level'}\n\n{_one_line(part.get('description', ''))}\n")
        lines.append("| key | value | default | meaning | example |\n|---|---|---|---|---|")
        for key, schema in part["properties"].items():
            cells = (f"`{key}`", *_row_of_key((*path, key), schema, key in part.get("required", ()), examples))
            lines.append(f"| {' | '.join(_one_line(cell).replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _sections(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield path and schema of each part of a study that has keys of its own."""
    for alternative in alternatives(schema):
        if "properties" in alternative:
            yield path, alternative
            for key, inner in alternative["properties"].items():
                yield from _sections(inner, (*path, key))
        elif isinstance(alternative.get("additionalProperties"), dict):
            yield from _sections(alternative["additionalProperties"], (*path, "NAME"))
        elif "patternProperties" in alternative:
            yield from _sections(next(iter(alternative["patternProperties"].values())), (*path, "NAME"))
        elif "items" in alternative:
            yield from _sections(alternative["items"], (*path, "-"))


def _row_of_key(
    path: tuple[str, ...], schema: Mapping[str, Any], required: bool, examples: list[Any]
) -> tuple[str, ...]:
    """Return allowed values, default, meaning and example of a key. For a key with a section of its own, refer to the section."""
    meaning = schema.get("description", "") or alternatives(schema)[0].get("description", "")
    has_section = len(alternatives(schema)) == 1 and "properties" in alternatives(schema)[0]
    default = "required" if required else "" if has_section else _as_yaml(schema.get("default"), "none")
    if has_section:
        return f"keys of its own: section {'.'.join(path)}", default, meaning, ""
    return described(schema), default, meaning, f"`{_example(path, schema, examples)}`"


def _example(path: tuple[str, ...], schema: Mapping[str, Any], studies: list[Any]) -> str:
    """Return the key with its value in a stored study, or else with the key's own example, its default, or an allowed value."""
    value = next((value for study in studies for value in _values(study, path)), None)
    if value is None:
        first = alternatives(schema)[0]
        allowed = first.get("enum", [first.get("minimum", 1)])[-1]
        value = schema.get("examples", first.get("examples", [schema.get("default")]))[0]
        value = allowed if value is None else value
    if isinstance(value, dict):
        value = dict(list(value.items())[:1])
    elif isinstance(value, list):
        value = value[:4] if not any(isinstance(item, dict) for item in value) else value[:1]
    return f"{path[-1]}: {_as_yaml(value, '')}"


def _values(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if not path:
        if value is not None and value != {}:
            yield value
        return
    if path[0] == "-":
        inner = value if isinstance(value, list) else []
    elif path[0] == "NAME":
        inner = list(value.values()) if isinstance(value, dict) else []
    else:
        inner = [value[path[0]]] if isinstance(value, dict) and path[0] in value else []
    for item in inner:
        yield from _values(item, path[1:])


def _as_yaml(value: Any, empty: str) -> str:
    if value is None:
        return empty
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    write_if_changed(SCHEMA, schema_text())
    write_if_changed(PAGE, keys_page())
