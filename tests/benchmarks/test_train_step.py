"""The peers of the training step compute the same update: only how fast is different."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import load_images, train_step
from endoarss.settings import BackboneSettings

VIT = BackboneSettings("vit_small_patch14_dinov2", {"embed_dim": 24, "depth": 2, "num_heads": 2})
CPU = torch.device("cpu")


def shared_update(problem: train_step.Problem, step: train_step.Step) -> torch.Tensor:
    step()
    return torch.cat([p.grad.flatten().clone() for p in problem.model.shared_parameters() if p.grad is not None])


@pytest.mark.parametrize("architecture", train_step.ARCHITECTURE_NAMES)
@pytest.mark.parametrize("weighting", train_step.WEIGHTING_NAMES)
def test_peers_give_the_same_update(architecture: str, weighting: str, tmp_path: Path) -> None:
    given = train_step.with_random_weights(VIT, 56, tmp_path)
    problem = train_step.make_problem("dinov2", architecture, given, 56, 4, CPU)
    for module in problem.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    ways = (train_step.ours, train_step.lean, train_step.flattening)
    expected, *others = (shared_update(problem, way(problem, train_step.weighting(problem, weighting))) for way in ways)
    assert expected.norm() > 0
    for found in others:
        torch.testing.assert_close(found / expected.norm(), expected / expected.norm(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backbone", ["dinov2", "resnet"])
def test_two_passes_train_what_one_stream_has(backbone: str, tmp_path: Path) -> None:
    """The peer of TESLA has the shared parameters of TESLA and one task's own, and computes a gradient for each."""
    resnet = BackboneSettings("resnet26", {"channels": (8, 8, 12, 16)})
    given = resnet if backbone == "resnet" else train_step.with_random_weights(VIT, 56, tmp_path)
    problem = train_step.make_problem(backbone, "tesla", given, 56, 2, CPU)
    alone = train_step.OneStream(
        problem.model.settings, lambda streams: train_step.BACKBONES.get(backbone)(given, 56, streams)
    )
    ours = sum(p.numel() for p in problem.model.backbone.parameters() if p.requires_grad)
    one_task = sum(p.numel() for p in problem.model.backbone.owned_parameters(0))
    assert sum(p.numel() for p in alone.backbone.parameters() if p.requires_grad) == ours - one_task
    train_step.two_passes(problem, train_step.weighting(problem, "db_mtl"), given, 56)()


def test_loading_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_images.main(["--frames", "4"])
    found = json.loads(Path("results/benchmarks/load_images.json").read_text())
    assert found["data"] == "synthetic" and found["ratio"] > 1


def test_patch_embeddings_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    rows = train_step.patch_embedding(CPU, 1)
    assert [row["size"] for row in rows] == [70, 224, 224] and all(row["ratio"] > 0 for row in rows)
    assert capsys.readouterr().out.count("features") == 3
