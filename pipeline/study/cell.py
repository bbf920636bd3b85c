"""Define the cell (one trained or merged model of a study) with its id, and the merging group."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The architecture of a merged model; its merger takes the place of the weighting.
MERGED = "merged"
SINGLE_TASKS = ("single_activity", "single_segmentation")
_VARIANT = (
    r"r(?P<rank>0|[1-9]\d*)-s(?P<seed>0|[1-9]\d*)(?:-(?P<select_on>val|test))?"
    r"(?:-surgery(?P<surgery>[1-9]\d*))?(?P<on_test>-on_test)?"
)
_ID = re.compile(rf"(?P<dataset>[^/]+)/(?P<backbone>[^/]+)/(?P<architecture>[^/]+)/(?P<weighting>[^/]+)/{_VARIANT}")


def is_variant(name: str) -> bool:
    """Return whether a name has the form of a variant, the last part of the id of a cell or a merging group."""
    return re.fullmatch(_VARIANT, name) is not None


@dataclass(frozen=True, order=True)
class Cell:
    """One trained model: a dataset, a backbone, an architecture, a weighting, and a variant (rank, seed, and how the epoch is chosen).

    A merged model is a cell too: its architecture is `MERGED`, and its merger takes the place of the weighting. Rank, seed and epoch are
    those of its single-task models. `surgery` is the rank of Surgery (0: none), `on_test` whether merger and Surgery saw test images.
    """

    dataset: str
    backbone: str
    architecture: str
    weighting: str
    rank: int
    seed: int
    select_on: str = "last"
    surgery: int = 0
    on_test: bool = False

    @property
    def variant(self) -> str:
        """The last part of the id: r4-s0, r4-s0-val if `select_on` is val, and for merged models r4-s0-val-surgery16-on_test."""
        select_on = "" if self.select_on == "last" else f"-{self.select_on}"
        surgery = f"-surgery{self.surgery}" if self.surgery else ""
        return f"r{self.rank}-s{self.seed}{select_on}{surgery}{'-on_test' if self.on_test else ''}"

    @property
    def merger(self) -> str:
        """The merger of a merged model; "" for a training."""
        return self.weighting if self.architecture == MERGED else ""

    @property
    def model(self) -> tuple[str, str, str, int, int]:
        """The model without its dataset: backbone, architecture, weighting, rank and seed."""
        return self.backbone, self.architecture, self.weighting, self.rank, self.seed

    @property
    def id(self) -> str:
        """<dataset>/<backbone>/<architecture>/<weighting>/<variant>: the stable id, and the folder of the cell below cells/."""
        return f"{self.dataset}/{self.backbone}/{self.architecture}/{self.weighting}/{self.variant}"

    @classmethod
    def parse(cls, text: str) -> Cell | None:
        """Return the cell with this id, or None if the text is no valid id. It is the inverse of `id` and the only code that reads ids."""
        match = _ID.fullmatch(text)
        if match is None:
            return None
        cell = cls(
            match["dataset"],
            match["backbone"],
            match["architecture"],
            match["weighting"],
            int(match["rank"]),
            int(match["seed"]),
            match["select_on"] or "last",
            int(match["surgery"] or 0),
            match["on_test"] is not None,
        )
        return cell if cell.architecture == MERGED or not (cell.surgery or cell.on_test) else None


@dataclass(frozen=True)
class MergingGroup:
    """A merging experiment: single-task models, the models merged from them, and the jointly trained models they are compared with.

    Attributes:
        singles: one training per task.
        merged: one model per merger and rank of Surgery, and one per merger without Surgery.
        joint: the multi-task trainings of the same dataset, backbone, rank and seed whose epoch is chosen in the same way.
    """

    singles: tuple[Cell, ...]
    merged: tuple[Cell, ...]
    joint: tuple[Cell, ...]

    @property
    def id(self) -> str:
        """<dataset>/<backbone>/<variant>: the stable id, and the folder of the group below merging/."""
        single = self.singles[0]
        return f"{single.dataset}/{single.backbone}/{single.variant}"
