"""How often the paper's claims get a verdict, on simulated studies with a known truth. It uses one thread.

    python -m benchmarks.verdicts [--studies 400] [--figure docs/verdicts.png]

    false verdicts  the share of studies of equally good models in which any claim is supported or contradicted, which should be at most
                    5 %. `single` is the share of all single tests with a p-value below 5 %. Both have 95 % intervals (Clopper and
                    Pearson 1934).
    power           the share of studies in which a true claim is supported, by the true difference in points of mIoU: EndoARSS with TESLA
                    against the best other model, and TESLA against MMoE over three backbones. False verdicts here are those of the
                    other claims, which are not true.
The rows are simulated (`benchmarks.simulated_study`) and processed as reports process saved rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import beta

from benchmarks.simulated_study import MODELS, World, claim_scores
from reports.statistics.claims import CONTRADICTED, DIFFERS_AGAINST, DIFFERS_AS_CLAIMED, SUPPORTED, test_claims
from reports.statistics.variation import MIN_SEEDS, MIN_SEQUENCES

SIZES = ((2, 3), (3, 3), (5, 3), (6, 1), (14, 1), (30, 1), (6, 3), (14, 3), (30, 3))
POINTS = (0.5, 1.0, 2.0, 4.0)
STILL_EQUAL = ("DINOv2 is better than ResNet101", "Under TESLA the tasks' gradients conflict less")
OVER_MMOE, IS_BEST = "TESLA is better than MMoE", "EndoARSS is best on each dataset"
TEST_LEVEL = 0.05
HEAVY = 3.0  # degrees of freedom of heavy tails


@dataclass(frozen=True)
class Rate:
    """A frequency.

    Attributes:
        times: number of trials in which the event happened.
        of: the number of trials.
    """

    times: int
    of: int

    @property
    def share(self) -> float:
        """Return the estimated share."""
        return self.times / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """Return the ends of its 95 % interval."""
        low = beta.ppf(0.025, self.times, self.of - self.times + 1) if self.times else 0.0
        high = beta.ppf(0.975, self.times + 1, self.of - self.times) if self.times < self.of else 1.0
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.share:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def judge(world: World, seed: int) -> pd.DataFrame:
    """Return the table of claims of one simulated study."""
    scores = {"mtlesd": claim_scores(world, np.random.default_rng(seed))}
    return test_claims(
        scores, scores, 4, {"mtlesd": "simulated"}, {"mtlesd": f"{world.sequences} sequences"}, ["mtlesd"]
    )


def tables_of(world: World, studies: int) -> list[pd.DataFrame]:
    """Return the tables of claims of some simulated studies. Every other study has heavy tails. The same world gives the same tables."""
    return [judge(replace(world, tail=HEAVY if seed % 2 else np.inf), seed) for seed in range(studies)]


def rate_of_studies(tables: Sequence[pd.DataFrame], verdicts: Sequence[str], claims: Sequence[str] = ()) -> Rate:
    """Return the share of studies in which a verdict occurs.

    Args:
        tables: the tables of claims.
        verdicts: the verdicts to count.
        claims: the claims to consider; all if empty.
    """
    times = 0
    for table in tables:
        considered = table[table["claim"].isin(claims)] if claims else table
        times += bool(considered["verdict"].isin(list(verdicts)).any())
    return Rate(times, len(tables))


def rate_of_tests(tables: Sequence[pd.DataFrame]) -> Rate:
    """Return the share of tests whose interval excludes zero, which is the level of a single test."""
    tested = pd.concat(tables).dropna(subset="low")
    return Rate(int(((tested["low"] > 0) | (tested["high"] < 0)).sum()), len(tested))


def better_by(world: World, points: float) -> World:
    """Return a world in which EndoARSS with TESLA is better than all other models, and TESLA is better on every backbone.

    The claims in `STILL_EQUAL` remain without a difference.
    """
    tesla = {model: points for model in MODELS if model.architecture == "tesla"}
    tesla[MODELS[-1]] = 2 * points
    return replace(world, better=tesla)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, and draw them if a file is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args(arguments)
    print(f"Simulated studies of {len(MODELS) + 4} models\n")
    print("sequences seeds  false verdicts          differs for these       single")
    false_rates: dict[tuple[int, int], tuple[Rate, Rate]] = {}
    for sequences, seeds in SIZES:
        can_have_verdicts = seeds >= MIN_SEEDS and sequences >= MIN_SEQUENCES
        tables = tables_of(World(sequences, seeds), options.studies if can_have_verdicts else options.studies // 4)
        false, single = rate_of_studies(tables, (SUPPORTED, CONTRADICTED)), rate_of_tests(tables)
        false_rates[sequences, seeds] = false, single
        print(
            f"{sequences:9} {seeds:5}  {false}  {rate_of_studies(tables, (DIFFERS_AS_CLAIMED, DIFFERS_AGAINST))}  {single}",
            flush=True,
        )
    print("\nsequences points  EndoARSS is best        TESLA is better than MMoE   false verdicts")
    powers: dict[tuple[int, float], tuple[Rate, Rate]] = {}
    for sequences in (14, 30):
        for points in POINTS:
            tables = tables_of(better_by(World(sequences, 3), points), options.studies // 4)
            power = tuple(rate_of_studies(tables, (SUPPORTED,), [claim]) for claim in (IS_BEST, OVER_MMOE))
            powers[sequences, points] = power[0], power[1]
            wrong = rate_of_studies(tables, (SUPPORTED, CONTRADICTED), STILL_EQUAL)
            print(f"{sequences:9} {points:6}  {power[0]}  {power[1]}  {wrong}", flush=True)
    if options.figure:
        draw(false_rates, powers, options.figure)


def draw(
    false_rates: dict[tuple[int, int], tuple[Rate, Rate]],
    powers: dict[tuple[int, float], tuple[Rate, Rate]],
    path: Path,
) -> None:
    """Draw both tables."""
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(7.1, 2.8), layout="constrained")
        left, right = figure.subplots(1, 2)
        places = np.arange(len(false_rates))
        for kind, (name, marker, colour) in enumerate(
            (("any verdict of a study", "o", "#20639b"), ("one test by itself", "s", "#888888"))
        ):
            rates = [pair[kind] for pair in false_rates.values()]
            _draw_rates(left, (places + 0.2 * kind - 0.1).tolist(), rates, name, marker, colour)
        left.axhline(100 * TEST_LEVEL, color="black", linewidth=0.8, linestyle="--")
        left.set_xticks(places, [f"{sequences}\n{seeds}" for sequences, seeds in false_rates])
        left.set_xlabel("sequences, seeds of each model")
        left.set_ylabel("false, in % of studies or tests")
        left.set_ylim(bottom=0)
        for sequences, marker, colour in ((14, "o", "#20639b"), (30, "s", "#c05020")):
            simulated = [points for number, points in powers if number == sequences]
            for kind, (claim, style) in enumerate((("EndoARSS is best", "--"), ("TESLA over MMoE", "-"))):
                rates = [powers[sequences, points][kind] for points in simulated]
                _draw_rates(right, simulated, rates, f"{claim}, {sequences} sequences", marker, colour, style)
        right.set_xscale("log")
        right.set_xticks(POINTS, [f"{points:g}" for points in POINTS])
        right.minorticks_off()
        right.set_xlabel("true difference, in points of mIoU; three seeds")
        right.set_ylabel("supported, in % of studies")
        right.set_ylim(0, 102)
        for axes in (left, right):
            axes.legend(fontsize=6.5, frameon=False, loc="upper left")
        figure.savefig(path, dpi=150)


def _draw_rates(
    axes: mpl.axes.Axes,
    places: Sequence[float],
    rates: Sequence[Rate],
    name: str,
    marker: str,
    colour: str,
    line: str = "",
) -> None:
    """Draw rates with their intervals."""
    shares = np.array([rate.share for rate in rates])
    ends = np.abs(np.array([rate.interval for rate in rates]).T - shares)
    axes.errorbar(
        places,
        100 * shares,
        100 * ends,
        fmt=marker,
        linestyle=line,
        color=colour,
        markersize=4,
        linewidth=1,
        label=name,
    )


if __name__ == "__main__":
    main()
