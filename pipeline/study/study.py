"""A study: read, validated at the edge, then plain typed Python. The list of cells is computed here and nowhere else.

Importing this module imports no torch, for it is read at every plan.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from corruptions import SEVERITIES, corruptions_of
from endoarss.registry import MERGERS, list_mergers
from pipeline.datasets.kinds import (
    BY_SEQUENCE,
    GENERALISATION,
    KINDS,
    PLAIN,
    PLAIN_RECIPES,
    PUBLISHED,
    TEST_SEQUENCES,
    WHERE_TO_ASK,
    Kind,
    Recipe,
)
from pipeline.errors import InputError
from pipeline.io.hashing import digest
from pipeline.labels.classes import LabelSet, plain_labels, stored_values
from pipeline.study.cell import MERGED, SINGLE_TASKS, Cell, MergingGroup
from pipeline.study.environment import expand
from pipeline.study.schema import fill_defaults, schema

# The rows of the paper's Table V, by backbone and architecture.
ABLATION = (
    ("resnet", "mmoe"),
    ("dinov2", "mmoe"),
    ("resnet", "tesla"),
    ("dinov2", "tesla"),
    ("endoarss", "mmoe"),
    ("endoarss", "tesla"),
)
WEIGHTS = Path("data/weights")
"""Where pretrained weights lie: those of a study's own pretraining, and files that people put there."""


