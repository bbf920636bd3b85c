"""Lists the table columns whose values compete for the best, and says whether higher or lower values are better."""

from __future__ import annotations

from endoarss.metrics.catalogue import METRICS, Shown, shown_metrics

# Whether higher values are better, by column head. Values of a column without an entry do not compete.
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
