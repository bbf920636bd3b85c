"""Load a file of pretrained weights into a timm model: strictly, or with a message that says what to write in the study."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from endoarss.errors import SettingsError
from endoarss.pretrained.convert import converted
from endoarss.pretrained.names import Tensors, selected_tensors
from endoarss.pretrained.read_tensors import file_sha256, read_tensors
from endoarss.pretrained.suggest import differences, suggested
from endoarss.settings import BackboneSettings, short_key

_SHOWN = 4  # names of each side
_VALUES = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # which YAML takes for something else than text
_WORD = re.compile(r"[A-Za-z_/][\w./-]*")


def load_weights(model: nn.Module, settings: BackboneSettings) -> None:
    """Load the file that settings name into a timm model. Every tensor of the model is replaced, and every one of the file used.

    Args:
        model: of timm, without its classifier. settings: its weights are of source "file".

    Raises:
        SettingsError: if the file is missing, is another one than before, cannot be read, or does not fit strictly; then with the study's
            text that does fit, where there is one.
    """
    given, path = settings.weights, Path(settings.weights.path)
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; expected the weights of {settings.model!r}.")
    if given.sha256:
        found = file_sha256(path)
        if found != given.sha256:
            raise SettingsError(f"{path}: sha256 {found}; expected {given.sha256}: another file than before.")
    stored = read_tensors(path, given.entry)
    try:
        state = converted(selected_tensors(stored, given.prefix, given.drop, given.rename), model)
        reason = _reason(state, model.state_dict())
        if not reason:
            model.load_state_dict(state, strict=True)
    except SettingsError as error:
        reason = str(error)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error)[:300]
    if reason:
        better = suggested(stored, model)
        help_ = f" This fits: {study_text(path, given.entry, *better)}" if better else ""
        raise SettingsError(f"{path}: does not fit {settings.model!r} strictly. {reason}{help_}")


def study_text(path: Path, entry: str, prefix: str, drop: tuple[str, ...], rename: Mapping[str, str]) -> str:
    """Return the key `weights` of a backbone as a study writes it on one line."""
    parts = [f"file: {_as_yaml(str(path))}"]
    parts += [f"entry: {_as_yaml(entry)}"] if entry else []
    parts += [f"prefix: {_as_yaml(prefix)}"] if prefix else []
    parts += [f"drop: [{', '.join(map(_as_yaml, drop))}]"] if drop else []
    names = [f"{_as_yaml(old)}: {_as_yaml(new)}" for old, new in rename.items()]
    parts += [f"rename: {{{', '.join(names)}}}"] if rename else []
    return f"weights: {{{', '.join(parts)}}}"


def _as_yaml(text: str) -> str:
    """Return text as YAML writes it in a flow of keys: quoted, unless every reader takes it for a word."""
    return text if _WORD.fullmatch(text) and text.lower() not in _VALUES else json.dumps(text)


def _reason(state: Tensors, expected: Mapping[str, Tensor]) -> str:
    """Return what differs in names and shapes, a few of each; empty if nothing does."""
    lacking, extra, others = differences(state, expected)
    parts = []
    if lacking:
        parts.append(f"It lacks {_listed(lacking, expected)}.")
    if extra:
        parts.append(f"The model lacks {_listed(extra, state)}.")
    if others:
        shapes = [
            f"{short_key(name)} {tuple(state[name].shape)} for {tuple(expected[name].shape)}"
            for name in others[:_SHOWN]
        ]
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        parts.append(f"Other shapes than the model's: {', '.join(shapes)}{more}.")
    return " ".join(parts)


def _listed(names: list[str], tensors: Mapping[str, Tensor]) -> str:
    first = ", ".join(f"{short_key(name)} {tuple(tensors[name].shape)}" for name in names[:_SHOWN])
    return f"{first} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else first
