"""Procedural endoscopic scenes, written as raw trees in the layouts of the real downloads."""
