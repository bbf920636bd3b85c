"""Remove secrets from printed and stored text: values of environment variables that look like secrets, and passwords in addresses."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import quote

MASK = "***"
# Whole words of a variable's name, split at "_", so KEYMAP, PWD and OLDPWD do not count.
_SECRET_WORDS = {
    *("TOKEN", "SECRET", "PASS", "PASSWORD", "PASSWD", "PAT", "DSN"),
    *("KEY", "APIKEY", "CREDENTIAL", "CREDENTIALS", "AUTH"),
}
_SETTINGS = "settings"  # the key of settings that decide a result
_SHORTEST = 6  # shorter values occur in harmless words
# Up to the last @ before the path, because passwords may hold @, and a user name alone is often a token. Path leaves one slash of two.
# The length of the scheme is bounded; otherwise a long text takes time proportional to the square of its length.
_USER = re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}:/{1,2})[^\s/?#'\"]*@", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text with every secret replaced by `MASK`.

    A secret is the value, of six characters or more, of an environment variable whose name has, between underscores, one of the words
    TOKEN, SECRET, PASS, PASSWORD, PASSWD, PAT, DSN, KEY, APIKEY, CREDENTIAL, CREDENTIALS and AUTH, as it is or as it stands in an
    address, in JSON or in Python; and user and password of an address.
    """
    for form in _forms():
        text = text.replace(form, MASK)
    return _without_users(text)


def masked_content(content: Any) -> Any:
    """Return JSON-like content with every text `masked`; keys stay. The value of "settings" goes through `masked_settings`."""
    if isinstance(content, dict):
        return {key: (masked_settings if key == _SETTINGS else masked_content)(content[key]) for key in content}
    return _each_text(content, masked, masked_content)


def masked_settings(content: Any) -> Any:
    """Return JSON-like content without user and password in addresses.

    Environment variables are not considered, because settings that are compared later must not depend on the environment.
    """
    if isinstance(content, dict):
        return {key: masked_settings(value) for key, value in content.items()}
    return _each_text(content, _without_users, masked_settings)


def _each_text(content: Any, of_text: Callable[[str], str], of_inner: Callable[[Any], Any]) -> Any:
    if isinstance(content, str):
        return of_text(content)
    if isinstance(content, (list, tuple)):
        return [of_inner(value) for value in content]
    return content


def _without_users(text: str) -> str:
    return _USER.sub(rf"\1{MASK}@", text)


def mask_tracebacks() -> None:
    """Print tracebacks of uncaught errors, in any thread, without secrets from now on."""

    def in_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None:
            _print_masked(given.exc_type, given.exc_value, given.exc_traceback)

    sys.excepthook = _print_masked
    threading.excepthook = in_thread


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(masked("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _forms() -> list[str]:
    """Return every form that a secret may have in a text, the longest first, because one may contain another."""
    found: set[str] = set()
    for name, whole in os.environ.items():
        if _SECRET_WORDS.isdisjoint(name.upper().split("_")):
            continue
        # Each line of a secret of several lines, because messages are split and joined.
        for value in (whole, *whole.splitlines()):
            if len(value.strip()) >= _SHORTEST:
                value = value.strip()
                found |= {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}
    return sorted(found, key=lambda form: (-len(form), form))
