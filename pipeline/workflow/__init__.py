"""Decide which results are current, for Snakemake, and record and restore versions of results with DVC."""
