"""The benchmark of `predict` runs from its video to its table."""

from __future__ import annotations

import re

import pytest

from benchmarks import predict
from endoarss.settings import BackboneSettings

VIT = BackboneSettings("vit_small_patch14_dinov2", {"embed_dim": 24, "depth": 2, "num_heads": 2})


def test_a_small_model_gets_its_row(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(predict, "_MODELS", ((5, 56, VIT),))
    predict.main(["--repeats", "1"])
    row = capsys.readouterr().out.splitlines()[-1]
    found = re.fullmatch(r"vit_small_patch14_dinov2, 56 px +([\d.]+) +([\d.]+) \([\d.]+\) +([\d.]+) \([\d.]+\)", row)
    assert found is not None and all(float(rate) > 0 for rate in found.groups())
