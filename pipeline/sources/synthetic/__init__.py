"""Generates synthetic endoscopic scenes and writes them as raw trees in the layouts of the real downloads."""
