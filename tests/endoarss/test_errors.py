"""A mistyped name is answered with the closest known ones."""

from __future__ import annotations

import pytest

from endoarss.errors import UnknownNameError, shown, suggestion

KNOWN = ("aligned_mtl", "db_mtl", "equal", "moco", "stch")


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("db_mlt", " Did you mean 'db_mtl'?"),
        ("DB-MTL", " Did you mean 'db_mtl'?"),
        ("mocco", " Did you mean 'moco'?"),
        ("pcgrad", ""),
        ("", ""),
    ],
)
def test_close_names_are_suggested(name: str, question: str) -> None:
    assert suggestion(name, KNOWN) == question


def test_several_close_names_are_suggested_up_to_the_limit() -> None:
    assert suggestion("resnet_18", ["resnet18", "resnet19", "vit"]) == " Did you mean 'resnet18' or 'resnet19'?"
    assert suggestion("resnet_18", ["resnet18", "resnet19", "vit"], limit=1) == " Did you mean 'resnet18'?"


def test_an_unknown_name_is_told_with_the_suggestion_before_the_known_names() -> None:
    said = str(UnknownNameError("weighting", "mocco", KNOWN))
    assert said == f"unknown weighting 'mocco'. Did you mean 'moco'? Known: {', '.join(KNOWN)}."
    assert str(UnknownNameError("merger", "x", [])) == "unknown merger 'x'. Known: none."


def test_long_values_are_cut() -> None:
    assert shown("a" * 10) == repr("a" * 10)
    assert len(shown("a" * 10_000)) == 80 and len(str(UnknownNameError("x", "a" * 10_000, KNOWN))) < 200
