"""Readers of raw challenge trees, one file a layout, and the generator of synthetic ones."""
