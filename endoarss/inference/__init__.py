"""Predict with a trained model: read pictures and videos, prepare frames as in training, and give predictions at the size of the frame."""
