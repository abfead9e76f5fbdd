"""The errors a user can cause. Each message is one line that says what to do next."""

from __future__ import annotations

import sys

_LONGEST = 560


def one_line(text: object) -> str:
    """A text as one line of printable characters, at most 560: fit for a message, a note or a terminal.

    A line break becomes a blank, a character that a terminal would obey is escaped, and what is overlong is
    left out in the middle: in a message the file stands in front and the advice at the end.

    >>> one_line("two\\n  lines and \\x1b[31m red")
    'two lines and \\\\x1b[31m red'
    """
    # Cut twice: escaping a text of megabytes would take long, and makes a text longer.
    line = _cut(" ".join(str(text).split()))
    if not line.isprintable():
        line = _cut("".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))
    return line


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = (_LONGEST - 3) // 2
    return f"{text[: _LONGEST - 3 - half]} … {text[-half:]}"


def print_anything() -> None:
    """From now on, what the terminal's encoding lacks is printed as an escape instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict":
            stream.reconfigure(errors="backslashreplace")


class ImtextError(Exception):
    """Base of every error that imtext raises on purpose.

    Messages quote what files hold, therefore each goes through :func:`one_line`.

    >>> str(ImtextError("two\\n  lines"))
    'two lines'
    >>> len(str(ImtextError("a.json: expected 7, found " + "7" * 9000 + "; correct the entry")))
    560
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class DataError(ImtextError, ValueError):
    """A file or an array does not hold what it should."""


class ConfigError(ImtextError, ValueError):
    """A parameter is unknown, of the wrong type or out of range."""


class TrainingError(ImtextError, RuntimeError):
    """Training cannot go on, for example because the loss is not finite."""


class RunError(ImtextError, RuntimeError):
    """A stored run is missing, damaged, in use or unfinished."""
