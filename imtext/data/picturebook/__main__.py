"""`python -m imtext.data.picturebook generate ROOT` and `... sheets DIR`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from imtext.errors import ImtextError

from .generate import DEFAULT_GROUPS, generate
from .sheets import write_sheets


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, 2 after a user's error."""
    parser = argparse.ArgumentParser(prog="python -m imtext.data.picturebook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("generate", help="write the dataset to a folder")
    make.add_argument("root")
    for split, count in DEFAULT_GROUPS.items():
        make.add_argument(f"--{split}", type=int, default=count, help=f"images (default {count})")
    make.add_argument("--size", type=int, default=128, help="side in pixels, 64 to 256 (default 128)")
    make.add_argument("--seed", type=int, default=0)
    make.add_argument("--jobs", type=int, default=None, help="processes (default: all cores)")
    draw = commands.add_parser("sheets", help="write contact sheets for the book")
    draw.add_argument("folder")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "sheets":
            for path in write_sheets(chosen.folder):
                print(path)
        else:
            groups = {split: getattr(chosen, split) for split in DEFAULT_GROUPS}
            print(generate(chosen.root, groups, chosen.size, chosen.seed, chosen.jobs))
    except ImtextError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
