"""Inspects your own frames and writes a study for them; `endoarss new` uses it."""
