"""What a model is made of, as plain data: enough to build it again from a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from endoarss.errors import SettingsError

ACTIVITY, SEGMENTATION = "activity", "segmentation"
TASKS = (ACTIVITY, SEGMENTATION)
# The value of a mask's pixels that belong to no class: losses and metrics leave them out.
IGNORED = 255
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class WeightsSettings:
    """Where a backbone's pretrained weights come from.

    source: "hub" (timm downloads them), "file" (a safetensors file, loaded strictly), "none" (random).
    prefix: of a file that holds more than the backbone, what its names begin with; the rest of the file is passed over.
    """

    source: Literal["hub", "file", "none"] = "none"
    path: str = ""
    sha256: str = ""
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.source not in ("hub", "file", "none"):
            raise SettingsError(f"weights: source {self.source!r}; expected hub, file or none.")
        if (self.source == "file") != bool(self.path):
            raise SettingsError(
                f"weights: source {self.source!r} with path {self.path!r}; a path goes with file alone."
            )


# What of a ViT's block may carry low-rank adapters: the parts of the fused qkv, the attention's projection, the MLP's layers.
LORA_TARGETS = ("q", "k", "v", "proj", "fc1", "fc2")


@dataclass(frozen=True)
class LoRASettings:
    """Low-rank adapters. rank: r. alpha: 0 means alpha = rank. targets: of a ViT's blocks, from `LORA_TARGETS`."""

    rank: int = 4
    alpha: float = 0.0
    targets: tuple[str, ...] = ("q", "v")

    def __post_init__(self) -> None:
        unknown = set(self.targets) - set(LORA_TARGETS)
        if unknown or not self.targets:
            raise SettingsError(f"lora: targets {list(self.targets)}; expected some of {', '.join(LORA_TARGETS)}.")

    @property
    def scale(self) -> float:
        """alpha / r."""
        return self.alpha / self.rank if self.alpha else 1.0


@dataclass(frozen=True)
class SMASettings:
    """Spatially-aware multi-scale attention. width: d. trained, residual: both false in the released code, whose SMA stays as
    it was drawn and replaces the image instead of adding to it."""

    width: int = 64
    trained: bool = True
    residual: bool = True


SMA_PATCH = 7  # side of the patches that SMA unfolds
SPATIAL, TOKENS_AS_CHANNELS = "spatial", "tokens_as_channels"


@dataclass(frozen=True)
class BackboneSettings:
    """A timm model and what is added to it.

    model: timm name. arguments: further keyword arguments for timm. output_stride: of a ResNet (8, 16 or 32).
    token_map: how the N tokens of a ViT become a map: "spatial" (C, side, side), or "tokens_as_channels", the released code's
    view of them as N channels of side x (C / side).
    """

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: WeightsSettings = WeightsSettings()
    output_stride: int = 16
    lora: LoRASettings = LoRASettings()
    sma: SMASettings = SMASettings()
    token_map: str = SPATIAL

    def __post_init__(self) -> None:
        if self.token_map not in (SPATIAL, TOKENS_AS_CHANNELS):
            raise SettingsError(f"token_map {self.token_map!r}; expected {SPATIAL} or {TOKENS_AS_CHANNELS}.")


@dataclass(frozen=True)
class HeadSettings:
    """Widths of the two heads, and the atrous rates of the segmentation head; no rates means: as the map's side asks."""

    segmentation_channels: int = 256
    activity_channels: int = 256
    atrous_rates: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelSettings:
    """Everything `build_model` needs.

    backbone, architecture: registered names. classes, activities: names of the outputs; classes[0] is the background, and
    no activities means segmentation alone. input_size: side of the square input in pixels, which masks are predicted at.
    network_size: side the backbone sees images at; 0 means input_size. normalisation: "imagenet" or "none" (values 0 to 1).
    """

    backbone: str
    architecture: str
    classes: tuple[str, ...]
    activities: tuple[str, ...]
    input_size: int
    backbone_settings: BackboneSettings
    architecture_settings: dict[str, Any] = field(default_factory=dict)
    heads: HeadSettings = HeadSettings()
    network_size: int = 0
    normalisation: str = "imagenet"

    def __post_init__(self) -> None:
        if self.normalisation not in ("imagenet", "none"):
            raise SettingsError(f"normalisation {self.normalisation!r}; expected imagenet or none.")

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
    def from_dict(data: dict[str, Any]) -> ModelSettings:
        """The inverse of `to_dict`, JSON's lists allowed for tuples."""
        backbone = dict(data["backbone_settings"])
        backbone["weights"] = WeightsSettings(**backbone["weights"])
        if "lora" in backbone:
            lora = backbone["lora"]
            backbone["lora"] = LoRASettings(**{**lora, "targets": tuple(lora["targets"])})
        if "sma" in backbone:
            backbone["sma"] = SMASettings(**backbone["sma"])
        heads = dict(data["heads"])
        heads["atrous_rates"] = tuple(heads["atrous_rates"])
        return ModelSettings(
            **{
                **data,
                "classes": tuple(data["classes"]),
                "activities": tuple(data["activities"]),
                "backbone_settings": BackboneSettings(**backbone),
                "heads": HeadSettings(**heads),
            }
        )
