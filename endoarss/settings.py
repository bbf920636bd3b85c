"""The settings of a model as plain data; a checkpoint stores them, so that the model can be built again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from endoarss.errors import SettingsError, shown

ACTIVITY, SEGMENTATION = "activity", "segmentation"
TASKS = (ACTIVITY, SEGMENTATION)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Bounds of settings that come from a file. They stop a damaged or malicious file from building an endless model, and are far above the
# sizes that anybody trains.
Width = Annotated[int, Field(ge=1, le=16384)]
Side = Annotated[int, Field(ge=1, le=2048)]
NOT_PRINTED = r"\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"  # control characters, also those that reverse text
# Names appear in CSV files, legends and figures: they have one line, and a spreadsheet must not read them as a formula.
Name = Annotated[str, Field(pattern=rf"^[^=+\-@{NOT_PRINTED}][^{NOT_PRINTED}]{{0,199}}$")]
MAX_BLOCKS = 1024  # in all encoders of a model together
_FROM_FILE = ConfigDict(extra="forbid", strict=True)


WEIGHTS_FOLDER = Path("data/weights")
"""Where a project keeps files of pretrained weights, from its root."""
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Suffixes of weight files that can be read: safetensors, and files that `torch.save` wrote."""
_NamePart = Annotated[str, Field(min_length=1, max_length=200)]  # a part of a tensor's name


@dataclass(frozen=True)
class WeightsSettings:
    """Where a backbone's pretrained weights come from.

    Attributes:
        source: "hub" (timm downloads them), "file" (loaded strictly, see `endoarss.pretrained`), "checkpoint" (the model's own checkpoint
            contains them), or "none" (random weights).
        path: the file, if the source is "file".
        sha256: hex SHA-256 that the file must have; empty if any file is accepted.
        prefix: the prefix of the backbone's tensors in a file that contains more than the backbone; other tensors are skipped.
        entry: the key of the dictionary to read, in a file with several dictionaries of tensors.
        drop: beginnings of tensor names, without the prefix; these tensors are skipped.
        rename: new text for whole parts of tensor names; see `endoarss.pretrained.names.renamed`.
    """

    __pydantic_config__ = _FROM_FILE

    source: Literal["hub", "file", "checkpoint", "none"] = "none"
    path: str = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    prefix: Annotated[str, Field(max_length=1000)] = ""
    entry: Annotated[str, Field(max_length=1000)] = ""
    drop: Annotated[tuple[_NamePart, ...], Field(max_length=100)] = ()
    rename: Annotated[dict[_NamePart, Annotated[str, Field(max_length=200)]], Field(max_length=100)] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.source not in ("hub", "file", "checkpoint", "none"):
            raise SettingsError(f"weights: source {self.source!r}; expected hub, file, checkpoint or none.")
        if (self.source == "file") != bool(self.path):
            raise SettingsError(
                f"weights: source {self.source!r} with path {self.path!r}; the source 'file' needs a path, and no other source has one."
            )


# Layers of a ViT block that can have low-rank adapters: parts of the fused qkv, the attention's projection, the MLP's layers.
LORA_TARGETS = ("q", "k", "v", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class LoRASettings:
    """Settings of the low-rank adapters in a ViT's blocks.

    Attributes:
        rank: r, the rank of an adapter.
        alpha: the numerator of the scale alpha / r; 0 means alpha = r, so that the scale is 1.
        targets: the layers that have adapters, from `LORA_TARGETS`.
        random_vectors: whether to use the variant of the authors' code, see `lora.LoRALinear`.
    """

    __pydantic_config__ = _FROM_FILE

    rank: Width = 4
    alpha: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    targets: tuple[str, ...] = ("q", "v")
    random_vectors: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.targets) - set(LORA_TARGETS)
        if unknown or not self.targets:
            raise SettingsError(
                f"lora: targets {shown(list(self.targets))}; expected some of {', '.join(LORA_TARGETS)}."
            )

    @property
    def scale(self) -> float:
        """The scale alpha / r of the low-rank update."""
        return self.alpha / self.rank if self.alpha else 1.0


@dataclass(frozen=True)
class SMASettings:
    """Settings of spatially-aware multi-scale attention (SMA).

    Attributes:
        width: d, the number of channels that the image is projected to.
        trained: whether SMA is trained. In the authors' code it is not trained and keeps its random initial weights.
        residual: whether SMA is added to the image. In the authors' code it replaces the image.
    """

    __pydantic_config__ = _FROM_FILE

    width: Width = 64
    trained: bool = True
    residual: bool = True


SMA_PATCH = 7  # side of SMA's patches in pixels
SPATIAL, TOKENS_AS_CHANNELS = "spatial", "tokens_as_channels"


