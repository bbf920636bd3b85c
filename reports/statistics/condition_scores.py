"""Computes the scores of models under each condition from saved rows; `reports.statistics.variation` turns them into intervals.

Every score is computed on all images, and again without each unit. A unit is a sequence, or a single image of unknown sequence. The
scores without one unit, and those without one training, are the replicates. Shapes of arrays use these letters: K trainings of a model,
U units (0 if there is only one, because nothing is left without it), and R = 1 + number of replicates.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics.catalogue import Metric
from endoarss.metrics.counts import ACTIVITIES, PIXELS
from endoarss.metrics.row_counts import counts_of_rows, highest_label
from reports.errors import ResultsError
from reports.statistics.variation import MIN_SEEDS, Array, Variation

Condition = tuple[str, int, bool]  # corruption, severity, whether the masks were moved with the pixels
CLEAN: Condition = ("", 0, True)
KEYS = ["corruption", "severity", "mask_warped"]
_ACTIVITIES = ("activity_true", "activity_predicted")
# Counts (both, truth, predicted) of an activity or class that only the left-out unit has. They give an IoU of 1/2, and are too small to
# change the accuracy.
_COUNTS_OF_LACKING_LABEL = (1e-9, 1.5e-9, 1.5e-9)


@dataclass(frozen=True)
class EvaluatedModel:
    """The predictions of a model on clean and, optionally, corrupted images; the model may come from a study or from elsewhere.

    A run is one data frame per seed, with one row per image and condition and these columns:
      frame_id, sequence ("" if unknown), corruption ("" is clean), severity (0 is clean),
      mask_warped (False if pixels moved but the true mask did not),
      activity_true, activity_predicted (if the model predicts activities),
      both_<i>, truth_<i>, predicted_<i>: pixels of class i, 0 is the background (if the model predicts masks),
      <name>_<i> (optional): the measurement <name> of `MEASUREMENTS` in endoarss.metrics for foreground class i, NaN if undefined.

    Attributes:
        label: Name of the model that readers see, unique within a dataset.
        dataset: Title of the dataset whose images the model was tested on.
        runs: One entry per seed: the data frame described above, or its scores as a `ScoredRun`.
        trained_with: Name that models from the same trainings share, such as individual models and their merged models; "" if the model
            shares its trainings with no other.
    """

    label: str
    dataset: str
    runs: Sequence[pd.DataFrame | ScoredRun]
    trained_with: str = ""

    @property
    def training_group(self) -> str:
        """Return the name of the trainings that the model comes from; models with the same name share these trainings."""
        return self.trained_with or self.label

    @property
    def rows(self) -> list[pd.DataFrame]:
        """Return the rows of each run. A `ScoredRun` has only its rows of clean images and one row of each other condition."""
        return [run.rows if isinstance(run, ScoredRun) else run for run in self.runs]

    @property
    def predicts_activities(self) -> bool:
        """Return whether the rows of all runs contain activities."""
        return all(set(_ACTIVITIES) <= set(rows) for rows in self.rows)

    @property
    def gives_masks(self) -> bool:
        """Return whether the rows of all runs contain the pixel counts of masks."""
        return all("truth_0" in rows for rows in self.rows)


@dataclass(frozen=True)
class Grid:
    """The conditions under which all models of a dataset were evaluated.

    Attributes:
        corruptions: Names of corruptions, each applied at every severity.
        severities: The severities.
        unmoved: Corruptions that move pixels and are also scored against masks that were not moved.
    """

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    unmoved: tuple[str, ...]

    def moved_conditions(self) -> list[Condition]:
        """Return the clean condition, then all severities of each corruption."""
        return [CLEAN, *((name, s, True) for name in self.corruptions for s in self.severities)]

    def conditions(self) -> list[Condition]:
        """Return the conditions with moved masks, then those with unmoved masks; arrays of scores have this order."""
        return [*self.moved_conditions(), *((name, s, False) for name in self.unmoved for s in self.severities)]

    def parts(self, scores: Array) -> tuple[Array, Array, Array]:
        """Split scores by kind of condition.

        Args:
            scores: Array (R, conditions).

        Returns:
            Clean scores (R,), corrupted scores (R, corruptions, severities), and scores against masks that were not moved
            (R, unmoved, severities).
        """
        count, levels = len(self.moved_conditions()), len(self.severities)
        shape = (len(scores), -1, levels)
        return scores[:, 0], scores[:, 1:count].reshape(shape), scores[:, count:].reshape(shape)


@dataclass(frozen=True)
class Images:
    """The test images, ordered by unit: a unit is a sequence, or a single image of unknown sequence.

    Attributes:
        frame_ids: Ids of the images.
        starts: Array (number of units,), the position of the first image of each unit.
        sequences: Number of units that are sequences.
    """

    frame_ids: tuple[str, ...]
    starts: NDArray[np.int64]
    sequences: int

    @property
    def sequences_known(self) -> bool:
        """Return whether the sequence of every image is known."""
        return self.sequences == len(self.starts)

    def in_words(self) -> str:
        """Return the number of sequences and of images of unknown sequence in words, such as "14 sequences and 1 image"."""
        counts = ((self.sequences, "sequence"), (len(self.starts) - self.sequences, "image"))
        return " and ".join(f"{count} {noun}{'s' * (count > 1)}" for count, noun in counts if count)


@dataclass(frozen=True)
class ScoredRun:
    """The scores of a run; they replace the rows of the run, because the rows of all models may not fit into memory.

    Attributes:
        label: Name of the model that readers see.
        dataset: Title of the dataset whose images the model was tested on.
        rows: The rows of clean images, and one row of each other condition.
        grid: The conditions.
        images: The images.
        scores: By metric, an array (1 + U, conditions): the scores on all images, then without each unit.
    """

    label: str
    dataset: str
    rows: pd.DataFrame
    grid: Grid
    images: Images
    scores: Mapping[str, Array]

    def of_grid(self, grid: Grid, images: Images) -> dict[str, Array]:
        """Return the scores under the conditions of another grid, in the order of that grid.

        Args:
            grid: The grid of the models that this run is compared with.
            images: The images of these models.

        Returns:
            Scores by metric, (1 + U, conditions); NaN under conditions without rows in this run.

        Raises:
            ResultsError: If this run has other images than `images`, or assigns them to other sequences.
        """
        if self.images.frame_ids != images.frame_ids or not np.array_equal(self.images.starts, images.starts):
            raise ResultsError(
                f"{self.label} on {self.dataset}: its rows assign the images to other sequences than the rows of the models that it is "
                "compared with. Evaluate it again."
            )
        place = {condition: i for i, condition in enumerate(self.grid.conditions())}
        places = [place.get(condition, -1) for condition in grid.conditions()]
        absent = np.array(places) < 0
        return {n: np.where(absent, np.nan, np.take(values, places, axis=1)) for n, values in self.scores.items()}


def grid_of(models: Sequence[EvaluatedModel], order: Sequence[str]) -> Grid:
    """Return the conditions under which the models of one dataset were evaluated.

    Args:
        models: The models of one dataset.
        order: Names of corruptions in the order of tables; other corruptions come last.

    Returns:
        The conditions.

    Raises:
        ResultsError: If no model has rows of corrupted images, or a model lacks a column, the clean images, or a corruption at a severity
            that occurs in any rows. The message names the model.
    """
    conditions_of_run: dict[tuple[int, int], set[Condition]] = {}
    for i, model in enumerate(models):
        for j, run in enumerate(model.rows):
            _check_columns(model, run)
            rows = run[KEYS].drop_duplicates().itertuples(index=False)
            conditions_of_run[i, j] = {(str(row[0]), int(row[1]), bool(row[2])) for row in rows}
    corrupted = set().union(*conditions_of_run.values()) - {CLEAN}
    names = {name for name, _, _ in corrupted}
    grid = Grid(
        tuple(sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))),
        tuple(sorted({severity for _, severity, _ in corrupted})),
        tuple(sorted({name for name, _, moved in corrupted if not moved})),
    )
    if not corrupted:
        raise ResultsError(
            f"{models[0].label} on {models[0].dataset}: it has no rows of corrupted images. Evaluate its robustness."
        )
    for (i, _), conditions in conditions_of_run.items():
        expected = grid.conditions() if models[i].gives_masks else grid.moved_conditions()
        for condition in expected:
            if condition not in conditions:
                raise ResultsError(
                    f"{models[i].label} on {models[i].dataset}: it has no rows of {_in_words(condition)}. Every model of a dataset needs "
                    "rows of clean images, and of each corruption at each severity. Evaluate its robustness again."
                )
    return grid


def _check_columns(model: EvaluatedModel, run: pd.DataFrame) -> None:
    where = f"{model.label} on {model.dataset}"
    missing = [name for name in ("frame_id", "sequence", *KEYS) if name not in run]
    if missing:
        raise ResultsError(f"{where}: its rows lack the column(s) {', '.join(missing)}. Evaluate it again.")
    if not (model.predicts_activities or model.gives_masks):
        raise ResultsError(
            f"{where}: its rows have neither columns of activities nor columns of masks. Evaluate it again."
        )


def _in_words(condition: Condition) -> str:
    name, severity, moved = condition
    return "clean images" if condition == CLEAN else f"{name} at severity {severity}{', masks not moved' * (not moved)}"


def images_of(models: Sequence[EvaluatedModel]) -> Images:
    """Return the images that all models of a dataset were evaluated on, grouped by sequence.

    Args:
        models: The models of one dataset.

    Returns:
        The images. If some rows do not name the sequence of an image, it is taken from the rows of the other models.

    Raises:
        ResultsError: If the images or the ground truth of two models differ, or an image is in two sequences.
    """
    clean = [(model, _clean(run)) for model in models for run in model.rows]
    reference, expected = clean[0][0], {frame for frame, _ in clean[0][1]}
    for model, images in clean:
        frames = {frame for frame, _ in images}
        if frames != expected:
            raise ResultsError(
                f"{reference.label} and {model.label} on {reference.dataset}: they were evaluated on different images. Only one of them "
                f"has {min(frames ^ expected)!r}. A paired comparison needs the same images. Evaluate both again."
            )
    _check_truth(models)
    sequence: dict[str, str] = {}
    for frame, name in (image for _, images in clean for image in images if image[1]):
        if sequence.setdefault(frame, name) != name:
            raise ResultsError(
                f"{reference.dataset}: the image {frame!r} is in two sequences. Evaluate the models again."
            )
    # Images are sorted by unit, so that sums do not depend on the order of rows or of models.
    units = sorted((sequence.get(frame) is None, sequence.get(frame, frame), frame) for frame in expected)
    new = [i for i, unit in enumerate(units) if i == 0 or unit[:2] != units[i - 1][:2]]
    return Images(tuple(unit[2] for unit in units), np.array(new), len(set(sequence.values())))


def _check_truth(models: Sequence[EvaluatedModel]) -> None:
    """Raise ResultsError if two models have different ground truth for an image, because their scores are paired by image."""
    known: dict[str, tuple[EvaluatedModel, NDArray[Any]]] = {}
    frames: list[Any] = []
    for model in models:
        for run in model.rows:
            clean = (run["corruption"] == "").to_numpy(bool)
            own = run["frame_id"].to_numpy()[clean].tolist()
            frames = frames or own
            order = slice(None) if own == frames else _places(own, frames)
            for name in (str(n) for n in run if str(n).startswith("truth_") or n == "activity_true"):
                truth = run[name].to_numpy()[clean][order]
                earlier, expected = known.setdefault(name, (model, truth))
                for place in np.flatnonzero(expected != truth)[:1]:
                    raise ResultsError(
                        f"{earlier.label} and {model.label} on {model.dataset}: {name} of the image {frames[place]!r} differs between "
                        "them, so they were evaluated with different ground truth. Evaluate both again."
                    )


def _clean(run: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the clean images of a run, each with its sequence, "" if it is unknown."""
    clean = (run["corruption"] == "").to_numpy(bool)
    pairs = zip(run["frame_id"].to_numpy()[clean], run["sequence"].to_numpy()[clean], strict=True)
    return [(str(frame), "" if pd.isna(name) else str(name)) for frame, name in pairs]


