"""Define the paths in results/<study>, read and write its files, and find the state of each cell."""
