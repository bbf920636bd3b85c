"""Components of a user's own that a checkpoint needs: recorded by module, name and digest; never imported because a file says so."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from endoarss.components.user_modules import sha256_of
from endoarss.errors import SettingsError
from endoarss.registry import REGISTRIES
from endoarss.settings import ModelSettings

Kind = Literal["backbones", "architectures"]
_KINDS: dict[Kind, str] = {"backbones": "backbone", "architectures": "architecture"}


class ExternalComponent(BaseModel):
    """A component that is not one of the project's own.

    Attributes:
        kind: as studies name it.
        name: what it is registered as.
        module: that it is written in.
        sha256: hex SHA-256 of the source file that it is written in; empty if there is none, such as for a class of a notebook.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Kind
    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,59}$")]
    module: Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$", max_length=1000)]
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


def external_components(settings: ModelSettings) -> tuple[ExternalComponent, ...]:
    """Return the components of a model that a user's module registered, as their source files are now."""
    found = []
    for kind, key in _KINDS.items():
        name = getattr(settings, key)
        known = REGISTRIES[kind].describe(name)
        if not known.module.startswith("endoarss."):
            digests = sha256_of([known.path] if known.path else [])
            found.append(
                ExternalComponent(kind=kind, name=name, module=known.module, sha256=next(iter(digests.values()), ""))
            )
    return tuple(found)


def check_external(path: object, settings: ModelSettings, recorded: tuple[ExternalComponent, ...]) -> None:
    """See that the components of a checkpoint are known, and say on standard error if their source is another than in training.

    Args:
        path: of the checkpoint, for messages. settings: of its model. recorded: in its header.

    Raises:
        SettingsError: if one is not known, with its module and what to do.
    """
    for one in recorded:
        if getattr(settings, _KINDS[one.kind]) == one.name and one.name not in REGISTRIES[one.kind].names():
            raise SettingsError(
                f"{path}: its {_KINDS[one.kind]} {one.name!r} is written in the Python module {one.module}, which a checkpoint "
                f"never imports by itself. If you have that module and trust it, name it: endoarss predict --components {one.module}, or "
                f"load_checkpoint(path, components=[{one.module!r}])."
            )
    now = {(one.kind, one.name): one.sha256 for one in external_components(settings)}
    for one in recorded:
        if now.get((one.kind, one.name), one.sha256) != one.sha256:
            print(
                f"{path}: the {_KINDS[one.kind]} {one.name!r} of {one.module} has another source (sha256 "
                f"{now[one.kind, one.name][:12]}) than in training ({one.sha256[:12]}): what it predicts may differ.",
                file=sys.stderr,
            )
