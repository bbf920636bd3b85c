"""Load a file of pretrained weights into a timm model. If the tensors do not match, the error says what to write in the study."""

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

_SHOWN_AT_MOST = 4  # the number of names that messages list
_VALUES = ("null", "true", "false", "yes", "no", "on", "off", "y", "n")  # YAML does not read these as text
_WORD = re.compile(r"[A-Za-z_/][\w./-]*")


def load_weights(model: nn.Module, settings: BackboneSettings) -> None:
    """Load a weights file into a timm model. Every tensor of the model is replaced, and every selected tensor of the file is used.

    Args:
        model: a timm model without its classifier, which is changed in place.
        settings: the settings of the backbone; the source of its weights is "file".

    Raises:
        SettingsError: if the file is missing, has another digest than the settings say, cannot be read, or does not match the model. In the
            last case the message contains text for the study with which the file would match, if such text is found.
    """
    given, path = settings.weights, Path(settings.weights.path)
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file; expected the weights of {settings.model!r}.")
    if given.sha256:
        digest = file_sha256(path)
        if digest != given.sha256:
            raise SettingsError(
                f"{path}: its sha256 is {digest}; expected {given.sha256}. This is not the same file as before."
            )
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
        match = suggested(stored, model)
        advice = f" This matches: {study_text(path, given.entry, *match)}" if match else ""
        raise SettingsError(f"{path}: its tensors do not match {settings.model!r}. {reason}{advice}")


def study_text(path: Path, entry: str, prefix: str, drop: tuple[str, ...], rename: Mapping[str, str]) -> str:
    """Return the key `weights` of a backbone as one line of a study.

    Args:
        path: the file of weights.
        entry: the value of `entry`, left out if empty.
        prefix: the value of `prefix`, left out if empty.
        drop: the value of `drop`, left out if empty.
        rename: the value of `rename`, left out if empty.
    """
    parts = [f"file: {_as_yaml(str(path))}"]
    parts += [f"entry: {_as_yaml(entry)}"] if entry else []
    parts += [f"prefix: {_as_yaml(prefix)}"] if prefix else []
    parts += [f"drop: [{', '.join(map(_as_yaml, drop))}]"] if drop else []
    names = [f"{_as_yaml(old)}: {_as_yaml(new)}" for old, new in rename.items()]
    parts += [f"rename: {{{', '.join(names)}}}"] if rename else []
    return f"weights: {{{', '.join(parts)}}}"


def _as_yaml(text: str) -> str:
    """Return text as a value in YAML's flow style, quoted unless every YAML reader reads it as text."""
    return text if _WORD.fullmatch(text) and text.lower() not in _VALUES else json.dumps(text)


def _reason(state: Tensors, expected: Mapping[str, Tensor]) -> str:
    """Return sentences about different names and shapes, with a few of each; empty if there are none."""
    missing, extra, reshaped = differences(state, expected)
    sentences = []
    if missing:
        sentences.append(f"The file does not have {_listed(missing, expected)}.")
    if extra:
        sentences.append(f"The model does not have {_listed(extra, state)}.")
    if reshaped:
        shapes = [
            f"{short_key(name)} {tuple(state[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in reshaped[:_SHOWN_AT_MOST]
        ]
        more = f" and {len(reshaped) - _SHOWN_AT_MOST} more" if len(reshaped) > _SHOWN_AT_MOST else ""
        sentences.append(f"Shapes differ: {', '.join(shapes)}{more}.")
    return " ".join(sentences)


def _listed(names: list[str], tensors: Mapping[str, Tensor]) -> str:
    first = ", ".join(f"{short_key(name)} {tuple(tensors[name].shape)}" for name in names[:_SHOWN_AT_MOST])
    return f"{first} and {len(names) - _SHOWN_AT_MOST} more" if len(names) > _SHOWN_AT_MOST else first
