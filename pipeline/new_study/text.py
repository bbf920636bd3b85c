"""Writes down a study of frames of one's own: at most 25 lines, with what was found and what a person has to say as comments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.new_study.classes import Classes

TODO = "TODO: "
_LONGEST_COMMENT = 150
# What trains 72 frames in about 40 seconds on one core, at 112 pixels; more frames get fewer epochs.
_FRAMES_SEEN = 72 * 60
_FEWEST_EPOCHS, _MOST_EPOCHS = 10, 120


@dataclass(frozen=True)
class Line:
    """A key of the study below `plain`, or of the split, its value, and what a reader should know of it."""

    key: str
    value: Any
    comment: str = ""

    def written(self, indent: int) -> str:
        """Return it as YAML."""
        comment = f"  # {self.said}" if self.comment else ""
        return f"{' ' * indent}{self.key}: {_yaml(self.value)}{comment}"

    @property
    def said(self) -> str:
        """The comment; whatever names of files hold, it stays on one line and can be printed."""
        text = "".join(character if character.isprintable() else "?" for character in self.comment)
        return text if len(text) <= _LONGEST_COMMENT else text[: _LONGEST_COMMENT - 3] + "..."


def study_text(name: str, path: Path, plain: Sequence[Line], split: Sequence[Line], frames: int) -> str:
    """Return the text of a study that trains one small model and tests its robustness.

    Args:
        name: of the study and of its dataset. path: its file. plain: where the frames lie and what masks and CSV mean. split: how they
            are split. frames: how many there are.
    """
    epochs = min(max(_FRAMES_SEEN // frames, _FEWEST_EPOCHS), _MOST_EPOCHS)
    word = _yaml(name)  # a study may be called no, or null
    schedule = f"{word}: {{epochs: {epochs}, learning_rate: 0.003, decay: {{every: {epochs * 3 // 4}, factor: 0.1}}}}"
    augmentation = "augmentation: {flip_horizontal: 0.5, brightness: 0.3, contrast: 0.3}"
    architecture = "hps" if any(line.key == "activities" for line in plain) else "single_segmentation"
    lines = [
        "# Frames of your own, as `endoarss new` found them. TODO marks what files do not tell; it runs as it is:",
        f"#   snakemake --cores 2 --configfile {path}    and then open results/{name}/report/index.html",
        f"study: {word}",
        f"title: {_yaml(name.replace('_', ' '))}",
        "datasets:",
        f"  {word}:",
        "    plain:",
        *(line.written(6) for line in plain),
        *(line.written(4) for line in split),
        "input_size: 112",
        "backbones:  # a small network, trained from nothing; the paper's DINOv2 wants a GPU: uncomment it, and name it in cells",
        "  resnet: {label: ResNet-18 (narrow), model: resnet18, arguments: {channels: [16, 24, 32, 48]}, weights: none}",
        "  # dinov2: {label: DINOv2, model: vit_base_patch14_dinov2.lvd142m, weights: hub}",
        "heads: {segmentation_channels: 64, activity_channels: 64}",
        f"training: {{batch_size: 8, {augmentation}, schedules: {{{schedule}}}}}",
        f"cells: [{{datasets: [{word}], backbones: [resnet], architectures: [{architecture}], weightings: [equal]}}]",
        f"robustness: {{cells: [{{dataset: {word}}}], severities: [1, 3, 5]}}",
    ]
    return "\n".join(lines) + "\n"


def lines_of_classes(classes: Classes, looked_at: str) -> list[Line]:
    """Return the lines that say what the values in masks stand for.

    Args:
        classes: the proposal. looked_at: how many masks, in words.
    """
    shares = ", ".join(f"{value} {share:.1%}" for value, share in classes.shares.items())
    unnamed = "" if classes.named else f"{TODO}name them. "
    if classes.plain:
        return [Line("classes", classes.names, f"{unnamed}Of the pixels of {looked_at}: {shares}")]
    ignored = f"; {TODO}255 is taken for pixels of no class" if classes.ignored else ""
    return [
        Line("classes", classes.names, f"{unnamed}The first is the background" if unnamed else ""),
        Line("values", classes.values, f"of the pixels of {looked_at}: {shares}{ignored}"),
    ]


def _yaml(value: Any) -> str:
    """A value on one line."""
    text = yaml.safe_dump([value], default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False)
    return text.strip()[1:-1]
