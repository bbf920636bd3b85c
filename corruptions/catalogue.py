"""The names of the nineteen corruptions by category, in the order of the paper's Table VII."""

from __future__ import annotations

CATEGORIES: dict[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
    "blur": ("defocus_blur", "gaussian_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "occlusion": ("bleeding", "brightness", "smoke", "spatter"),
    "digital": ("contrast", "elastic_transform", "gamma_correction", "jpeg_compression", "pixelate", "saturate"),
}
CORRUPTIONS: tuple[str, ...] = tuple(name for names in CATEGORIES.values() for name in names)
SEVERITIES: tuple[int, ...] = (1, 2, 3, 4, 5)
