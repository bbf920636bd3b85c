"""The status of a study: progress, time, disk, and estimates."""
