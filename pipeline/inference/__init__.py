"""Predict on somebody's own pictures and videos: read media, run a model, write masks and overlays."""
