"""Predict on somebody's own pictures and videos: run a model from `endoarss.inference`, write masks and overlays."""
