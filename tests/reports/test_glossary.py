"""Abbreviations are found, spelled out where the page first uses them, and lead to its glossary."""

from __future__ import annotations

import re

import pandas as pd

from endoarss.metrics.catalogue import METRICS
from reports import page
from reports.glossary import GLOSSARY, pieces_of, terms_in
from reports.names import KNOWN_LABELS
from reports.page.terms import Terms


def names_in(text: str) -> list[str]:
    return [term.name for term in terms_in([text])]


def test_abbreviations_are_whole_words() -> None:
    assert names_in("EndoARSS TESLA DB-MTL on MTLEndovis-Gen") == ["TESLA", "DB-MTL", "MTLEndovis-Gen"]
    assert names_in("mIoU fg (%), F (%), F1, HD95 (px)") == ["mIoU", "fg", "F", "F1", "HD95", "px"]
    assert names_in("my-ViTal HDx Dice-like of AC/DC") == ["AC"]
    text = "mPC of mIoU, SHA-256"
    assert "".join(piece for piece, _ in pieces_of(text)) == text


def test_every_metric_and_method_with_an_abbreviation_is_explained() -> None:
    """Heads and labels have capitals within a word, or nothing but capitals, where they are abbreviations."""
    heads = [metric.head for metrics in METRICS.values() for metric in metrics]
    labels = [*KNOWN_LABELS.architectures.values(), *KNOWN_LABELS.weightings.values()]
    for text in (*heads, *labels):
        for word in re.findall(r"[\w-]*[A-Za-z0-9][A-Z][\w-]*", text):
            assert word in names_in(text), f"{word} of {text!r} is not in reports/glossary.py"


def test_a_term_is_spelled_out_once() -> None:
    terms = Terms()
    table = pd.DataFrame({("mIoU (%)", "score"): ["worst: Dice"]}, index=pd.Index(["MMoE"], name="HPS"))
    assert [t.name for t in terms.first_used("HD95", table=table)] == ["HD95", "mIoU", "HPS", "MMoE", "Dice"]
    assert [t.name for t in terms.first_used("Dice and ECE", table=table)] == ["ECE"]
    assert (
        terms.linked("<b> SSIM")
        == '&lt;b&gt; <a class="term" href="#term-ssim" title="structural similarity index">SSIM</a>'
    )
    assert [t.name for t in terms.used()] == ["Dice", "ECE", "HD95", "HPS", "mIoU", "MMoE", "SSIM"]


def test_the_page_has_the_entries_that_it_uses(page_content: page.Page) -> None:
    text = page.render_page(page_content)
    entries = re.findall(r'<dt id="([\w-]+)">', text)
    assert {f"term-{name}" for name in ("hd95", "hps", "mpc", "ac", "mmoe")} <= set(entries)
    assert set(re.findall(r'href="#(term-[\w-]+)"', text)) == set(entries), (
        "each link has its entry, each entry its link"
    )
    assert text.count("mean performance under corruption; ") + text.count("mean performance under corruption.") == 1
    assert '<abbr title="accuracy in the paper&#39;s tables">AC</abbr> (%)</th>' in text, "heads explain themselves"


def test_each_term_has_an_anchor_of_its_own() -> None:
    assert len({term.anchor for term in GLOSSARY}) == len(GLOSSARY)
    assert [term.name for term in GLOSSARY] == sorted((term.name for term in GLOSSARY), key=str.lower)
