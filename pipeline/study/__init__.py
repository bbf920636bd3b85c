"""Read and check a study, and compute its cells, datasets, folders and settings. No module here imports torch."""
