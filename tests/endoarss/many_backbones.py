"""The timm models that tests walk, each with what makes it small; docs/backbones.md has their table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_TINY_VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}
_TINY_RESNET = {"channels": [8, 8, 8, 16], "layers": [1, 1, 1, 1]}
_TINY_CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [8, 8, 12, 16]}
_TINY_SWIN = {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 2}


@dataclass(frozen=True)
class Walked:
    """A model: its backbone kind, its timm name, and what makes it small: arguments, or another model of the same make. Slow ones are
    walked by the slow tests alone. size, full_size: sides of the images in pixels, of the small and the full model."""

    kind: str
    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    size: int = 64
    full_size: int = 224
    stand_in: str = ""
    slow: bool = False

    @property
    def small_name(self) -> str:
        """The name of the model that is walked."""
        return self.stand_in or self.name


WALKED = [
    Walked("timm_features", "resnet18", _TINY_RESNET),
    Walked("timm_features", "resnet50", _TINY_RESNET),
    Walked("timm_features", "resnext50_32x4d", {**_TINY_RESNET, "cardinality": 2, "base_width": 64}),
    Walked("timm_features", "seresnet50", _TINY_RESNET),
    Walked("timm_features", "convnext_tiny", _TINY_CONVNEXT),
    Walked("timm_features", "convnextv2_tiny", _TINY_CONVNEXT),
    Walked("timm_features", "swin_tiny_patch4_window7_224", _TINY_SWIN),
    Walked("timm_features", "swinv2_tiny_window8_256", _TINY_SWIN, full_size=256),
    Walked("timm_features", "efficientnet_b0", stand_in="test_efficientnet"),
    Walked("timm_features", "mobilenetv3_small_100", stand_in="mobilenetv3_small_050"),
    Walked("timm_features", "mobilenetv4_conv_small", stand_in="mobilenetv4_conv_small_035"),
    Walked("timm_features", "regnetx_002", slow=True),
    Walked("timm_features", "ghostnet_050", slow=True),
    Walked("timm_features", "edgenext_xx_small", slow=True),
    Walked("timm_features", "mobilevit_xxs", slow=True),
    Walked("timm_vit", "vit_small_patch14_dinov2", _TINY_VIT, 28),
    Walked("timm_vit", "vit_base_patch14_reg4_dinov2", _TINY_VIT, 28),
    Walked("timm_vit", "vit_giant_patch14_dinov2", _TINY_VIT, 28),
    Walked("timm_vit", "vit_small_patch16_dinov3", _TINY_VIT, 32),
    Walked("timm_vit", "vit_base_patch16_dinov3_qkvb", _TINY_VIT, 32),
    Walked("timm_vit", "vit_tiny_patch16_224", _TINY_VIT, 32),
    Walked("timm_vit", "vit_base_patch16_clip_224", _TINY_VIT, 32),
    Walked("timm_vit", "vit_base_patch16_siglip_224", _TINY_VIT, 32),
    Walked("timm_vit", "eva02_tiny_patch14_224", _TINY_VIT, 28),
    Walked("timm_vit", "eva02_base_patch14_224", _TINY_VIT, 28),
]
