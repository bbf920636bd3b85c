"""Intervals, comparisons, robustness and claims, computed from saved rows."""
