"""How figures and the page show ignored pixels: pixels of a true mask that belong to no class and count in no score."""

IGNORED = 255
"""Their value in a mask, as the datasets have it."""
IGNORED_COLOUR = (128, 128, 128)
IGNORED_NAME = "ignored"
