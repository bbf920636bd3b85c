"""Reads the origin of a checkpoint, which is the part of its header that describes the training. The module does not import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from endoarss.checkpoint_header import read_header
from endoarss.settings import first_error
from pipeline.errors import InputError


class _Origin(BaseModel):
    """The entries of a header that merging needs. A training writes further entries for people to read."""

    model_config = ConfigDict(strict=True)

    cell: Annotated[str, Field(max_length=500)]
    manifest_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]
    weights: Annotated[dict[str, str], Field(max_length=10)]
    pretrained_on_synthetic: bool
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    select_on: Literal["last", "val", "test"]
    preprocessing: dict[str, Any] | None = None


def origin_of(checkpoint: Path) -> dict[str, Any]:
    """Return the entries of a checkpoint's header that merging needs.

    Raises:
        InputError: if an entry is missing or has a value that no training writes.
        SettingsError: if the file is not a checkpoint.
    """
    try:
        return _Origin.model_validate(read_header(checkpoint).provenance).model_dump()
    except ValidationError as error:
        raise InputError(
            f"{checkpoint}: its header cannot be used: {first_error(error)} Merge only checkpoints that a training wrote."
        ) from None
