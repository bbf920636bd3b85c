"""The content of results/<study>: paths, saved rows and predictions, checkpoints, provenance, and the state of each cell."""
