"""Every backbone with every architecture, found in the registry."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from endoarss import build_model, list_architectures, list_backbones, load_checkpoint
from endoarss.checkpoints import save_checkpoint
from endoarss.data import LabelledImages, to_input
from endoarss.errors import SettingsError, UnknownNameError
from endoarss.registry import ARCHITECTURES
from endoarss.settings import ACTIVITY, SEGMENTATION, ModelSettings
from endoarss.training import TrainingSettings, seed_everything, task_losses, train
from tests.sampled import one_in

Make = Callable[..., ModelSettings]
TRAINED = [name for name in list_architectures() if ARCHITECTURES.get(name).trained]
PAIRS = list(product(list_backbones(), TRAINED))
CPU = torch.device("cpu")


def images_of(data: LabelledImages, count: int = 4) -> torch.Tensor:
    return to_input(data.images[:count], CPU)


@pytest.mark.parametrize(("backbone", "architecture"), one_in(4, PAIRS))
def test_forward_train_save_and_load(
    backbone: str, architecture: str, make_settings: Make, data: LabelledImages, vit_file: Path, tmp_path: Path
) -> None:
    settings = make_settings(backbone, architecture)
    seed_everything(0)
    model = build_model(settings)
    outputs = model(images_of(data))
    shapes = {ACTIVITY: (4, len(settings.activities)), SEGMENTATION: (4, len(settings.classes), 56, 56)}
    assert {task: tuple(output.shape) for task, output in outputs.items()} == {t: shapes[t] for t in model.tasks}

    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    weighting = "equal" if len(model.tasks) == 1 else "db_mtl"
    few = LabelledImages(data.images[:4], data.masks[:4], data.activities[:4])
    train(model, few, TrainingSettings(3, 1e-3, 4, weighting), CPU)
    for name, parameter in model.named_parameters():
        changed = not torch.equal(parameter, before[name])
        assert changed == parameter.requires_grad, name

    model.eval()
    path = tmp_path / "model.safetensors"
    save_checkpoint(model, path, {"seed": 0})
    again = load_checkpoint(path, [vit_file.parent])
    with torch.inference_mode():
        expected, found = model(images_of(data)), again(images_of(data))
    for task in model.tasks:
        torch.testing.assert_close(found[task], expected[task], rtol=0, atol=0)


@pytest.mark.parametrize(("backbone", "architecture"), PAIRS)
def test_every_trained_parameter_has_one_owner(backbone: str, architecture: str, make_settings: Make) -> None:
    model = build_model(make_settings(backbone, architecture))
    shared = {id(p) for p in model.shared_parameters()}
    owned = [{id(p) for p in model.task_parameters(task)} for task in model.tasks]
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    assert set().union(shared, *owned) == trained
    assert len(shared) + sum(map(len, owned)) == len(trained)
    if len(model.tasks) > 1:
        assert shared and all(owned)


@pytest.mark.parametrize("backbone", list_backbones())
def test_tesla_keeps_tasks_apart(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    """A task's loss reaches neither the other task's adapters nor its head, and its running statistics are its own."""
    model = build_model(make_settings(backbone, "tesla")).train()
    with torch.no_grad():  # what starts at zero (B, the last normalisation of a block) passes no signal on
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.02)
    masks = torch.from_numpy(data.masks[:4]).long()
    losses = task_losses(model(images_of(data)), masks, torch.from_numpy(data.activities[:4]))
    for task in model.tasks:
        (other,) = set(model.tasks) - {task}
        parameters = [*model.task_parameters(task), *model.task_parameters(other)]
        gradients = torch.autograd.grad(losses[task], parameters, retain_graph=True, allow_unused=True)
        own = gradients[: len(model.task_parameters(task))]
        foreign = gradients[len(own) :]
        assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in own)
        assert all(gradient is None or not gradient.any() for gradient in foreign)


@pytest.mark.parametrize("backbone", list_backbones())
def test_a_stream_gives_what_its_task_alone_would(backbone: str, make_settings: Make, data: LabelledImages) -> None:
    """TESLA's concatenated streams give each task what a pass of that task alone gives."""
    model = build_model(make_settings(backbone, "tesla")).double().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "_b" in name:
                parameter.normal_(std=0.05)
    images = images_of(data).double()
    together = model.features(model.backbone(images), images)
    single = build_model(make_settings(backbone, "hps")).double().train()
    for index, task in enumerate(model.tasks):
        _copy_stream(model, single, index)
        (alone,) = single.backbone(images)
        torch.testing.assert_close(together[task], alone, rtol=1e-9, atol=1e-9)


