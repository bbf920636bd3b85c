"""Which of two values in a column is the better one."""

from __future__ import annotations

from endoarss.metrics.catalogue import METRICS, Shown, shown_metrics

# Whether the higher value is the better one, by the head of a column in any table; other columns have no better.
HIGHER_IS_BETTER = {
    metric.head: metric.higher_is_better
    for protocol in METRICS
    for metric in shown_metrics(Shown.TABLES, protocol).values()
} | {
    "Clean": True,
    "mPC": True,
    "rPC": True,
    "Retention area": True,
    "mCE": False,
    "Relative mCE": False,
    "Training (images/s)": True,
    "Training (MiB)": False,
    "Inference (images/s)": True,
    "Inference (MiB)": False,
    "Under corruption (ms/image)": False,
}
