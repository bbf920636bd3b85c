"""From one row an (image, condition) to scores of each condition, from all images and without each sequence."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from endoarss.metrics.catalogue import Metric
from endoarss.metrics.counts import ACTIVITIES, PIXELS
from endoarss.metrics.row_counts import counts_of_rows
from reports.errors import ResultsError
from reports.statistics.variation import MIN_SEEDS, Array, Variation

Condition = tuple[str, int, bool]  # corruption, severity, whether the masks were moved along
CLEAN: Condition = ("", 0, True)
KEYS = ["corruption", "severity", "mask_warped"]
_ACTIVITIES = ("activity_true", "activity_predicted")
# Counts (both, truth, predicted) of a label of which nothing is known: its IoU is 1/2, and it is too small to change the accuracy.
_UNKNOWN = (1e-9, 1.5e-9, 1.5e-9)


@dataclass(frozen=True)
class EvaluatedModel:
    """The answers of a model, clean and perhaps under corruption; any predictor's, whether a study trained it or not.

    label: what readers call it, one of its own in a dataset. dataset: title of the test images. runs: for each seed its scores, or a
    frame with one row an (image, condition) and the columns
      frame_id, sequence ("" where not known), corruption ("" is clean), severity (0 is clean),
      mask_warped (False where pixels moved but the true mask did not),
      activity_true, activity_predicted (where it tells activities),
      both_<i>, truth_<i>, predicted_<i>: pixels of class i, 0 the background (where it gives masks),
      <name>_<i>: of the names of `MEASUREMENTS` in endoarss.metrics, the value of foreground class i, NaN where there is none to measure
      (optional).
    trainings: what its trainings are called; models that come of the same trainings, as merged ones do, share it. "" for its label.
    """

    label: str
    dataset: str
    runs: Sequence[pd.DataFrame | ScoredRun]
    trainings: str = ""

    @property
    def varies_with(self) -> str:
        """The name of its trainings."""
        return self.trainings or self.label

    @property
    def rows(self) -> list[pd.DataFrame]:
        """The rows of each run; of one that is scored those that say what it was evaluated on."""
        return [run.rows if isinstance(run, ScoredRun) else run for run in self.runs]

    @property
    def predicts_activities(self) -> bool:
        """Whether its answers have activities."""
        return all(set(_ACTIVITIES) <= set(rows) for rows in self.rows)

    @property
    def gives_masks(self) -> bool:
        """Whether its answers have masks."""
        return all("truth_0" in rows for rows in self.rows)


@dataclass(frozen=True)
class Grid:
    """What all models of a dataset were evaluated under: clean, every corruption at every severity, and those that move pixels
    once more with the masks left where they were."""

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    unmoved: tuple[str, ...]

    def moved_conditions(self) -> list[Condition]:
        """Clean, then corruption by corruption."""
        return [CLEAN, *((name, s, True) for name in self.corruptions for s in self.severities)]

    def conditions(self) -> list[Condition]:
        """Those with moved masks, then those without: the order of all arrays of scores."""
        return [*self.moved_conditions(), *((name, s, False) for name in self.unmoved for s in self.severities)]

    def parts(self, scores: Array) -> tuple[Array, Array, Array]:
        """Scores (R, conditions) as clean (R,), corrupted (R, corruptions, severities), masks not moved (R, unmoved, severities)."""
        count, levels = len(self.moved_conditions()), len(self.severities)
        shape = (len(scores), -1, levels)
        return scores[:, 0], scores[:, 1:count].reshape(shape), scores[:, count:].reshape(shape)


@dataclass(frozen=True)
class Images:
    """The test images, those of one unit side by side. A unit varies as a whole: a sequence, or an image whose sequence is not known.
    starts: (U,), where each unit begins."""

    frame_ids: tuple[str, ...]
    starts: NDArray[np.int64]
    sequences: int

    def units(self) -> str:
        """How many units there are, in words."""
        alone = len(self.starts) - self.sequences
        names = [f"{n} {what}{'s' * (n > 1)}" for n, what in ((self.sequences, "sequence"), (alone, "image")) if n]
        return " and ".join(names)


@dataclass(frozen=True)
class ScoredRun:
    """The scores of a run, without the most of its rows.

    label, dataset: of its model. rows: those without corruption, and one of each other condition. grid, images: what it was evaluated
    on. scores: by metric (1 + U, conditions), as `score_model` gives them.
    """

    label: str
    dataset: str
    rows: pd.DataFrame
    grid: Grid
    images: Images
    scores: Mapping[str, Array]

    def of_grid(self, grid: Grid, images: Images) -> dict[str, Array]:
        """Return the scores in the order of another grid; NaN under the conditions that this one lacks, being of a model without masks.

        Raises:
            ResultsError: if the images of a sequence are not the same.
        """
        if self.images.frame_ids != images.frame_ids or not np.array_equal(self.images.starts, images.starts):
            raise ResultsError(
                f"{self.label} on {self.dataset}: its images are of other sequences than those of the models it is compared with. "
                "Evaluate it again."
            )
        place = {condition: i for i, condition in enumerate(self.grid.conditions())}
        places = [place.get(condition, -1) for condition in grid.conditions()]
        absent = np.array(places) < 0
        return {n: np.where(absent, np.nan, np.take(values, places, axis=1)) for n, values in self.scores.items()}


def grid_of(models: Sequence[EvaluatedModel], order: Sequence[str]) -> Grid:
    """The conditions of the models of one dataset.

    Args:
        models: of one dataset. order: of the corruptions; those it lacks come last.

    Raises:
        ResultsError: naming the model that lacks a column or a condition of the others.
    """
    found: dict[tuple[int, int], set[Condition]] = {}
    for i, model in enumerate(models):
        for j, run in enumerate(model.rows):
            _check_columns(model, run)
            rows = run[KEYS].drop_duplicates().itertuples(index=False)
            found[i, j] = {(str(row[0]), int(row[1]), bool(row[2])) for row in rows}
    everything = set().union(*found.values()) - {CLEAN}
    names = {name for name, _, _ in everything}
    grid = Grid(
        tuple(sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))),
        tuple(sorted({severity for _, severity, _ in everything})),
        tuple(sorted({name for name, _, moved in everything if not moved})),
    )
    if not everything:
        raise ResultsError(f"{models[0].label} on {models[0].dataset}: no row is corrupted.")
    for (i, _), conditions in found.items():
        expected = grid.conditions() if models[i].gives_masks else grid.moved_conditions()
        for condition in expected:
            if condition not in conditions:
                raise ResultsError(
                    f"{models[i].label} on {models[i].dataset}: lacks {_say(condition)}; every model of a dataset needs each "
                    "corruption at each severity, and the clean images. Evaluate its robustness again."
                )
    return grid


def _check_columns(model: EvaluatedModel, run: pd.DataFrame) -> None:
    where = f"{model.label} on {model.dataset}"
    missing = [name for name in ("frame_id", "sequence", *KEYS) if name not in run]
    if missing:
        raise ResultsError(f"{where}: its rows lack the column(s) {', '.join(missing)}.")
    if not (model.predicts_activities or model.gives_masks):
        raise ResultsError(f"{where}: its rows have neither activities nor masks.")


def _say(condition: Condition) -> str:
    name, severity, moved = condition
    return (
        "the clean images"
        if condition == CLEAN
        else f"{name} at severity {severity}{', masks not moved' * (not moved)}"
    )


def images_of(models: Sequence[EvaluatedModel]) -> Images:
    """The images that all models of a dataset were evaluated on, and which of them are of one sequence.

    Raises:
        ResultsError: naming two models whose images or truth differ, or an image that is in two sequences.
    """
    clean = [(model, _clean(run)) for model in models for run in model.rows]
    first, expected = clean[0][0], {frame for frame, _ in clean[0][1]}
    for model, images in clean:
        frames = {frame for frame, _ in images}
        if frames != expected:
            odd = min(frames ^ expected)
            raise ResultsError(
                f"{first.label} and {model.label} on {first.dataset}: evaluated on different images, {odd!r} for one; a paired "
                "comparison needs the same."
            )
    _check_truth(models)
    sequence: dict[str, str] = {}
    for frame, name in (image for _, images in clean for image in images if image[1]):
        if sequence.setdefault(frame, name) != name:
            raise ResultsError(f"{first.dataset}: the image {frame!r} is in two sequences.")
    # Sorted, so that neither the order of rows nor that of models decides the order of sums.
    units = sorted((sequence.get(frame) is None, sequence.get(frame, frame), frame) for frame in expected)
    new = [i for i, unit in enumerate(units) if i == 0 or unit[:2] != units[i - 1][:2]]
    return Images(tuple(unit[2] for unit in units), np.array(new), len(set(sequence.values())))


def _check_truth(models: Sequence[EvaluatedModel]) -> None:
    """Scores are paired by image: the truth of an image must be the same for all."""
    first: dict[str, tuple[EvaluatedModel, NDArray[Any]]] = {}
    frames: list[Any] = []
    for model in models:
        for run in model.rows:
            clean = (run["corruption"] == "").to_numpy(bool)
            own = run["frame_id"].to_numpy()[clean].tolist()
            frames = frames or own
            order = slice(None) if own == frames else _places(own, frames)
            for name in (str(n) for n in run if str(n).startswith("truth_") or n == "activity_true"):
                truth = run[name].to_numpy()[clean][order]
                one, expected = first.setdefault(name, (model, truth))
                for place in np.flatnonzero(expected != truth)[:1]:
                    raise ResultsError(
                        f"{one.label} and {model.label} on {model.dataset}: {name} of the image {frames[place]!r} differs; they were "
                        "measured against other truths. Evaluate both again."
                    )


def _clean(run: pd.DataFrame) -> list[tuple[str, str]]:
    """The images as they are, each with its sequence, "" where it is not known."""
    clean = (run["corruption"] == "").to_numpy(bool)
    pairs = zip(run["frame_id"].to_numpy()[clean], run["sequence"].to_numpy()[clean], strict=True)
    return [(str(frame), "" if pd.isna(name) else str(name)) for frame, name in pairs]


def variation_of(models: Sequence[EvaluatedModel], images: Images) -> Variation:
    """Return how scores of the models of a dataset vary: with each sequence, and with the trainings of those that have enough of them."""
    if len(images.starts) < 2:
        return Variation()
    seeds: dict[str, set[int]] = {}
    for model in models:
        seeds.setdefault(model.varies_with, set()).add(len(model.runs))
    return Variation(
        len(images.starts),
        {name: count for name, (count, *others) in seeds.items() if count >= MIN_SEEDS and not others},
    )


def score_model(model: EvaluatedModel, grid: Grid, images: Images, metrics: Mapping[str, Metric]) -> dict[str, Array]:
    """Return scores of each training of a model under each condition, from all images and without each unit.

    Args:
        model: one of those that `grid` and `images` are of.
        metrics: by name those that are wanted.

    Returns:
        By metric (K, 1 + U, conditions) in the order of `Grid.conditions`, as far as the rows have what it needs. What does not depend on
        masks is NaN where they were not moved, and so is every score without a class to measure.

    Raises:
        ResultsError: if an image is missing under a condition, or there twice, or a label or a count is no whole number from 0 on.
    """
    runs = [
        run.of_grid(grid, images) if isinstance(run, ScoredRun) else _score_run(model, run, grid, images, metrics)
        for run in model.runs
    ]
    return {name: np.stack([run[name] for run in runs]) for name in metrics if all(name in run for run in runs)}


def score_run(model: EvaluatedModel, order: Sequence[str], metrics: Mapping[str, Metric]) -> ScoredRun:
    """Return the scores of a model's only run, in place of which they stand where its rows are too many to be held.

    Args:
        model: with one run, a frame.
        order, metrics: as `grid_of` and `score_model` take them.

    Raises:
        ResultsError: as `grid_of`, `images_of` and `score_model`.
    """
    (rows,) = model.rows
    grid, images = grid_of([model], order), images_of([model])
    scores = {name: runs[0] for name, runs in score_model(model, grid, images, metrics).items()}
    telling = (rows["corruption"] == "") | ~rows.duplicated(KEYS)
    return ScoredRun(model.label, model.dataset, rows[telling].reset_index(drop=True), grid, images, scores)


def _score_run(
    model: EvaluatedModel, run: pd.DataFrame, grid: Grid, images: Images, metrics: Mapping[str, Metric]
) -> dict[str, Array]:
    rows = _ordered(model, run, grid, images)
    # What only some runs of a model have is not scored.
    texts = ("frame_id", "sequence", "corruption")
    left_out = ("activity_",) * (not model.predicts_activities) + ("truth_",) * (not model.gives_masks)
    names = [str(name) for name in rows if not str(name).startswith((*texts, *left_out))]
    columns = {name: rows[name].to_numpy().reshape(-1, len(images.frame_ids)) for name in names}
    classes = sum(1 for name in names if name.startswith("truth_"))
    activities = 1 + max(
        (int(np.nan_to_num(columns[name]).max()) for name in _ACTIVITIES if name in columns), default=0
    )
    try:
        of_images = counts_of_rows(columns, classes, activities, {metric.needs for metric in metrics.values()})
    except ValueError as error:
        where = f"{model.label} on {model.dataset}, its rows sorted by condition and image"
        raise ResultsError(f"{where}: {error} Evaluate it again.") from None
    moved, whole = len(grid.moved_conditions()), len(grid.conditions())
    scores: dict[str, Array] = {}
    for needs, values in of_images.items():
        counts = _sums_without_each(values, images)
        hold_labels(counts, needs)
        for name, metric in metrics.items():
            if metric.needs == needs and metric.whole is not None:
                scores[name] = metric.whole(counts)
                if metric.of_activities:
                    own = scores[name][:, :moved]
                    scores[name] = np.pad(own, ((0, 0), (0, whole - moved)), constant_values=np.nan)
    return {name: scores[name] for name in metrics if name in scores}


def _sums_without_each(values: Array, images: Images) -> Array:
    """Counts summed over all images, then over all but those of each unit: (conditions, images, k, L) to (1 + U, conditions, k, L)."""
    of_units = np.moveaxis(np.add.reduceat(values, images.starts, axis=1), 1, 0).astype(np.float64)
    whole = of_units.sum(axis=0, keepdims=True)
    return np.concatenate([whole, whole - of_units]) if len(of_units) > 1 else whole


def hold_labels(counts: Array, needs: str) -> None:
    """Keep the labels of the estimate in the sums without a unit that has some of them alone, in place.

    Nothing is known of such a label there. Its IoU is 1/2, for every model, so that a difference rests on the unit as much as it does: with
    the label's own IoU, a difference in one sequence would pass for certain. Values in pixels have no middle, and keep their own.

    Args:
        counts: (1 + U, conditions, k, L), the first row of all units.
        needs: Name of the counts, see `endoarss.metrics.counts`.
    """
    whole, without = counts[:1], counts[1:]
    if needs in (ACTIVITIES, PIXELS):
        alone = (whole[:, :, 1] > 0) & (without[:, :, 1] == 0)
        for row, count in enumerate(_UNKNOWN):
            without[:, :, row][alone] = count
    elif counts.shape[2] == len(_UNKNOWN):
        alone = ((whole[:, :, 1:] > 0) & (without[:, :, 1:] == 0)).any(axis=2, keepdims=True)
        np.copyto(without, whole, where=alone)


def _ordered(model: EvaluatedModel, run: pd.DataFrame, grid: Grid, images: Images) -> pd.DataFrame:
    """The rows condition by condition, images in their order. Without masks it does not matter whether these moved."""
    conditions = grid.conditions() if model.gives_masks else grid.moved_conditions()
    codes = _places(conditions, zip(*(run[key].tolist() for key in KEYS), strict=True))
    if (codes < 0).any():
        run, codes = run[codes >= 0], codes[codes >= 0]
    frames = _places(images.frame_ids, map(str, run["frame_id"].tolist()))
    for row in np.flatnonzero(frames < 0)[:1]:
        raise ResultsError(
            f"{model.label} on {model.dataset}: the image {run['frame_id'].iloc[row]!r} is there under "
            f"{_say(conditions[codes[row]])}, but not clean."
        )
    places = codes * len(images.frame_ids) + frames
    times = np.bincount(places, minlength=len(conditions) * len(images.frame_ids))
    for index in np.flatnonzero(times != 1)[:1]:
        condition, image = divmod(int(index), len(images.frame_ids))
        raise ResultsError(
            f"{model.label} on {model.dataset}: the image {images.frame_ids[image]!r} is there {times[index]} times under "
            f"{_say(conditions[condition])}; expected once."
        )
    return run if (np.diff(places) > 0).all() else run.iloc[np.argsort(places)]


def _places(expected: Sequence[Hashable], found: Iterable[Hashable]) -> NDArray[np.int64]:
    """The place of each thing that is found among those expected, -1 if it is none of them."""
    places = {one: place for place, one in enumerate(expected)}
    return np.array([places.get(one, -1) for one in found], np.int64)
