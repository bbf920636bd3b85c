"""Draws the figures of a study from data frames and images."""
