"""The header of a checkpoint, which describes the model and everything that decided its training. Reading it does not import torch.

The file may come from anybody. So every value in the header has a type and a bound, and the error about a wrong value names its key.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoarss.components.external import ExternalComponent
from endoarss.errors import SettingsError, shown
from endoarss.settings import ModelSettings, first_error, short_key

KEY = "endoarss"  # the key in the file's metadata
# Far above the usual: some thousand characters and some hundred values, nested a few levels deep, and one entry per tensor.
_MAX_FILE_HEADER, _MAX_TEXT, _MAX_VALUES, _MAX_DEPTH = 8 << 20, 256 << 10, 20_000, 40
_MAX_INTEGER = 2**63
_COPY_AGAIN = "Copy the file again from the machine where it was trained."


class CheckpointHeader(BaseModel):
    """The content of a checkpoint's header.

    Attributes:
        settings: the settings of the model.
        frozen_sha256: hex SHA-256 of the frozen weights, which the checkpoint does not contain.
        provenance: everything that decided the training, as JSON-like data; this package does not read its keys.
        components: the model's components that do not belong to this package. Their modules, names and digests are stored, but no code;
            users import the modules that they trust.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    settings: ModelSettings
    frozen_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    provenance: dict[str, Any]
    components: Annotated[tuple[ExternalComponent, ...], Field(max_length=10)] = ()


def header_metadata(
    settings: ModelSettings, frozen_sha256: str, provenance: dict[str, Any], components: tuple[ExternalComponent, ...]
) -> dict[str, str]:
    """Return the metadata of a checkpoint's file.

    Args:
        settings: the settings of the model.
        frozen_sha256: hex SHA-256 of the frozen weights.
        provenance: everything that decided the training, as JSON-like data.
        components: the model's components that do not belong to this package.
    """
    header: dict[str, Any] = {
        "settings": settings.to_dict(),
        "frozen_sha256": frozen_sha256,
        "provenance": provenance,
    }
    if components:
        header["components"] = [component.model_dump() for component in components]
    return {KEY: json.dumps(header, sort_keys=True)}


def read_header(path: Path) -> CheckpointHeader:
    """Read the header of a checkpoint, without its tensors.

    Args:
        path: the checkpoint file.

    Returns:
        The checked header.

    Raises:
        SettingsError: if the file is missing or damaged, or is no checkpoint of this package; the message names the file and the key.
    """
    text = _stored_text(path)
    try:
        if len(text) > _MAX_TEXT:
            raise SettingsError(f"it has {len(text):,} characters; expected at most {_MAX_TEXT:,}.")
        _check_values(json.loads(text))
        return CheckpointHeader.model_validate_json(text)
    except ValidationError as error:
        problem = first_error(error)
    except SettingsError as error:
        problem = str(error)
    except (ValueError, RecursionError):
        problem = "it is not JSON, or its values are nested too deeply."
    raise SettingsError(f"{path}: its header is not the header of a checkpoint: {problem} {_COPY_AGAIN}")


def _stored_text(path: Path) -> str:
    """Return the text of this package's key in the metadata of a safetensors file: a length, followed by that many bytes of JSON."""
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such checkpoint.")
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            content = stream.read(length) if length <= _MAX_FILE_HEADER else b""
        if len(content) < length:
            raise ValueError(f"its header should have {length:,} bytes")
        head = json.loads(content)
        if not isinstance(head, dict):
            raise ValueError("its header is not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: it is not a complete safetensors file ({error}). {_COPY_AGAIN}") from None
    metadata = head.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise SettingsError(
            f"{path}: it contains weights but does not describe their model; expected a checkpoint that `endoarss train` wrote."
        )
    return text


def _check_values(header: Any) -> None:
    """Raise an error if there are too many or too deeply nested values, numbers that are not finite, or text that is not valid UTF-8."""
    level: list[tuple[str, Any]] = [("", header)]
    count = 0
    for _ in range(_MAX_DEPTH):
        count += len(level)
        if count > _MAX_VALUES:
            raise SettingsError(f"it has more than {_MAX_VALUES:,} values.")
        for where, value in level:
            keys = value if isinstance(value, dict) else ()
            if not all(map(_is_plain, (value, *keys))):
                raise SettingsError(
                    f"{where or 'a key'}: {shown(value)} is not allowed; expected text and finite numbers."
                )
        level = [
            (f"{where}.{short_key(key)}".removeprefix("."), inner)
            for where, value in level
            for key, inner in (
                value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            )
        ]
        if not level:
            return
    raise SettingsError(f"its values are nested more than {_MAX_DEPTH} levels deep.")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < _MAX_INTEGER
