"""What a model is made of, as plain data: enough to build it again from a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from endoarss.errors import SettingsError

ACTIVITY, SEGMENTATION = "activity", "segmentation"
TASKS = (ACTIVITY, SEGMENTATION)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class WeightsSettings:
    """Where a backbone's pretrained weights come from.

    source: "hub" (timm downloads them), "file" (a safetensors file, loaded strictly), "none" (random).
    """

    source: Literal["hub", "file", "none"] = "none"
    path: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.source not in ("hub", "file", "none"):
            raise SettingsError(f"weights: source {self.source!r}; expected hub, file or none.")
        if (self.source == "file") != bool(self.path):
            raise SettingsError(
                f"weights: source {self.source!r} with path {self.path!r}; a path goes with file alone."
            )


@dataclass(frozen=True)
class BackboneSettings:
    """A timm model and what is added to it.

    model: timm name. arguments: further keyword arguments for timm. output_stride: of a ResNet (8, 16 or 32).
    lora_rank, lora_alpha: of the adapters; alpha 0 means alpha = rank. sma_width: d of spatially-aware multi-scale attention.
    """

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: WeightsSettings = WeightsSettings()
    output_stride: int = 16
    lora_rank: int = 4
    lora_alpha: float = 0.0
    sma_width: int = 64

    @property
    def lora_scale(self) -> float:
        """alpha / r."""
        return self.lora_alpha / self.lora_rank if self.lora_alpha else 1.0


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
    no activities means segmentation alone. input_size: side of the square input in pixels.
    """

    backbone: str
    architecture: str
    classes: tuple[str, ...]
    activities: tuple[str, ...]
    input_size: int
    backbone_settings: BackboneSettings
    architecture_settings: dict[str, Any] = field(default_factory=dict)
    heads: HeadSettings = HeadSettings()

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
