"""Check the values of a component's settings: a value must have the type of the default and be within the bound.

The bound of a number, and of each number in a list, is an interval in mathematical notation: "[0, 1)" contains 0 but not 1, and
"(0, inf)" contains every number above 0. The bound of a word is the tuple of the allowed words.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from endoarss.errors import SettingsError, shown, suggestion

Bound = str | tuple[str, ...]

_INTERVAL = re.compile(r"([\[(]) *([^, ]+) *, *([^, ]+) *([\])])")
_LARGEST = 2**53  # floats cannot represent every whole number above this one
_LONGEST = 1000  # the largest number of values in a list


class _Interval(NamedTuple):
    low: float
    high: float
    with_low: bool
    with_high: bool

    def __contains__(self, value: object) -> bool:
        assert isinstance(value, int | float)
        above = value >= self.low if self.with_low else value > self.low
        return above and (value <= self.high if self.with_high else value < self.high)

    def __str__(self) -> str:
        low, high = (f"{end:.15g}" for end in (self.low, self.high))
        if self.high == math.inf:
            return f"of at least {low}" if self.with_low else f"above {low}"
        if self.with_low:
            return f"from {low} to {'' if self.with_high else 'below '}{high}"
        return f"above {low} and {'at most' if self.with_high else 'below'} {high}"


def check_value(where: str, value: Any, default: Any, bound: Bound | None) -> None:
    """Raise an error if a setting cannot have a value.

    Args:
        where: the name of the setting in messages, such as "weightings.db_mtl.beta".
        value: the value from a study, a checkpoint or a caller.
        default: the setting's default, whose type the value must have. An int is accepted for a float, a float is never accepted for an
            int, and true and false are accepted for neither. With the default None, the value may be None, a word, a number, true or false.
        bound: an interval, a tuple of words, or None for no bound. NaN and infinite numbers are never allowed.

    Raises:
        SettingsError: if the value is not allowed; the message names the setting, the value and what is expected.
    """
    if not _fits(value, default, bound):
        close = suggestion(value, bound) if isinstance(bound, tuple) and isinstance(value, str) else ""
        raise SettingsError(
            f"{where}: {shown(value)} is not allowed; expected {_expected(default, bound)}, e.g. the default, {_written(default)}.{close}"
        )


def check_declared(default: Any, bound: Bound | None) -> None:
    """Raise an error if a component declares a default or a bound that cannot be used.

    Args:
        default: the declared default of a setting.
        bound: the declared bound of the setting.

    Raises:
        SettingsError: if one of them cannot be used; the message does not contain the setting's name.
    """
    numbers = isinstance(default, tuple) and all(_is_number(number) for number in default)
    if not (default is None or isinstance(default, bool | int | float | str) or numbers):
        raise SettingsError(
            f"the default {shown(default)}; expected a number, a word, True, False, None or a tuple of numbers."
        )
    words = isinstance(bound, tuple) and all(isinstance(word, str) for word in bound)
    interval = isinstance(bound, str) and _parsed(bound) is not None
    if not (bound is None or words or interval):
        raise SettingsError(f'the bound {shown(bound)}; expected an interval such as "[0, 1)", or a tuple of words.')
    if not _fits(default, default, bound) and default != ():
        raise SettingsError(f"the default {shown(default)} is not within the bound {bound!r}.")


def _fits(value: Any, default: Any, bound: Bound | None) -> bool:
    if isinstance(default, tuple):
        example = default[0] if default and not any(isinstance(number, float) for number in default) else 0.0
        return (
            isinstance(value, list | tuple)
            and 0 < len(value) <= _LONGEST
            and all(_fits(v, example, bound) for v in value)
        )
    if value is None or default is None:
        return default is None and (value is None or _fits(value, _of_type(value), bound))
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, str):
        return isinstance(value, str) and (bound is None or value in bound)
    if not _is_number(value) or (isinstance(default, int) and not isinstance(value, int)):
        return False
    interval = _parsed(bound)
    return abs(value) <= _LARGEST if interval is None else value in interval


def _of_type(value: Any) -> Any:
    """Return a default of a value's type, for settings whose default is None."""
    return value if isinstance(value, bool | str) else 0.0


def _is_number(value: object) -> bool:
    """Return whether a value is a finite float, or an int that is not too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _LARGEST if isinstance(value, int) else math.isfinite(value)


def _parsed(bound: object) -> _Interval | None:
    match = _INTERVAL.fullmatch(bound) if isinstance(bound, str) else None
    try:
        low, high = (float(match[2]), float(match[3])) if match else (math.nan, math.nan)
    except ValueError:
        return None
    return _Interval(low, high, match[1] == "[", match[4] == "]") if match and low <= high else None


def _expected(default: Any, bound: Bound | None) -> str:
    if isinstance(bound, tuple):
        return f"one of {', '.join(map(repr, bound))}"
    interval = _parsed(bound)
    limits = f" {interval}" if interval else ""
    if isinstance(default, tuple):
        each = f", each{limits}" if limits else ""
        return f"a list of 1 to {_LONGEST} numbers{each}"
    if default is None:
        return f"a number{limits}, or nothing" if limits else "a number, a word, true, false or nothing"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    return names[next(kind for kind in names if isinstance(default, kind))] + limits


def _written(default: Any) -> str:
    """Return a default as it is written in a study."""
    if isinstance(default, bool) or default is None:
        return {True: "true", False: "false", None: "null"}[default]
    return repr(list(default) if isinstance(default, tuple) else default)
