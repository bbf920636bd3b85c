"""Datasets: the kinds there are, who collects the frames of each, and how they are split, built, described and read back."""
