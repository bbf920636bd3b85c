"""Formats a study for your own frames in at most 25 lines, with comments on the known facts and on those that the user must decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.new_study.classes import Classes

TODO = "TODO: "
_LONGEST_COMMENT = 150
# Training 72 frames for 60 epochs at 112 pixels takes about 40 seconds on one core. More frames get fewer epochs.
_FRAMES_SEEN = 72 * 60
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 120


@dataclass(frozen=True)
class Line:
    """A line of the study: a key below `plain` or a key of the split, its value, and a comment for the reader."""

    key: str
    value: Any
    comment: str = ""

    def as_yaml(self, indent: int) -> str:
        """Return the line as YAML."""
        comment = f"  # {self.one_line_comment}" if self.comment else ""
        return f"{' ' * indent}{self.key}: {_yaml(self.value)}{comment}"

    @property
    def one_line_comment(self) -> str:
        """The comment on one line with printable characters only, whatever characters file names contain."""
        text = "".join(character if character.isprintable() else "?" for character in self.comment)
        return text if len(text) <= _LONGEST_COMMENT else text[: _LONGEST_COMMENT - 3] + "..."


def study_text(name: str, path: Path, plain: Sequence[Line], split: Sequence[Line], frames: int) -> str:
    """Return the text of a study that trains one small model and tests its robustness.

    Args:
        name: name of the study and of its dataset.
        path: file of the study.
        plain: lines with the folders, the classes and the columns.
        split: lines with the split.
        frames: number of frames.
    """
    epochs = min(max(_FRAMES_SEEN // frames, _FEWEST_EPOCHS), _MOST_EPOCHS)
    key = _yaml(name)  # in quotes if the study is called no or null
    schedule = f"{key}: {{epochs: {epochs}, learning_rate: 0.003, decay: {{every: {epochs * 3 // 4}, factor: 0.1}}}}"
    augmentation = "augmentation: {flip_horizontal: 0.5, brightness: 0.3, contrast: 0.3}"
    architecture = "hps" if any(line.key == "activities" for line in plain) else "single_segmentation"
    lines = [
        "# Study of your own frames, written by `endoarss new`. TODO marks facts that the files do not give. Run it without changes:",
        f"#   snakemake --cores 2 --configfile {path}    and then open results/{name}/report/index.html",
        f"study: {key}",
        f"title: {_yaml(name.replace('_', ' '))}",
        "datasets:",
        f"  {key}:",
        "    plain:",
        *(line.as_yaml(6) for line in plain),
        *(line.as_yaml(4) for line in split),
        "input_size: 112",
        "backbones:  # a small network without pretrained weights; for the paper's DINOv2 (GPU) uncomment its line, and name it in cells",
        "  resnet: {label: ResNet-18 (narrow), model: resnet18, arguments: {channels: [16, 24, 32, 48]}, weights: none}",
        "  # dinov2: {label: DINOv2, model: vit_base_patch14_dinov2.lvd142m, weights: hub}",
        "heads: {segmentation_channels: 64, activity_channels: 64}",
        f"training: {{batch_size: 8, {augmentation}, schedules: {{{schedule}}}}}",
        f"cells: [{{datasets: [{key}], backbones: [resnet], architectures: [{architecture}], weightings: [equal]}}]",
        f"robustness: {{cells: [{{dataset: {key}}}], severities: [1, 3, 5]}}",
    ]
    return "\n".join(lines) + "\n"


def lines_of_classes(classes: Classes, inspected: str) -> list[Line]:
    """Return the lines that give the meaning of mask values.

    Args:
        classes: the proposed classes.
        inspected: the number of inspected masks, in words.
    """
    shares = ", ".join(f"{value} {share:.1%}" for value, share in classes.shares.items())
    unnamed = "" if classes.named_by_user else f"{TODO}name them. "
    if classes.values_are_ids:
        return [Line("classes", classes.names, f"{unnamed}Share of pixels in {inspected}: {shares}")]
    ignored = f"; {TODO}255 is regarded as pixels without a class" if classes.ignored else ""
    return [
        Line("classes", classes.names, f"{unnamed}The first is the background" if unnamed else ""),
        Line("values", classes.values, f"share of pixels in {inspected}: {shares}{ignored}"),
    ]


def _yaml(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump([value], default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False)
    return text.strip()[1:-1]
