"""``imtext data fetch``: bring a dataset, or say what has to be requested."""

from __future__ import annotations

import argparse
from typing import Any

from imtext.commands.common import add_command, typed_path
from imtext.errors import ConfigError


def add(actions: Any) -> None:
    """Declare the command on the subparsers of ``imtext data``."""
    parser = add_command(
        actions,
        "fetch",
        "bring a dataset into a folder, or say what has to be requested for it",
        _fetch,
        "A download that broke goes on where it stopped; what is there and right is left alone. Checksums "
        "are those that were published.",
    )
    parser.add_argument(
        "name",
        metavar="NAME",
        help="flickr8k, coco; to be requested: flickr30k, flickr30k_entities, cuhk_pedes, coco_precomp, "
        "f30k_precomp",
    )
    parser.add_argument("--root", type=typed_path, default=None, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--parts", default=None, metavar="A,B", help="which parts; --list names them")
    parser.add_argument("--list", action="store_true", help="print the parts with sizes and checksums")


def _fetch(arguments: argparse.Namespace) -> None:
    from imtext.data.fetch import fetch, listing

    if arguments.list:
        print(listing(arguments.name))
        return
    if arguments.root is None:
        raise ConfigError("--root: expected the folder that the dataset goes to, found none; add --root DIR")
    parts = None
    if arguments.parts is not None:
        parts = [part.strip() for part in arguments.parts.split(",")]
    fetch(arguments.name, arguments.root, parts, say=lambda line: print(line, flush=True))
