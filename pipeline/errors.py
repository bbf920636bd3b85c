"""Define the exception whose message users read. The message says what is wrong and where, what was expected, and what to do."""

from pipeline.redaction import masked


class InputError(ValueError):
    """Input of a user (a tree, a file, a study) cannot be used. The message is complete and holds no secret."""

    def __init__(self, message: str) -> None:
        super().__init__(masked(message))
