"""A study: its cells, schema, checks, and everything that can be asked of it. Nothing here imports torch."""
