"""Mask secrets in printed and stored text: values of environment variables whose names hint at a secret, and passwords in addresses."""

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
# A variable's name is split at "_" and compared word by word, so KEYMAP, PWD and OLDPWD do not count.
_SECRET_WORDS = {
    *("TOKEN", "SECRET", "PASS", "PASSWORD", "PASSWD", "PAT", "DSN"),
    *("KEY", "APIKEY", "CREDENTIAL", "CREDENTIALS", "AUTH"),
}
_SETTINGS = "settings"  # the key of the settings in done.json and provenance
_SHORTEST = 6  # characters; shorter values occur in harmless words
# User and password of an address, up to the last @ before the path, because passwords may hold @, and a user name alone may be a token.
# One slash counts as two, because pathlib turns // into /. The length of the scheme is bounded; otherwise a long text takes time
# proportional to the square of its length.
_USER_IN_ADDRESS = re.compile(r"(\b[a-z][a-z0-9+.-]{1,30}:/{1,2})[^\s/?#'\"]*@", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text with every secret replaced by `MASK`.

    Secrets are user and password of an address, and values of at least six characters of environment variables whose name contains,
    between underscores, TOKEN, SECRET, PASS, PASSWORD, PASSWD, PAT, DSN, KEY, APIKEY, CREDENTIAL, CREDENTIALS or AUTH. A value is found
    as it is and as it is written in an address, in JSON or in Python.
    """
    for form in _forms_of_secrets():
        text = text.replace(form, MASK)
    return _without_users(text)


def masked_content(content: Any) -> Any:
    """Return JSON-like content with every text `masked`. Keys stay, and under the key "settings" only `masked_settings` applies."""
    if isinstance(content, dict):
        return {key: (masked_settings if key == _SETTINGS else masked_content)(content[key]) for key in content}
    return _apply_to_texts(content, masked, masked_content)


def masked_settings(content: Any) -> Any:
    """Return JSON-like content with user and password in addresses masked.

    Values of environment variables stay, because settings are compared later and must not depend on the environment.
    """
    if isinstance(content, dict):
        return {key: masked_settings(value) for key, value in content.items()}
    return _apply_to_texts(content, _without_users, masked_settings)


def _apply_to_texts(content: Any, of_text: Callable[[str], str], of_inner: Callable[[Any], Any]) -> Any:
    if isinstance(content, str):
        return of_text(content)
    if isinstance(content, (list, tuple)):
        return [of_inner(value) for value in content]
    return content


def _without_users(text: str) -> str:
    return _USER_IN_ADDRESS.sub(rf"\1{MASK}@", text)


def mask_tracebacks() -> None:
    """From now on, print tracebacks of uncaught errors without secrets, in every thread."""

    def in_thread(uncaught: threading.ExceptHookArgs) -> None:
        if uncaught.exc_value is not None:
            _print_masked(uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback)

    sys.excepthook = _print_masked
    threading.excepthook = in_thread


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(masked("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _forms_of_secrets() -> list[str]:
    """Return every form that a secret may have in a text, the longest first, because one form may contain another."""
    forms: set[str] = set()
    for name, secret in os.environ.items():
        if _SECRET_WORDS.isdisjoint(name.upper().split("_")):
            continue
        # The lines of a secret count singly too, because messages may be split into lines.
        for value in (secret, *secret.splitlines()):
            if len(value.strip()) >= _SHORTEST:
                value = value.strip()
                forms |= {value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1]}
    return sorted(forms, key=lambda form: (-len(form), form))
