"""Predict images and videos of a user: run a model with `endoarss.inference`, and write masks, overlays and a table."""
