"""Computes intervals, comparisons, robustness, effects of merging, and verdicts on the paper's claims from saved rows."""
