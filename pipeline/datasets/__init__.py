"""Datasets: their kinds, the collectors of their frames, and how they are split, built, described and read."""
