"""One file a corruption; each registers itself. A new file here is a new corruption everywhere."""
