"""Snakemake and DVC: which results are current, and recording and restoring versions of them."""