@dataclass(frozen=True)
class BackboneSettings:
    """A timm model, its weights, and the modules that are added to it.

    Attributes:
        model: the timm name.
        arguments: further keyword arguments for timm.
        weights: the source of the pretrained weights.
        output_stride: the stride of the feature map of a fully trained model: 8, 16 or 32.
        lora: the low-rank adapters.
        sma: spatially-aware multi-scale attention, if it is used.
        token_map: how the N tokens of a ViT become a map: "spatial" gives (C, side, side); "tokens_as_channels", as in the authors' code,
            gives N channels of side x (C / side).
        with_sma: whether SMA is applied before the model; the backbone `endoarss` always applies it.
    """

    __pydantic_config__ = _FROM_FILE

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: WeightsSettings = WeightsSettings()
    output_stride: Literal[8, 16, 32] = 16
    lora: LoRASettings = LoRASettings()
    sma: SMASettings = SMASettings()
    token_map: str = SPATIAL
    with_sma: bool = False

    def __post_init__(self) -> None:
        if self.token_map not in (SPATIAL, TOKENS_AS_CHANNELS):
            raise SettingsError(f"token_map {shown(self.token_map)}; expected {SPATIAL} or {TOKENS_AS_CHANNELS}.")


@dataclass(frozen=True)
class HeadSettings:
    """Settings of the two heads.

    Attributes:
        segmentation_channels: width of the segmentation head.
        activity_channels: width of the activity head.
        atrous_rates: rates of the segmentation head; if empty, `heads.rates_for_map` chooses them.
    """

    __pydantic_config__ = _FROM_FILE

    segmentation_channels: Width = 256
    activity_channels: Width = 256
    atrous_rates: Annotated[tuple[Side, ...], Field(max_length=8)] = ()


@dataclass(frozen=True)
class ModelSettings:
    """Everything that `build_model` needs.

    Attributes:
        backbone: registered name of the backbone.
        architecture: registered name of the architecture.
        classes: names of the segmentation classes; classes[0] is the background.
        activities: names of the activities; if empty, the model only segments.
        input_size: side of the square input and of the predicted masks, in pixels.
        backbone_settings: settings of the backbone.
        architecture_settings: settings of the architecture.
        heads: settings of the heads.
        network_size: side of the images that the backbone sees, in pixels; 0 means input_size.
        normalisation: "imagenet", or "none" for values from 0 to 1.
        align_corners: whether bilinear resizing maps corner pixels onto corner pixels. It applies to images that are resized to
            network_size and to logits that are resized to input_size.

    Raises:
        SettingsError: if the normalisation is unknown. Only `from_dict` checks types and bounds.
    """

    __pydantic_config__ = _FROM_FILE

    backbone: str
    architecture: str
    classes: Annotated[tuple[Name, ...], Field(min_length=1, max_length=255)]
    activities: Annotated[tuple[Name, ...], Field(max_length=1000)]
    input_size: Side
    backbone_settings: BackboneSettings
    architecture_settings: dict[str, Any] = field(default_factory=dict)
    heads: HeadSettings = HeadSettings()
    network_size: Annotated[int, Field(ge=0, le=2048)] = 0
    normalisation: str = "imagenet"
    align_corners: bool = False

    def __post_init__(self) -> None:
        if self.normalisation not in ("imagenet", "none"):
            raise SettingsError(f"normalisation {shown(self.normalisation)}; expected imagenet or none.")

    @property
    def seen_size(self) -> int:
        """Side of the images that the backbone sees, in pixels."""
        return self.network_size or self.input_size

    @property
    def available_tasks(self) -> tuple[str, ...]:
        """The tasks that the dataset has labels for."""
        return TASKS if self.activities else (SEGMENTATION,)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-like data."""
        return asdict(self)

    @staticmethod
    def from_dict(data: Any) -> ModelSettings:
        """Return settings from the data that `to_dict` returned; lists are accepted for tuples.

        Args:
            data: JSON-like data from any source; types, bounds and key names are checked.

        Returns:
            The settings.

        Raises:
            SettingsError: if the data is not allowed; the message names the key, its value and what is allowed.
        """
        try:
            return _adapter().validate_json(json.dumps(data))
        except ValidationError as error:
            raise SettingsError(first_error(error)) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingsError(f"the settings of a model cannot be read: {error}.") from None


def first_error(error: ValidationError) -> str:
    """Return a message about the first error of a validation.

    Args:
        error: the validation error.

    Returns:
        A sentence with the key, the value that was given, and what is allowed.
    """
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(short_key, first["loc"])) or "the settings"
    if first["type"] == "missing":
        return f"{where}: it is missing."
    return f"{where}: {shown(first['input'])} is not allowed; {first['msg']}."


def short_key(key: object) -> str:
    """Return the text with which messages show a key: quoted if it is not printable, cut if it is long.

    Args:
        key: any key.
    """
    text = str(key)
    return text if len(text) <= 40 and text.isprintable() else shown(text, 40)


@cache
def _adapter() -> TypeAdapter[ModelSettings]:
    return TypeAdapter(ModelSettings)
