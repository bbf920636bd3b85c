"""Representation Surgery in the setting of its paper: classifiers of three image sets, fine-tuned in full from one base, merged.

Everything is generated: no data, no weights, about a minute on one core. Run it:

    python examples/merge_classifiers.py

It shows what the library asks of models that are not this package's: state dicts, and a way to run a model with one.
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
    """images: float32 (N, 3, SIDE, SIDE). labels: int64 (N,)."""

    images: Tensor
    labels: Tensor


def scenes(count: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Pictures with a shape, in a colour, on stripes: (N, 3, SIDE, SIDE), and of each picture the number of its shape, colour, and the
    direction of its stripes."""
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    told = {name: torch.randint(0, 4, (count,), generator=generator) for name in ("shape", "colour", "stripes")}
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
    mask = inside[torch.arange(count), told["shape"]][:, None].float()
    palette = torch.tensor([[0.9, 0.2, 0.2], [0.2, 0.8, 0.3], [0.2, 0.3, 0.9], [0.9, 0.8, 0.2]])
    colour = palette[told["colour"]][..., None, None]
    angle = math.pi / 4 * told["stripes"][:, None, None]
    phase = 6.3 * torch.rand(count, 1, 1, generator=generator)
    waves = 0.5 + 0.3 * torch.sin(9 * (xs * angle.cos() + ys * angle.sin()) + phase)
    pictures = mask * colour + (1 - mask) * waves[:, None]
    return pictures + 0.15 * torch.randn(pictures.shape, generator=generator), told


def image_sets(count: int, seed: int) -> dict[str, ImageSet]:
    """A set for each of three tasks, of other pictures each."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for task in ("shape", "colour", "stripes"):
        pictures, told = scenes(count, generator)
        found[task] = ImageSet(pictures, told[task])
    return found


def make_encoder() -> nn.Module:
    """Pictures (N, 3, SIDE, SIDE) to representations (N, CHANNELS)."""
    layers: list[nn.Module] = []
    for before, after in ((3, 24), (24, CHANNELS), (CHANNELS, CHANNELS)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(4, after), nn.GELU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, CHANNELS))


def train(encoder: nn.Module, heads: Sequence[nn.Module], sets: Sequence[ImageSet], steps: int, rate: float) -> None:
    """Adam on cross-entropy, all parameters; several sets take turns in one step."""
    parameters = [*encoder.parameters(), *(p for head in heads for p in head.parameters())]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    orders = [Batches(len(one.images), 64, seed) for seed, one in enumerate(sets)]
    for step in range(steps):
        optimizer.zero_grad()
        for head, one, order in zip(heads, sets, orders, strict=True):
            chosen = order[step]
            F.cross_entropy(head(encoder(one.images[chosen])), one.labels[chosen]).backward()
        optimizer.step()


@dataclass(frozen=True)
class Row:
    """What one model makes of the three test sets: accuracy in percent, and the bias, mean L1, of its representations."""

    name: str
    accuracy: dict[str, float]
    bias: float

    @property
    def mean(self) -> float:
        """Of the accuracies."""
        return sum(self.accuracy.values()) / len(self.accuracy)


def merge_three(images: int = 1200, steps: int = 250, iterations: int = 500) -> list[Row]:
    """Train three classifiers from one base, merge them in every way, apply_surgery, and score everything.

    Args:
        images: of each training set. steps: of a training, at half its length. iterations: of AdaMerging and Surgery.
    """
    torch.manual_seed(0)
    training, validation, test = (image_sets(count, seed) for count, seed in ((images, 1), (300, 2), (600, 3)))
    tasks = list(training)
    # The base: what fine-tuning starts from saw a little of everything, as pretrained models did.
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

    def encode(vector: TaskVector, pictures: Tensor) -> Tensor:
        found: Tensor = functional_call(base, add_to_base(start, vector), (pictures,))
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
    """Print the table."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rows = merge_three()
    print("Generated pictures; accuracy in percent, bias as mean L1 of representations of test images\n")
    print(f"{'':30}{''.join(f'{task:>10}' for task in rows[0].accuracy)}{'mean':>10}{'bias':>10}")
    for one in rows:
        print(
            f"{one.name:30}{''.join(f'{value:10.1f}' for value in one.accuracy.values())}{one.mean:10.1f}{one.bias:10.4f}"
        )


if __name__ == "__main__":
    main()
