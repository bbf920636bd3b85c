"""Figures, drawn from data frames."""
