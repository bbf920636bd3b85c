"""Define the kinds of datasets, collect their frames, and split, build, describe and load datasets."""
