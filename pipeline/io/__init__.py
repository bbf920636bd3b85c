"""Read and write files, hashes and images, and run processes. No module here depends on studies or datasets."""
