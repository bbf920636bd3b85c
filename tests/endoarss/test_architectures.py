"""DSelect-k's selectors, and what the switches of the authors' code change in a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate
from torchvision.models.resnet import Bottleneck, ResNet

from endoarss import build_model, list_backbones, load_checkpoint
from endoarss.architectures.dselect_k import PixelSelector, Selector, smooth_step
from endoarss.backbones.lockstep import CrossStitch
from endoarss.checkpoints import save_checkpoint
from endoarss.data import LabelledImages, to_input
from endoarss.errors import SettingsError
from endoarss.registry import ARCHITECTURES
from endoarss.settings import LoRASettings, ModelSettings, SMASettings, WeightsSettings
from endoarss.training import TrainingSettings, task_losses, train

Make = Callable[..., ModelSettings]
CPU = torch.device("cpu")
NO_IMAGES = torch.zeros(1, 3, 2, 2)  # a static selector does not look at them


def with_backbone(settings: ModelSettings, **changes: object) -> ModelSettings:
    return replace(settings, backbone_settings=replace(settings.backbone_settings, **changes))


def images_of(data: LabelledImages, count: int = 3) -> torch.Tensor:
    return to_input(data.images[:count], CPU)


def test_smooth_step_is_smooth_and_ends_flat() -> None:
    """Values and first derivative meet at both ends; it is odd around one half."""
    t = torch.linspace(-2, 2, 401, dtype=torch.float64, requires_grad=True)
    values = smooth_step(t)
    (slope,) = torch.autograd.grad(values.sum(), t)
    assert values.detach()[t <= -0.5].eq(0).all() and values.detach()[t >= 0.5].eq(1).all()
    torch.testing.assert_close(values + smooth_step(-t), torch.ones_like(t))
    assert (slope >= 0).all() and float(slope[200]) == pytest.approx(1.5)
    near = torch.tensor([-0.499999, 0.499999], dtype=torch.float64, requires_grad=True)
    (ends,) = torch.autograd.grad(smooth_step(near).sum(), near)
    assert ends.abs().max() < 1e-4
    assert float(smooth_step(torch.tensor(0.5), width=2.0)) == pytest.approx(-2 * 0.125 / 8 + 1.5 / 4 + 0.5)


@pytest.mark.parametrize(("experts", "k"), [(4, 2), (3, 2), (2, 2), (5, 1), (8, 3)])
def test_selections_written_out(experts: int, k: int) -> None:
    """r_j is the product over j's bits of S or 1 - S; the weights are softmax(w) times r."""
    torch.manual_seed(0)
    selector = Selector(experts, k).double()
    with torch.no_grad():
        selector.bits.uniform_(-0.6, 0.6)
        selector.logits.normal_()
    bits = int(np.ceil(np.log2(experts)))
    steps = smooth_step(selector.bits.detach()).numpy()
    assert steps.shape == (k, bits)
    r = np.array(
        [[np.prod([s[b] if j >> b & 1 else 1 - s[b] for b in range(bits)]) for j in range(experts)] for s in steps]
    )
    w = np.exp(selector.logits.detach().numpy())
    np.testing.assert_allclose(selector(NO_IMAGES)[0].detach().numpy(), (w / w.sum()) @ r, rtol=1e-12)
    entropy = -(r * np.log(r + 1e-6)).sum()
    missing = (1 / r.sum(axis=1)).sum() if experts != 2**bits else 0.0
    np.testing.assert_allclose(selector.penalty(NO_IMAGES, 0.3).item(), 0.3 * entropy + missing, rtol=1e-9)
    assert set(selector.state_dict()) == {"bits", "logits", "codes"} and selector.codes.dtype == torch.bool


def test_saturated_bits_select_k_experts() -> None:
    selector = Selector(8, 2)
    with torch.no_grad():
        selector.bits.copy_(torch.tensor([[0.7, -0.7, 0.7], [-0.7, -0.7, 0.9]]))
        selector.logits.zero_()
    assert selector(NO_IMAGES)[0].tolist() == [0, 0, 0, 0, 0.5, 0.5, 0, 0]


def test_selectors_start_undecided() -> None:
    torch.manual_seed(1)
    selector = Selector(4, 2)
    assert selector.bits.abs().max() <= 0.01 and selector.logits.abs().max() <= 0.05
    torch.testing.assert_close(selector(NO_IMAGES)[0], torch.full((4,), 0.25), rtol=0.1, atol=0.02)


