"""Merging the package's own single-task models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from endoarss import build_model, load_checkpoint
from endoarss.checkpoints import frozen_sha256, save_checkpoint
from endoarss.data import LabelledImages, to_input
from endoarss.errors import SettingsError
from endoarss.lora import LoRALinear, adapted_layers
from endoarss.merging.features import plan_cache, representations
from endoarss.merging.fit_surgery import SurgerySettings, mean_l1
from endoarss.merging.merge import apply_surgery, check_mergeable, merge, merged_model, put_vector
from endoarss.merging.task_vectors import lora_task_vector
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from endoarss.registry import MERGERS, list_mergers
from endoarss.settings import ACTIVITY, SEGMENTATION, ModelSettings

CPU = torch.device("cpu")
Settings = Callable[..., ModelSettings]


def single(settings: ModelSettings, seed: int) -> MultiTaskModel:
    """A single-task model as if it were trained: adapters that do something, statistics of its own."""
    torch.manual_seed(seed)
    model = build_model(settings)
    for layer in adapted_layers(model).values():
        assert layer.shared_b is not None
        torch.nn.init.normal_(layer.shared_b, std=0.3)
    return model.eval()


@pytest.fixture
def pair(make_settings: Settings) -> dict[str, MultiTaskModel]:
    return {
        "A": single(make_settings("dinov2", "single_activity"), 1),
        "B": single(make_settings("dinov2", "single_segmentation"), 2),
    }


def test_the_task_vector_is_the_dense_update_of_q_and_v(pair: dict[str, MultiTaskModel]) -> None:
    model = pair["A"]
    vector = lora_task_vector(model)
    layers = adapted_layers(model)
    assert list(vector) == [f"{name}.delta" for name in layers]
    for name, layer in layers.items():
        assert layer.shared_a is not None and layer.shared_b is not None
        q, v = (layer.scale * layer.shared_b[i] @ layer.shared_a[i] for i in range(2))
        torch.testing.assert_close(vector[f"{name}.delta"], torch.stack([q, v]))


def test_one_task_with_coefficient_one_is_the_individual_model_again(
    pair: dict[str, MultiTaskModel], data: LabelledImages
) -> None:
    models = check_mergeable(pair)
    for task, model in models.items():
        merged = merged_model(models)
        put_vector(merged, lora_task_vector(model))
        images = to_input(data.images, CPU)
        with torch.no_grad():
            torch.testing.assert_close(merged(images)[task], model(images)[task], rtol=1e-4, atol=1e-5)


def test_a_merged_layer_leaves_base_and_k_rows_bit_for_bit() -> None:
    from endoarss.lora import MergedLinear, Streams

    torch.manual_seed(0)
    base = torch.nn.Linear(6, 9)
    adapted = LoRALinear(base, 2, 1.0, Streams(), (0, 2), 3)
    assert adapted.shared_b is not None
    torch.nn.init.normal_(adapted.shared_b)
    merged = MergedLinear(base, (0, 2), 3)
    merged.delta.copy_(adapted.delta(0).detach())
    x = torch.randn(2, 4, 6)
    torch.testing.assert_close(merged(x), adapted(x))
    assert torch.equal(merged(x)[..., 3:6], base(x)[..., 3:6])


@pytest.mark.parametrize("name", list_mergers())
def test_every_merger_keeps_base_and_decoders_and_surgery_lowers_its_bias(
    name: str, pair: dict[str, MultiTaskModel], data: LabelledImages
) -> None:
    models = check_mergeable(pair)
    quick: dict[str, Any] = {"iterations": 3} if name.startswith("adamerging") else {}
    model, about = merge(models, MERGERS.get(name)(**quick), data.images, lambda model: 0.0, CPU, batch_size=8)
    assert frozen_sha256(model) == frozen_sha256(pair["A"]) == frozen_sha256(pair["B"])
    for task, individual in models.items():
        head = model.heads[task].state_dict()
        assert all(torch.equal(head[n], t) for n, t in individual.heads[task].state_dict().items())
    assert isinstance(about, dict)
    individual_z = {task: representations(one, data.images, CPU) for task, one in models.items()}
    z = representations(model, data.images, CPU)
    before = {task: mean_l1(z, individual_z[task]) for task in models}
    state = {n: t.clone() for n, t in model.state_dict().items()}
    apply_surgery(model, z, individual_z, 4, SurgerySettings(iterations=200, learning_rate=0.01))
    after = {task: mean_l1(model.surgery[task](z).detach(), individual_z[task]) for task in models}
    assert all(after[task] < before[task] for task in models), (before, after)
    assert all(torch.equal(model.state_dict()[n], t) for n, t in state.items()), "Surgery alone changes"


def test_unfitted_surgery_changes_no_answer(pair: dict[str, MultiTaskModel], data: LabelledImages) -> None:
    model, _ = merge(check_mergeable(pair), MERGERS.get("averaging")(), data.images, lambda model: 0.0, CPU)
    before = predict(model, data.images, CPU)
    model.put_surgery(8)
    after = predict(model, data.images, CPU)
    assert before.activity is not None and after.activity is not None
    assert before.masks is not None and after.masks is not None
    assert np.array_equal(before.activity, after.activity) and np.array_equal(before.masks, after.masks)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_checkpoint_gives_the_merged_model_back(
    rank: int, pair: dict[str, MultiTaskModel], data: LabelledImages, tmp_path: Path
) -> None:
    models = check_mergeable(pair)
    model, _ = merge(models, MERGERS.get("ties")(), data.images, lambda model: 0.0, CPU)
    z = representations(model, data.images, CPU)
    if rank:
        own = {task: representations(one, data.images, CPU) for task, one in models.items()}
        apply_surgery(model, z, own, rank, SurgerySettings(iterations=5))
    save_checkpoint(model, tmp_path / "merged.safetensors", {})
    loaded = load_checkpoint(tmp_path / "merged.safetensors", [Path(model.settings.backbone_settings.weights.path)])
    assert loaded.settings == model.settings
    stored = [name for name in load_file(tmp_path / "merged.safetensors") if name.startswith("backbone.")]
    assert stored and all(name.endswith("qkv.delta") for name in stored), "frozen weights are not stored"
    one, other = predict(model, data.images, CPU), predict(loaded, data.images, CPU)
    assert one.masks is not None and other.masks is not None and np.array_equal(one.masks, other.masks)
    assert one.activity is not None and other.activity is not None and np.array_equal(one.activity, other.activity)


def test_the_score_is_asked_of_the_merged_model(pair: dict[str, MultiTaskModel], data: LabelledImages) -> None:
    seen: list[float] = []

    def score(model: MultiTaskModel) -> float:
        delta = next(b for n, b in model.named_buffers() if n.endswith("delta"))
        seen.append(float(delta.norm()))
        return seen[-1]

    model, about = merge(check_mergeable(pair), MERGERS.get("task_arithmetic")(), data.images, score, CPU)
    assert len(seen) == 8 and seen == sorted(seen)
    assert about["coefficient"] == 1.0
    assert float(next(b for n, b in model.named_buffers() if n.endswith("delta")).norm()) == pytest.approx(max(seen))


def test_entropy_falls_under_adamerging(pair: dict[str, MultiTaskModel], data: LabelledImages) -> None:
    merger = MERGERS.get("adamerging_layer")(iterations=30, learning_rate=0.02)
    _, about = merge(check_mergeable(pair), merger, data.images, lambda model: 0.0, CPU, batch_size=17)
    assert about["entropy"]["last"] < about["entropy"]["first"]
    assert np.shape(about["coefficients"]) == (2, 2), "a task and block each"


def test_what_representations_take_is_said_and_bounded(pair: dict[str, MultiTaskModel], data: LabelledImages) -> None:
    model = pair["A"]
    z = representations(model, data.images, CPU)
    plan = plan_cache(model, 3, (17, 0))
    assert plan.stored == (17, 0) and plan.mib == pytest.approx(3 * z.nbytes / 2**20)
    each = z[0].nbytes / 2**20
    bounded = plan_cache(model, 3, (1000, 200), limit_mib=3 * each * 600)
    assert bounded.stored == (500, 100) and bounded.mib <= bounded.limit_mib * (1 + 1e-9)
    assert "500 of 1,000 and 100 of 200 images" in bounded.describe()
    with pytest.raises(SettingsError, match="memory_mib"):
        plan_cache(model, 3, (1000, 200), limit_mib=3 * each * 60)


def test_representations_are_what_the_heads_see(pair: dict[str, MultiTaskModel], data: LabelledImages) -> None:
    model = pair["B"]
    z = representations(model, data.images, CPU, batch_size=5)
    with torch.no_grad():
        seen = model.backbone(to_input(data.images, CPU))[0]
    torch.testing.assert_close(z.movedim(-1, 1), seen)


OTHERS: dict[str, tuple[Callable[[ModelSettings], ModelSettings], list[str]]] = {
    "rank": (
        lambda s: replace(
            s, backbone_settings=replace(s.backbone_settings, lora=replace(s.backbone_settings.lora, rank=8))
        ),
        ["the rank of the adapters differs: 4 in A, 8 in B"],
    ),
    "classes": (
        lambda s: replace(s, classes=("background", "a", "c")),
        ["the list of classes differs: background, a, b in A, background, a, c in B"],
    ),
    "activities": (
        lambda s: replace(s, activities=("idle", "cutting", "suction", "stapling")),
        ["the list of activities differs", "looping in A", "stapling in B"],
    ),
    "input size": (lambda s: replace(s, input_size=28), ["input_size differs: 56 in A, 28 in B"]),
    "heads": (
        lambda s: replace(s, heads=replace(s.heads, activity_channels=12)),
        ["activity_channels of the heads differs: 16 in A, 12 in B; expected the same in all models."],
    ),
    "adapted layers": (
        lambda s: replace(
            s, backbone_settings=replace(s.backbone_settings, lora=replace(s.backbone_settings.lora, targets=("fc1",)))
        ),
        ["the list of adapted layers differs: q, v in A, fc1 in B"],
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_models_that_do_not_go_together_are_refused_naming_both(what: str, make_settings: Settings) -> None:
    change, words = OTHERS[what]
    models = {
        "A": single(make_settings("dinov2", "single_activity"), 1),
        "B": single(change(make_settings("dinov2", "single_segmentation")), 2),
    }
    with pytest.raises(SettingsError) as error:
        check_mergeable(models)
    assert all(word in str(error.value) for word in words), error.value


def test_other_backbones_are_refused_naming_both(make_settings: Settings, tmp_path: Path) -> None:
    a = single(make_settings("dinov2", "single_activity"), 1)
    resnet = build_model(make_settings("resnet", "single_segmentation"))
    with pytest.raises(SettingsError, match="B, to be merged with A: resnet .*has no low-rank adapters"):
        check_mergeable({"A": a, "B": resnet})
    sma = build_model(make_settings("endoarss", "single_segmentation"))
    with pytest.raises(SettingsError, match="B, to be merged with A: the backbone endoarss has SMA"):
        check_mergeable({"A": a, "B": sma})
    settings = make_settings("dinov2", "single_segmentation")
    weights = {n: t + 0.01 for n, t in load_file(settings.backbone_settings.weights.path).items()}
    save_file(weights, tmp_path / "other.safetensors")
    source = replace(settings.backbone_settings.weights, path=str(tmp_path / "other.safetensors"))
    other = single(replace(settings, backbone_settings=replace(settings.backbone_settings, weights=source)), 2)
    with pytest.raises(SettingsError, match=r"the frozen weights differ: sha256 \w{12} in A, \w{12} in B"):
        check_mergeable({"A": a, "B": other})


def test_tasks_must_be_single_and_differ(make_settings: Settings, pair: dict[str, MultiTaskModel]) -> None:
    joint = build_model(make_settings("dinov2", "hps"))
    with pytest.raises(SettingsError, match=r"J \(hps\) solves activity and segmentation; .* to merge it with A"):
        check_mergeable({"A": pair["A"], "J": joint})
    again = single(make_settings("dinov2", "single_activity"), 3)
    with pytest.raises(
        SettingsError, match="A and C both solve activity; expected one model per task: activity and segmentation."
    ):
        check_mergeable({"A": pair["A"], "C": again})
    with pytest.raises(SettingsError, match=r"1 model\(s\) to merge: A"):
        check_mergeable({"A": pair["A"]})


@pytest.mark.parametrize(
    ("backbone", "weights", "words"),
    [("resnet", "file", "this backbone is fully trained"), ("dinov2", "none", "weights are none")],
)
def test_nothing_is_merged_onto_a_backbone_without_a_base(
    backbone: str, weights: str, words: str, make_settings: Settings
) -> None:
    with pytest.raises(SettingsError, match=words):
        build_model(make_settings(backbone, "merged", weights))


def test_a_surgery_rank_that_cannot_be_is_refused(make_settings: Settings) -> None:
    with pytest.raises(SettingsError, match="surgery_rank: -1 is not allowed"):
        build_model(replace(make_settings("dinov2", "merged"), architecture_settings={"surgery_rank": -1}))


def test_tasks_are_in_the_models_order(pair: dict[str, MultiTaskModel]) -> None:
    assert list(check_mergeable(dict(reversed(pair.items())))) == [ACTIVITY, SEGMENTATION]
