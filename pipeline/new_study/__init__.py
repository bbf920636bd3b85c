"""Writes a study for frames of one's own from what their files hold."""
