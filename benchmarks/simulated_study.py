"""Saved rows of a study whose truth is known, for `benchmarks.verdicts`: a model of sequences, seeds, classes and images.

The IoU of a class in an image is logistic in the sum of what the class, the sequence, the model, the training and the image add; so is the
chance that an activity is told. What a model adds in a sequence is its own: models differ from sequence to sequence, also where they are
equally good. Rare classes are in few sequences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.statistics.claim_scores import COSINE, MPC, Model, Score, cosine_scores, scores_of
from reports.statistics.comparison import vary_mpc, vary_scores
from reports.statistics.condition_scores import EvaluatedModel

Array = NDArray[np.float64]

ACTIVITIES = 6
IMAGES = 8
"""Images of a sequence."""
# Shares of the sequences that have a class; 0 is one sequence alone.
CLASSES = (1.0, 1.0, 0.7, 0.5, 0.2, 0.0)
# Points of mIoU that 0.1 on the logistic scale is about.
_POINTS = 1.9
MODELS = tuple(
    Model(backbone, architecture, "db_mtl", 4)
    for backbone in ("resnet", "dinov2", "endoarss")
    for architecture in ("mmoe", "dselect_k", "tesla")
)
SINGLE = Model("dinov2", "single_segmentation", "equal", 4)
RANKS = tuple(Model("endoarss", "tesla", "db_mtl", rank) for rank in (1, 8, 16))
ROBUST = (MODELS[0], MODELS[1], MODELS[8])


@dataclass(frozen=True)
class World:
    """How scores come about.

    Attributes:
        sequences: Of the test split.
        seeds: Trainings of each model.
        tail: Degrees of freedom of what models add in sequences: of Student's t, or a normal distribution if it is infinite.
        better: By how many points of mIoU a model is better than the others.
        training: Standard deviation of what a training adds, on the logistic scale.
    """

    sequences: int
    seeds: int
    tail: float = np.inf
    better: Mapping[Model, float] = field(default_factory=dict)
    training: float = 0.04


class SimulatedStudy:
    """The test images of a dataset, and what models answer on them."""

    def __init__(self, world: World, random: np.random.Generator) -> None:
        self.world, self.random = world, random
        classes, sequences = len(CLASSES), world.sequences
        there = np.zeros((sequences, classes), bool)
        for index, share in enumerate(CLASSES):
            there[random.permutation(sequences)[: max(1, round(share * sequences))], index] = True
        area = np.exp(7 + 0.7 * random.standard_normal((sequences, IMAGES, classes)))
        self.area = (np.where(there[:, None], area, 0).astype(np.int64)).reshape(-1, classes)
        self.activity = self._of_images(random.integers(0, ACTIVITIES, sequences))
        self.difficulty = self._of_images(0.5 * random.standard_normal((sequences, 1 + classes)))
        self.difficulty[:, 1:] += 1.3 + 0.5 * random.standard_normal(classes)
        self.difficulty[:, :1] += 0.8
        self.frames = {
            "frame_id": [f"{i:03d}" for i in range(sequences * IMAGES)],
            "sequence": self._of_images(np.array([f"s{i:02d}" for i in range(sequences)])),
        }

    def _of_images(self, of_sequences: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(of_sequences, IMAGES, axis=0)

    def model(self, model: Model, severities: Sequence[int] = (0,)) -> EvaluatedModel:
        """Return the answers of a model; severity 0 is clean, from 1 on they get worse."""
        world, random = self.world, self.random
        shape = (world.sequences, 1 + len(CLASSES))
        if np.isinf(world.tail):
            own = random.standard_normal(shape)
        else:
            own = random.standard_t(world.tail, shape) / np.sqrt(world.tail / (world.tail - 2))
        own = 0.12 * (own + own[:, :1])
        quality = self.difficulty + self._of_images(own) + world.better.get(model, 0.0) / 10 / _POINTS
        runs = []
        for _ in range(world.seeds):
            trained = world.training * (random.standard_normal() + random.standard_normal(1 + len(CLASSES)))
            runs.append(pd.concat([self._answers(model, quality + trained, s) for s in severities], ignore_index=True))
        return EvaluatedModel(str(model), "simulated", runs)

    def _answers(self, model: Model, quality: Array, severity: int) -> pd.DataFrame:
        seen = quality - 0.4 * severity + 0.2 * self.random.standard_normal(quality.shape)
        chance = 1 / (1 + np.exp(-seen))
        both = np.round(self.area * 2 * chance[:, 1:] / (1 + chance[:, 1:])).astype(np.int64)
        columns = dict(self.frames) | {
            "corruption": "smoke" if severity else "",
            "severity": severity,
            "mask_warped": True,
        }
        for i in range(len(CLASSES)):
            columns |= {f"both_{i}": both[:, i], f"truth_{i}": self.area[:, i], f"predicted_{i}": self.area[:, i]}
        if model.multi_task:
            told = self.random.random(len(seen)) < chance[:, 0]
            columns["activity_true"] = self.activity
            columns["activity_predicted"] = np.where(told, self.activity, (self.activity + 1) % ACTIVITIES)
        return pd.DataFrame(columns)


def claim_scores(world: World, random: np.random.Generator) -> dict[Model, dict[str, Score]]:
    """Return what claims are tested on, from simulated rows, as reports have it from saved ones."""
    study = SimulatedStudy(world, random)
    clean = vary_scores([study.model(model) for model in (*MODELS, SINGLE, *RANKS)])
    scores = {model: scores_of(clean, str(model)) for model in (*MODELS, SINGLE, *RANKS)}
    means = vary_mpc([study.model(model, (0, 3)) for model in ROBUST])
    for model in ROBUST:
        scores[model] |= scores_of(means, str(model), MPC)
    cosines = {model: (0.1 + 0.05 * random.standard_normal(world.seeds)).tolist() for model in MODELS}
    for model, cosine in cosine_scores(cosines).items():
        scores[model][COSINE] = cosine
    return scores
