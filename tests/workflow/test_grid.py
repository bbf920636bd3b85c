"""A grid of many backbones and of variants: a miniature of studies/grid.yaml from nothing to its page."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from endoarss.backbones.timm_model import bare_timm_model
from endoarss.saving import save_tensors

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SIZE = 112  # a multiple of 14, of 16 and of SMA's 7
SMALL: dict[str, dict[str, Any]] = {
    "resnet": {"channels": [8, 8, 12, 16], "layers": [1, 1, 1, 1]},
    "convnext_t": {"depths": [1, 1, 1, 1], "dims": [8, 8, 12, 16]},
    "dinov2_s": {"embed_dim": 24, "depth": 1, "num_heads": 2},
    "dinov2_b": {"embed_dim": 24, "depth": 2, "num_heads": 2},
    "dinov3_s": {"embed_dim": 24, "depth": 2, "num_heads": 2},
    "endoarss": {"embed_dim": 24, "depth": 2, "num_heads": 2},
}


def miniature(folder: Path) -> dict[str, Any]:
    """The stored study, with small models, one seed and less to train. The ViTs start from files of random weights."""
    study: dict[str, Any] = yaml.safe_load((ROOT / "studies/grid.yaml").read_text())
    study |= {"study": "small_grid", "seeds": [0], "input_size": SIZE}
    study["raw"] = {"generate": {"name": "small", "seed": 5, "height": 64, "width": 80, "esd_frames": 20}}
    study["heads"] = {"segmentation_channels": 16, "activity_channels": 16}
    study["training"]["schedules"]["mtlesd"] = {"epochs": 2, "learning_rate": 0.001}
    assert study["backbones"].keys() == SMALL.keys()
    for name, arguments in SMALL.items():
        backbone = study["backbones"][name]
        backbone |= {"arguments": arguments, "weights": "none"}
        if "vit" in backbone["model"]:
            model = bare_timm_model(backbone["model"].split(".")[0], arguments, img_size=SIZE)
            path = folder / f"data/weights/{name}.safetensors"
            path.parent.mkdir(parents=True, exist_ok=True)
            save_tensors({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, path)
            backbone["weights"] = {"file": f"data/weights/{name}.safetensors"}
    study["backbones"]["endoarss"]["sma_width"] = 2
    study["cells"] = [
        {"datasets": ["mtlesd"], "backbones": [*SMALL], "architectures": ["tesla"], "weightings": ["db_mtl"]},
        {
            "datasets": ["mtlesd"],
            "backbones": ["dinov2_s"],
            "architectures": ["cgc"],
            "weightings": ["uncertainty", "db_mtl_05"],
        },
    ]
    robust = [{"backbone": name, "architecture": "tesla"} for name in ("resnet", "endoarss")]
    study["robustness"] |= {"cells": robust, "corruptions": ["smoke"], "severities": [5]}
    return study


def test_a_grid_from_nothing_to_its_page(tmp_path: Path, link_checkout: Callable[[Path], Path], snakemake: Run) -> None:
    link_checkout(tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(miniature(tmp_path), sort_keys=False))
    run = snakemake(tmp_path, study="small.yaml")
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
    results = tmp_path / "results/small_grid"
    table = pd.read_csv(results / "tables/table2_mtlesd.csv")
    models = table[table["backbone_label"] != "reference"]
    assert set(models["backbone_label"]) == {"ResNet101", "ConvNeXt-T", "DINOv2-S", "DINOv2-B", "DINOv3-S", "EndoARSS"}
    assert len(models) == 8 and models["miou"].notna().all()
    page = (results / "report/index.html").read_text()
    assert "DB-MTL, beta 0.5" in page and "Uncertainty" in page and "CGC" in page
    assert pd.read_csv(results / "tables/table7_robustness.csv").shape[0] > 0
    plan = snakemake(tmp_path, "-n", study="small.yaml")
    assert "Nothing to be done" in plan.stdout + plan.stderr
