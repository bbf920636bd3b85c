"""The one exception of the pipeline that people read: it says what, where, what was expected and what to do."""


class InputError(ValueError):
    """Something a user gave (a tree, a file, a study) is not usable. Its message stands on its own."""
