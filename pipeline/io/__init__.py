"""Atomic files, hashes, images, processes: what knows neither studies nor datasets."""
