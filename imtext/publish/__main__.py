"""``python -m imtext.publish``: the steps behind ``make book`` and ``make refresh``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from imtext.errors import ImtextError, print_anything
from imtext.publish.build import build_book
from imtext.publish.compare import compare_book
from imtext.publish.console import spoken_time
from imtext.publish.execute import execute_book, refresh
from imtext.publish.normalise import normalise_file
from imtext.publish.parameters import read_parameters
from imtext.publish.stage import find_notebooks, make_stage


def main(argv: list[str] | None = None) -> int:
    """Run one step; an error of the user's is one line and exit code 1."""
    print_anything()
    arguments = _parser().parse_args(argv)
    arguments.build = arguments.build or arguments.root / "_build"
    try:
        arguments.step(arguments)
    except ImtextError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _execute(arguments: argparse.Namespace) -> None:
    parameters = read_parameters(arguments.parameters)
    where = (arguments.root, arguments.build)
    chosen = (arguments.notebooks, arguments.force, arguments.at_once)
    execute_book(*where, arguments.profile, parameters, *chosen)


def _build(arguments: argparse.Namespace) -> None:
    make_stage(arguments.root, arguments.build)
    print(f"open {build_book(arguments.build, arguments.force).resolve()}")


def _book(arguments: argparse.Namespace) -> None:
    began = arguments.since or time.time()
    _execute(arguments)
    make_stage(arguments.root, arguments.build)
    index = build_book(arguments.build, arguments.force)
    spent = spoken_time(time.time() - began)
    print(f"\nThe book is ready ({arguments.profile} profile, {spent} in all). Open\n  {index.resolve()}")


def _compare(arguments: argparse.Namespace) -> None:
    compare_book(arguments.root, arguments.build, arguments.notebooks)
    print("  what the notebooks show is as committed")


def _normalise(arguments: argparse.Namespace) -> None:
    for path in find_notebooks(arguments.root, arguments.notebooks):
        print(f"  {path.name}: {'normalised' if normalise_file(path) else 'as it should be'}")


def _refresh(arguments: argparse.Namespace) -> None:
    refresh(arguments.root, arguments.build, arguments.notebooks)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m imtext.publish", description=__doc__)
    steps = parser.add_subparsers(required=True, metavar="STEP")
    for name, step, about in (
        ("execute", _execute, "execute notebooks into the stage"),
        ("build", _build, "build the pages from the stage"),
        ("book", _book, "execute, then build"),
        ("compare", _compare, "compare what was executed into the stage with the committed notebooks"),
        ("normalise", _normalise, "bring the committed notebooks into their committed form"),
        ("refresh", _refresh, "execute the committed notebooks in place, in the smoke profile"),
    ):
        sub = steps.add_parser(name, help=about, description=about)
        sub.set_defaults(step=step)
        sub.add_argument("--root", type=Path, default=Path("."), help="the repository (default: here)")
        sub.add_argument("--build", type=Path, default=None, help="the build folder (default: ROOT/_build)")
        if name != "build":
            sub.add_argument("notebooks", nargs="*", help="names of notebooks (default: all)")
        if name in ("execute", "book"):
            sub.add_argument("--profile", default="quick", help="smoke, quick or paper")
            sub.add_argument(
                "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
            )
            sub.add_argument("--at-once", type=int, default=1, metavar="N", help="notebooks side by side")
            sub.add_argument("--since", type=float, default=None, help=argparse.SUPPRESS)
        if name in ("execute", "book", "build"):
            sub.add_argument("--force", action="store_true", help="also where nothing changed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