@dataclass(frozen=True)
class Study:
    """A validated study with every default filled in. `settings` is the whole of it, as the schema describes."""

    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.settings["study"])

    @property
    def generated(self) -> Mapping[str, Any] | None:
        """How raw trees are generated; None for real ones."""
        generated: Mapping[str, Any] | None = self.settings["raw"].get("generate")
        return generated

    @property
    def synthetic(self) -> bool:
        """Whether the data is generated."""
        return self.generated is not None

    @property
    def protocol(self) -> str:
        """Which definition of the metrics its tables have: standard or published."""
        return str(self.settings["protocol"])

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the study's datasets."""
        return tuple(self.settings["datasets"])

    @property
    def results(self) -> Path:
        """results/<study>."""
        return Path("results") / self.name

    def kind(self, dataset: str) -> Kind:
        """What a dataset of the study is: one of `KINDS`, or made from what the study says of its own frames."""
        given = self.settings["datasets"][dataset]
        if PLAIN in given:
            plain = given[PLAIN]
            stored = stored_values(
                f"datasets.{dataset}.{PLAIN}", plain["classes"], plain.get("values"), plain.get("ignore")
            )
            labels = replace(plain_labels(plain["classes"], plain["activities"]), stored=stored)
            return Kind(given.get("title", dataset), labels, PLAIN_RECIPES)
        kind = KINDS[given.get("kind", dataset)]
        default = kind.title if dataset in KINDS else f"{kind.title}, {self.split_rule(dataset).replace('_', ' ')}"
        return replace(kind, title=given.get("title", default))

    def kind_name(self, dataset: str) -> str:
        """The known kind that a dataset is of, or "plain"."""
        given = self.settings["datasets"][dataset]
        return PLAIN if PLAIN in given else str(given.get("kind", dataset))

    def leakage_datasets(self) -> tuple[str, ...]:
        """The datasets with the published split of frames whose sequences are known: what leaks there can be seen."""
        return tuple(
            dataset
            for dataset in self.datasets
            if self.split_rule(dataset) == PUBLISHED and self.kind_name(dataset) in TEST_SEQUENCES
        )

    def leakage_pairs(self) -> tuple[tuple[Cell, Cell], ...]:
        """Pairs of the same training on the published split and by sequence."""
        by_sequence = {
            (self.kind_name(cell.dataset), *cell.model): cell
            for cell in self.cells()
            if self.split_rule(cell.dataset) == BY_SEQUENCE
        }
        pairs = []
        for cell in self.cells():
            other = by_sequence.get((self.kind_name(cell.dataset), *cell.model))
            if cell.dataset in self.leakage_datasets() and other is not None:
                pairs.append((cell, other))
        return tuple(pairs)

    def labels(self, dataset: str) -> LabelSet:
        """Classes and activities of a dataset."""
        return self.kind(dataset).labels

    def titles(self) -> dict[str, str]:
        """What readers call each dataset."""
        return {dataset: self.kind(dataset).title for dataset in self.datasets}

    def split_rule(self, dataset: str) -> str:
        """Which rule splits a dataset."""
        given = self.settings["datasets"][dataset]
        recipes = PLAIN_RECIPES if PLAIN in given else KINDS[given.get("kind", dataset)].recipes
        return str(given.get("split", next(iter(recipes))))

    def recipe(self, dataset: str) -> Recipe:
        """Who collects a dataset's frames, and from which raw trees."""
        return self.kind(dataset).recipes[self.split_rule(dataset)]

    def roots(self, dataset: str) -> dict[str, Path]:
        """The raw trees of a dataset, by source."""
        raw = self.raw_roots()
        given = self.settings["datasets"][dataset]
        if PLAIN in given:
            raw[PLAIN] = Path(expand(given[PLAIN]["root"]))
        return {source: raw[source] for source in self.recipe(dataset).sources}

    def roots_as_written(self, dataset: str) -> list[str]:
        """The raw trees of a dataset as the study says them: environment variables are not filled in, for they may hold secrets."""
        if self.generated is not None:
            return [str(root) for root in self.roots(dataset).values()]
        given = self.settings["datasets"][dataset]
        named = {**self.settings["raw"], PLAIN: given.get(PLAIN, {}).get("root")}
        return [str(named[source]) for source in self.recipe(dataset).sources]

    def raw_roots(self) -> dict[str, Path]:
        """Where each raw tree is, by source name; of real ones those that are given."""
        if self.generated is not None:
            root = Path("data/raw") / self.generated["name"]
            folders = {"vqla2018": "endovis2018", "vqla2017": "endovis2017"}
            return {source: root / folders.get(source, source) for source in WHERE_TO_ASK}
        return {s: Path(expand(p)) for s, p in self.settings["raw"].items() if s in WHERE_TO_ASK}

    def dataset_folder(self, dataset: str) -> Path:
        """data/datasets/<name>, for generated trees with their name at the end: real and generated never mix."""
        suffix = f"-{self.generated['name']}" if self.generated is not None else ""
        return Path("data/datasets") / f"{dataset}{suffix}"

    def dataset_settings(self, dataset: str) -> dict[str, Any]:
        """All that decides what a built dataset holds, besides the raw tree and the code."""
        given = dict(self.settings["datasets"][dataset])
        given["split"] = self.split_rule(dataset)
        if given["split"] == BY_SEQUENCE:
            given.setdefault("test", list(TEST_SEQUENCES.get(given.get("kind", dataset), ())))
        given["title"] = self.kind(dataset).title
        scheme = self.settings["raw"].get("endovis2018_scheme", "detect")
        return {**given, "name": dataset, "scheme": scheme, "generate": self.generated}

    def trainings(self) -> tuple[Cell, ...]:
        """All trainings, each once, in the order of the study."""
        found: dict[Cell, None] = {}
        for block in self.settings["cells"]:
            kinds = (block[key] for key in ("datasets", "backbones", "architectures", "weightings"))
            select_on = block.get("select_on", self.select_on)
            names = product(*kinds, block.get("ranks", [self.rank]), self.settings["seeds"])
            for dataset, backbone, architecture, weighting, rank, seed in names:
                found[Cell(dataset, backbone, architecture, weighting, rank, seed, select_on)] = None
        return tuple(found)

    def cells(self) -> tuple[Cell, ...]:
        """The trainings that tables set beside each other: those whose epoch is chosen as the study says."""
        return tuple(cell for cell in self.trainings() if cell.select_on == self.select_on)

    def models(self) -> tuple[Cell, ...]:
        """All that is trained or merged."""
        return (*self.trainings(), *self.merged_cells())

    @property
    def select_on(self) -> str:
        """What chooses the epoch: last, val or test."""
        return str(self.settings["training"]["select_on"])

    def merging_groups(self) -> tuple[MergingGroup, ...]:
        """What the study merges: the single tasks of each dataset, backbone, rank and seed whose epoch was chosen on validation frames."""
        if "merging" not in self.settings:
            return ()
        validated = [cell for cell in self.trainings() if cell.select_on == "val"]
        alike: dict[tuple[object, ...], dict[str, Cell]] = {}
        for cell in validated:
            alike.setdefault((cell.dataset, cell.backbone, cell.rank, cell.seed), {})[cell.architecture] = cell
        groups = []
        for key, of_architecture in alike.items():
            if set(SINGLE_TASKS) <= set(of_architecture):
                singles = tuple(of_architecture[name] for name in SINGLE_TASKS)
                joint = [
                    cell
                    for cell in validated
                    if (cell.dataset, cell.backbone, cell.rank, cell.seed) == key
                    and cell.architecture not in SINGLE_TASKS
                ]
                groups.append(MergingGroup(singles, self._merged_from(singles[0]), tuple(joint)))
        return tuple(groups)

    def _merged_from(self, single: Cell) -> tuple[Cell, ...]:
        settings = self.merging_settings()
        ranks = sorted({0, settings["surgery"]["rank"], *settings["surgery"]["ablation"]})
        on_test = settings["unlabelled"] == "test"
        return tuple(
            replace(single, architecture=MERGED, weighting=merger, surgery=rank, on_test=on_test)
            for merger in settings["mergers"]
            for rank in ranks
        )

    def merged_cells(self) -> tuple[Cell, ...]:
        """All merged models."""
        return tuple(cell for group in self.merging_groups() for cell in group.merged)

    def merging_settings(self) -> dict[str, Any]:
        """How models are merged, every default filled in."""
        settings: dict[str, Any] = json.loads(json.dumps(self.settings.get("merging", {})))
        fill_defaults(settings, schema()["properties"]["merging"])
        settings.setdefault("mergers", list(list_mergers()))
        return settings

    @property
    def rank(self) -> int:
        """The rank of the adapters where a cell is not of another one."""
        return int(self.settings["lora"]["rank"])

    def ablation_cells(self, dataset: str) -> dict[tuple[str, str], Cell]:
        """Table V: the cells of a dataset that differ by backbone and architecture alone, of the first seed; empty unless the study
        has all six of them under DB-MTL, as the paper."""
        chosen = {
            (cell.backbone, cell.architecture): cell
            for cell in reversed(self.cells())
            if cell.dataset == dataset and cell.weighting == "db_mtl" and cell.rank == self.rank
        }
        return {pair: chosen[pair] for pair in ABLATION} if set(ABLATION) <= set(chosen) else {}

    def cells_by_rank(self, dataset: str) -> dict[int, Cell]:
        """Table VI: the cells of a dataset that differ by rank alone, of the first seed; empty where there is one rank."""
        cells = [cell for cell in self.cells() if cell.dataset == dataset]
        models = {(c.backbone, c.architecture, c.weighting) for c in cells if c.rank != self.rank}
        for model in sorted(models):
            chosen = {c.rank: c for c in reversed(cells) if (c.backbone, c.architecture, c.weighting) == model}
            if len(chosen) > 1:
                return dict(sorted(chosen.items()))
        return {}

    def task_pairs(self) -> tuple[tuple[Cell, tuple[Cell, ...]], ...]:
        """Each segmentation-only cell of the first seed with the multi-task cells of its dataset and backbone, where there are any;
        DINOv2 and MTLESD first, as in the paper's figure 2."""
        cells = [cell for cell in self.cells() if (cell.rank, cell.seed) == (self.rank, self.settings["seeds"][0])]
        pairs = []
        for single in (cell for cell in cells if cell.architecture == "single_segmentation"):
            others = tuple(
                cell
                for cell in cells
                if (cell.dataset, cell.backbone) == (single.dataset, single.backbone)
                and not cell.architecture.startswith("single_")
            )
            if others:
                pairs.append((single, others))
        return tuple(sorted(pairs, key=lambda pair: (pair[0].backbone != "dinov2", pair[0].dataset != "mtlesd")))

    def cell(self, cell_id: str) -> Cell:
        """The cell with this id.

        Raises:
            InputError: if the study has none, with those it has.
        """
        for cell in self.models():
            if cell.id == cell_id:
                return cell
        # Merged by hand: of trainings of the study, but not by its own list of mergers and ranks.
        given = Cell.parse(cell_id)
        if given is not None and given.merger in list_mergers():
            for single in self.trainings():
                as_merged = replace(
                    given, architecture=single.architecture, weighting=single.weighting, surgery=0, on_test=False
                )
                if single.architecture in SINGLE_TASKS and single == as_merged:
                    return given
        known = "\n  ".join(cell.id for cell in self.models())
        raise InputError(f"study {self.name!r} has no cell {cell_id!r}; its cells are\n  {known}")

    def cell_folder(self, cell: Cell) -> Path:
        """Where a training, or a merged model, is kept."""
        return self.results / "cells" / cell.id

    def evaluated_on(self, dataset: str) -> tuple[str, ...]:
        """The datasets a cell trained on `dataset` is tested on: its own, and those made to test how it generalises."""
        return (dataset, *(gen for gen, base in GENERALISATION.items() if base == dataset and gen in self.datasets))

    def robustness_cells(self) -> tuple[Cell, ...]:
        """The cells whose robustness is evaluated."""
        patterns = self.settings.get("robustness", {}).get("cells", ())
        return tuple(
            cell
            for cell in self.cells()
            if cell.rank == self.rank
            and any(all(getattr(cell, key) == value for key, value in pattern.items()) for pattern in patterns)
        )

    def robust_together(self, group: MergingGroup) -> tuple[Cell, ...]:
        """What of a group is evaluated under corruption in one go, each image corrupted once: single and merged models; of Surgery the
        rank that is no ablation."""
        settings = self.merging_settings()
        if "robustness" not in self.settings or not settings["robustness"]:
            return ()
        return (*group.singles, *(cell for cell in group.merged if cell.surgery in (0, settings["surgery"]["rank"])))

    def robust_models(self) -> tuple[Cell, ...]:
        """All models whose robustness is evaluated: those that the study names, merged ones, and what these are set beside."""
        found = dict.fromkeys(self.robustness_cells())
        for group in self.merging_groups():
            together = self.robust_together(group)
            found |= dict.fromkeys((*together, *group.joint) if together else ())
        return tuple(found)

    def robustness_baseline(self, dataset: str) -> Cell | None:
        """The evaluated cell of a dataset that corruption errors are relative to, where the study names one."""
        pattern = self.settings.get("robustness", {}).get("baseline")
        if pattern is None:
            return None
        cells = (cell for cell in self.robustness_cells() if cell.dataset == dataset)
        return next((c for c in cells if all(getattr(c, key) == value for key, value in pattern.items())), None)

    def robustness_settings(self) -> dict[str, Any]:
        """The conditions every robustness evaluation goes through."""
        given = self.settings.get("robustness", {})
        profile = given.get("profile", "standard")
        return {
            "corruptions": given.get("corruptions", list(corruptions_of(profile))),
            "severities": given.get("severities", list(SEVERITIES)),
            "seed": given.get("seed", 0),
            "profile": profile,
        }

    @property
    def keeps_corrupted(self) -> bool:
        """Whether corrupted test images are made once for all cells and kept."""
        return bool(self.settings.get("robustness", {}).get("keep_corrupted", False))

    def pretraining_settings(self) -> dict[str, Any]:
        """All that decides what the study's own pretraining gives, besides code."""
        given = self.settings["pretraining"]
        backbone = self.settings["backbones"][given["backbone"]]
        model = {key: backbone[key] for key in ("model", "arguments")}
        return {**given, **model, "input_size": self.settings.get("network_size", self.settings["input_size"])}

    def segments(self) -> bool:
        """Whether some cell segments, so that there are masks to show."""
        return any(cell.architecture != "single_activity" for cell in self.cells())

    def weights_file(self, backbone: str) -> Path | None:
        """The file a backbone's weights come from, if they come from one."""
        weights = self.settings["backbones"][backbone]["weights"]
        return Path(expand(weights["file"])) if isinstance(weights, Mapping) else None

    def check_weights(self) -> None:
        """See that the files of weights are there that the cells' backbones start from, the study's own pretraining's left out.

        Raises:
            InputError: if one is missing, or named by an environment variable that is not set.
        """
        for backbone in dict.fromkeys(cell.backbone for cell in self.trainings()):
            file = self.weights_file(backbone)
            if file is not None and file != self.pretrained_file() and not file.is_file():
                raise InputError(
                    f"backbones.{backbone}.weights.file: {file} is missing. Put it there, or name another."
                )

    def pretrained_file(self) -> Path | None:
        """Where the study's own pretraining saves its backbone."""
        pretraining = self.settings.get("pretraining")
        return WEIGHTS / f"{pretraining['name']}.safetensors" if pretraining else None

    def schedule_key(self, dataset: str, backbone: str, architecture: str) -> str:
        """The key of a training's schedule: the most particular one that the study has; "" if it has none."""
        keys = (f"{dataset}/{backbone}/{architecture}", f"{dataset}/{backbone}", dataset)
        return next((key for key in keys if key in self.settings["training"]["schedules"]), "")

    def schedule(self, cell: Cell) -> Mapping[str, Any]:
        """Epochs and learning rate of a training."""
        key = self.schedule_key(cell.dataset, cell.backbone, cell.architecture)
        schedule: Mapping[str, Any] = self.settings["training"]["schedules"][key]
        return schedule

    def cell_settings(self, cell: Cell) -> dict[str, Any]:
        """All that decides what a training, or a merging, gives, besides data, weights and code. A change in it makes the cell again."""
        if cell.merger:
            return self._merged_settings(cell)
        settings = self.settings
        backbone = {k: v for k, v in settings["backbones"][cell.backbone].items() if k != "label"}
        training = settings["training"]
        return {
            "cell": cell.id,
            "input_size": settings["input_size"],
            "network_size": settings.get("network_size"),
            "normalisation": settings["normalisation"],
            "backbone": backbone,
            "lora": {**settings["lora"], "rank": cell.rank},
            "heads": settings["heads"],
            "architecture": settings["architectures"].get(cell.architecture, {}),
            "weighting": settings["weightings"].get(cell.weighting, {}),
            "batch_size": training["batch_size"],
            "augmentation": training["augmentation"],
            "precision": training["precision"],
            "compile": training["compile"],
            "deterministic": training["deterministic"],
            "select_on": cell.select_on,
            "score_every": training.get("score_every", None if cell.select_on == "last" else 1),
            "schedule": self.schedule(cell),
            "evaluated_on": [str(self.dataset_folder(dataset)) for dataset in self.evaluated_on(cell.dataset)],
        }

    def _merged_settings(self, cell: Cell) -> dict[str, Any]:
        return {
            "cell": cell.id,
            **self.settings_of_merging(cell.merger, cell.surgery),
            "evaluated_on": [str(self.dataset_folder(dataset)) for dataset in self.evaluated_on(cell.dataset)],
        }

    def settings_of_merging(self, merger: str, rank: int) -> dict[str, Any]:
        """All that decides what a merger, and Surgery of a rank (0: without), make of given models."""
        settings = self.merging_settings()
        surgery = settings["surgery"]
        return {
            "input_size": self.settings["input_size"],
            "merger": {merger: _plain({**MERGERS.settings(merger), **self.settings["mergers"].get(merger, {})})},
            "surgery": {"rank": rank, **{k: surgery[k] for k in ("iterations", "learning_rate")}} if rank else None,
            # Of the steps of AdaMerging and of Surgery.
            "images_a_step": [surgery["batches"], surgery["batch_size"]],
            "unlabelled": settings["unlabelled"],
            "memory_mib": settings["memory_mib"],
        }

    def digest(self) -> str:
        """Hex SHA-256 of the whole study."""
        return digest(self.settings)


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives them back: lists for tuples."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
