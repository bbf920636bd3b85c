"""Writes a dataset: images, masks of class ids, manifest.csv and dataset.json, whole or not at all."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.datasets.kinds import KINDS
from pipeline.datasets.sample import Sample
from pipeline.datasets.splits import published_split, split_by_groups
from pipeline.errors import InputError
from pipeline.files import sha256_of, whole_folder, write_json
from pipeline.images import write_png

COLUMNS = (
    "frame_id",
    "source",
    "sequence",
    "split",
    "activity",
    "actions",
    "instruments",
    "image",
    "mask",
    "width",
    "height",
    "image_sha256",
    "mask_sha256",
)
RULE_VERSION = 1


def assign_splits(samples: Sequence[Sample], rule: str, seed: int = 0, test: Sequence[str] = ()) -> dict[str, str]:
    """The part of each frame id.

    Args:
        samples: all frames of the dataset.
        rule: "released", "published" (seeded draw per activity) or "by_sequence" (`test` names sequences or frames).

    Raises:
        InputError: if the rule does not fit the frames.
    """
    if rule == "released":
        return {sample.frame_id: sample.released_split for sample in samples}
    if rule == "published":
        return published_split({sample.frame_id: sample.activity for sample in samples}, seed)
    return split_by_groups({sample.frame_id: sample.sequence for sample in samples}, test)


def build_dataset(
    folder: Path, kind: str, samples: Sequence[Sample], split: dict[str, str], card: dict[str, Any]
) -> None:
    """Write a dataset into `folder`, replacing what is there.

    Args:
        folder: e.g. data/datasets/mtlendovis.
        kind: a key of `KINDS`.
        samples: the frames. split: the part of each frame id.
        card: what dataset.json says besides classes and counts.

    Raises:
        InputError: if a frame cannot be read or two have the same id; nothing is written then.
    """
    labels = KINDS[kind].labels
    repeated = [frame_id for frame_id, times in Counter(s.frame_id for s in samples).items() if times > 1]
    if repeated:
        raise InputError(f"{kind}: the frame id {repeated[0]} occurs twice; is a release extracted twice?")
    rows: list[dict[str, Any]] = []
    class_pixels = np.zeros(len(labels.classes), np.int64)
    with whole_folder(folder) as partial:
        (partial / "images").mkdir()
        (partial / "masks").mkdir()
        for sample in tqdm(sorted(samples, key=lambda s: s.frame_id), desc=f"build {kind}", unit="frame"):
            image, mask = sample.read()
            name = f"{sample.frame_id}.png"
            write_png(partial / "images" / name, image)
            write_png(partial / "masks" / name, mask)
            pixels = np.bincount(mask.ravel(), minlength=len(labels.classes))
            class_pixels += pixels
            rows.append(
                {
                    "frame_id": sample.frame_id,
                    "source": sample.source,
                    "sequence": sample.sequence,
                    "split": split[sample.frame_id],
                    "activity": sample.activity,
                    "actions": ";".join(sample.actions),
                    "instruments": ";".join(labels.classes[i] for i in np.flatnonzero(pixels) if i),
                    "image": f"images/{name}",
                    "mask": f"masks/{name}",
                    "width": image.shape[1],
                    "height": image.shape[0],
                    "image_sha256": sha256_of(partial / "images" / name),
                    "mask_sha256": sha256_of(partial / "masks" / name),
                }
            )
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        (partial / "manifest.csv").write_text(text.getvalue(), encoding="utf-8", newline="\n")
        write_json(partial / "dataset.json", _card(kind, rows, class_pixels, card))


def _card(kind: str, rows: list[dict[str, Any]], class_pixels: np.ndarray, card: dict[str, Any]) -> dict[str, Any]:
    labels = KINDS[kind].labels
    counts = Counter((row["split"], row["activity"]) for row in rows)
    parts = sorted({row["split"] for row in rows})
    return {
        **card,
        "kind": kind,
        "title": KINDS[kind].title,
        "rule_version": RULE_VERSION,
        "classes": list(labels.classes),
        "palette": [list(colour) for colour in labels.palette],
        "activities": list(labels.activities),
        "frames": len(rows),
        "frames_by_split": {part: sum(row["split"] == part for row in rows) for part in parts},
        "frames_by_activity": {
            part: {activity: counts[part, activity] for activity in labels.activities} for part in parts
        }
        if labels.activities
        else {},
        "frames_with_class": {
            name: sum(name in row["instruments"].split(";") for row in rows) for name in labels.classes[1:]
        },
        "pixels_of_class": dict(zip(labels.classes, class_pixels.tolist(), strict=True)),
    }
