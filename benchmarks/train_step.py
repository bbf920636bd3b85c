"""A training step compared with plain implementations: same model, same batch, one process; ratios.

    python -m benchmarks.train_step        small models on a CPU: the paper's architectures x weightings

`python -m benchmarks.gpu` measures a GPU, with the same peers. The peers compute the same update:
    flattening      one backward pass per task, then vectors over all parameters of the backbone, frozen ones included (as LibMTL does)
    lean            one backward pass per task, vectors over trained parameters only
    two passes      (TESLA) each task's stream separately: two forward and two backward passes
    convolution     (patch embedding alone) torch's Conv2d, forward and backward to the images
Weights and images are random.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from endoarss.architectures.hps import HardParameterSharing
from endoarss.backbones.patch_projection import project_patches
from endoarss.gradients import TrainedParameters, backward, per_task_backward
from endoarss.lora import Streams
from endoarss.models import MultiTaskModel, build_model
from endoarss.registry import BACKBONES, WEIGHTINGS
from endoarss.settings import BackboneSettings, HeadSettings, ModelSettings, WeightsSettings
from endoarss.training import seed_everything, task_losses
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting
from endoarss.weightings.stch import SmoothTchebycheff
from pipeline.io.files import write_json

CLASSES, ACTIVITIES = tuple(f"class {i}" for i in range(10)), tuple(f"activity {i}" for i in range(12))
ARCHITECTURE_NAMES = ("hps", "mmoe", "dselect_k", "tesla")
# The paper's weightings; `benchmarks.weightings` measures all weightings without a model.
WEIGHTING_NAMES = ("aligned_mtl", "db_mtl", "equal", "moco", "stch")
Step = Callable[[], None]


@dataclass(frozen=True)
class Problem:
    """A model with a batch of random images and labels."""

    model: MultiTaskModel
    trained: TrainedParameters
    images: Tensor
    masks: Tensor
    activities: Tensor

    def losses_of(self, outputs: dict[str, Tensor]) -> list[Tensor]:
        """Return the losses of the tasks, T scalars."""
        losses = task_losses(outputs, self.masks, self.activities)
        return [losses[task] for task in self.model.tasks]

    def one_loss(self, index: int, logits: Tensor) -> Tensor:
        """Return the loss of one task, from its logits."""
        task = self.model.tasks[index]
        return task_losses({task: logits}, self.masks, self.activities)[task]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and save them as results/benchmarks/train_step_cpu.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5, help="timed steps per implementation")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    device = torch.device("cpu")
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "torch": torch.__version__,
        "device": f"CPU ({platform.machine()}), 1 thread",
    }
    print(f"\nOne training step, random weights and images; {about['device']}, torch {about['torch']}, {about['date']}")
    with tempfile.TemporaryDirectory() as folder:
        rows = on_cpu(device, given.steps, Path(folder))
    patches = patch_embedding(device, given.steps)
    write_json(Path("results/benchmarks/train_step_cpu.json"), {**about, "rows": rows, "patch_embedding": patches})


def patch_embedding(device: torch.device, steps: int) -> list[dict[str, Any]]:
    """Compare the patch embedding of a frozen ViT with a convolution: forward, and backward to 16 images, as SMA needs it."""
    print(f"{'ms per patch embedding, batch 16':38}{'ours':>8}{'convolution':>13}   convolution / ours")
    rows = []
    for size, features in ((70, 96), (224, 384), (224, 768)):
        convolution = torch.nn.Conv2d(3, features, 14, 14, device=device).requires_grad_(False)
        images = torch.randn(16, 3, size, size, device=device, requires_grad=True)
        layers = {"ours": project_patches(convolution), "convolution": convolution}
        kinds: dict[str, Step] = {name: partial(_to_images, layer, images) for name, layer in layers.items()}
        times = side_by_side(kinds, steps, device)
        ratio = times["convolution"] / times["ours"]
        shown = f"{1000 * times['ours']:8.1f}{1000 * times['convolution']:13.1f}   {ratio:.1f}"
        print(f"{f'{size} pixels, {features} features':38}{shown}", flush=True)
        rows.append({"size": size, "features": features, "seconds": times, "ratio": ratio})
    return rows


def _to_images(layer: torch.nn.Module, images: Tensor) -> None:
    torch.autograd.grad(layer(images).sum(), images)


def on_cpu(device: torch.device, steps: int, folder: Path) -> list[dict[str, Any]]:
    """Compare every architecture x weighting with the peers, on a ViT-S/14 of four blocks and a narrow ResNet-26, and TESLA with SMA."""
    vit = BackboneSettings("vit_small_patch14_dinov2", {"depth": 4})
    frozen = with_random_weights(vit, 112, folder)
    resnet = BackboneSettings("resnet26", {"channels": (32, 64, 128, 256)})
    backbones = {"dinov2": frozen, "resnet": resnet, "endoarss": frozen}
    pairs = [*itertools.product(("dinov2", "resnet"), ARCHITECTURE_NAMES), ("endoarss", "tesla")]
    print(
        f"{'ms per step, batch 4, 112 pixels':38}{'ours':>8}{'flattening':>12}{'lean':>8}{'two passes':>12}   peer / ours"
    )
    rows = []
    for backbone, architecture in pairs:
        problem = make_problem(backbone, architecture, backbones[backbone], 112, 4, device)
        for name in WEIGHTING_NAMES:
            kinds: dict[str, Step] = {"ours": ours(problem, weighting(problem, name))}
            kinds["flattening"] = flattening(problem, weighting(problem, name))
            kinds["lean"] = lean(problem, weighting(problem, name))
            if architecture == "tesla":
                kinds["two passes"] = two_passes(problem, weighting(problem, name), backbones[backbone], 112)
            times = side_by_side(kinds, steps, device)
            ratios = {kind: value / times["ours"] for kind, value in times.items() if kind != "ours"}
            shown = "".join(
                f"{1000 * times[kind]:{width}.0f}" if kind in times else " " * width
                for kind, width in (("ours", 8), ("flattening", 12), ("lean", 8), ("two passes", 12))
            )
            print(
                f"{backbone:9}{architecture:11}{name:18}{shown}   {' '.join(f'{r:.2f}' for r in ratios.values())}",
                flush=True,
            )
            about = {"backbone": backbone, "architecture": architecture, "weighting": name}
            rows.append({**about, "seconds": times, "ratios": ratios})
    return rows


def with_random_weights(settings: BackboneSettings, size: int, folder: Path) -> BackboneSettings:
    """Return the settings with random weights from a file, so that the ViT is frozen and its adapters are trained."""
    model = timm.create_model(settings.model, img_size=size, num_classes=0, **settings.arguments)
    path = folder / f"{settings.model}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return replace(settings, weights=WeightsSettings("file", str(path)))


def make_problem(
    backbone: str, architecture: str, given: BackboneSettings, size: int, batch: int, device: torch.device
) -> Problem:
    """Return a model and a batch for it; the adapters are random instead of zero, so that every part takes part in the step."""
    seed_everything(0)
    settings = ModelSettings(backbone, architecture, CLASSES, ACTIVITIES, size, given, heads=HeadSettings())
    model = build_model(settings).to(device).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "_b" in name and parameter.requires_grad:
                parameter.normal_(std=0.01)
    return Problem(
        model,
        TrainedParameters(model),
        torch.randn(batch, 3, size, size, device=device),
        torch.randint(len(CLASSES), (batch, size, size), device=device),
        torch.randint(len(ACTIVITIES), (batch,), device=device),
    )


def weighting(problem: Problem, name: str) -> Weighting:
    """Return a weighting in its main phase."""
    settings = {"warmup_epochs": 0} if name == "stch" else {}
    with problem.images.device:
        rule: Weighting = WEIGHTINGS.get(name)(problem.model.tasks, 9, **settings)
    rule.start_epoch(0)
    if isinstance(rule, SmoothTchebycheff):
        rule.combine(torch.ones(2, device=problem.images.device))
        rule.start_epoch(1)
    return rule


def with_optimizer(problem: Problem, gradients: Step) -> Step:
    """Return a step that computes gradients and ends with the step of Adam."""
    optimizer = torch.optim.Adam([p for p in problem.model.parameters() if p.requires_grad], lr=1e-9, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        gradients()
        optimizer.step()

    return step


def ours(problem: Problem, rule: Weighting) -> Step:
    """Return the step of `endoarss.training`."""
    return with_optimizer(
        problem, lambda: void(backward(problem.model, problem.trained, rule, problem.images, problem.losses_of))
    )


def lean(problem: Problem, rule: Weighting) -> Step:
    """Return a step with one backward pass per task over trained parameters only, for every weighting and architecture."""

    def gradients() -> None:
        per_task = per_task_backward(problem.model, problem.trained, problem.images, problem.losses_of)
        problem.trained.set_shared(combined(rule, per_task.shared, per_task.losses))

    return with_optimizer(problem, gradients)


def flattening(problem: Problem, rule: Weighting) -> Step:
    """Return a step with one backward pass per task into `.grad`, copied to vectors over all shared backbone parameters, and back."""
    owned = {id(p) for parameters in problem.trained.owned for p in parameters}
    parameters_shared = [p for p in problem.model.backbone.parameters() if id(p) not in owned]
    sizes = [p.numel() for p in parameters_shared]

    def gradients() -> None:
        losses = problem.losses_of(problem.model(problem.images))
        vectors = torch.zeros(len(losses), sum(sizes), device=problem.images.device)
        for index, loss in enumerate(losses):
            for parameter in parameters_shared:
                parameter.grad = None
            loss.backward(retain_graph=index < len(losses) - 1)
            for part, parameter in zip(vectors[index].split(sizes), parameters_shared, strict=True):
                if parameter.grad is not None:
                    part.copy_(parameter.grad.flatten())
        update = combined(rule, vectors, torch.stack(losses).detach())
        for part, parameter in zip(update.split(sizes), parameters_shared, strict=True):
            if parameter.grad is not None:
                parameter.grad = part.view_as(parameter)

    return with_optimizer(problem, gradients)


class OneStream(HardParameterSharing):
    """The backbone as one task's stream sees it: with the shared adapter and the task's own."""

    @staticmethod
    def plan(settings: ModelSettings) -> tuple[tuple[str, ...], Streams]:
        """Return both tasks, and one stream with both adapters."""
        return settings.available_tasks, Streams(1, shared=True, owned=True)


def two_passes(problem: Problem, rule: Weighting, given: BackboneSettings, size: int) -> Step:
    """Return a step of TESLA one task at a time: one stream forward and backward, then the same model again for the other task."""
    settings, make = problem.model.settings, BACKBONES.get(problem.model.settings.backbone)
    alone = OneStream(settings, lambda streams: make(given, size, streams)).to(problem.images.device).train()
    peer = replace(problem, model=alone)
    shared = alone.shared_parameters()

    def gradients() -> None:
        rows, losses = [], []
        for index, task in enumerate(alone.tasks):
            logits = alone.heads[task](alone.backbone(peer.images)[0])
            if logits.ndim == 4:
                logits = torch.nn.functional.interpolate(logits, size=(size, size), mode="bilinear")
            loss = peer.one_loss(index, logits)
            owned = alone.task_parameters(task)
            gradients_of_task = torch.autograd.grad(loss, [*shared, *owned])
            for parameter, gradient in zip(owned, gradients_of_task[len(shared) :], strict=True):
                parameter.grad = gradient
            rows.append(torch.cat([gradient.flatten() for gradient in gradients_of_task[: len(shared)]]))
            losses.append(loss.detach())
        update = combined(rule, torch.stack(rows), torch.stack(losses))
        for part, parameter in zip(update.split([p.numel() for p in shared]), shared, strict=True):
            parameter.grad = part.view_as(parameter)

    return with_optimizer(peer, gradients)


def combined(rule: Weighting, rows: Tensor, losses: Tensor) -> Tensor:
    """Return one update from the gradients of the tasks; a weighting of losses gives their factors."""
    if isinstance(rule, GradientWeighting):
        return rule.combine(rows, losses)[0]
    leaves = losses.clone().requires_grad_()
    assert isinstance(rule, LossWeighting)
    rule.combine(leaves)[0].backward()
    assert leaves.grad is not None
    return leaves.grad @ rows


def void(result: object) -> None:
    """Discard a result."""


def side_by_side(kinds: dict[str, Step], steps: int, device: torch.device) -> dict[str, float]:
    """Return the median seconds of each kind. The kinds take turns, so that other load on the machine affects all of them."""
    for step in kinds.values():
        step()
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(steps):
        for kind, step in kinds.items():
            times[kind].append(once(step, device))
    return {kind: statistics.median(values) for kind, values in times.items()}


def once(step: Step, device: torch.device) -> float:
    """Return the seconds of one step, including the device's work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
