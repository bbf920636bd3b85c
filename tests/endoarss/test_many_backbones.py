"""Many of timm's models, small and with random weights, through training's steps: forward, backward, TESLA, save and load."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from endoarss import build_model, load_checkpoint
from endoarss.backbones.patch_projection import PatchProjection
from endoarss.checkpoints import save_checkpoint
from endoarss.errors import SettingsError
from endoarss.lora import adapted_layers
from endoarss.merging.merge import merged_model, put_vector
from endoarss.merging.task_vectors import lora_task_vector
from endoarss.models import MultiTaskModel
from endoarss.settings import (
    LORA_TARGETS,
    BackboneSettings,
    HeadSettings,
    LoRASettings,
    ModelSettings,
    SMASettings,
    WeightsSettings,
)
from tests.endoarss.many_backbones import WALKED, Walked

PARAMS = [pytest.param(one, marks=pytest.mark.slow if one.slow else (), id=one.name) for one in WALKED]
VITS = [one for one in WALKED if one.kind == "timm_vit"]
DOCS = Path(__file__).parents[2] / "docs/backbones.md"


def settings_of(one: Walked, folder: Path, architecture: str = "tesla", **changes: object) -> ModelSettings:
    """With a file of random weights for a ViT, whose adapters need a frozen one."""
    weights = WeightsSettings()
    if one.kind == "timm_vit":
        vit = timm.create_model(one.small_name, img_size=one.size, num_classes=0, **one.arguments)
        # A LayerScale starts at 1e-5: of what its block adds, nothing would be seen.
        state = {name: torch.ones_like(t) if "gamma" in name else t for name, t in vit.state_dict().items()}
        save_file({name: t.contiguous() for name, t in state.items()}, folder / "vit.safetensors")
        weights = WeightsSettings("file", str(folder / "vit.safetensors"))
    given = BackboneSettings(one.small_name, one.arguments, weights, **{"output_stride": 32, **changes})  # type: ignore[arg-type]
    return ModelSettings(one.kind, architecture, ("0", "1"), ("a", "b"), one.size, given, heads=HeadSettings(8, 8))


def without_zeros(model: MultiTaskModel) -> MultiTaskModel:
    """What starts at zero passes no signal on."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.normal_(std=0.02)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


