"""Lists the abbreviations in tables, figures and captions, and finds them in texts; the page links them to its glossary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from reports.names import MEANINGS_OF_REFERENCES


@dataclass(frozen=True)
class Term:
    """An abbreviation.

    Attributes:
        name: The abbreviation as texts and column heads write it.
        full: The abbreviation spelled out.
        meaning: A sentence that explains the term and does not repeat the full name.
        search_text: The text to search for, if the name alone would match other words; "" stands for the name.
    """

    name: str
    full: str
    meaning: str
    search_text: str = ""

    @property
    def anchor(self) -> str:
        """Return the anchor of the abbreviation's entry in a glossary."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


def _reference(label: str) -> Term:
    return Term(label, f"always predicts {MEANINGS_OF_REFERENCES[label]}", "A reference that needs no model.")


GLOSSARY = (
    Term(
        "AC",
        "accuracy in the paper's tables",
        "The authors' code computes it as the mean precision over activities.",
    ),
    _reference("Activity from true instruments"),
    Term("AdaMerging", "adaptive model merging", "Learns the merging coefficients on unlabelled images."),
    Term(
        "Aligned-MTL",
        "independent component alignment for multi-task learning",
        "A weighting that aligns the principal components of the tasks' gradients.",
    ),
    _reference("All background"),
    Term("ASSD", "average symmetric surface distance", "Mean distance between the outlines of two masks, in pixels."),
    Term(
        "CAGrad",
        "conflict-averse gradient descent",
        "A weighting that helps the task that improves least, with an update near the mean gradient.",
    ),
    Term("CE", "corruption error", "Error summed over severities, divided by that of the baseline model."),
    Term(
        "CGC", "customized gate control", "An architecture with experts that all tasks share and experts for each task."
    ),
    Term("CSV", "comma-separated values", "The text format of the tables in the folder tables/."),
    Term(
        "DB-MTL",
        "dual-balancing multi-task learning",
        "A weighting that balances the tasks' losses by a logarithm and their gradients by their norm.",
    ),
    Term("Dice", "Dice coefficient", "Twice the overlap of two masks, divided by the sum of their areas."),
    Term(
        "DINOv2",
        "self-distillation with no labels, version 2",
        "A vision transformer that was pretrained on images without labels.",
    ),
    Term("DS", "Dice score in the paper's tables", "As the authors' code computes it: an absent class counts 0."),
    Term(
        "DSelect-k",
        "differentiable selection of k experts",
        "An architecture in which each task learns which k of several experts it uses.",
    ),
    Term("DWA", "dynamic weight average", "A weighting that gives more weight to tasks whose loss falls slowly."),
    Term("ECE", "expected calibration error", "Mean gap between the confidence of predictions and their accuracy."),
    Term("F", "F score in the paper's tables", "As the authors' code computes it, mean over activities.", "F (%)"),
    Term("F1", "F1 score", "Harmonic mean of precision and recall; macro: mean over activities."),
    Term(
        "FairGrad",
        "fair resource allocation of gradients",
        "A weighting that divides the improvement fairly among the tasks.",
    ),
    Term("FAMO", "fast adaptive multitask optimization", "A weighting that lets all losses fall at a similar rate."),
    Term("fg", "foreground", "Mean over all classes but the background."),
    Term("GLS", "geometric loss strategy", "A weighting that minimises the geometric mean of the losses."),
    Term(
        "GradVac",
        "gradient vaccine",
        "A weighting that keeps the similarity of two tasks' gradients near a running target.",
    ),
    Term(
        "HD",
        "Hausdorff distance",
        "Largest distance between the outlines of two masks, in pixels. In the protocol of the authors' code: a distance between rows of "
        "class ids, not in pixels.",
    ),
    Term("HD95", "95th percentile of the Hausdorff distance", "Like HD, less sensitive to single pixels."),
    Term("HPS", "hard parameter sharing", "An architecture with one backbone for all tasks and one head per task."),
    Term("IMTL", "impartial multi-task learning", "A weighting that balances the tasks' losses and gradients."),
    Term(
        "IMTL-G",
        "impartial multi-task learning, gradients alone",
        "A weighting whose update has equal projections onto all gradients.",
    ),
    Term("IoU", "intersection over union", "Overlap of two masks, divided by the area that either covers."),
    Term("JPEG", "Joint Photographic Experts Group", "An image format that loses details."),
    Term("LoRA", "low-rank adaptation", "Adds small trained matrices of low rank to frozen weights."),
    _reference("Majority activity"),
    Term("mCE", "mean corruption error", "CE, mean over corruptions; the baseline has 100 %, and lower is better."),
    Term(
        "MGDA",
        "multiple-gradient descent algorithm",
        "A weighting that follows the weighted mean of the gradients with the smallest norm.",
    ),
    Term("MiB", "mebibyte", "1,048,576 bytes."),
    Term("mIoU", "mean intersection over union", "IoU, mean over classes."),
    Term(
        "MMoE", "multi-gate mixture of experts", "An architecture in which each task weights shared experts by a gate."
    ),
    Term(
        "MoCo",
        "multi-objective gradient correction",
        "A weighting that tracks the tasks' gradients by moving averages.",
    ),
    Term("mPC", "mean performance under corruption", "The score, mean over corruptions and severities."),
    Term(
        "MTLEndovis",
        "multi-task dataset from EndoVis 2018",
        "Frames of robotic kidney surgery with instrument masks and activities.",
    ),
    Term(
        "MTLEndovis-Gen",
        "generalisation set of MTLEndovis, from EndoVis 2017",
        "A dataset with test frames only, for models that were trained on MTLEndovis.",
    ),
    Term("MTLESD", "multi-task dataset of endoscopic submucosal dissection", "Frames with masks and activities."),
    Term(
        "PCGrad",
        "projecting conflicting gradients",
        "A weighting that removes from each gradient what conflicts with another one.",
    ),
    Term("px", "pixels", "Pixels of the model's input."),
    Term(
        "Relative mCE",
        "relative mean corruption error",
        "How much the score falls under corruption, as a share of the baseline's fall; mean over corruptions.",
    ),
    Term("ResNet", "residual network", "A convolutional backbone."),
    Term(
        "Retention area",
        "mean retention over severities",
        "The area below the retained share of the clean score, from severity 0 to the last one.",
    ),
    Term("RLW", "random loss weighting", "A weighting that draws its weights anew in each step."),
    Term("rPC", "relative performance under corruption", "mPC, divided by the score on clean images."),
    Term("SHA-256", "secure hash algorithm, 256 bits", "A digest: files with the same digest have the same content."),
    Term(
        "SMA",
        "spatially-aware multi-scale attention",
        "A trained module that changes the image before the backbone sees it.",
    ),
    Term("SSIM", "structural similarity index", "Similarity of two masks' structure; 1 is identical."),
    Term(
        "STCH", "smooth Tchebycheff scalarisation", "A weighting that minimises a smooth maximum of the tasks' losses."
    ),
    Term(
        "TESLA",
        "task-efficient shared low-rank adapters",
        "An architecture with one stream per task through one backbone, with shared and task-specific LoRA.",
    ),
    Term(
        "TIES",
        "trim, elect sign and merge",
        "A merging method that keeps the largest weight changes and resolves opposite signs.",
    ),
    Term(
        "To joint",
        "difference to the jointly trained model",
        "The mean of accuracy and mIoU, minus that of the jointly trained model.",
    ),
    Term(
        "UPGrad",
        "unconflicting projection of gradients",
        "A weighting that averages gradients, each projected so that it harms no task.",
    ),
    Term("ViT", "vision transformer", "A backbone that cuts an image into patches."),
    Term("Worst corruption", "the corruption with the lowest score", "The score is the mean over its severities."),
)
_BY_SEARCH_TEXT = {term.search_text or term.name: term for term in GLOSSARY}
# Longer texts come first. A hyphen belongs to the word, so that "MTL" is not found in "DB-MTL".
_PATTERN = re.compile(
    rf"(?<![\w-])({'|'.join(re.escape(text) for text in sorted(_BY_SEARCH_TEXT, key=len, reverse=True))})(?!\w|-\w)"
)


def pieces_of(text: str) -> list[tuple[str, Term | None]]:
    """Split a text at the terms; return each piece with its term, None for a piece that is no term."""
    return [(piece, _BY_SEARCH_TEXT.get(piece)) for piece in _PATTERN.split(text) if piece]


def terms_in(texts: Iterable[str]) -> list[Term]:
    """Return the terms that occur in texts, in the order of their first use."""
    terms = (term for text in texts for _, term in pieces_of(text) if term)
    return list(dict.fromkeys(terms))
