"""Select the content of each figure of a study, and draw it from saved results."""
