"""Saved rows of a simulated study with a known truth, for `benchmarks.verdicts`: a model of sequences, seeds, classes and images.

The IoU of a class in an image is a logistic function of a sum of contributions: of class, sequence, model, training and image. The
probability that an activity is predicted correctly is modelled in the same way. Each model has its own contribution per sequence, so
models differ from sequence to sequence even if they are equally good. Rare classes occur in few sequences.
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
"""The number of images per sequence."""
# The share of sequences that have each class; 0 means a single sequence.
CLASSES = (1.0, 1.0, 0.7, 0.5, 0.2, 0.0)
# About this many points of mIoU correspond to 0.1 on the logistic scale.
_POINTS_PER_TENTH = 1.9
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
    """The parameters of a simulation.

    Attributes:
        sequences: the number of test sequences.
        seeds: the number of trainings per model.
        tail: degrees of freedom of the t distribution of the models' contributions per sequence; infinite gives a normal distribution.
        better: by how many points of mIoU a model is better than the others.
        training: the standard deviation of a training's contribution, on the logistic scale.
    """

    sequences: int
    seeds: int
    tail: float = np.inf
    better: Mapping[Model, float] = field(default_factory=dict)
    training: float = 0.04


class SimulatedStudy:
    """The test images of a dataset, and the predictions of models on them."""

    def __init__(self, world: World, random: np.random.Generator) -> None:
        self.world, self.random = world, random
        classes, sequences = len(CLASSES), world.sequences
        present = np.zeros((sequences, classes), bool)
        for index, share in enumerate(CLASSES):
            present[random.permutation(sequences)[: max(1, round(share * sequences))], index] = True
        area = np.exp(7 + 0.7 * random.standard_normal((sequences, IMAGES, classes)))
        self.area = (np.where(present[:, None], area, 0).astype(np.int64)).reshape(-1, classes)
        self.activity = self._of_images(random.integers(0, ACTIVITIES, sequences))
        self.difficulty = self._of_images(0.5 * random.standard_normal((sequences, 1 + classes)))
        self.difficulty[:, 1:] += 1.3 + 0.5 * random.standard_normal(classes)
        self.difficulty[:, :1] += 0.8
        self.frames = {
            "frame_id": [f"{i:03d}" for i in range(sequences * IMAGES)],
            "sequence": self._of_images(np.array([f"s{i:02d}" for i in range(sequences)])),
        }

    def _of_images(self, of_sequences: NDArray[Any]) -> NDArray[Any]:
        """Repeat values of sequences for their images."""
        return np.repeat(of_sequences, IMAGES, axis=0)

    def model(self, model: Model, severities: Sequence[int] = (0,)) -> EvaluatedModel:
        """Return the predictions of a model. Severity 0 is clean, and predictions get worse with the severity."""
        world, random = self.world, self.random
        shape = (world.sequences, 1 + len(CLASSES))
        if np.isinf(world.tail):
            contribution = random.standard_normal(shape)
        else:
            contribution = random.standard_t(world.tail, shape) / np.sqrt(world.tail / (world.tail - 2))
        contribution = 0.12 * (contribution + contribution[:, :1])
        quality = (
            self.difficulty + self._of_images(contribution) + world.better.get(model, 0.0) / 10 / _POINTS_PER_TENTH
        )
        runs = []
        for _ in range(world.seeds):
            trained = world.training * (random.standard_normal() + random.standard_normal(1 + len(CLASSES)))
            runs.append(
                pd.concat([self._predictions(model, quality + trained, s) for s in severities], ignore_index=True)
            )
        return EvaluatedModel(str(model), "simulated", runs)

    def _predictions(self, model: Model, quality: Array, severity: int) -> pd.DataFrame:
        """Return the rows of one model at one severity."""
        logit = quality - 0.4 * severity + 0.2 * self.random.standard_normal(quality.shape)
        chance = 1 / (1 + np.exp(-logit))
        both = np.round(self.area * 2 * chance[:, 1:] / (1 + chance[:, 1:])).astype(np.int64)
        columns = dict(self.frames) | {
            "corruption": "smoke" if severity else "",
            "severity": severity,
            "mask_warped": True,
        }
        for i in range(len(CLASSES)):
            columns |= {f"both_{i}": both[:, i], f"truth_{i}": self.area[:, i], f"predicted_{i}": self.area[:, i]}
        if model.multi_task:
            correct = self.random.random(len(logit)) < chance[:, 0]
            columns["activity_true"] = self.activity
            columns["activity_predicted"] = np.where(correct, self.activity, (self.activity + 1) % ACTIVITIES)
        return pd.DataFrame(columns)


def claim_scores(world: World, random: np.random.Generator) -> dict[Model, dict[str, Score]]:
    """Return the scores on which claims are tested, computed from simulated rows as reports do from saved rows."""
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
