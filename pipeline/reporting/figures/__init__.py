"""The figures of a study: the content of each, and the saved results that it is drawn from."""
