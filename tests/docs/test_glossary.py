"""The glossary has every abbreviation that tables, figures and documents use."""

from __future__ import annotations

import re

from endoarss.metrics.catalogue import METRICS
from reports.glossary import GLOSSARY as TERMS_OF_PAGE
from reports.names import ARCHITECTURES, MERGERS, WEIGHTINGS
from tests.docs.blocks import ROOT

GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
TERMS = set(re.findall(r"^### (.+)$", GLOSSARY, re.MULTILINE))
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/tutorials").glob("*.md")]
# Generated, or full of words that are typed or set as they are: states of schedulers, variables, folders of raw data.
LEFT_OUT = {"study-keys.md", "clusters.md", "provenance.md", "real-data.md", "running.md"}
# Words that every reader of this project knows: formats, units, machines, files, numbers of the paper's tables.
_KNOWN = """
API ARM AVI BMP CI CMYK CPU CPUs CSV EXIF GB GFLOP GPU GPUs GiB HSV HTML ICML ID IDs II III ImageNet JPEG JSON KB LICENSE LaTeX MB
MiB MP4 MPEG MPO NaN NumPy OK OpenCV PDF PIL PNG PNGs README RGB RMS RTX TIFF TensorBoard TODO UTC UUIDs VI VII WebM WebP WMV XML YAML
"""
# Names of models, layers and weightings of other libraries, and of companies and products, which documents name without explaining.
_NAMES = """
AlignedMTL BEiT CAFormer ConvNeXt CUDA DataLoader EfficientNet EVA ExcessMTL FORUM GeometricMean GradDrop GradNorm IMTLG IMTLL LayerScale
LeViT MetaFormer MobileNet MoDo MOML MViTv2 NVIDIA PVT PyTorch SAM SDMGrad UW
"""
KNOWN = {*_KNOWN.split(), *_NAMES.split()}
ABBREVIATION = re.compile(
    r"(?<![\w/.`_-])(?:[a-z]?[A-Z][A-Za-z]*[A-Z][A-Za-z0-9]*(?:-[A-Z][A-Za-z]*)?)(?![\w/(]|[._]\w)"
)


def abbreviations_of(text: str) -> set[str]:
    """Return the words of a document with two capital letters or more, outside of code, links and headings."""
    text = re.sub(r"```.*?```|`[^`\n]*`|\]\([^)]*\)|^#+ [^\n]*$|<!--.*?-->", " ", text, flags=re.DOTALL | re.MULTILINE)
    return set(ABBREVIATION.findall(text))


def is_explained(word: str) -> bool:
    """Return whether a word is known or a term, or one of a family: ViT-B, ViTs and DINOv3 are, where ViT and DINO are."""
    family = re.split(r"[-\d]|v\d|s$", word)[0]
    return word in KNOWN or any(term in (word, family) or term.startswith((f"{word} ", f"{word}-")) for term in TERMS)


def test_names_of_tables_stand_there() -> None:
    titles = {metric.title for metrics in METRICS.values() for metric in metrics}
    assert not {*ARCHITECTURES.values(), *WEIGHTINGS.values(), *MERGERS.values(), *titles} - TERMS


UNITS = {"fg", "px"}  # short forms in heads of tables


def test_terms_of_the_page_stand_there() -> None:
    assert [term.name for term in TERMS_OF_PAGE if not (is_explained(term.name) or term.name in UNITS)] == []


def test_each_term_stands_there_once_with_a_sentence() -> None:
    parts = re.split(r"^##+ ", GLOSSARY, flags=re.MULTILINE)[1:]
    named = [part for part in parts if part.split("\n")[0] in TERMS]
    assert len(named) == len(TERMS)
    assert all(re.search(r"[.)]$", part.strip()) and len(part.split()) > 4 for part in named)


def test_abbreviations_of_documents_stand_there() -> None:
    found = {
        word: path.name
        for path in DOCUMENTS
        if path.name not in LEFT_OUT
        for word in abbreviations_of(path.read_text(encoding="utf-8"))
    }
    assert {word: name for word, name in found.items() if not is_explained(word)} == {}


def test_an_abbreviation_is_found() -> None:
    assert abbreviations_of("The mPC of `NOT` [x](THIS.md), DB-MTL and ResNet.\n# HEAD\n") == {
        "mPC",
        "DB-MTL",
        "ResNet",
    }