def test_each_task_selects_for_itself(make_settings: Make, data: LabelledImages) -> None:
    model = build_model(make_settings("resnet", "dselect_k")).eval()
    with torch.no_grad():
        for task, code in (("activity", [1.0, -1.0]), ("segmentation", [-1.0, 1.0])):
            model.selectors[task].bits.copy_(torch.tensor([code, code]))
        maps = model.backbone(images_of(data))
        seen = model.features(maps, images_of(data))
    assert len(maps) == 4
    torch.testing.assert_close(seen["activity"], maps[1])
    torch.testing.assert_close(seen["segmentation"], maps[2])


@pytest.mark.parametrize(("experts", "k"), [(4, 2), (3, 2), (2, 2)])
def test_selections_of_each_image_are_linear_in_its_pixels(experts: int, k: int) -> None:
    """Image by image: what a static selector with this image's z and w gives, and the mean of its penalties."""
    torch.manual_seed(0)
    selector, images = PixelSelector(experts, k, 3 * 6 * 6).double(), torch.rand(5, 3, 6, 6, dtype=torch.float64)
    weights, r = selector(images)
    assert weights.shape == (5, experts) and r.shape == (5, k, experts) and len(weights.unique(dim=0)) == 5
    penalties = []
    for image, found in zip(images, weights, strict=True):
        static = Selector(experts, k).double()
        with torch.no_grad():
            static.bits.copy_((selector.z.weight @ image.flatten() + selector.z.bias).view_as(static.bits))
            static.logits.copy_(selector.w.weight @ image.flatten() + selector.w.bias)
        torch.testing.assert_close(found, static(NO_IMAGES)[0])
        penalties.append(static.penalty(NO_IMAGES, 0.3))
    torch.testing.assert_close(selector.penalty(images, 0.3), torch.stack(penalties).mean())


def test_selectors_of_the_released_code(make_settings: Make, data: LabelledImages) -> None:
    """Drawn uniformly, weights and biases alike, and owned by their task."""
    given = {"experts": 2, "k": 2, "entropy": 0, "selector_input": "raw_pixels"}
    model = build_model(replace(make_settings("resnet", "dselect_k"), architecture_settings=given))
    selector = model.selectors["activity"]
    assert selector.z.weight.shape == (2, 3 * 56 * 56)
    for layer, bound in ((selector.z, 0.01), (selector.w, 0.05)):
        assert 0.99 * bound < layer.weight.abs().max() <= bound and layer.bias.abs().max() <= bound
    assert {id(p) for p in selector.parameters()} <= {id(p) for p in model.task_parameters("activity")}
    history = train(model, data, TrainingSettings(1, 1e-3), CPU)
    assert 1 <= history[0]["experts_activity"] <= 2


def test_the_regulariser_selects_and_the_history_tells_how_many(make_settings: Make, data: LabelledImages) -> None:
    """All four experts have a weight at first, at most k = 2 at last."""
    torch.manual_seed(0)
    model = build_model(replace(make_settings("dinov2", "dselect_k"), architecture_settings={"entropy": 0.1}))
    history = train(model, data, TrainingSettings(15, 0.1, 32), CPU)
    for task in ("activity", "segmentation"):
        counts = [row[f"experts_{task}"] for row in history]
        assert counts[0] == 4 and 1 <= counts[-1] <= 2
        assert counts[-1] == (model.selectors[task](NO_IMAGES)[0] > 0.01).sum()


def test_penalties_only_where_there_is_something_to_penalise(make_settings: Make, data: LabelledImages) -> None:
    settings, images = make_settings("resnet", "dselect_k"), images_of(data)
    assert build_model(replace(settings, architecture_settings={"entropy": 0})).penalties(images) == {}
    assert set(build_model(settings).penalties(images)) == {"activity", "segmentation"}, "selection is on by default"
    for given in ({"experts": 3}, {"entropy": 0.1}):
        model = build_model(replace(settings, architecture_settings=given))
        penalties = model.penalties(images)
        assert set(penalties) == set(model.tasks) and all(value > 0 for value in penalties.values())
        history = train(model, data, TrainingSettings(1, 1e-4), CPU)
        masks, activities = torch.from_numpy(data.masks).long(), torch.from_numpy(data.activities)
        plain = task_losses(model(to_input(data.images, CPU)), masks, activities)
        assert history[0]["loss_activity"] > (plain["activity"] + 0.5 * penalties["activity"]).item()


