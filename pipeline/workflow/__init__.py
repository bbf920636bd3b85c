"""Snakemake and DVC: dvc.yaml from the plan, and recording and restoring results."""
