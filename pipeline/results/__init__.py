"""What lies in results/<study>: paths, saved rows and predictions, checkpoints, provenance, and the state of each cell."""
