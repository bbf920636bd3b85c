"""Files as their authors publish them, made small: each loads with the text of docs/foreign-weights.md, and no tensor is lost.

The names are those of facebookresearch/dinov2, dinov3, mae and ConvNeXt-V2, of transformers, of EndoViT and of SurgeNet.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file
from timm.models import metaformer
from torch import Tensor, nn

from endoarss.components.description import as_tuple
from endoarss.errors import SettingsError
from endoarss.pretrained.load import load_weights
from endoarss.settings import BackboneSettings, WeightsSettings
from endoarss.timm_names import check_is_timm_model

ROOT = Path(__file__).parents[3]
VIT = {"img_size": 28, "embed_dim": 24, "depth": 2, "num_heads": 2}
_TEACHER = "_checkpoint_epoch0050_teacher.pth"
Tensors = dict[str, Tensor]
Load = Callable[..., nn.Module]


def documented(file: str) -> dict[str, Any]:
    """The keys of `weights`, without the file, that docs/foreign-weights.md has for a file."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/foreign-weights.md").read_text(), re.DOTALL)
    (found,) = [
        one for one in map(yaml.safe_load, blocks) if one.get("weights", {}).get("file") == f"data/weights/{file}"
    ]
    check_is_timm_model(found["model"])
    given = WeightsSettings(
        "file", "x", **{key: as_tuple(one) for key, one in found["weights"].items() if key != "file"}
    )
    return {key: one for key in ("entry", "prefix", "drop", "rename") if (one := getattr(given, key))}


