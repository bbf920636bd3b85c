"""Components outside this package that a checkpoint needs. Its header has their modules, names and digests; reading it imports nothing."""

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
    """A component that does not belong to this package.

    Attributes:
        kind: the kind of component, as studies name it.
        name: the registered name.
        module: the module that defines it.
        sha256: hex SHA-256 of its source file; empty if there is none, for example for a class that was defined in a notebook.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Kind
    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,59}$")]
    module: Annotated[str, Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*$", max_length=1000)]
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]


def external_components(settings: ModelSettings) -> tuple[ExternalComponent, ...]:
    """Return the components of a model that a user's module registered, with the digests of their present source files.

    Args:
        settings: the settings of the model.
    """
    found = []
    for kind, key in _KINDS.items():
        name = getattr(settings, key)
        description = REGISTRIES[kind].describe(name)
        if not description.module.startswith("endoarss."):
            digests = sha256_of([description.path] if description.path else [])
            sha256 = next(iter(digests.values()), "")
            found.append(ExternalComponent(kind=kind, name=name, module=description.module, sha256=sha256))
    return tuple(found)


def check_external(path: object, settings: ModelSettings, recorded: tuple[ExternalComponent, ...]) -> None:
    """Check the external components of a checkpoint. If the source of one has changed since training, warn on standard error.

    Args:
        path: the path of the checkpoint, for messages.
        settings: the settings of its model.
        recorded: the components in its header.

    Raises:
        SettingsError: if a component is not registered; the message names its module and says what to do.
    """
    for component in recorded:
        kind, name, module = component.kind, component.name, component.module
        if getattr(settings, _KINDS[kind]) == name and name not in REGISTRIES[kind].names():
            raise SettingsError(
                f"{path}: its {_KINDS[kind]} {name!r} is defined in the Python module {module}, which is never imported automatically. "
                f"If you have that module and trust it, name it: endoarss predict --components {module}, or "
                f"load_checkpoint(path, components=[{module!r}])."
            )
    present = {(component.kind, component.name): component.sha256 for component in external_components(settings)}
    for component in recorded:
        digest = present.get((component.kind, component.name), component.sha256)
        if digest != component.sha256:
            print(
                f"{path}: the source of the {_KINDS[component.kind]} {component.name!r} in {component.module} (sha256 {digest[:12]}) "
                f"differs from the source in training ({component.sha256[:12]}), so its predictions may differ.",
                file=sys.stderr,
            )
