"""The error of this package."""


class CorruptionError(ValueError):
    """An image, name, severity or parameter that cannot be used; says what was given and what is expected."""


class WorkerKilledError(CorruptionError):
    """A process that worked for this one is gone."""
