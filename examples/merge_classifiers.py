"""Merge three image classifiers and apply Representation Surgery, as in its paper.

The classifiers are fine-tuned in full from one base, each on its own image set. The script generates all images and needs no weights. It
takes about a minute on one core:

    python examples/merge_classifiers.py

The example shows what the library needs from models of other packages: their state dicts, and a function that runs a model with a state
dict.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from endoarss.merging.adamerging import mean_entropy
from endoarss.merging.base import Feedback
from endoarss.merging.batches import Batches
from endoarss.merging.fit_surgery import SurgerySettings, fit_surgery, mean_l1
from endoarss.merging.surgery import Surgery
from endoarss.merging.task_vectors import TaskVector, add_to_base, task_vector
from endoarss.registry import MERGERS, list_mergers

SIDE, CHANNELS = 24, 48


@dataclass(frozen=True)
class ImageSet:
    """N labelled images of one task.

    Attributes:
        images: float32 (N, 3, SIDE, SIDE).
        labels: int64 (N,), 0 to 3.
    """

    images: Tensor
    labels: Tensor


def scenes(count: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw images of a coloured shape on stripes.

    Args:
        count: N, the number of images.
        generator: draws the random numbers.

    Returns:
        The images, float32 (N, 3, SIDE, SIDE), and the labels by task, int64 (N,): the shape, its colour, and the direction of the stripes.
    """
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    labels = {name: torch.randint(0, 4, (count,), generator=generator) for name in ("shape", "colour", "stripes")}
    shift = 0.5 * torch.rand(count, 2, 1, 1, generator=generator) - 0.25
    size = 0.35 + 0.25 * torch.rand(count, 1, 1, generator=generator)
    x, y = xs - shift[:, 0], ys - shift[:, 1]
    inside = torch.stack(
        [
            x.hypot(y) < size,
            torch.maximum(x.abs(), y.abs()) < 0.85 * size,
            (y < 0.8 * size) & (y > 2 * x.abs() - size),
            torch.minimum(x.abs(), y.abs()) < 0.3 * size,
        ],
        dim=1,
    )
    mask = inside[torch.arange(count), labels["shape"]][:, None].float()
    palette = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.8, 0.3], [0.2, 0.3, 0.9], [0.9, 0.8, 0.2]])
    colour = palette[labels["colour"]][..., None, None]
    angle = math.pi / 4 * labels["stripes"][:, None, None]
    phase = 6.3 * torch.rand(count, 1, 1, generator=generator)
    waves = 0.5 + 0.3 * torch.sin(9 * (xs * angle.cos() + ys * angle.sin()) + phase)
    images = mask * colour + (1 - mask) * waves[:, None]
    return images + 0.15 * torch.randn(images.shape, generator=generator), labels


def image_sets(count: int, seed: int) -> dict[str, ImageSet]:
    """Return a separate image set for each of the three tasks.

    Args:
        count: the number of images per set.
        seed: the seed of the images.
    """
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for task in ("shape", "colour", "stripes"):
        images, labels = scenes(count, generator)
        found[task] = ImageSet(images, labels[task])
    return found


def make_encoder() -> nn.Module:
    """Return an untrained network that computes representations (N, CHANNELS) of images (N, 3, SIDE, SIDE)."""
    layers: list[nn.Module] = []
    for before, after in ((3, 24), (24, CHANNELS), (CHANNELS, CHANNELS)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.GELU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CHANNELS))


def train(encoder: nn.Module, heads: Sequence[nn.Module], sets: Sequence[ImageSet], steps: int, rate: float) -> None:
    """Train all parameters of an encoder and its heads with Adam on the cross-entropy.

    Args:
        encoder: the network that computes representations.
        heads: one head per image set.
        sets: the image sets; each step uses a batch of every set.
        steps: the number of steps.
        rate: Adam's learning rate.
    """
    parameters = [*encoder.parameters(), *(p for head in heads for p in head.parameters())]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    orders = [Batches(len(one.images), 64, seed) for seed, one in enumerate(sets)]
    for step in range(steps):
        optimizer.zero_grad()
        for head, one, order in zip(heads, sets, orders, strict=True):
            batch = order[step]
            F.cross_entropy(head(encoder(one.images[batch])), one.labels[batch]).backward()
        optimizer.step()


