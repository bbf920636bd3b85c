"""The paper's own figures, kept apart from ours."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def published_datasets() -> pd.DataFrame:
    """Table I of the paper: activities, classes, train, test and frames, by dataset."""
    return pd.read_csv(Path(__file__).parent / "table1_datasets.csv").set_index("dataset")