@pytest.mark.parametrize(
    ("architecture", "given", "message"),
    [
        ("dselect_k", {"experts": 1}, "dselect_k.experts: 1 is not allowed; expected a whole number from 2 to 64"),
        ("dselect_k", {"experts": 4, "k": 5}, "dselect_k: k 5; expected at most the number of experts, 4"),
        ("dselect_k", {"entropy": -1}, "entropy: -1 is not allowed"),
        (
            "mmoe",
            {"gate_input": "pixels"},
            "mmoe.gate_input: 'pixels' is not allowed; expected one of 'thumbnail', 'static', 'raw_pixels'",
        ),
    ],
)
def test_settings_that_cannot_be_are_named(
    architecture: str, given: dict[str, object], message: str, make_settings: Make
) -> None:
    with pytest.raises(SettingsError, match=message):
        build_model(replace(make_settings("resnet", architecture), architecture_settings=given))


@pytest.mark.parametrize("kind", ["thumbnail", "static", "raw_pixels"])
def test_gates_weigh_the_experts(kind: str, make_settings: Make, data: LabelledImages) -> None:
    settings = replace(make_settings("resnet", "mmoe"), architecture_settings={"gate_input": kind})
    model = build_model(settings)
    weights = model.gates["activity"](images_of(data))
    assert weights.shape == (3, 2)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3))
    if kind == "raw_pixels":
        assert model.gates["activity"].linear.in_features == 3 * 56 * 56


def test_adapters_where_the_released_code_has_them(make_settings: Make, data: LabelledImages) -> None:
    settings = with_backbone(make_settings("dinov2", "tesla"), lora=LoRASettings(targets=("fc1", "fc2")))
    model = build_model(settings)
    adapted = {name.rsplit(".owned", 1)[0] for name, _ in model.named_parameters() if ".owned_a" in name}
    assert adapted == {f"backbone.encoders.0.vit.blocks.{i}.mlp.{name}" for i in (0, 1) for name in ("fc1", "fc2")}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, data, TrainingSettings(3, 1e-3, 16, "db_mtl"), CPU)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name
    with pytest.raises(SettingsError, match="targets"):
        LoRASettings(targets=("fc3",))


