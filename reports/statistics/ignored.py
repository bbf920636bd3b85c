"""Defines how figures and the page show ignored pixels: these belong to no class in the true mask and count in no score."""

IGNORED = 255
"""Value of ignored pixels in a mask."""
IGNORED_COLOUR = (128, 128, 128)
"""Red, green and blue of ignored pixels in overlays."""
IGNORED_NAME = "ignored"
"""Name of ignored pixels in legends."""
