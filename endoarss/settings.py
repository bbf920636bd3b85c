"""What a model is made of, as plain data: enough to build it again from a checkpoint."""

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

# What settings may be when they come from a file. The bounds keep a damaged or malicious one from building a model without end; they lie
# far beyond what anybody trains.
Width = Annotated[int, Field(ge=1, le=16384)]
Side = Annotated[int, Field(ge=1, le=2048)]
NOT_PRINTED = r"\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"  # controls, and marks that turn the direction of writing
# Names stand in CSV files, legends and figures: one line, and nothing that a spreadsheet takes for a formula.
Name = Annotated[str, Field(pattern=rf"^[^=+\-@{NOT_PRINTED}][^{NOT_PRINTED}]{{0,199}}$")]
MAX_BLOCKS = 1024  # of all encoders of a model together
_FROM_FILE = ConfigDict(extra="forbid", strict=True)


WEIGHTS_FOLDER = Path("data/weights")
"""Where a project keeps files of pretrained weights, from its root."""
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Of the files of weights that are read: safetensors, and what `torch.save` wrote."""
_Part = Annotated[str, Field(min_length=1, max_length=200)]  # of a tensor's name


@dataclass(frozen=True)
class WeightsSettings:
    """Where a backbone's pretrained weights come from.

    source: "hub" (timm downloads them), "file" (see `endoarss.pretrained`, loaded strictly), "checkpoint" (they lie in the model's own
    checkpoint, which is complete), "none" (random).
    entry: of a file with several dictionaries of tensors, the key of the one that is meant.
    prefix: of a file that holds more than the backbone, what its names begin with; the rest of the file is passed over.
    drop: what names begin with, without the prefix, whose tensors are passed over.
    rename: by whole parts of names, what stands in their place; see `endoarss.pretrained.names.renamed`.
    """

    __pydantic_config__ = _FROM_FILE

    source: Literal["hub", "file", "checkpoint", "none"] = "none"
    path: str = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""
    prefix: Annotated[str, Field(max_length=1000)] = ""
    entry: Annotated[str, Field(max_length=1000)] = ""
    drop: Annotated[tuple[_Part, ...], Field(max_length=100)] = ()
    rename: Annotated[dict[_Part, Annotated[str, Field(max_length=200)]], Field(max_length=100)] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        if self.source not in ("hub", "file", "checkpoint", "none"):
            raise SettingsError(f"weights: source {self.source!r}; expected hub, file, checkpoint or none.")
        if (self.source == "file") != bool(self.path):
            raise SettingsError(
                f"weights: source {self.source!r} with path {self.path!r}; a path goes with file alone."
            )


# What of a ViT's block may carry low-rank adapters: the parts of the fused qkv, the attention's projection, the MLP's layers.
LORA_TARGETS = ("q", "k", "v", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class LoRASettings:
    """Low-rank adapters of a ViT's blocks. rank: r. alpha: 0 means alpha = rank. targets: from `LORA_TARGETS`.

    random_vectors: the released code's variant, see `lora.LoRALinear`.
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
        """alpha / r."""
        return self.alpha / self.rank if self.alpha else 1.0


@dataclass(frozen=True)
class SMASettings:
    """Spatially-aware multi-scale attention. width: d. trained, residual: both false in the released code, whose SMA stays as
    it was drawn and replaces the image instead of adding to it."""

    __pydantic_config__ = _FROM_FILE

    width: Width = 64
    trained: bool = True
    residual: bool = True


SMA_PATCH = 7  # side of the patches that SMA unfolds
SPATIAL, TOKENS_AS_CHANNELS = "spatial", "tokens_as_channels"


@dataclass(frozen=True)
class BackboneSettings:
    """A timm model and what is added to it.

    model: timm name. arguments: further keyword arguments for timm. output_stride: of the feature map of a model that is trained in full
    (8, 16 or 32). with_sma: whether SMA stands before the model; before `endoarss` it always does.
    token_map: how the N tokens of a ViT become a map: "spatial" (C, side, side), or "tokens_as_channels", the released code's
    view of them as N channels of side x (C / side).
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
    """Widths of the two heads, and the atrous rates of the segmentation head; no rates means: as the map's side asks."""

    __pydantic_config__ = _FROM_FILE

    segmentation_channels: Width = 256
    activity_channels: Width = 256
    atrous_rates: Annotated[tuple[Side, ...], Field(max_length=8)] = ()


@dataclass(frozen=True)
class ModelSettings:
    """Everything `build_model` needs.

    backbone, architecture: registered names. classes, activities: names of the outputs; classes[0] is the background, and
    no activities means segmentation alone. input_size: side of the square input in pixels, which masks are predicted at.
    network_size: side the backbone sees images at; 0 means input_size. normalisation: "imagenet" or "none" (values 0 to 1).
    align_corners: whether bilinear resizing, of images to network_size and of logits to input_size, maps corner pixels onto corner pixels.
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
        """The side that the backbone sees images at, in pixels."""
        return self.network_size or self.input_size

    @property
    def available_tasks(self) -> tuple[str, ...]:
        """The tasks the labels allow."""
        return TASKS if self.activities else (SEGMENTATION,)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-like data."""
        return asdict(self)

    @staticmethod
    def from_dict(data: Any) -> ModelSettings:
        """Return the settings that `to_dict` gave as data, JSON's lists allowed for tuples.

        Args:
            data: JSON-like, from any source: types, bounds and names of keys are checked.

        Raises:
            SettingsError: naming the key, its value and what is allowed.
        """
        try:
            return _adapter().validate_json(json.dumps(data))
        except ValidationError as error:
            raise SettingsError(first_error(error)) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise SettingsError(f"the settings of a model cannot be read: {error}.") from None


def first_error(error: ValidationError) -> str:
    """Return the first thing that is wrong with data: its key, what was given, and what is allowed."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(map(short_key, first["loc"])) or "the settings"
    if first["type"] == "missing":
        return f"{where}: missing."
    return f"{where}: {shown(first['input'])} is not allowed; {first['msg']}."


def short_key(key: object) -> str:
    """Return a key as messages name it: quoted if it is not printable, and cut if it is long."""
    text = str(key)
    return text if len(text) <= 40 and text.isprintable() else shown(text, 40)


@cache
def _adapter() -> TypeAdapter[ModelSettings]:
    return TypeAdapter(ModelSettings)
