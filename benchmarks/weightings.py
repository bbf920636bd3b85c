"""One step of each weighting compared with torchjd's code, on the same two gradients or losses and one thread.

    python -m benchmarks.weightings [--repeats 100]

    gradients       the update from two gradients of P float32 values: a million, and the shared adapters of a ViT-B of rank 4
    losses          the gradient of the scalar from two losses, and the work after the step
Our code and torchjd's take turns. The table shows the minimum of all repeats in microseconds, because other load on the machine can only
increase the time. `ratio` is ours over torchjd's. `differs` is the largest difference of any entry of the two results in float64,
relative to the largest entry, over 20 successive problems: gradients that conflict, that agree, and that differ in length.

torchjd's CAGrad and UPGrad need solvers that this project does not need (`pip install "torchjd[cagrad,quadprog_projector]"`). Without
them, or if torchjd has no such method, only ours is shown. Its UPGrad adds 1e-12 to the diagonal here, not 1e-4. IMTL is torchjd's
IMTL-L and IMTL-G together. RLW is random, so its results are not compared.
`target` is the goal of our code. Missed targets are listed at the end.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchjd import aggregation, scalarization
from torchjd.linalg import QuadprogProjector

from endoarss.registry import WEIGHTINGS
from endoarss.weightings.base import GradientWeighting, LossWeighting, Weighting
from pipeline.io.files import write_json

TARGET_RATIO = 1.1
SIZES = {"1,000,000 values": 1_000_000, "ViT-B, rank 4": 12 * 2 * 2 * 4 * 768}
PROBLEMS = 20
TASKS = ("activity", "segmentation")
Step = Callable[[Tensor], Tensor]


class Impartial(nn.Module):
    """torchjd's IMTL-L, with gradients for its scales, followed by IMTL-G of the scaled gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.of_losses, self.of_gradients = scalarization.IMTLL(2), aggregation.IMTLG()

    def forward(self, gradients: Tensor) -> Tensor:
        """Return the update from the gradients (2, P)."""
        self.of_losses(torch.ones(2)).backward()
        update: Tensor = self.of_gradients(self.of_losses.log_scale.detach().exp().unsqueeze(1) * gradients)
        return update


PEERS: dict[str, Callable[[], nn.Module]] = {
    "aligned_mtl": aggregation.AlignedMTL,
    "cagrad": partial(aggregation.CAGrad, c=0.5),
    "dwa": scalarization.DWA,
    "equal": scalarization.Sum,
    "fairgrad": partial(aggregation.FairGrad, alpha=1.0),
    "famo": partial(scalarization.FAMO, 2),
    "gls": scalarization.GeometricMean,
    "gradvac": aggregation.GradVac,
    "imtl": Impartial,
    "imtl_g": aggregation.IMTLG,
    "mgda": aggregation.MGDA,
    "pcgrad": aggregation.PCGrad,
    "rlw": scalarization.Random,
    "uncertainty": partial(scalarization.UW, 2),
    "upgrad": lambda: aggregation.UPGrad(projector=QuadprogProjector(reg_eps=1e-12)),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and save it as results/benchmarks/weightings.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"\nOne step of each weighting, two tasks, one thread, {platform.machine()}, torch {torch.__version__}")
    print(f"{'microseconds':34}{'torchjd':>10}{'ours':>9}{'ratio':>8}{'differs':>11}")
    of_gradients = [name for name in WEIGHTINGS.names() if isinstance(made(name), GradientWeighting)]
    rows = [measured(name, on, of_size(size), options.repeats) for on, size in SIZES.items() for name in of_gradients]
    losses = torch.tensor([0.7, 2.0])
    rows += [
        measured(name, "losses", losses, options.repeats) for name in WEIGHTINGS.names() if name not in of_gradients
    ]
    too_slow = [row for row in rows if row["ratio"] is not None and row["ratio"] > TARGET_RATIO]
    missed = [f"{row['weighting']} ({row['on']}): {row['ratio']:.2f}" for row in too_slow]
    print(f"target: at most {TARGET_RATIO} times torchjd's; missed: {'; '.join(missed) or 'none'}")
    origin = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "machine": platform.machine(), "cpus": os.cpu_count()}
    figures = {"torch": torch.__version__, "asked": TARGET_RATIO, "rows": rows, "missed": missed}
    write_json(Path("results/benchmarks/weightings.json"), {**origin, **figures})


