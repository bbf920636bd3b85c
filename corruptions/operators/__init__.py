"""One file per corruption; each registers itself. A new file here is a new corruption everywhere."""