def variation_of(models: Sequence[EvaluatedModel], images: Images) -> Variation:
    """Return the units and trainings that the replicates of scores on a dataset leave out.

    Args:
        models: The models of one dataset.
        images: The images of these models.

    Returns:
        The variation: all units, and the trainings of each model with at least `MIN_SEEDS` seeds. It is empty if there is only one unit.
    """
    if len(images.starts) < 2:
        return Variation()
    seeds: dict[str, set[int]] = {}
    for model in models:
        seeds.setdefault(model.training_group, set()).add(len(model.runs))
    return Variation(
        len(images.starts),
        # Models that share trainings count only if they all have the same number of seeds.
        {name: count for name, (count, *others) in seeds.items() if count >= MIN_SEEDS and not others},
    )


def score_model(model: EvaluatedModel, grid: Grid, images: Images, metrics: Mapping[str, Metric]) -> dict[str, Array]:
    """Return the scores of each training of a model under each condition, on all images and without each unit.

    Args:
        model: The model.
        grid: The conditions of the models of its dataset.
        images: The images of its dataset.
        metrics: The metrics to compute, by name.

    Returns:
        By metric, an array (K, 1 + U, conditions) in the order of `Grid.conditions`, for the metrics that the rows have columns for.
        A score is NaN if it has no activity or class to measure. Scores of activities are NaN where masks were not moved.

    Raises:
        ResultsError: If an image is missing or occurs twice under a condition, an image under corruption has no clean row, an activity or
            a count is not an integer of at least 0, or for the reason of `ScoredRun.of_grid`.
    """
    runs = [
        run.of_grid(grid, images) if isinstance(run, ScoredRun) else _score_run(model, run, grid, images, metrics)
        for run in model.runs
    ]
    return {name: np.stack([run[name] for run in runs]) for name in metrics if all(name in run for run in runs)}