def of_size(values: int) -> Tensor:
    """Return two gradients of different lengths that conflict."""
    gradients = torch.randn(2, values, generator=torch.Generator().manual_seed(0))
    gradients[1] = 3 * gradients[1] - gradients[0]
    return gradients


def made(name: str) -> Weighting:
    """Return a weighting of two tasks, in its main phase."""
    settings = {"warmup_epochs": 0} if name == "stch" else {}
    weighting: Weighting = WEIGHTINGS.get(name)(TASKS, 9, **settings)
    weighting.start_epoch(0)
    if isinstance(weighting, LossWeighting):
        weighting.combine(torch.ones(2))
        weighting.start_epoch(1)
    return weighting


def step_of(weighting: Weighting) -> Step:
    """Return one step of our weighting."""
    if isinstance(weighting, GradientWeighting):
        return lambda gradients: weighting.combine(gradients, torch.ones(2))[0]
    assert isinstance(weighting, LossWeighting)
    after = weighting.after_step if weighting.losses_after_step else None
    return partial(descended, lambda losses: weighting.combine(losses)[0], after)


def step_of_peer(name: str, dtype: torch.dtype) -> Step:
    """Return one step of torchjd's weighting."""
    peer = PEERS[name]().to(dtype)
    if isinstance(peer, aggregation.AlignedMTL):
        peer.pref_vector = torch.ones(2, dtype=dtype)  # the sum, because the default is the mean
    if isinstance(peer, aggregation.Aggregator | Impartial):
        return peer
    return partial(descended, peer, peer.update if isinstance(peer, scalarization.FAMO) else None)


def descended(loss_of: Step, after: Callable[[Tensor], None] | None, losses: Tensor) -> Tensor:
    """Return the gradient of the losses (2,)."""
    leaves = losses.clone().requires_grad_()
    loss_of(leaves).backward()
    if after is not None:
        after(losses * torch.tensor([0.99, 0.9], dtype=losses.dtype))
    assert leaves.grad is not None
    return leaves.grad


def measured(name: str, on: str, values: Tensor, repeats: int) -> dict[str, Any]:
    """Measure one weighting on gradients or losses, and print its row. `on` names these values."""
    implementations: dict[str, Step] = {"ours": step_of(made(name))}
    differs = None
    with suppress(KeyError, ImportError):
        implementations["torchjd"] = step_of_peer(name, values.dtype)
        differs = None if name == "rlw" else largest_difference(name, values.ndim)
    seconds = least({kind: partial(step, values) for kind, step in implementations.items()}, repeats)
    microseconds = {kind: 1e6 * value for kind, value in seconds.items()}
    ratio = microseconds["ours"] / microseconds["torchjd"] if "torchjd" in microseconds else None
    shown = [
        "-" if value is None else format(value, number_format)
        for value, number_format in (
            (microseconds.get("torchjd"), ".0f"),
            (microseconds["ours"], ".0f"),
            (ratio, ".2f"),
            (differs, ".1e"),
        )
    ]
    print(f"{name:14}{on:20}{shown[0]:>10}{shown[1]:>9}{shown[2]:>8}{shown[3]:>11}", flush=True)
    return {"weighting": name, "on": on, "microseconds": microseconds, "ratio": ratio, "differs": differs}


def largest_difference(name: str, ndim: int) -> float:
    """Return the largest difference of an entry of the updates, or of the losses' gradients, from torchjd's, in float64."""
    ours, peer, differences = step_of(made(name)), step_of_peer(name, torch.float64), []
    for seed in range(PROBLEMS):
        drawn = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        drawn[1] *= 10.0 ** (seed % 3 - 1)
        drawn[0] += 3 * (seed % 4 - 1.5) * drawn[1]
        values = drawn if ndim == 2 else drawn[:, 0].abs()
        our_result, peer_result = ours(values), peer(values)
        differences.append(float((our_result - peer_result).abs().max() / peer_result.abs().max()))
    return max(differences)


def least(implementations: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the minimum seconds of each implementation. They take turns."""
    seconds = dict.fromkeys(implementations, float("inf"))
    for _ in range(repeats):
        for kind, step in implementations.items():
            started = time.perf_counter()
            step()
            seconds[kind] = min(seconds[kind], time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    main()