def timm_model(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = timm.create_model(name, num_classes=0, **arguments)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model.eval()


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Save what is given as a file, and load it into a model of the same shapes."""

    def into(model: nn.Module, content: Any, **weights: Any) -> nn.Module:
        path = tmp_path / ("w.safetensors" if weights.pop("safetensors", False) else "w.pth")
        save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        load_weights(model, BackboneSettings("the model", weights=WeightsSettings("file", str(path), **weights)))
        return model

    return into


def as_stored(model: nn.Module) -> Tensors:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_holds(model: nn.Module, expected: Tensors) -> None:
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, msg=name)


def meta_dinov2(model: nn.Module, stored: Tensors) -> Tensors:
    """Meta's file: the positions hold one for the class token, and with registers no other."""
    state = {"mask_token": torch.ones(1, 24), **stored}
    if "reg_token" in state:
        state["register_tokens"] = state.pop("reg_token")
        state["pos_embed"] = torch.cat([torch.ones(1, 1, 24), state["pos_embed"]], dim=1)
        state["cls_token"] = state["cls_token"] - 1
    return state


def meta_dinov3(stored: Tensors) -> Tensors:
    names = {"gamma_1": "ls1.gamma", "gamma_2": "ls2.gamma", "reg_token": "storage_tokens"}
    state = {}
    for name, tensor in stored.items():
        head, _, last = name.rpartition(".")
        state[f"{head}.{names[last]}".lstrip(".") if last in names else name] = tensor
    for block in range(2):
        state[f"blocks.{block}.attn.qkv.bias"] = torch.zeros(72)
        state[f"blocks.{block}.attn.qkv.bias_mask"] = torch.ones(72)
    return {**state, "mask_token": torch.ones(1, 24), "rope_embed.periods": torch.ones(3)}


def mae_decoder() -> Tensors:
    names = ["decoder_pos_embed", "decoder_embed.weight", "decoder_embed.bias", "decoder_blocks.0.norm1.weight"]
    names += ["decoder_norm.weight", "decoder_pred.bias", "mask_token"]
    return {name: torch.ones(2) for name in names}


def transformers_dinov2(stored: Tensors) -> Tensors:
    """The names of transformers' Dinov2Model, with q, k and v apart."""
    state = {"embeddings.mask_token": torch.ones(1, 24)}
    for name, tensor in stored.items():
        if ".attn.qkv." in name:
            block, kind = name.split(".")[1], name.split(".")[-1]
            parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
            state |= {f"encoder.layer.{block}.attention.attention.{part}.{kind}": one.clone() for part, one in parts}
            continue
        for old, new in {
            "cls_token": "embeddings.cls_token",
            "pos_embed": "embeddings.position_embeddings",
            "patch_embed.proj": "embeddings.patch_embeddings.projection",
            "blocks": "encoder.layer",
            "attn.proj": "attention.output.dense",
            "ls1.gamma": "layer_scale1.lambda1",
            "ls2.gamma": "layer_scale2.lambda1",
        }.items():
            name = name.replace(old, new)
        state[f"layernorm.{name.split('.')[1]}" if name.startswith("norm.") else name] = tensor
    return state


def transformers_dinov3(stored: Tensors) -> Tensors:
    """The names of transformers' DINOv3ViTModel; the biases of q and v are zero."""
    state = {"embeddings.mask_token": torch.ones(1, 1, 24)}
    for name, tensor in stored.items():
        if ".attn.qkv." in name:
            start = f"layer.{name.split('.')[1]}.attention"
            parts = zip("qkv", tensor.chunk(3), strict=True)
            state |= {f"{start}.{part}_proj.weight": one.clone() for part, one in parts}
            state |= {f"{start}.{part}_proj.bias": torch.zeros(24) for part in "qv"}
            continue
        for old, new in {
            "cls_token": "embeddings.cls_token",
            "reg_token": "embeddings.register_tokens",
            "patch_embed.proj": "embeddings.patch_embeddings",
            "blocks": "layer",
            "attn.proj": "attention.o_proj",
            "gamma_": "layer_scale",
            "mlp.fc1": "mlp.up_proj",
            "mlp.fc2": "mlp.down_proj",
        }.items():
            name = name.replace(old, new)
        state[f"{name}.lambda1" if "layer_scale" in name else name] = tensor
    return state


@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"])
def test_dinov2_of_meta_and_its_trainings(name: str, load: Load) -> None:
    model = timm_model(name, **VIT)
    stored = as_stored(model)
    released = meta_dinov2(model, stored)
    assert_holds(load(model, released, **documented(f"dinov2_vitb14{'_reg4' * ('reg4' in name)}_pretrain.pth")), stored)
    student = {f"backbone.{key}": torch.zeros_like(tensor) for key, tensor in released.items()}
    chunked = {key.replace("blocks.", "backbone.blocks.0."): tensor for key, tensor in released.items()}
    teacher = {key if "backbone." in key else f"backbone.{key}": tensor for key, tensor in chunked.items()}
    teacher["dino_head.mlp.0.weight"] = torch.ones(2)
    training = {"teacher": teacher, "student": student, "iteration": 7, "optimizer": {"state": {0: torch.ones(1)}}}
    assert_holds(load(model, training, **documented("teacher_checkpoint.pth")), stored)
    with pytest.raises(SettingsError, match=r"several dictionaries of tensors; it has 'teacher' .* entry: teacher"):
        load(model, training)
    with pytest.raises(SettingsError, match=r"no entry 'techer'; it has 'teacher' \(\d+ tensors\), 'student'"):
        load(model, training, entry="techer")
    with pytest.raises(SettingsError) as refused:
        load(model, training, entry="teacher")
    assert str(refused.value).endswith("w.pth, entry: teacher, prefix: backbone., rename: {blocks.0: blocks}}")


def test_dinov2_of_transformers_has_q_k_and_v_apart(load: Load) -> None:
    model = timm_model("vit_small_patch14_dinov2", **VIT)
    stored = as_stored(model)
    with pytest.raises(
        SettingsError, match=r"The file does not have cls_token \(1, 1, 24\), .*attention.query: attn.q_proj"
    ) as refused:
        load(model, transformers_dinov2(stored), safetensors=True)
    fits = yaml.safe_load(str(refused.value).partition("This matches: ")[2])["weights"]
    del fits["file"]
    for weights in (fits, documented("dinov2-base.safetensors")):
        assert_holds(load(model, transformers_dinov2(stored), safetensors=True, **weights), stored)


def test_dinov3_of_meta_and_of_timm(load: Load) -> None:
    model = timm_model("vit_small_patch16_dinov3", **{**VIT, "img_size": 32})
    stored = as_stored(model)
    assert_holds(load(model, stored, safetensors=True, **documented("vit_base_patch16_dinov3.safetensors")), stored)
    of_meta = documented("dinov3_vitb16_pretrain_lvd1689m-73cec8be.pth")
    assert_holds(load(model, meta_dinov3(stored), **of_meta), stored)
    biased = {**meta_dinov3(stored), "blocks.1.attn.qkv.bias": torch.ones(72)}
    with pytest.raises(SettingsError, match=r"its blocks.1.attn.qkv.bias is not zero, .* ends with _qkvb"):
        load(model, biased)
    of_transformers = transformers_dinov3(stored)
    with pytest.raises(
        SettingsError, match=r"drop: \[embeddings.mask_token\], rename: {embeddings.cls_token: cls_token, "
    ) as refused:
        load(model, of_transformers, safetensors=True)
    wanted = {"safetensors": True, **documented("dinov3-vitb16.safetensors")}
    assert yaml.safe_load(str(refused.value).partition("This matches: ")[2])["weights"]["rename"] == wanted["rename"]
    assert_holds(load(model, of_transformers, **wanted), stored)
    of_transformers["layer.0.attention.v_proj.bias"] += 1
    with pytest.raises(SettingsError, match=r"its blocks.0.attn.v_proj.bias is not zero"):
        load(model, of_transformers, **wanted)
    qkvb = timm_model("vit_small_patch16_dinov3_qkvb", **{**VIT, "img_size": 32})
    load(qkvb, biased)
    assert torch.equal(qkvb.state_dict()["blocks.1.attn.q_bias"], torch.ones(24))
    load(qkvb, of_transformers, **wanted)
    assert torch.equal(qkvb.state_dict()["blocks.0.attn.v_bias"], torch.ones(24))


def test_mae_and_endovit_with_the_arguments_of_their_training(load: Load) -> None:
    model = timm_model("vit_base_patch16_224", **{**VIT, "img_size": 32})
    stored = as_stored(model)
    content = {"model": {**stored, **mae_decoder()}, "epoch": 3, "args": argparse.Namespace(lr=0.1, output_dir="x")}
    for file in ("mae_pretrain_vit_base_full.pth", "endovit_seg.pth"):
        assert_holds(load(model, content, **documented(file)), stored)
    assert_holds(load(model, {"model": stored}, **documented("mae_pretrain_vit_base.pth")), stored)
    with pytest.raises(
        SettingsError, match=r"The model does not have decoder_pos_embed \(2,\), .* drop: \[decoder_\]}$"
    ):
        load(model, content)


def test_surgenet_convnext_pvt_and_caformer(load: Load) -> None:
    """Its DINO heads are no part of the teacher's file; the classifier, where there is one, is left out."""
    convnext = timm_model("convnextv2_tiny", depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
    stored, state = as_stored(convnext), {"head.weight": torch.ones(2, 8), "head.bias": torch.ones(2)}
    for name, tensor in stored.items():
        if "grn" in name:
            tensor = tensor.reshape(1, 1, 1, -1)
        for old, new in {
            "stem.": "downsample_layers.0.",
            "blocks.": "",
            "conv_dw": "dwconv",
            "mlp.fc": "pwconv",
            "mlp.grn.weight": "grn.gamma",
            "mlp.grn.bias": "grn.beta",
            "head.norm": "norm",
        }.items():
            name = name.replace(old, new)
        parts = name.split(".")
        state[f"downsample_layers.{parts[1]}.{'.'.join(parts[3:])}" if "downsample." in name else name] = tensor
    assert_holds(load(convnext, {"model": state}, **documented(f"SurgeNet_ConvNextv2{_TEACHER}")), stored)
    pvt = timm_model("pvt_v2_b0", depths=(1, 1, 1, 1), embed_dims=(8, 8, 8, 8), num_heads=(1, 1, 1, 1))
    stored, state = as_stored(pvt), {}
    for name, tensor in stored.items():
        parts = name.split(".")
        stage = int(parts[1]) if parts[0] == "stages" else 0
        for old, new in {
            f"stages.{stage}.blocks.": f"block{stage + 1}.",
            f"stages.{stage}.downsample.": f"patch_embed{stage + 1}.",
            f"stages.{stage}.norm.": f"norm{stage + 1}.",
            "mlp.dwconv.": "mlp.dwconv.dwconv.",
        }.items():
            name = name.replace(old, new)
        state[name.replace("patch_embed.", "patch_embed1.")] = tensor
    assert_holds(load(pvt, state, **documented(f"SurgeNet_PVTv2{_TEACHER}")), stored)
    mixers = [metaformer.SepConv, metaformer.SepConv, metaformer.Attention, metaformer.Attention]
    norms = [metaformer.LayerNorm2dNoBias] * 2 + [metaformer.LayerNormNoBias] * 2
    shape = {"depths": (1, 1, 1, 1), "dims": (8, 8, 32, 32)}
    caformer = metaformer.MetaFormer(**shape, token_mixers=mixers, norm_layers=norms, num_classes=0)
    stored, state = as_stored(caformer), {"head.fc1.weight": torch.ones(2)}
    for name, tensor in stored.items():
        parts = (
            name.replace("stem.norm", "stem.post_norm").replace("blocks.", "").replace("head.norm", "norm").split(".")
        )
        if "downsample" in parts:
            parts = ["downsample_layers", parts[1], *parts[3:]]
            parts[2] = parts[2].replace("norm", "pre_norm")
        state[".".join(parts).replace("stem.", "downsample_layers.0.")] = tensor
    with pytest.raises(SettingsError, match=r"This matches: weights: {file: .*w.pth, drop: \[head.\]}$"):
        load(caformer, state)
    assert_holds(load(caformer, state, **documented(f"SurgeNetXL{_TEACHER}")), stored)


def test_what_would_be_another_model_is_refused_without_a_suggestion(load: Load) -> None:
    model = timm_model("vit_small_patch14_dinov2", **VIT)
    stored = as_stored(model)
    for content, message in (
        (
            {**stored, "patch_embed.proj.weight": torch.ones(24, 3, 16, 16)},
            "its patches have 16x16 pixels, the model's patches 14x14",
        ),
        (
            {**stored, "pos_embed": torch.ones(1, 9, 24)},
            "its pos_embed has 9 positions; expected those of a square map, plus 1 for",
        ),
        ({**stored, "blocks.2.ls1.gamma": torch.ones(24)}, r"The model does not have blocks.2.ls1.gamma \(24,\).$"),
        ({**stored, "norm.bias": torch.ones(25)}, r"Shapes differ: norm.bias \(25,\) instead of \(24,\).$"),
        (
            {"x": torch.ones(2)},
            r"The file does not have cls_token \(1, 1, 24\), .* and \d+ more. The model does not have x \(2,\).$",
        ),
    ):
        with pytest.raises(SettingsError, match=message) as refused:
            load(model, content)
        assert "This matches" not in str(refused.value)
    larger = timm_model("vit_small_patch14_dinov2", **{**VIT, "img_size": 56})
    assert not torch.equal(load(larger, stored).state_dict()["pos_embed"][:, 1:5], stored["pos_embed"][:, 1:])


def test_what_stands_in_no_name_is_told_with_what_fits(load: Load) -> None:
    model = timm_model("vit_small_patch14_dinov2", **VIT)
    stored = {f"module.encoder.{name}": tensor for name, tensor in as_stored(model).items()}
    fits = r" This matches: weights: {file: .*w.pth, prefix: module.encoder.}$"
    for weights, message in (
        ({"prefix": "encoder."}, "prefix: no name begins with 'encoder.'."),
        ({"prefix": "module.encoder.", "drop": ("head.",)}, "drop: no name begins with 'head.'."),
        (
            {"prefix": "module.encoder.", "rename": {"block": "x"}},
            "rename: 'block' is in no name; .* between dots.",
        ),
        ({"prefix": "module.", "rename": {"encoder": "", "weight": "bias"}}, "rename: two names become the same."),
    ):
        with pytest.raises(SettingsError, match=message + fits):
            load(model, stored, **weights)
    load(model, stored, prefix="module.", rename={"encoder": ""})
    odd = {f"0.{name}": tensor for name, tensor in as_stored(model).items()}
    with pytest.raises(SettingsError, match=r'prefix: "0\."}$'):
        load(model, odd)
