"""The JSON schema of a study, for editors, and the page of study keys, both written from the models: python -m pipeline.study.reference."""

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

A study is a YAML file that says what is trained and reported; `studies/` has complete ones. This page and `study.schema.json`, which
editors use to complete and check studies, are generated from `pipeline/study/models.py` by `python -m pipeline.study.reference`.
`NAME` stands for a name of your choice, and `-` for each entry of a list. Editors with a YAML language server take the schema from a first
line such as `# yaml-language-server: $schema=../docs/study.schema.json`.
"""


def schema_text() -> str:
    """Return the JSON schema of a study as text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Study.model_json_schema()}
    return json.dumps(schema, indent=1) + "\n"


def keys_page(studies: Path = Path("studies")) -> str:
    """Return the page of study keys as Markdown.

    Args:
        studies: the folder of the stored studies, which examples are taken from.
    """
    examples = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(studies.glob("*.yaml"))]
    lines = [_HEAD]
    for path, part in _parts(Study.model_json_schema(), ()):
        lines.append(f"\n## {'.'.join(path) or 'Top level'}\n\n{_one_line(part.get('description', ''))}\n")
        lines.append("| key | value | default | meaning | example |\n|---|---|---|---|---|")
        for key, schema in part["properties"].items():
            cells = (f"`{key}`", *_about((*path, key), schema, key in part.get("required", ()), examples))
            lines.append(f"| {' | '.join(_one_line(cell).replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _parts(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every part of a study with keys of its own, and where it stands."""
    for one in alternatives(schema):
        if "properties" in one:
            yield path, one
            for key, inner in one["properties"].items():
                yield from _parts(inner, (*path, key))
        elif isinstance(one.get("additionalProperties"), dict):
            yield from _parts(one["additionalProperties"], (*path, "NAME"))
        elif "patternProperties" in one:
            yield from _parts(next(iter(one["patternProperties"].values())), (*path, "NAME"))
        elif "items" in one:
            yield from _parts(one["items"], (*path, "-"))


def _about(path: tuple[str, ...], schema: Mapping[str, Any], required: bool, examples: list[Any]) -> tuple[str, ...]:
    """What is allowed, the default, the meaning and an example of a key; a key with keys of its own has a section instead."""
    meaning = schema.get("description", "") or alternatives(schema)[0].get("description", "")
    of_its_own = len(alternatives(schema)) == 1 and "properties" in alternatives(schema)[0]
    default = "required" if required else "" if of_its_own else _shown(schema.get("default"), "none")
    if of_its_own:
        return f"keys of its own: section {'.'.join(path)}", default, meaning, ""
    return described(schema), default, meaning, f"`{_example(path, schema, examples)}`"


def _example(path: tuple[str, ...], schema: Mapping[str, Any], studies: list[Any]) -> str:
    """How a stored study writes the key; else its own example, its default, or a value that is allowed."""
    found = next((value for study in studies for value in _values(study, path)), None)
    if found is None:
        one = alternatives(schema)[0]
        allowed = one.get("enum", [one.get("minimum", 1)])[-1]
        found = schema.get("examples", one.get("examples", [schema.get("default")]))[0]
        found = allowed if found is None else found
    if isinstance(found, dict):
        found = dict(list(found.items())[:1])
    elif isinstance(found, list):
        found = found[:4] if not any(isinstance(one, dict) for one in found) else found[:1]
    return f"{path[-1]}: {_shown(found, '')}"


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
    for one in inner:
        yield from _values(one, path[1:])


def _shown(value: Any, empty: str) -> str:
    if value is None:
        return empty
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    write_if_changed(SCHEMA, schema_text())
    write_if_changed(PAGE, keys_page())
