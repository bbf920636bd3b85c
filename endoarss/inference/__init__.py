"""Predict with a trained model: read images and videos, prepare frames as in training, and return predictions at the size of the frame."""