def _copy_stream(model: torch.nn.Module, single: torch.nn.Module, stream: int) -> None:
    """Load stream `stream` of a TESLA model into a plain one by folding adapters into dense weights."""
    from endoarss.lora import LoRALinear, StreamBatchNorm2d, StreamConv2d

    plain = dict(single.backbone.named_modules())
    with torch.no_grad():
        for name, module in model.backbone.named_modules():
            target = plain.get(name)
            if isinstance(module, LoRALinear):
                inner = target.base if isinstance(target, LoRALinear) else target
                rows = list(module.base.weight.chunk(module.count))
                for block, delta in zip(module.blocks, module.delta(stream), strict=True):
                    rows[block] = rows[block] + delta
                inner.weight.copy_(torch.cat(rows))
                if module.base.bias is not None:
                    inner.bias.copy_(module.base.bias)
                if isinstance(target, LoRALinear):
                    target.shared_b.zero_()
            elif isinstance(module, StreamConv2d):
                target.weight.copy_(module.base.weight + (module.delta(stream) if len(module.owned_a) else 0))
            elif isinstance(module, StreamBatchNorm2d):
                target.weight.copy_(module.weight)
                target.bias.copy_(module.bias)
        remaining = dict(model.backbone.named_parameters())
        for name, parameter in single.backbone.named_parameters():
            if name in remaining and "shared_" not in name and ".base." not in name:
                parameter.copy_(remaining[name])


@pytest.mark.parametrize("architecture", ["hps", "mmoe", "dselect_k", "tesla"])
def test_nothing_changes_at_initialisation(architecture: str, make_settings: Make, data: LabelledImages) -> None:
    """With B = 0 and gamma = 0 every stream of dinov2 and endoarss is the plain pretrained ViT."""
    plain = build_model(make_settings("dinov2", "hps")).eval()
    with torch.inference_mode():
        tokens = plain.backbone.encoders[0].vit.forward_features(images_of(data))
        expected = tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
        for backbone in ("dinov2", "endoarss"):
            model = build_model(make_settings(backbone, architecture)).eval()
            for stream in model.backbone(images_of(data)):
                torch.testing.assert_close(stream, expected, rtol=1e-5, atol=1e-5)


def test_streams_of_batch_norm_do_not_see_each_other(make_settings: Make, data: LabelledImages) -> None:
    from endoarss.lora import StreamBatchNorm2d

    layer = StreamBatchNorm2d(torch.nn.BatchNorm2d(3), streams=2).train()
    x = torch.randn(8, 3, 5, 5)
    y = x.clone()
    y[4:] = y[4:] * 9 + 4
    torch.testing.assert_close(layer(x)[:4], layer(y)[:4])
    reference = torch.nn.BatchNorm2d(3).train()
    torch.testing.assert_close(layer(x)[:4], reference(x[:4]))


def test_mmoe_mixes_experts_by_each_tasks_own_gate(make_settings: Make, data: LabelledImages) -> None:
    """z_t = sum_e softmax(G_t)_e f_e(x), written out."""
    model = build_model(make_settings("resnet", "mmoe")).eval()
    with torch.no_grad():
        for gate in model.gates.values():
            gate.linear.weight.normal_(std=0.2)
        experts = model.backbone(images_of(data))
        mixed = model.features(experts, images_of(data))
        for task in model.tasks:
            gate = model.gates[task]
            pooled = torch.nn.functional.adaptive_avg_pool2d(images_of(data), 14).flatten(1)
            weights = torch.softmax(gate.linear(gate.norm(pooled)), dim=1)
            expected = sum(weights[:, e].view(-1, 1, 1, 1) * experts[e] for e in range(2))
            torch.testing.assert_close(mixed[task], expected)
    assert not torch.allclose(mixed["activity"], mixed["segmentation"])


def test_a_published_resnet_file_loads_without_its_classifier(make_settings: Make, tmp_path: Path) -> None:
    from dataclasses import replace

    import timm

    from endoarss.settings import WeightsSettings

    settings = make_settings("resnet", "hps")
    published = timm.create_model("resnet26", channels=(8, 8, 12, 16), num_classes=10)
    save_file({k: v.contiguous() for k, v in published.state_dict().items()}, tmp_path / "r.safetensors")
    weights = WeightsSettings("file", str(tmp_path / "r.safetensors"))
    model = build_model(replace(settings, backbone_settings=replace(settings.backbone_settings, weights=weights)))
    torch.testing.assert_close(model.backbone.encoders[0].resnet.conv1.weight, published.conv1.weight)


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("resnext26ts", {}, "'resnext26ts' is a ByobNet; expected a ResNet of timm"),
        ("resnext50_32x4d", {}, "a convolution with 32 groups; expected 1"),
        (
            "resnet26",
            {"chanels": [8]},
            "arguments.'chanels': not allowed for a resnet. Did you mean 'channels'\\? Allowed: .*channels",
        ),
        ("resnet26000", {}, "timm does not know the model 'resnet26000'"),
    ],
)
def test_models_that_are_no_plain_resnet_are_refused(
    model: str, arguments: dict[str, object], message: str, make_settings: Make
) -> None:
    from dataclasses import replace

    settings = make_settings("resnet", "tesla")
    given = replace(settings.backbone_settings, model=model, arguments=arguments)
    with pytest.raises(SettingsError, match=message):
        build_model(replace(settings, backbone_settings=given))


