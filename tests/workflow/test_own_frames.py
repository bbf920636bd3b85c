"""Frames of one's own, from a folder to the page of a trained model, in the three commands of docs/real-data.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.sources.synthetic.casts import cast_frame
from pipeline.sources.synthetic.scenes import render_scene
from pipeline.sources.synthetic.tissue import sample_style

ACTIVITIES = ("cutting", "idle", "retraction")


def write_frames(root: Path) -> None:
    """72 frames of six cases with instruments as 255, and what each shows."""
    rng = np.random.default_rng(0)
    rows = ["file,phase,surgeon"]
    for case in range(6):
        style = sample_style(rng)
        for number in range(12):
            scene = render_scene(cast_frame(ACTIVITIES[number % 3], rng), style, 128, 160, rng)
            mask = np.zeros((128, 160), np.uint8)
            for instrument in scene.instruments:
                mask[instrument.parts > 0] = 255
            frame = f"case{case + 1}/frame{number:03d}"
            for path, pixels in ((f"images/{frame}.jpg", scene.image), (f"masks/{frame}_mask.png", mask)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / path)
            rows.append(f"{frame}.jpg,{ACTIVITIES[number % 3]},nobody")
    (root / "labels.csv").write_text("\n".join(rows))


@pytest.mark.slow
def test_three_commands_from_a_folder_to_the_page(
    tmp_path: Path,
    link_checkout: Callable[[Path], Path],
    snakemake: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    folder = link_checkout(tmp_path)
    (folder / "studies").unlink()
    (folder / "studies").mkdir()
    write_frames(folder / "frames")
    new = ["new", "own", "--images", "frames/images", "--masks", "frames/masks", "--labels", "frames/labels.csv"]
    made = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *new],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert "columns: not used: surgeon" in made.stdout
    run = snakemake(folder, study="studies/own.yaml")
    assert run.returncode == 0, run.stderr[-3000:]
    page = (folder / "results/own/report/index.html").read_text(encoding="utf-8")
    assert "case" in page and "synthetic" not in page.split("<body")[1][:500]
    rows = pd.read_parquet(folder / "results/own/results.parquet")
    models = rows[rows["backbone"] == "resnet"]
    assert models["severity"].isin([0, 1, 3, 5]).all() and models["corruption"].nunique() == 20
    clean = models[models["corruption"] == ""].set_index("metric")["value"]
    assert clean["miou_foreground"] > 0.4, "the model has learnt to find instruments in a case that it has not seen"
    again = snakemake(folder, "--dry-run", study="studies/own.yaml")
    assert "Nothing to be done" in again.stdout + again.stderr
