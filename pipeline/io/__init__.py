"""Atomic files, hashes, images and processes. These modules know neither studies nor datasets."""
