"""The JSON schema and the page of study keys are those of the models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.study.reference import PAGE, SCHEMA, keys_page, schema_text

ROOT = Path(__file__).parents[3]


def test_both_are_as_they_would_be_written_now() -> None:
    advice = "run `python -m pipeline.study.reference` and commit what it writes"
    assert (ROOT / SCHEMA).read_text() == schema_text(), advice
    assert (ROOT / PAGE).read_text() == keys_page(ROOT / "studies"), advice


def test_every_key_says_what_it_does_and_has_an_example_that_is_allowed() -> None:
    lines = [line.split(" | ") for line in (ROOT / PAGE).read_text().splitlines() if line.startswith("| `")]
    assert len(lines) > 80
    for _, value, _, meaning, example in lines:
        assert len(meaning) > 10
        if not value.startswith("keys of its own"):
            key, written = re.fullmatch(r"`(\S+): (.+)` \|", example).groups()  # type: ignore[union-attr]
            assert key and yaml.safe_load(written) is not None, example


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_editors_accept_the_stored_studies(path: Path) -> None:
    schema: dict[str, Any] = json.loads((ROOT / SCHEMA).read_text())
    study = yaml.safe_load(path.read_text())
    jsonschema.validate(study, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**study, "sead": 1}, schema)
