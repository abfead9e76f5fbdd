"""The command ``imtext``: evaluate embeddings, search with a trained model, data and runs.

A command is a pair of functions: ``_add_<name>`` declares its arguments, ``_<name>`` does it. What a user can
cause ends as one line on standard error and exit code 2. Heavy modules are imported by the command that
needs them, so that ``imtext --help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from imtext import __version__
from imtext.commands import data, runs
from imtext.commands.common import add_command, device_here, typed_path
from imtext.errors import ConfigError, DataError, ImtextError, print_anything


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: a check found errors; 2: something the user can mend; 130: stopped by hand.

    >>> main(["evaluate", "nowhere.npz"])  # the message goes to standard error
    2
    """
    print_anything()
    arguments = _parser().parse_args(argv)
    try:
        code = arguments.run(arguments) or 0
        sys.stdout.flush()
    except ImtextError as error:
        print(f"imtext: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("imtext: stopped", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    about = "Image-text embeddings: evaluate, search, reproduce."
    parser = argparse.ArgumentParser(prog="imtext", description=about)
    parser.add_argument("--version", action="version", version=f"imtext {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_evaluate, _add_search, data.add, runs.add):
        add(commands)
    return parser


def _add_evaluate(commands: Any) -> None:
    parser = add_command(
        commands,
        "evaluate",
        "recalls, ranks and R-sum of embeddings in a file",
        _evaluate,
        "An .npz or .safetensors file, or a folder of .npy files, with images (N, D), captions (M, D) and "
        "image_of_caption (M,), the index of each caption's image. Scores are cosines; ties go by index.",
    )
    parser.add_argument("embeddings", type=typed_path, metavar="EMBEDDINGS")
    about = (
        "K captions for each image, in the order of the images, instead of image_of_caption; "
        "images that are there K times are taken once"
    )
    parser.add_argument("--captions-per-image", type=int, metavar="K", help=about)
    about = "mean over this many consecutive blocks of images (COCO 1K: 5)"
    parser.add_argument("--folds", type=int, default=1, help=about)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--device", default=None, help="cpu (default), cuda or auto")


def _evaluate(arguments: argparse.Namespace) -> None:
    from imtext.retrieval import evaluate, load_embeddings

    arrays = load_embeddings(arguments.embeddings, arguments.captions_per_image)
    device = device_here(arguments.device)
    try:
        result = evaluate(*arrays, folds=arguments.folds, device=device)
    except DataError as error:
        raise DataError(f"{arguments.embeddings}: {error}") from None
    if arguments.json:
        print(json.dumps(result.to_dict(), allow_nan=False))
        return
    folds = f", mean of {result.folds} folds" if result.folds > 1 else ""
    print(f"{result.image_query.n:,} images, {result.text_query.n:,} captions{folds}\n{result}")


def _add_search(commands: Any) -> None:
    parser = add_command(
        commands,
        "search",
        "ask a trained model for the images of a caption, or the captions of an image",
        _search,
        "The gallery is the test split that the run was evaluated on.",
    )
    parser.add_argument("run_dir", type=typed_path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument("query", metavar="QUERY", help="a caption in quotes, or the path of an image file")
    parser.add_argument("--top", type=int, default=5, help="number of answers (default: 5)")
    parser.add_argument("--out", type=typed_path, default=None, help="also write a page: .html or .png")
    parser.add_argument("--device", default="auto", help="auto (default: a GPU if there is one), cpu or cuda")


def _search(arguments: argparse.Namespace) -> None:
    from imtext.search import check_out, search, write_answer

    if arguments.top < 1:
        raise ConfigError(f"--top: expected a positive whole number, found {arguments.top}")
    if arguments.out is not None:
        check_out(arguments.out)
    device = device_here(arguments.device)
    from imtext import load

    answer = search(load(arguments.run_dir, device), arguments.query, arguments.top)
    print(answer)
    if arguments.out is not None:
        print(f"wrote {write_answer(answer, arguments.out)}")


if __name__ == "__main__":
    sys.exit(main())