@pytest.mark.slow
@pytest.mark.parametrize("one", PARAMS)
def test_a_model_of_timm_serves_tesla_and_is_stored(one: Walked, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = without_zeros(build_model(settings_of(one, tmp_path)))
    images = torch.rand(2, 3, one.size, one.size)
    outputs = model.train()(images)
    assert {task: tuple(found.shape) for task, found in outputs.items()} == {
        "activity": (2, 2),
        "segmentation": (2, 2, one.size, one.size),
    }
    # Every trained parameter is trained, and none by another task than its own.
    shared = model.shared_parameters()
    seen = [torch.zeros(len(shared), dtype=torch.bool)]
    for task, other in (model.tasks, model.tasks[::-1]):
        own, foreign = model.task_parameters(task), model.task_parameters(other)
        loss = outputs[task].pow(2).sum()
        found = torch.autograd.grad(loss, [*shared, *own, *foreign], retain_graph=True, allow_unused=True)
        seen.append(torch.tensor([g is not None for g in found[: len(shared)]]))
        assert all(g is not None and g.any() for g in found[len(shared) : len(shared) + len(own)])
        assert all(g is None or not g.any() for g in found[len(shared) + len(own) :])
    assert torch.stack(seen).any(dim=0).all()

    model.eval()
    with torch.inference_mode():
        first, second = model.backbone(images)
        for parameter in model.backbone.owned_parameters(1):
            parameter.normal_()
        again, changed = model.backbone(images)
    assert first.shape[1:] == (model.backbone.out_channels, *model.backbone.map_size)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert not torch.allclose(changed, second)

    save_checkpoint(model, tmp_path / "model.safetensors", {})
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    with torch.inference_mode():
        for task, expected in model(images).items():
            torch.testing.assert_close(loaded(images)[task], expected, rtol=0, atol=0)


@pytest.mark.parametrize("one", VITS, ids=lambda one: one.name)
def test_adapters_of_all_layers_merge_into_the_same_model(one: Walked, tmp_path: Path) -> None:
    """The merged update of one model is that model: q, k and v fused or apart, biases apart or none, plain or gated MLPs."""
    lora = LoRASettings(targets=LORA_TARGETS)
    settings = settings_of(one, tmp_path, "single_activity", lora=lora)
    single = build_model(settings).eval()
    other = build_model(replace(settings, architecture="single_segmentation")).eval()
    images = torch.rand(2, 3, one.size, one.size)
    plain = timm.create_model(one.name, img_size=one.size, num_classes=0, **one.arguments).eval()
    with torch.inference_mode():
        assert isinstance(single.backbone.encoders[0].vit.patch_embed.proj, PatchProjection)
        (before,) = single.backbone(images)
        plain.load_state_dict(load_file(tmp_path / "vit.safetensors"))
        tokens = plain.forward_features(images)[:, plain.num_prefix_tokens :]
        torch.testing.assert_close(before.flatten(2).transpose(1, 2), tokens, rtol=1e-4, atol=1e-5)
        for name, parameter in single.named_parameters():
            if "shared_b" in name:
                parameter.normal_(std=0.1)
        adapted = adapted_layers(single)
        assert len(adapted) >= 2 * 4 and all(layer.delta(0).any() for layer in adapted.values())
        merged = merged_model({"activity": single, "segmentation": other})
        put_vector(merged, lora_task_vector(single))
        (expected,), (found,) = single.backbone(images), merged.backbone(images)
    assert not torch.allclose(expected, before, atol=1e-3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["convnext_tiny", "resnet18", "vit_small_patch16_dinov3"])
def test_sma_stands_before_any_of_them(name: str, tmp_path: Path) -> None:
    (one,) = (replace(one, size=112) for one in WALKED if one.name == name)
    model = build_model(settings_of(one, tmp_path, with_sma=True, sma=SMASettings(2)))
    assert model.parameters_by_part()["front"][0] > 0
    assert model(torch.rand(2, 3, 112, 112))["activity"].shape == (2, 2)
    with pytest.raises(
        SettingsError, match=f"input size 96: SMA before {name} .* with network_size: 91 or 98; 224 is suitable"
    ):
        build_model(settings_of(replace(one, size=96), tmp_path, with_sma=True))


@pytest.mark.parametrize(
    ("kind", "model", "changes", "message"),
    [
        (
            "timm_features",
            "hiera_tiny_224",
            {},
            r"hiera_tiny_224: its output is not a feature map \(C, h, w\) but .* timm_vit",
        ),
        ("timm_features", "swin_tiny_patch4_window7_224", {"output_stride": 16}, "output_stride"),
        (
            "timm_features",
            "nest_tiny",
            {},
            "output_stride 32: the last feature map of nest_tiny .* a stride of 16. Set output_stride",
        ),
        ("timm_vit", "resnet18", {}, "img_size"),
        (
            "timm_vit",
            "beit_base_patch16_224",
            {},
            "'beit_base_patch16_224' is a Beit; expected a VisionTransformer or Eva",
        ),
    ],
)
def test_models_that_do_not_fit_are_refused_in_words(
    kind: str, model: str, changes: dict[str, object], message: str
) -> None:
    given = BackboneSettings(model, weights=WeightsSettings("checkpoint"), **{"output_stride": 32, **changes})  # type: ignore[arg-type]
    settings = ModelSettings(kind, "hps", ("0", "1"), ("a", "b"), 224, given)
    with torch.device("meta"), pytest.raises(SettingsError, match=message):
        build_model(settings)


def full_row(one: Walked) -> str:
    """A row of the table: parameters and map of the model in full, and how many values one task's adapters of rank 4 have."""
    weights = WeightsSettings("none" if one.kind == "timm_features" else "checkpoint")
    given = BackboneSettings(one.name, weights=weights, output_stride=32)
    with torch.device("meta"):
        settings = ModelSettings(one.kind, "tesla", ("0", "1"), ("a", "b"), one.full_size, given)
        backbone = build_model(settings).backbone
        plain = build_model(replace(settings, architecture="single_activity")).backbone
    adapters = sum(p.numel() for p in backbone.owned_parameters(0))
    values = sum(p.numel() for name, p in plain.named_parameters() if ".shared_" not in name)
    height, width = backbone.map_size
    way = "LoRA on q, v" if one.kind == "timm_vit" else "low-rank updates"
    cells = (
        f"`{one.name}`",
        f"`{one.kind}`",
        f"{values / 1e6:.1f} M",
        one.full_size,
        f"{plain.out_channels} x {height} x {width}",
    )
    return f"| {' | '.join(map(str, cells))} | {way}, {adapters:,} |"


def test_the_table_names_every_model_that_is_walked() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(timm_\w+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(one.name, one.kind) for one in WALKED] and len(rows) >= 20


@pytest.mark.slow
def test_the_table_holds_what_the_models_say() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for one in WALKED:
        assert full_row(one) in text, full_row(one)
