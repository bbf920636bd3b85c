"""Where a study stands: progress, time, disk, and what it will cost."""
