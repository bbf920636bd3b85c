"""Describe components without running them: their source files, their settings, and the bounds of these settings."""
