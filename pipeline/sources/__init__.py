"""Readers of raw trees, one file per layout, and the generator of synthetic trees."""