@dataclass(frozen=True)
class Row:
    """The results of one model on the three test sets.

    Attributes:
        name: the name of the model.
        accuracy: the accuracy in percent, by task.
        bias: the mean L1 distance of its representations from those of the individual models.
    """

    name: str
    accuracy: dict[str, float]
    bias: float

    @property
    def mean(self) -> float:
        """Return the mean of the accuracies."""
        return sum(self.accuracy.values()) / len(self.accuracy)


def merge_three(images: int = 1200, steps: int = 250, iterations: int = 500) -> list[Row]:
    """Train three classifiers from one base, merge them with every merger, apply Surgery, and score all models.

    Args:
        images: the number of images per training set.
        steps: a fine-tuning has twice this number of steps, the training of the base half of it.
        iterations: the number of iterations of AdaMerging and of Surgery.

    Returns:
        One row for the individual models, and two rows per merger: without and with Surgery.
    """
    torch.manual_seed(0)
    training, validation, test = (image_sets(count, seed) for count, seed in ((images, 1), (300, 2), (600, 3)))
    tasks = list(training)
    # Fine-tuning starts from a base that was briefly trained on all tasks, as pretrained models are.
    base = make_encoder()
    train(base, [nn.Linear(CHANNELS, 4) for _ in tasks], list(image_sets(images, 4).values()), steps // 2, 2e-3)
    start = {name: t.clone() for name, t in base.state_dict().items()}
    encoders: dict[str, nn.Module] = {}
    heads: dict[str, nn.Module] = {}
    for task in tasks:
        encoders[task], heads[task] = make_encoder(), nn.Linear(CHANNELS, 4)
        encoders[task].load_state_dict(start)
        train(encoders[task], [heads[task]], [training[task]], 2 * steps, 3e-3)
    vectors = [task_vector(dict(encoders[task].state_dict()), start) for task in tasks]

    def encode(vector: TaskVector, inputs: Tensor) -> Tensor:
        found: Tensor = functional_call(base, add_to_base(start, vector), (inputs,))
        return found

    def accuracy(task: str, z: Tensor, part: dict[str, ImageSet]) -> float:
        return 100 * float((heads[task](z).argmax(1) == part[task].labels).float().mean())

    def score(vector: TaskVector) -> float:
        with torch.no_grad():
            return sum(accuracy(task, encode(vector, validation[task].images), validation) for task in tasks)

    orders = {task: Batches(images, 32, 10 + number) for number, task in enumerate(tasks)}

    def entropy(vector: TaskVector, step: int) -> Tensor:
        logits = [heads[task](encode(vector, training[task].images[orders[task][step]])) for task in tasks]
        return torch.stack([mean_entropy(one) for one in logits]).sum()

    def row(name: str, z: dict[str, Tensor]) -> Row:
        with torch.no_grad():
            bias = [mean_l1(z[task], target["test"][task]) for task in tasks]
            return Row(name, {task: accuracy(task, z[task], test) for task in tasks}, sum(bias) / len(bias))

    parts = {"train": training, "test": test}
    with torch.no_grad():
        target = {part: {task: encoders[task](sets[task].images) for task in tasks} for part, sets in parts.items()}
    rows = [row("individual models", target["test"])]
    for merger in list_mergers():
        adapts = {"iterations": iterations} if MERGERS.get(merger).adapts else {}
        merged = MERGERS.get(merger)(**adapts).merge(vectors, Feedback(score, entropy)).vector
        with torch.no_grad():
            z = {part: {task: encode(merged, sets[task].images) for task in tasks} for part, sets in parts.items()}
        rows.append(row(merger, z["test"]))
        surgery = {task: Surgery(CHANNELS, 16, seed) for seed, task in enumerate(tasks)}
        for task, module in surgery.items():
            fit_surgery(module, z["train"][task], target["train"][task], SurgerySettings(iterations))
        with torch.no_grad():
            rows.append(row(f"{merger} + Surgery", {task: surgery[task](z["test"][task]) for task in tasks}))
    return rows


def main() -> None:
    """Print the table of all models."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rows = merge_three()
    print(
        "Accuracy in percent on generated test images; bias: mean L1 distance from the representations of the individual models\n"
    )
    print(f"{'':30}{''.join(f'{task:>10}' for task in rows[0].accuracy)}{'mean':>10}{'bias':>10}")
    for one in rows:
        print(
            f"{one.name:30}{''.join(f'{value:10.1f}' for value in one.accuracy.values())}{one.mean:10.1f}{one.bias:10.4f}"
        )


if __name__ == "__main__":
    main()
