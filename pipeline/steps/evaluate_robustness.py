"""Evaluate one trained cell under every corruption and severity, in one process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from corruptions import backend_of, corrupt_pair, moves_pixels
from endoarss.checkpoints import load_checkpoint
from endoarss.prediction import predict
from pipeline.datasets.load import load_part
from pipeline.files import whole_file, write_json
from pipeline.measure import PROTOCOL, measure
from pipeline.provenance import choose_device
from pipeline.study import Cell, Study


def evaluate_robustness(study: Study, cell: Cell) -> None:
    """Write robustness/{metrics.json,per_image.parquet} of a trained cell.

    The images are resized to the model's input, then corrupted. Where a corruption moves pixels the masks move along; the
    scores against the unmoved masks are kept beside them, told apart by `mask_warped`.

    Raises:
        InputError: if the dataset is not built. SettingsError: if the checkpoint cannot be loaded.
    """
    settings, device = study.robustness_settings(), choose_device()
    folder = study.cell_folder(cell)
    part = load_part(study.dataset_folder(cell.dataset), "test", study.settings["input_size"])
    labels = study.labels(cell.dataset)
    model = load_checkpoint(folder / "model.safetensors")
    scores: list[dict[str, Any]] = []
    rows: list[pd.DataFrame] = []
    conditions = [(name, severity) for name in settings["corruptions"] for severity in settings["severities"]]
    for name, severity in tqdm(conditions, desc=f"robustness {cell.id}", unit="condition", mininterval=1.0):
        pairs = [
            corrupt_pair(image, mask, name, severity, seed=settings["seed"], image_id=frame_id)
            for image, mask, frame_id in zip(part.images, part.masks, part.frame_ids, strict=True)
        ]
        predictions = predict(model, np.stack([image for image, _ in pairs]), device)
        activity = None if predictions.activity is None else predictions.activity.argmax(axis=1)
        truths = {True: np.stack([mask for _, mask in pairs])}
        if moves_pixels(name):
            truths[False] = part.masks
        for warped, truth in truths.items():
            measured = measure(part, truth, labels, activity, predictions.masks)
            condition = {"corruption": name, "severity": severity, "mask_warped": warped}
            scores += [{**condition, **score} for score in measured.scores]
            rows.append(measured.per_image.assign(**condition))
    with whole_file(folder / "robustness" / "per_image.parquet") as partial:
        pd.concat(rows, ignore_index=True).to_parquet(partial, index=False)
    backends = {name: backend_of(name) for name in settings["corruptions"]}
    write_json(folder / "robustness" / "metrics.json", {"protocol": PROTOCOL, "backends": backends, "scores": scores})