def score_run(model: EvaluatedModel, order: Sequence[str], metrics: Mapping[str, Metric]) -> ScoredRun:
    """Return the scores of a model's only run, which take less memory than its rows.

    Args:
        model: A model with one run of rows.
        order: Names of corruptions in the order of tables, as for `grid_of`.
        metrics: The metrics to compute, as for `score_model`.

    Returns:
        The scored run.

    Raises:
        ResultsError: For the reasons of `grid_of`, `images_of` and `score_model`.
    """
    (rows,) = model.rows
    grid, images = grid_of([model], order), images_of([model])
    scores = {name: runs[0] for name, runs in score_model(model, grid, images, metrics).items()}
    saved = (rows["corruption"] == "") | ~rows.duplicated(KEYS)
    return ScoredRun(model.label, model.dataset, rows[saved].reset_index(drop=True), grid, images, scores)


def _score_run(
    model: EvaluatedModel, run: pd.DataFrame, grid: Grid, images: Images, metrics: Mapping[str, Metric]
) -> dict[str, Array]:
    rows = _ordered(model, run, grid, images)
    # Activities and masks are scored only if all runs of the model have them.
    texts = ("frame_id", "sequence", "corruption")
    unscored = ("activity_",) * (not model.predicts_activities) + ("truth_",) * (not model.gives_masks)
    names = [str(name) for name in rows if not str(name).startswith((*texts, *unscored))]
    columns = {name: rows[name].to_numpy().reshape(-1, len(images.frame_ids)) for name in names}
    classes = sum(1 for name in names if name.startswith("truth_"))
    try:
        activities = 1 + highest_label(columns, _ACTIVITIES)
        of_images = counts_of_rows(columns, classes, activities, {metric.needs for metric in metrics.values()})
    except ValueError as error:
        where = f"{model.label} on {model.dataset}, with rows sorted by condition and image"
        raise ResultsError(f"{where}: {error} Evaluate the model again.") from None
    moved, unmoved = len(grid.moved_conditions()), len(grid.conditions()) - len(grid.moved_conditions())
    scores: dict[str, Array] = {}
    for needs, values in of_images.items():
        counts = _sums_without_each(values, images)
        hold_labels(counts, needs)
        for name, metric in metrics.items():
            if metric.needs == needs and metric.whole is not None:
                scores[name] = metric.whole(counts)
                if metric.of_activities:
                    own = scores[name][:, :moved]
                    scores[name] = np.pad(own, ((0, 0), (0, unmoved)), constant_values=np.nan)
    return {name: scores[name] for name in metrics if name in scores}


