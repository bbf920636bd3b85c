"""The one exception of the pipeline that people read: it says what, where, what was expected and what to do."""

from pipeline.redaction import masked


class InputError(ValueError):
    """Something a user gave (a tree, a file, a study) is not usable. Its message stands on its own, and holds no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(masked(message))
