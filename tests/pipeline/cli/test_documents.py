"""Every command line of `endoarss` in a document can be parsed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.pipeline.parsing import parsed

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINES = [
    (path.name, line)
    for path in DOCUMENTS
    for block in re.findall(r"```bash\n(.*?)```", path.read_text(), re.S)
    for line in re.findall(r"(?m)(?:^ *|&& )endoarss ([^&\n]*)", block)
]


@pytest.mark.parametrize(("document", "line"), LINES)
def test_a_command_of_a_document_can_be_parsed(document: str, line: str) -> None:
    parsed(*shlex.split(line, comments=True))


def test_commands_are_found() -> None:
    assert len(LINES) > 30 and {"README.md", "predict.md"} <= {document for document, _ in LINES}