def _sums_without_each(values: Array, images: Images) -> Array:
    """Return counts (conditions, images, 2 or 3, labels) summed over all images, then without each unit.

    The result has the shape (1 + U, conditions, 2 or 3, labels). `endoarss.metrics.counts` describes the last two axes.
    """
    of_units = np.moveaxis(np.add.reduceat(values, images.starts, axis=1), 1, 0).astype(np.float64)
    total = of_units.sum(axis=0, keepdims=True)
    return np.concatenate([total, total - of_units]) if len(of_units) > 1 else total


def hold_labels(counts: Array, needs: str) -> None:
    """Replace, in place, the counts of activities and classes that only the left-out unit has.

    Without this unit they have no score. They get an IoU of 1/2 for every model, so that a difference that comes from one sequence alone
    stays uncertain. With their IoU on all images, the difference would look certain. Values of images, such as distances, have no middle
    value: their counts are those of all images.

    Args:
        counts: Array (1 + U, conditions, 2 or 3, labels). Its first row is the sum over all units, each other row the sum without one
            unit. `endoarss.metrics.counts` describes the last two axes; a label is an activity or a class.
        needs: Name of the counts, see `endoarss.metrics.counts`.
    """
    total, without = counts[:1], counts[1:]
    if needs in (ACTIVITIES, PIXELS):
        lacking = (total[:, :, 1] > 0) & (without[:, :, 1] == 0)
        for row, count in enumerate(_COUNTS_OF_LACKING_LABEL):
            without[:, :, row][lacking] = count
    elif counts.shape[2] == len(_COUNTS_OF_LACKING_LABEL):
        lacking = ((total[:, :, 1:] > 0) & (without[:, :, 1:] == 0)).any(axis=2, keepdims=True)
        np.copyto(without, total, where=lacking)


