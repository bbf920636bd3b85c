"""The figures of a study: what each shows, and from which saved results."""
