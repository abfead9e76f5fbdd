"""``imtext data``: fetch, check, pack and verify."""

from __future__ import annotations

from typing import Any

from imtext.commands import data_check, data_fetch, data_pack


def add(commands: Any) -> None:
    """Declare the group and its actions."""
    about = "fetch a dataset, check it, pack it into one file"
    parser = commands.add_parser("data", help=about, description=f"{about.capitalize()}.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for room in (data_fetch, data_check, data_pack):
        room.add(actions)
