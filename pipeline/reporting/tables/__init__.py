"""The tables of a study: which there are, and from which saved results."""
