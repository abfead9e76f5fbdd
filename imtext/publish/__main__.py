"""``python -m imtext.publish``: the steps behind ``make book`` and ``make refresh``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError, ImtextError, print_anything
from imtext.publish.build import build_book
from imtext.publish.compare import compare_book
from imtext.publish.execute import execute_book, refresh, spoken_time
from imtext.publish.normalise import normalise_file
from imtext.publish.parameters import read_parameters
from imtext.publish.results import publish_results
from imtext.publish.stage import find_notebooks, make_stage


def main(argv: list[str] | None = None) -> int:
    """Run one step; an error is one line and exit code 1, or 2 where a parameter is wrong."""
    print_anything()
    arguments = _parser().parse_args(argv)
    arguments.build = arguments.build or arguments.root / "_build"
    try:
        arguments.step(arguments)
    except ImtextError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _execute(arguments: argparse.Namespace) -> None:
    chosen = (arguments.notebooks, arguments.force, arguments.at_once)
    execute_book(arguments.root, arguments.build, _given(arguments), *chosen)


def _build(arguments: argparse.Namespace) -> None:
    make_stage(arguments.root, arguments.build)
    index, spent = build_book(arguments.build), spoken_time(time.time() - arguments.since)
    print(f"\nThe book is ready ({spent} in all). Open\n  {index.resolve()}")


def _book(arguments: argparse.Namespace) -> None:
    _execute(arguments)
    _build(arguments)


def _compare(arguments: argparse.Namespace) -> None:
    compare_book(arguments.root, arguments.build, arguments.notebooks)
    print("  what the notebooks show is as committed")


def _normalise(arguments: argparse.Namespace) -> None:
    for path in find_notebooks(arguments.root, arguments.notebooks):
        print(f"  {path.name}: {'normalised' if normalise_file(path) else 'as it should be'}")


def _refresh(arguments: argparse.Namespace) -> None:
    refresh(arguments.root, arguments.build, arguments.notebooks)


def _results(arguments: argparse.Namespace) -> None:
    publish_results(arguments.root, arguments.build, arguments.notebooks, _given(arguments))


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"profile": arguments.profile} | read_parameters(arguments.parameters)


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
        ("results", _results, "train what results/ does not hold, and publish it row by row"),
    ):
        sub = steps.add_parser(name, help=about, description=about)
        sub.set_defaults(step=step, since=time.time())
        sub.add_argument("notebooks", nargs="*", help="names of notebooks (default: all)")
        sub.add_argument("--root", type=Path, default=Path("."), help="the repository (default: here)")
        sub.add_argument("--build", type=Path, default=None, help="the build folder (default: ROOT/_build)")
        if name in ("execute", "book", "results"):
            default = "full" if name == "results" else "quick"
            sub.add_argument("--profile", default=default, help="smoke, quick, full or paper")
            pair = {"nargs": 2, "action": "append", "metavar": ("NAME", "VALUE")}
            sub.add_argument("-p", dest="parameters", default=[], **pair)
        if name in ("execute", "book"):
            about = "notebooks side by side (default: 2, or 1 on one core or a GPU)"
            sub.add_argument("--at-once", type=int, default=0, metavar="N", help=about)
            sub.add_argument("--since", type=float, help=argparse.SUPPRESS)
            sub.add_argument("--force", action="store_true", help="also where nothing changed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
