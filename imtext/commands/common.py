"""What commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError


def add_command(commands: Any, name: str, about: str, run: Any, more: str = "") -> argparse.ArgumentParser:
    """A command with its line in the overview and its own ``--help``."""
    parser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", epilog=more or None
    )
    parser.set_defaults(run=run)
    return parser


def device_here(name: str | None) -> str | None:
    """The device that ``auto``, ``cpu`` or ``cuda`` means on this machine.

    Raises:
        ConfigError: another name, or ``cuda`` on a machine without a GPU.
    """
    if name is None:
        return None
    from imtext.training.device import resolve_device

    try:
        return resolve_device(name)
    except ConfigError as error:
        raise ConfigError(f"--device {name}: {error}") from None


def typed_path(text: str) -> Path:
    """A path as it was typed; the shell leaves the ``~`` of ``--root=~/pets`` alone."""
    return Path(os.path.expanduser(text))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Options of a reader, each for `yaml_option`."""
    about = "option of the reader, such as year=2017 or subset=true; repeat for more"
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help=about)


def yaml_option(text: str) -> tuple[str, Any]:
    """An option of a reader, ``KEY=VALUE``, the value read as YAML.

    Raises:
        ConfigError: it has another form.

    >>> yaml_option("year=2017"), yaml_option("subset=true")
    (('year', 2017), ('subset', True))
    """
    import yaml

    key, equals, value = text.partition("=")
    try:
        if key and equals:
            return key, yaml.safe_load(value)
    except (yaml.YAMLError, RecursionError, ValueError):
        pass
    raise ConfigError(f"--option {text}: expected KEY=VALUE, such as year=2017 or subset=true")
