"""What every backbone is to the rest, and how pretrained weights reach a timm model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
from safetensors.torch import load_file
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from endoarss.errors import SettingsError
from endoarss.lora import owned_parameters
from endoarss.settings import BackboneSettings


class Backbone(nn.Module):
    """An optional front on the image, then encoders that together give one feature map a stream.

    Args:
        encoders: each takes its streams' inputs one after the other, (S * B, 3, H, W), and gives (S * B, C, h, w).
        streams: S of each encoder. out_channels: C. map_size: h, w. front: runs once, before every encoder.
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        streams: int,
        out_channels: int,
        map_size: tuple[int, int],
        front: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.front = front if front is not None else nn.Identity()
        self.encoders = nn.ModuleList(encoders)
        self.streams = streams
        self.out_channels = out_channels
        self.map_size = map_size

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> one (B, C, h, w) a stream."""
        return self.encode(self.front(images).repeat(self.streams, 1, 1, 1))

    def encode(self, stacked: Tensor) -> list[Tensor]:
        """What the front gave, once a stream (S * B, 3, H, W) -> one (B, C, h, w) a stream of each encoder."""
        return [part for encoder in self.encoders for part in encoder(stacked).chunk(self.streams)]

    def owned_parameters(self, stream: int) -> list[nn.Parameter]:
        """Adapters that belong to one stream alone."""
        return owned_parameters(self, stream)


def create_timm_model(settings: BackboneSettings, **arguments: Any) -> Any:
    """A timm model with the weights its settings ask for; never another kind silently.

    Raises:
        SettingsError: if timm does not know the model, the hub cannot be reached, or a file does not fit strictly.
    """
    arguments = {**arguments, **settings.arguments}
    source = settings.weights.source
    try:
        model = timm.create_model(settings.model, pretrained=source == "hub", num_classes=0, **arguments)
    except (RuntimeError, TypeError) as error:
        raise SettingsError(f"timm model {settings.model!r} with {arguments}: {error}") from None
    except OSError as error:
        raise SettingsError(
            f"weights of {settings.model!r} cannot be fetched from the hub ({error}). Download them elsewhere and give "
            "the file: weights: {file: path/to/model.safetensors}."
        ) from None
    if source == "file":
        _load_file_strictly(model, settings)
    return model


def _load_file_strictly(model: nn.Module, settings: BackboneSettings) -> None:
    path = Path(settings.weights.path)
    if not path.is_file():
        raise SettingsError(f"{path}: no such file; expected the weights of {settings.model!r} as safetensors.")
    if settings.weights.sha256:
        found = file_sha256(path)
        if found != settings.weights.sha256:
            raise SettingsError(
                f"{path}: sha256 {found}; expected {settings.weights.sha256}: another file than before."
            )
    try:
        state = load_file(path)
    except Exception as error:  # safetensors raises its own class, which is not public
        raise SettingsError(f"{path}: not a safetensors file ({error}).") from None
    prefix = settings.weights.prefix
    if prefix:
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if not state:
            raise SettingsError(f"{path}: no name begins with the prefix {prefix!r}.")
    # A file as timm publishes it holds the classifier of its own training, which no model here has.
    classifiers = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    names = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    state = {key: value for key, value in state.items() if not key.startswith(tuple(f"{name}." for name in names))}
    if isinstance(model, VisionTransformer):
        # Layouts of original releases and positions of other input sizes become this model's.
        state = checkpoint_filter_fn(state, model)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SettingsError(f"{path}: does not fit {settings.model!r} strictly. {error}") from None


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
