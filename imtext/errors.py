"""The errors a user can cause. Each message is one line that says what to do next."""

from __future__ import annotations


class ImtextError(Exception):
    """Base of every error that imtext raises on purpose.

    >>> str(ImtextError("two\\n  lines"))
    'two lines'
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))


class DataError(ImtextError, ValueError):
    """A file or an array does not hold what it should."""


class ConfigError(ImtextError, ValueError):
    """A parameter is unknown, of the wrong type or out of range."""


class TrainingError(ImtextError, RuntimeError):
    """Training cannot go on, for example because the loss is not finite."""


class RunError(ImtextError, RuntimeError):
    """A stored run is missing, locked, unfinished or of another version."""