def _ordered(model: EvaluatedModel, run: pd.DataFrame, grid: Grid, images: Images) -> pd.DataFrame:
    """Return the rows ordered by condition and image, under the conditions that `score_model` needs.

    A model without masks needs no rows for masks that were not moved.
    """
    conditions = grid.conditions() if model.gives_masks else grid.moved_conditions()
    codes = _places(conditions, zip(*(run[key].tolist() for key in KEYS), strict=True))
    if (codes < 0).any():
        run, codes = run[codes >= 0], codes[codes >= 0]
    frames = _places(images.frame_ids, map(str, run["frame_id"].tolist()))
    for row in np.flatnonzero(frames < 0)[:1]:
        raise ResultsError(
            f"{model.label} on {model.dataset}: the image {run['frame_id'].iloc[row]!r} occurs in the rows of "
            f"{_in_words(conditions[codes[row]])}, but not in the rows of clean images. Evaluate the model again."
        )
    places = codes * len(images.frame_ids) + frames
    times = np.bincount(places, minlength=len(conditions) * len(images.frame_ids))
    for index in np.flatnonzero(times != 1)[:1]:
        condition, image = divmod(int(index), len(images.frame_ids))
        raise ResultsError(
            f"{model.label} on {model.dataset}: the image {images.frame_ids[image]!r} occurs {times[index]} times in the rows of "
            f"{_in_words(conditions[condition])}; expected once. Evaluate the model again."
        )
    return run if (np.diff(places) > 0).all() else run.iloc[np.argsort(places)]


def _places(expected: Sequence[Hashable], items: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return the position of each item among the expected items, -1 if it is not among them."""
    places = {item: place for place, item in enumerate(expected)}
    return np.array([places.get(item, -1) for item in items], np.int64)
