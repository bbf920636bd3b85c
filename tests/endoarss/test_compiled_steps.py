"""What torch.compile makes of a training: whole graphs, one per batch size, and none for validation and prediction.

The graphs are those of a GPU; what a backend makes of them is not looked at here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from endoarss import build_model, list_architectures, list_backbones
from endoarss.data import LabelledImages
from endoarss.devices import CompiledSteps
from endoarss.models import MultiTaskModel
from endoarss.prediction import predict
from endoarss.registry import ARCHITECTURES
from endoarss.settings import ModelSettings
from endoarss.training import TrainingSettings, seed_everything, train

CPU = torch.device("cpu")
Make = Callable[..., ModelSettings]
TRAINED = [name for name in list_architectures() if ARCHITECTURES.get(name).trained]
# All architectures run on a fully trained backbone and on a frozen one with a front; all backbones run with one and with several streams.
PAIRS = [*product(("resnet", "endoarss"), TRAINED), *product(list_backbones(), ("mmoe", "tesla"))]
PAIRS = list(dict.fromkeys([*PAIRS, ("timm_features", "cross_stitch"), ("timm_features", "task_adapters")]))
# A weighting decides the graphs only by whether each task has a gradient of its own.
RUNS = [*((*pair, "db_mtl") for pair in PAIRS), *((b, "tesla", "equal") for b in list_backbones())]
ALL = [pytest.param(*run, marks=() if run == ("endoarss", "tesla", "db_mtl") else pytest.mark.slow) for run in RUNS]


@pytest.fixture(autouse=True)
def graphs_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trace graphs and run them as they are."""
    compiled = nn.Module.compile

    def trace(module: nn.Module, **how: Any) -> None:
        compiled(module, **{**how, "backend": "eager"})

    monkeypatch.setattr(nn.Module, "compile", trace)
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def first(data: LabelledImages, count: int) -> LabelledImages:
    assert data.activities is not None
    return LabelledImages(data.images[:count], data.masks[:count], data.activities[:count])


@pytest.mark.parametrize(("backbone", "architecture", "weighting"), ALL)
def test_every_batch_size_has_one_whole_graph(
    backbone: str, architecture: str, weighting: str, make_settings: Make, data: LabelledImages
) -> None:
    """Two epochs with a last batch that is smaller, a first step that is measured, and a validation after each."""
    seed_everything(0)
    model = build_model(make_settings(backbone, architecture))
    seven, found = first(data, 7), list[int]()

    def validate(model: MultiTaskModel) -> float:
        before = counters["stats"]["unique_graphs"]
        predict(model, seven.images, CPU, 4)
        found.append(counters["stats"]["unique_graphs"] - before)
        return 0.0

    settings = TrainingSettings(2, 1e-3, 4, weighting, compile=True)
    train(model, seven, settings, CPU, validate=validate)
    assert not counters["graph_break"], "a graph ends where Python must look at a number"
    # What stands before the streams is called by itself where one backward pass serves all tasks.
    in_front = any(parameter.requires_grad for parameter in model.backbone.front.parameters())
    apart = weighting == "db_mtl" and model.per_task_streams and in_front
    assert counters["stats"]["unique_graphs"] == (4 if apart else 2), "batches of 4 and of 3"
    assert found == [0] * settings.epochs


def test_outside_of_steps_a_model_runs_as_it_is_written(make_settings: Make, data: LabelledImages) -> None:
    model = build_model(make_settings("dinov2", "hps")).eval()
    steps = CompiledSteps(model, model.backbone.front)
    predict(model, data.images[:2], CPU)
    assert not counters["stats"]
    with steps:
        predict(model, data.images[:2], CPU)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    predict(model, data.images[:3], CPU)
    assert counters["stats"]["unique_graphs"] == graphs


def test_a_compiled_training_ends_with_a_model_that_predicts_as_a_loaded_one(
    make_settings: Make, data: LabelledImages
) -> None:
    """Robustness and verify run the checkpoint, which nothing compiles: the same kernels give the same bits."""
    seed_everything(0)
    model = build_model(make_settings("dinov2", "tesla"))
    train(model, data, replace(TrainingSettings(2, 1e-3, 8, "equal"), compile=True), CPU)
    loaded = build_model(make_settings("dinov2", "tesla"))
    loaded.load_state_dict(model.state_dict())
    one, other = (predict(given, data.images, CPU) for given in (model, loaded))
    assert one.activity is not None and other.activity is not None and one.masks is not None and other.masks is not None
    np.testing.assert_array_equal(one.activity, other.activity)
    np.testing.assert_array_equal(one.masks, other.masks)
