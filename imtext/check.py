"""What a user may give, in one line where it is something else."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from imtext.errors import ConfigError


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """An integer of at least ``least`` and, if given, at most ``most``. Raises ConfigError for anything else.

    >>> whole("k", 5)
    5
    >>> whole("k", True)
    Traceback (most recent call last):
    imtext.errors.ConfigError: k=True: expected an integer of 1 or more
    """
    fits = isinstance(value, Integral) and not isinstance(value, bool)
    if not fits or value < least or (most is not None and value > most):
        expected = f"of {least} or more" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name}={value!r}: expected an integer {expected}")
    return int(value)


def number(name: str, value: Any, least: float = 0.0, most: float = float("inf")) -> float:
    """A finite number from ``least`` to ``most``, both included. Raises ConfigError for anything else.

    >>> number("weight", 0.3, most=1)
    0.3
    """
    fits = isinstance(value, Real) and not isinstance(value, bool)
    if not fits or not least <= value <= most or value == float("inf"):
        upto = "" if most == float("inf") else f" and at most {most:g}"
        raise ConfigError(f"{name}={value!r}: expected a number of at least {least:g}{upto}")
    return float(value)


def one_of(name: str, value: Any, choices: Collection[Any]) -> Any:
    """One of some choices. Raises ConfigError for anything else.

    >>> one_of("side", "image", ("image", "text"))
    'image'
    """
    if value not in choices:
        raise ConfigError(f"{name}={value!r}: expected one of {', '.join(map(str, choices))}")
    return value
