"""What a setting may be: the type of its default, within its bound; own constructors refuse the same as studies do."""

from __future__ import annotations

import math
from typing import Any

import pytest

from endoarss.components.bounds import Bound, check_declared, check_value
from endoarss.components.description import describe
from endoarss.errors import SettingsError, UnknownNameError
from endoarss.registry import MERGERS, REGISTRIES, WEIGHTINGS, Registry, check_settings

COMPONENTS = [(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()]
SETTINGS = [(kind, name, setting) for kind, name in COMPONENTS for setting in REGISTRIES[kind].settings(name)]


@pytest.mark.parametrize(
    ("value", "default", "bound"),
    [
        (0, 0.9, "[0, 1)"),
        (0.5, 0.9, "[0, 1)"),
        (3, 2, None),
        (-(2**53), 2, None),
        ("static", "thumbnail", ("thumbnail", "static")),
        ("anything", "a word", None),
        (False, True, None),
        ([0.3, 1], (0.5,), "(0, 1]"),
        ((1, 2), (1, 2), None),
        (None, None, None),
        (1.5, None, "(0, 2]"),
        ("word", None, None),
        (True, None, None),
    ],
)
def test_what_is_allowed(value: Any, default: Any, bound: Bound | None) -> None:
    check_value("x", value, default, bound)


@pytest.mark.parametrize(
    ("value", "default", "bound", "expected"),
    [
        (math.nan, 0.9, "[0, 1)", "a number from 0 to below 1, e.g. the default, 0.9"),
        (math.inf, 0.9, None, "a number, e.g."),
        (1, 0.9, "[0, 1)", "a number from 0 to below 1"),
        (0, 0.5, "(0, 1]", "a number above 0 and at most 1"),
        (-1.0, 0.5, "[0, inf)", "a number of at least 0"),
        (0.0, 0.5, "(0, inf)", "a number above 0"),
        (4.0, 4, "[1, 64]", "a whole number from 1 to 64, e.g. the default, 4"),
        (True, 4, None, "a whole number"),
        (1, True, None, "true or false, e.g. the default, true"),
        (2**53 + 1, 4, None, "a whole number"),
        (10**400, 0.5, "(0, inf)", "a number above 0"),
        ("0.5", 0.5, None, "a number"),
        (None, 0.5, None, "a number"),
        ("statik", "thumbnail", ("thumbnail", "static"), "one of 'thumbnail', 'static', .* Did you mean 'static'?"),
        (7, "word", None, "a word"),
        ([], (0.5,), "(0, 1]", "a list of 1 to 1000 numbers, each above 0 and at most 1, e.g. the default, \\[0.5\\]"),
        ([0.5, math.nan], (0.5,), None, "a list"),
        ([0.5] * 1001, (0.5,), None, "a list"),
        (0.5, (0.5,), None, "a list"),
        ([1.5], (1, 2), None, "a list"),
        (3, None, "(0, 2]", "a number above 0 and at most 2, or nothing, e.g. the default, null"),
        ([1], None, None, "a number, a word, true, false or nothing"),
    ],
)
def test_what_is_refused(value: Any, default: Any, bound: Bound | None, expected: str) -> None:
    with pytest.raises(SettingsError, match=f"^mine.x: .* is not allowed; expected {expected}"):
        check_value("mine.x", value, default, bound)


@pytest.mark.parametrize(
    ("default", "bound", "said"),
    [
        ({}, None, "the default {}; expected a number, a word"),
        (("a",), None, "the default .* a tuple of numbers"),
        (math.nan, None, "the default nan is not within"),
        (0.5, "0 to 1", "the bound '0 to 1'; expected an interval such as"),
        (0.5, "[1, 0]", "the bound"),
        (0.5, 7, "the bound 7"),
        (1.0, "[0, 1)", "the default 1.0 is not within the bound"),
        ("a", ("b", "c"), "the default 'a' is not within"),
    ],
)
def test_declarations_that_cannot_be_used_are_told(default: Any, bound: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        check_declared(default, bound)


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_own_source_says_what_python_sees(kind: str, name: str) -> None:
    registry: Registry = REGISTRIES[kind]
    seen = describe(registry.get(name))
    assert (registry.settings(name), registry.bounds(name)) == (seen.defaults, seen.bounds)
    assert registry.files()[name] == seen.path and registry.describe(name).module == seen.module


@pytest.mark.parametrize(("kind", "name", "setting"), SETTINGS)
def test_each_own_setting_is_bounded(kind: str, name: str, setting: str) -> None:
    check_settings(kind, name, {setting: REGISTRIES[kind].settings(name)[setting]})
    for value in (math.nan, math.inf, 10**400, -1, 1e9, None, True, [], [-1], "nobody's word", {}):
        with pytest.raises(SettingsError, match=rf"^{kind}\.{name}\.{setting}: .*; expected .*e\.g\. the default, "):
            check_settings(kind, name, {setting: value})


@pytest.mark.parametrize(("kind", "name", "setting"), [one for one in SETTINGS if one[0] in ("weightings", "mergers")])
def test_constructors_refuse_the_same(kind: str, name: str, setting: str) -> None:
    arguments = (("a", "b"), 9) if kind == "weightings" else ()
    made = {"weightings": WEIGHTINGS, "mergers": MERGERS}[kind].get(name)
    for value in (math.nan, -1, 1e9, True, [-1]):
        with pytest.raises(SettingsError, match=rf"\.{setting}: .* is not allowed; expected"):
            made(*arguments, **{setting: value})


def test_settings_that_a_component_lacks_are_told_with_a_suggestion() -> None:
    with pytest.raises(UnknownNameError) as refused:
        check_settings("weightings", "db_mtl", {"betta": 0.5})
    assert str(refused.value) == (
        "weightings.db_mtl: unknown setting 'betta'. Did you mean 'beta'? Known: beta, beta_sigma."
    )
    with pytest.raises(SettingsError, match=r"^weightings\.slow\.beta: 2 is not allowed"):
        check_settings("weightings", "db_mtl", {"beta": 2}, where="weightings.slow")
    with pytest.raises(UnknownNameError, match="unknown weighting 'db_mlt'. Did you mean 'db_mtl'"):
        check_settings("weightings", "db_mlt", {})
