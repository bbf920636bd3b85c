"""Small models: a patch-14 ViT whose weights come from a file, and a narrow ResNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from endoarss.data import LabelledImages
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, SMASettings, WeightsSettings
from tests.endoarss.small_backbones import small_settings

SIZE = 56
EVA = {"embed_dim": 24, "depth": 2, "num_heads": 2}
VIT = {"embed_dim": 24, "depth": 2, "num_heads": 2}
CLASSES = ("background", "a", "b")
ACTIVITIES = ("idle", "cutting", "suction", "looping")

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a DINOv2; beside it, in eva.safetensors, those of a ViT with rotary positions and a gated MLP."""
    folder = tmp_path_factory.mktemp("weights")
    _save_vit("eva02_tiny_patch14_224", EVA, folder / "eva.safetensors")
    return _save_vit("vit_small_patch14_dinov2", VIT, folder / "vit.safetensors")


def _save_vit(name: str, arguments: dict[str, int], path: Path) -> Path:
    torch.manual_seed(7)
    vit = timm.create_model(name, img_size=SIZE, num_classes=0, **arguments)
    # timm draws weights so small that hardly a gradient comes through, and scales what a block adds by 1e-5; trained ones are larger.
    state = {
        n: (
            t * 8 if n.endswith("weight") and t.ndim == 2 else torch.ones_like(t) if n.endswith("gamma") else t
        ).contiguous()
        for n, t in vit.state_dict().items()
    }
    save_file(state, path)
    return path


@pytest.fixture(scope="session")
def make_settings(vit_file: Path) -> Callable[..., ModelSettings]:
    def make(
        backbone: str, architecture: str, weights: str = "file", activities: tuple[str, ...] = ACTIVITIES
    ) -> ModelSettings:
        given = small_settings(backbone)
        if given is None:
            eva = backbone == "timm_vit"
            file = vit_file.with_name("eva.safetensors") if eva else vit_file
            source = WeightsSettings("file", str(file)) if weights == "file" else WeightsSettings()
            model, arguments = ("eva02_tiny_patch14_224", EVA) if eva else ("vit_small_patch14_dinov2", VIT)
            given = BackboneSettings(model, arguments, source)
        # Without SMA, adapters of each task alone leave nothing that is shared.
        given = replace(given, sma=SMASettings(width=2), with_sma=architecture == "task_adapters")
        return ModelSettings(backbone, architecture, CLASSES, activities, SIZE, given, heads=HeadSettings(16, 16))

    return make


@pytest.fixture
def data() -> LabelledImages:
    rng = np.random.default_rng(0)
    return LabelledImages(
        rng.integers(0, 256, (17, SIZE, SIZE, 3), np.uint8),
        rng.integers(0, len(CLASSES), (17, SIZE, SIZE), np.uint8),
        rng.integers(0, len(ACTIVITIES), 17),
    )
