"""Find and delete files that no study needs: old results, unfinished files, unused data."""
