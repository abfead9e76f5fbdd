"""``imtext data check``: is the data in a folder what it should be?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from imtext.commands.common import add_command, add_option, typed_path, yaml_option
from imtext.errors import ConfigError

_EMBEDDINGS = "embeddings"


def add(actions: Any) -> None:
    """Declare the command on the subparsers of ``imtext data``."""
    parser = add_command(
        actions,
        "check",
        "compare a dataset with what it should be: counts, captions, image files, duplicates",
        _check,
        "Exit code: 0 no errors, 1 errors were found, 2 it could not be checked. Warnings and remarks do not "
        "change it.",
    )
    about = f"a dataset such as flickr8k or coco, or {_EMBEDDINGS} for a file of them"
    parser.add_argument("name", metavar="NAME", help=about)
    about_root = "the folder, or the file"
    parser.add_argument("--root", type=typed_path, required=True, metavar="DIR", help=about_root)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a report")
    parser.add_argument("--no-pictures", action="store_true", help="captions only; image files may be absent")
    parser.add_argument("--no-duplicates", action="store_true", help="do not compare pictures")
    parser.add_argument("--jobs", type=int, metavar="N", help="decoding threads (default: cores)")
    add_option(parser)


def _check(arguments: argparse.Namespace) -> int:
    from imtext.data.check import check_dataset

    options = dict(map(yaml_option, arguments.option))
    if arguments.jobs is not None and arguments.jobs < 1:
        raise ConfigError(f"--jobs: expected a positive whole number, found {arguments.jobs}")
    if arguments.name == _EMBEDDINGS:
        report = _embeddings(arguments.root, options)
    else:
        wanted = {"pictures": not arguments.no_pictures, "duplicates": not arguments.no_duplicates}
        how = {"n_jobs": arguments.jobs, "options": options}
        report = check_dataset(arguments.name, arguments.root, **wanted, **how)
    print(json.dumps(report.to_dict(), allow_nan=False) if arguments.json else report)
    return 0 if report.ok else 1


def _embeddings(root: Path, options: dict[str, Any]) -> Any:
    """The report on a file of embeddings; what cannot be read is an error of the report."""
    from imtext.data.check import Finding, Report, check_arrays
    from imtext.errors import DataError
    from imtext.retrieval import load_embeddings

    if options:
        raise ConfigError(f"--option {next(iter(options))}: {_EMBEDDINGS} take no options")
    if not root.exists():
        raise DataError(f"root={root}: expected a file of embeddings, found nothing; correct --root")
    try:
        arrays = load_embeddings(root)
    except DataError as error:
        return Report(_EMBEDDINGS, str(root), [Finding("error", "reader", f"the reader refuses it: {error}")])
    return check_arrays(str(root), *arrays)
