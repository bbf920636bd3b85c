"""Show the status of a study and of a run: progress, time, disk space, and estimates."""