@pytest.mark.parametrize("backbone", ["dinov2", "endoarss"])
def test_tokens_viewed_as_channels(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    """16 tokens of 24 numbers are 16 channels of a 4x6 picture, as the authors' code has 256 of 16x48."""
    plain = build_model(make_settings(backbone, "hps")).eval()
    viewed = build_model(with_backbone(make_settings(backbone, "hps"), token_map="tokens_as_channels")).eval()
    with torch.inference_mode():
        (spatial,), (channels,) = plain.backbone(images_of(data)), viewed.backbone(images_of(data))
        outputs = viewed(images_of(data))
    assert spatial.shape == (3, 24, 4, 4) and channels.shape == (3, 16, 4, 6)
    torch.testing.assert_close(channels.flatten(1), spatial.flatten(2).transpose(1, 2).flatten(1))
    assert outputs["segmentation"].shape == (3, 3, 56, 56)
    with pytest.raises(SettingsError, match="token_map 'rows'"):
        with_backbone(make_settings(backbone, "hps"), token_map="rows")


def test_sma_as_the_released_code_has_it(
    make_settings: Make, data: LabelledImages, vit_file: Path, tmp_path: Path
) -> None:
    """Frozen as it is drawn, and in place of the image."""
    settings = with_backbone(make_settings("endoarss", "hps"), sma=SMASettings(2, trained=False, residual=False))
    model = build_model(settings)
    before = {name: p.detach().clone() for name, p in model.backbone.front.named_parameters()}
    assert "gamma" not in before and not torch.allclose(model.front(images_of(data)), images_of(data))
    train(model, data, TrainingSettings(2, 1e-3, 16), CPU)
    for name, parameter in model.backbone.front.named_parameters():
        assert torch.equal(parameter, before[name])
    # It is drawn, so that no file of weights gives it again: the checkpoint keeps it.
    save_checkpoint(model.eval(), tmp_path / "model.safetensors", {})
    again = load_checkpoint(tmp_path / "model.safetensors", [vit_file])
    assert torch.equal(again.front(images_of(data)), model.front(images_of(data)))


@pytest.mark.parametrize("backbone", list_backbones())
def test_the_backbone_may_see_smaller_images(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    """Read at 64 pixels, seen at 56, masks at 64: the authors' code's 244 and 224."""
    settings = replace(make_settings(backbone, "hps"), input_size=64, network_size=56, normalisation="none")
    model = build_model(settings).eval()
    larger = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        outputs = model(larger)
        assert model.front(larger).shape[-2:] == (56, 56)
    assert outputs["segmentation"].shape[-2:] == (64, 64)
    with pytest.raises(SettingsError, match="normalisation 'half'"):
        replace(settings, normalisation="half")


def test_corners_stay_corners_where_it_is_asked(make_settings: Make, data: LabelledImages) -> None:
    """Images on the way in and logits on the way out are resized as torch does it with align_corners."""
    plain = replace(make_settings("resnet", "hps"), network_size=28)
    torch.manual_seed(0)
    model, images, seen = build_model(replace(plain, align_corners=True)).eval(), images_of(data), {}
    model.heads["segmentation"].register_forward_hook(lambda _, __, logits: seen.update(logits=logits))
    with torch.inference_mode():
        expected_front = interpolate(images, size=(28, 28), mode="bilinear", align_corners=True)
        torch.testing.assert_close(model.front(images), expected_front)
        found = model(images)["segmentation"]
        torch.testing.assert_close(found, interpolate(seen["logits"], (56, 56), mode="bilinear", align_corners=True))
        torch.testing.assert_close(found[..., 0, 0], seen["logits"][..., 0, 0])
        torch.manual_seed(0)
        assert not torch.allclose(build_model(plain).eval()(images)["segmentation"], found)


def test_a_resnet_at_stride_32_is_torchvisions(tmp_path: Path, make_settings: Make) -> None:
    """With torchvision's tensors, as a file, it makes torchvision's map of images of a side that 32 does not divide."""
    torch.manual_seed(0)
    peer = ResNet(Bottleneck, [2, 2, 2, 2]).eval()
    save_file(peer.state_dict(), tmp_path / "torchvision.safetensors")
    settings = with_backbone(
        make_settings("resnet", "hps"),
        arguments={},
        weights=WeightsSettings("file", str(tmp_path / "torchvision.safetensors")),
        output_stride=32,
    )
    backbone, images = build_model(replace(settings, input_size=61)).backbone.eval(), torch.rand(2, 3, 61, 61)
    with torch.inference_mode():
        (found,) = backbone(images)
        expected = torch.nn.Sequential(*list(peer.children())[:-2])(images)
    assert found.shape[-2:] == backbone.map_size == (2, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_random_vectors_of_adapters_are_in_the_checkpoint(
    make_settings: Make, data: LabelledImages, vit_file: Path, tmp_path: Path
) -> None:
    """They are drawn, so that no file of weights gives them again."""
    lora = LoRASettings(4, targets=("fc1", "fc2"), random_vectors=True)
    model = build_model(with_backbone(make_settings("dinov2", "mmoe"), lora=lora))
    vectors = {name: tensor.clone() for name, tensor in model.named_buffers() if name.endswith(("_u", "_v"))}
    assert len(vectors) == 2 * 2 * 2  # blocks, layers, vectors
    train(model, data, TrainingSettings(1, 1e-3), CPU)
    assert all(torch.equal(dict(model.named_buffers())[name], tensor) for name, tensor in vectors.items())
    save_checkpoint(model.eval(), tmp_path / "model.safetensors", {})
    again = load_checkpoint(tmp_path / "model.safetensors", [vit_file])
    with torch.inference_mode():
        assert torch.equal(again(images_of(data))["activity"], model(images_of(data))["activity"])


def test_any_dino_with_patch_14(make_settings: Make, tmp_path: Path, data: LabelledImages) -> None:
    """With register tokens: they and the class token are left out of the map."""
    given = {"embed_dim": 24, "depth": 2, "num_heads": 2, "init_values": 1e-5}
    vit = timm.create_model("vit_small_patch14_reg4_dinov2", img_size=56, num_classes=0, **given)
    save_file({k: v.contiguous() for k, v in vit.state_dict().items()}, tmp_path / "reg.safetensors")
    weights = WeightsSettings("file", str(tmp_path / "reg.safetensors"))
    settings = with_backbone(
        make_settings("dinov2", "tesla"), model="vit_small_patch14_reg4_dinov2", arguments=given, weights=weights
    )
    model = build_model(settings).eval()
    with torch.inference_mode():
        maps = model.backbone(images_of(data))
        expected = vit.eval().forward_features(images_of(data))[:, 5:].transpose(1, 2).reshape(3, 24, 4, 4)
    for found in maps:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_weights_out_of_a_larger_file(make_settings: Make, vit_file: Path, tmp_path: Path) -> None:
    """A file that holds an encoder under a prefix and more besides: the part is loaded strictly."""
    state = {f"pretrained.{name}": tensor for name, tensor in load_file(vit_file).items()}
    save_file({**state, "depth_head.weight": torch.zeros(3)}, tmp_path / "depth.safetensors")

    def weights(prefix: str) -> ModelSettings:
        given = WeightsSettings("file", str(tmp_path / "depth.safetensors"), prefix=prefix)
        return with_backbone(make_settings("dinov2", "hps"), weights=given)

    model = build_model(weights("pretrained."))
    stored = load_file(vit_file)
    assert torch.equal(model.backbone.encoders[0].vit.blocks[1].mlp.fc1.weight, stored["blocks.1.mlp.fc1.weight"])
    with pytest.raises(SettingsError, match="prefix: no name begins with 'encoder.'"):
        build_model(weights("encoder."))
    with pytest.raises(SettingsError, match="its tensors do not match"):
        build_model(weights(""))


def test_which_parameters_train(make_settings: Make) -> None:
    """Asked of the model, part by part."""
    parts = build_model(make_settings("endoarss", "tesla")).parameters_by_part()
    assert set(parts) == {"adapters", "front", "backbone", "heads"}
    assert parts["backbone"][0] == 0 and all(
        parts[name][0] == parts[name][1] for name in ("adapters", "front", "heads")
    )
    # q and v of two blocks: one shared adapter and two owned, A (r, d) and B (d, r) each.
    assert parts["adapters"][0] == 2 * 2 * 3 * (4 * 24 + 24 * 4)
    resnet = build_model(make_settings("resnet", "hps")).parameters_by_part()
    assert all(trained == total for trained, total in resnet.values())


@pytest.mark.parametrize("gate", ARCHITECTURES.bounds("mmoe")["gate_input"])
def test_each_gate_that_is_allowed_can_be_built(gate: str, make_settings: Make) -> None:
    settings = replace(make_settings("resnet", "mmoe"), architecture_settings={"gate_input": gate})
    assert set(build_model(settings).gates) == {"activity", "segmentation"}


@pytest.mark.parametrize("backbone", ["resnet", "dinov2"])
def test_cgc_mixes_shared_experts_and_those_of_the_task(
    backbone: str, make_settings: Make, data: LabelledImages
) -> None:
    """z_t = sum_e softmax(G_t)_e f_e over the shared experts and the task's own, written out; no gradient reaches the others'."""
    given = {"shared_experts": 2, "task_experts": 1, "gate_input": "static"}
    model = build_model(replace(make_settings(backbone, "cgc"), architecture_settings=given)).double().eval()
    images = images_of(data).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "owned_b" in name or name.startswith("gates."):
                parameter.normal_(std=0.5)
    maps = model.backbone(images)
    assert len(maps) == 4
    found = model.features(maps, images)
    for number, task in enumerate(model.tasks):
        weights = np.exp(model.gates[task].logits.detach().numpy())
        weights /= weights.sum()
        seen = [maps[0], maps[1], maps[2 + number]]
        expected = sum(weight * one.detach() for weight, one in zip(weights, seen, strict=True))
        torch.testing.assert_close(found[task].detach(), expected)
        other = model.backbone.owned_parameters(3 - number)
        gradients = torch.autograd.grad(found[task].sum(), other, retain_graph=True, allow_unused=True)
        assert other and all(gradient is None or not gradient.any() for gradient in gradients)
        assert {id(p) for p in model.backbone.owned_parameters(2 + number)} <= {
            id(p) for p in model.task_parameters(task)
        }
    assert {id(p) for p in model.backbone.owned_parameters(0)} <= {id(p) for p in model.shared_parameters()}


def test_cross_stitch_units_start_nearly_apart_and_mix_streams() -> None:
    """x_t becomes sum_r alpha_tr x_r, written out."""
    unit = CrossStitch(2).double()
    torch.testing.assert_close(unit.alpha.detach(), torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64))
    with torch.no_grad():
        unit.alpha.normal_()
    x = torch.randn(6, 4, 3, 3, dtype=torch.float64)
    (a, b), (c, d) = unit.alpha.detach()
    torch.testing.assert_close(unit(x)[:3].detach(), a * x[:3] + b * x[3:])
    torch.testing.assert_close(unit(x)[3:].detach(), c * x[:3] + d * x[3:])


def test_cross_stitch_of_two_resnets_stage_by_stage(make_settings: Make, data: LabelledImages) -> None:
    """Two whole ResNets, mixed by the units after each of the four stages: run here by hand."""
    model = build_model(make_settings("resnet", "cross_stitch")).eval()
    resnet, images = model.backbone.encoders[0].resnet, images_of(data)
    with torch.inference_mode():
        units = [getattr(resnet, f"layer{stage}").unit for stage in (1, 2, 3, 4)]
        for unit in units:
            unit.alpha.normal_()
        streams = []
        for number in (0, 1):
            stem = resnet.conv1.streams[number], resnet.bn1.streams[number]
            streams.append(resnet.maxpool(resnet.act1(stem[1](stem[0](images)))))
        for stage, unit in zip((1, 2, 3, 4), units, strict=True):
            layers = getattr(resnet, f"layer{stage}").stage.streams
            first, second = (layer(x) for layer, x in zip(layers, streams, strict=True))
            streams = [row[0] * first + row[1] * second for row in unit.alpha]
        for found, expected in zip(model.backbone(images), streams, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_unmixed_streams_of_a_frozen_vit_are_their_adapters_alone(make_settings: Make, data: LabelledImages) -> None:
    """With alpha the identity, a cross-stitch network is MMoE's experts; with any other, stream 0 sees what stream 1 adds."""
    stitched = build_model(make_settings("dinov2", "cross_stitch")).eval()
    experts = build_model(make_settings("dinov2", "mmoe")).eval()
    units = [module for module in stitched.modules() if isinstance(module, CrossStitch)]
    assert len(units) == 2  # one per block
    with torch.inference_mode():
        plain = {name.replace(".stage.", "."): p for name, p in stitched.backbone.named_parameters()}
        for name, parameter in experts.backbone.named_parameters():
            parameter.normal_(std=0.1) if "owned_b" in name else None
            plain[name].copy_(parameter)
        mixed = stitched.backbone(images_of(data))
        for unit in units:
            unit.alpha.copy_(torch.eye(2))
        apart = stitched.backbone(images_of(data))
        for found, expected in zip(apart, experts.backbone(images_of(data)), strict=True):
            torch.testing.assert_close(found, expected)
        assert not torch.allclose(mixed[0], apart[0], atol=1e-3)


def test_task_adapters_are_tesla_without_what_is_shared(make_settings: Make, data: LabelledImages) -> None:
    """TESLA's shared adapters at zero give the same; without SMA nothing is shared, and the model is refused."""
    alone = build_model(make_settings("dinov2", "task_adapters")).eval()
    assert alone.per_task_streams and not any("shared_" in name for name, _ in alone.named_parameters())
    assert all(
        name.startswith("backbone.front.")
        for name, p in alone.named_parameters()
        if id(p) in map(id, alone.shared_parameters())
    )
    tesla = build_model(with_backbone(make_settings("dinov2", "tesla"), with_sma=True, sma=SMASettings(2))).eval()
    with torch.inference_mode():
        for name, parameter in alone.named_parameters():
            parameter.normal_(std=0.1) if "owned_b" in name else None
            dict(tesla.named_parameters())[name].copy_(parameter)
        for found, expected in zip(alone.backbone(images_of(data)), tesla.backbone(images_of(data)), strict=True):
            torch.testing.assert_close(found, expected)
    for backbone in ("dinov2", "resnet"):
        with pytest.raises(
            SettingsError, match=f"task_adapters on {backbone}: the tasks share no trained parameter.* Set sma: true"
        ):
            build_model(with_backbone(make_settings(backbone, "task_adapters"), with_sma=False))