def test_other_frozen_weights_than_in_training_are_refused(make_settings: Make, vit_file: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from endoarss.settings import WeightsSettings

    own = tmp_path / "vit.safetensors"
    own.write_bytes(vit_file.read_bytes())
    settings = make_settings("dinov2", "hps")
    weights = WeightsSettings("file", str(own))
    model = build_model(replace(settings, backbone_settings=replace(settings.backbone_settings, weights=weights)))
    save_checkpoint(model, tmp_path / "m.safetensors", {})
    load_checkpoint(tmp_path / "m.safetensors")
    state = load_file(own)
    state["blocks.0.mlp.fc1.weight"] += 1
    save_file(state, own)
    with pytest.raises(SettingsError, match="the frozen weights differ from those in training"):
        load_checkpoint(tmp_path / "m.safetensors")


def test_only_trained_tensors_are_stored(make_settings: Make, tmp_path: Path) -> None:
    model = build_model(make_settings("dinov2", "hps"))
    save_checkpoint(model, tmp_path / "m.safetensors", {})
    stored = load_file(tmp_path / "m.safetensors")
    assert not any("blocks.0.mlp" in name for name in stored)
    assert any("shared_a" in name for name in stored)


def test_architectures_that_need_activities_say_so(make_settings: Make) -> None:
    with pytest.raises(SettingsError, match="needs activities, but the dataset has none; use single_segmentation"):
        build_model(make_settings("resnet", "hps", activities=()))
    assert build_model(make_settings("resnet", "single_segmentation", activities=())).tasks == (SEGMENTATION,)


def test_random_vit_is_trained_in_full_and_has_no_task_adapters(make_settings: Make) -> None:
    model = build_model(make_settings("dinov2", "hps", weights="none"))
    trained, total = model.count_parameters()
    assert trained == total
    with pytest.raises(SettingsError, match="weights are none"):
        build_model(make_settings("dinov2", "tesla", weights="none"))


def test_unknown_names_list_the_known(make_settings: Make) -> None:
    with pytest.raises(UnknownNameError, match="unknown backbone 'vgg'. Known: .*dinov2, endoarss, .*resnet"):
        build_model(make_settings("vgg", "hps"))
    with pytest.raises(UnknownNameError, match="unknown architecture 'mtan'"):
        build_model(make_settings("resnet", "mtan"))


def test_weights_are_loaded_strictly(make_settings: Make, vit_file: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from endoarss.settings import WeightsSettings

    settings = make_settings("dinov2", "hps")

    def with_file(path: Path, sha256: str = "") -> ModelSettings:
        weights = WeightsSettings("file", str(path), sha256)
        return replace(settings, backbone_settings=replace(settings.backbone_settings, weights=weights))

    state = load_file(vit_file)
    state.pop("norm.weight")
    save_file(state, tmp_path / "partial.safetensors")
    with pytest.raises(SettingsError, match=r"partial.safetensors: its tensors do not match .*The file does not have"):
        build_model(with_file(tmp_path / "partial.safetensors"))
    with pytest.raises(SettingsError, match="there is no such file"):
        build_model(with_file(tmp_path / "absent.safetensors"))
    with pytest.raises(SettingsError, match="expected .*This is not the same file as before"):
        build_model(with_file(vit_file, "0" * 64))
    (tmp_path / "torn.safetensors").write_bytes(vit_file.read_bytes()[:100])
    with pytest.raises(SettingsError, match="it is not a safetensors file"):
        build_model(with_file(tmp_path / "torn.safetensors"))


def test_weights_of_another_input_size_are_resampled(make_settings: Make, vit_file: Path) -> None:
    """Released DINOv2 weights are for 518 pixels: positions are interpolated, everything else is loaded as it is."""
    from dataclasses import replace

    model = build_model(replace(make_settings("dinov2", "hps"), input_size=84))
    vit = model.backbone.encoders[0].vit
    stored = load_file(vit_file)
    assert vit.pos_embed.shape[1] == 37 and stored["pos_embed"].shape[1] == 17
    torch.testing.assert_close(vit.blocks[0].mlp.fc1.weight, stored["blocks.0.mlp.fc1.weight"])


def test_bad_checkpoints_are_named(make_settings: Make, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(SettingsError, match="expected a checkpoint that `endoarss train` wrote"):
        load_checkpoint(tmp_path / "other.safetensors")
    model = build_model(make_settings("resnet", "hps"))
    save_checkpoint(model, tmp_path / "whole.safetensors", {})
    (tmp_path / "torn.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:500])
    with pytest.raises(SettingsError, match="it is not a complete safetensors file"):
        load_checkpoint(tmp_path / "torn.safetensors")
