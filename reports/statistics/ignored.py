"""How figures and the page show ignored pixels, which belong to no class in the true mask and count in no score."""

IGNORED = 255
"""Value of ignored pixels in a mask."""
IGNORED_COLOUR = (128, 128, 128)
IGNORED_NAME = "ignored"
