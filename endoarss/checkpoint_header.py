"""The header of a checkpoint: what model it is of, and what decided its training. Reading it imports no torch.

The file may come from anybody. So everything in it has a type and a bound, and what does not keep to them is refused by key.
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

KEY = "endoarss"  # of the file's metadata
# Headers of this package hold some thousand characters and some hundred values, a few levels deep; and a line for each tensor.
_MAX_FILE_HEADER, _MAX_TEXT, _MAX_VALUES, _MAX_DEPTH = 8 << 20, 256 << 10, 20_000, 40
_MAX_WHOLE = 2**63
_HELP = "Get the file again from where it was trained."


class CheckpointHeader(BaseModel):
    """What a checkpoint says of itself.

    Attributes:
        settings: of the model.
        frozen_sha256: digest of the frozen weights that the checkpoint does not hold.
        provenance: what decided the training, as JSON-like data; its keys are for whoever wrote it to know.
        components: those of the model that are not the project's own. They are named here, and imported by whoever trusts them.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    settings: ModelSettings
    frozen_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    provenance: dict[str, Any]
    components: Annotated[tuple[ExternalComponent, ...], Field(max_length=10)] = ()


def header_metadata(
    settings: ModelSettings, frozen_sha256: str, provenance: dict[str, Any], components: tuple[ExternalComponent, ...]
) -> dict[str, str]:
    """Return the metadata of a checkpoint's file; see `CheckpointHeader` for the arguments."""
    header: dict[str, Any] = {
        "settings": settings.to_dict(),
        "frozen_sha256": frozen_sha256,
        "provenance": provenance,
    }
    if components:
        header["components"] = [one.model_dump() for one in components]
    return {KEY: json.dumps(header, sort_keys=True)}


def read_header(path: Path) -> CheckpointHeader:
    """Read what a checkpoint says of itself, without its tensors.

    Raises:
        SettingsError: naming the file, and the key if one is at fault: if the file is missing, torn, or no checkpoint of this package.
    """
    text = _stored_text(path)
    try:
        if len(text) > _MAX_TEXT:
            raise SettingsError(f"{len(text):,} characters; expected at most {_MAX_TEXT:,}.")
        _check_values(json.loads(text))
        return CheckpointHeader.model_validate_json(text)
    except ValidationError as error:
        said = first_error(error)
    except SettingsError as error:
        said = str(error)
    except (ValueError, RecursionError):
        said = "it is no JSON, or values lie too deep in one another."
    raise SettingsError(f"{path}: its header is not that of a checkpoint: {said} {_HELP}")


def _stored_text(path: Path) -> str:
    """Return the text under this package's key in the metadata of a safetensors file: a length, then that many bytes of JSON."""
    if not path.is_file():
        raise SettingsError(f"{path}: no such checkpoint.")
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            content = stream.read(length) if length <= _MAX_FILE_HEADER else b""
        if len(content) < length:
            raise ValueError(f"its header should have {length:,} bytes")
        head = json.loads(content)
        if not isinstance(head, dict):
            raise ValueError("its header is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not a whole safetensors file ({error}). {_HELP}") from None
    metadata = head.get("__metadata__")
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise SettingsError(
            f"{path}: holds weights but not what model they belong to; expected a checkpoint of `train`."
        )
    return text


def _check_values(header: Any) -> None:
    """Refuse what cannot be walked through, or written again as UTF-8: too much, too deep, endless numbers, halves of letters."""
    level: list[tuple[str, Any]] = [("", header)]
    count = 0
    for _ in range(_MAX_DEPTH):
        count += len(level)
        if count > _MAX_VALUES:
            raise SettingsError(f"more than {_MAX_VALUES:,} values.")
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
    raise SettingsError(f"values more than {_MAX_DEPTH} levels deep.")


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or abs(value) < _MAX_WHOLE
