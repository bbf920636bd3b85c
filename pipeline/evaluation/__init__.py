"""Predict on test splits, measure the predictions, evaluate robustness, and collect the long result table."""
