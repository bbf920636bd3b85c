"""Errors that people read: what was given, where, and what is allowed."""


class SettingsError(ValueError):
    """A setting of a model, weighting or training that cannot be used."""


class UnknownNameError(SettingsError):
    """A component that nobody registered; the message lists those that are."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known)}.")


class TrainingError(RuntimeError):
    """A training that cannot go on, with the epoch, step and task it stopped at."""
