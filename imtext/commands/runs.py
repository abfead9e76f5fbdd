"""``imtext runs``: list, show, train and remove what the run store holds."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

from imtext.commands.common import add_command, typed_path
from imtext.errors import ConfigError, one_line

_NAMING = "RUN is a run's folder, or the beginning of its name where only one run begins so."


def add(commands: Any) -> None:
    """Declare ``imtext runs`` with its actions."""
    about = "list, show, train or remove stored runs"
    parser = commands.add_parser("runs", help=about, description=f"{about.capitalize()}.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    about = "runs with their state, R-sum, seed, profile, dataset, date and size"
    listed = add_command(actions, "list", about, _list, "Exit code 1 where a run is damaged.")
    about = "everything about one run as YAML: configuration, provenance, metrics, files"
    shown = add_command(actions, "show", about, _show, f"{_NAMING} Exit code 1 where the run is damaged.")
    shown.add_argument("name", metavar="RUN")
    for action in (listed, shown):
        action.add_argument("--verify", action="store_true", help="read every file and compare its digest")

    about = "train an unfinished row from its folder"
    trained = add_command(actions, "train", about, _train, _NAMING)
    trained.add_argument("name", metavar="RUN")
    trained.add_argument("--devices", type=int, default=1, metavar="N", help="GPUs that share each batch")

    about = "remove runs, all unfinished runs, or the cache"
    removed = add_command(actions, "remove", about, _remove, f"{_NAMING} Without --yes nothing is removed.")
    removed.add_argument("--unfinished", action="store_true", help="all unfinished runs that nobody works on")
    removed.add_argument("--cache", action="store_true", help="stored pixels and features")
    removed.add_argument("--yes", action="store_true", help="do it")

    removed.add_argument("names", nargs="*", metavar="RUN")
    for action in (listed, shown, trained, removed):
        action.add_argument(
            "--runs-dir",
            type=typed_path,
            default=typed_path(os.environ.get("IMTEXT_RUNS") or "runs"),
            metavar="DIR",
            help="folder of runs (default: $IMTEXT_RUNS or runs)",
        )


def _list(arguments: argparse.Namespace) -> int:
    import pandas as pd

    from imtext.files import size_of
    from imtext.runs.listing import CACHE, DAMAGED, list_runs

    root = arguments.runs_dir
    runs = list_runs(root, arguments.verify)
    if not runs:
        print(f"no runs in {root}")
        return 0
    columns = ["study", "run", "state", "rsum", "seed", "profile", "dataset", "date", "minutes", "size"]
    frame = pd.DataFrame(runs, dtype=object).fillna("")
    frame["run"] += "-" + frame["hash"]
    frame["size"] = frame["bytes"].map(_size)
    text = frame[columns].to_string(index=False, float_format="{:.1f}".format)
    print("".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text))
    for run in runs:
        if run["reason"]:
            print(one_line(run["reason"]))
    states = Counter(run["state"] for run in runs)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    print(f"{counts}; {_size(frame['bytes'].sum())} in {root}")
    print(f"cache of pixels and features: {_size(size_of(root / CACHE))} (remove --cache removes it)")
    return int(DAMAGED in states)


def _show(arguments: argparse.Namespace) -> int:
    import yaml

    from imtext.files import read_object
    from imtext.runs.listing import DAMAGED, find_run, look_at
    from imtext.runs.store import files_of

    folder = find_run(arguments.runs_dir, arguments.name)
    run = look_at(folder, arguments.verify)
    bad = run["state"] == DAMAGED
    about = {name: str(run[name]) for name in ("study", "folder", "state", "reason")}
    if not bad:
        parts = ("config", "provenance", "metrics")
        about |= {name: read_object(folder / f"{name}.json") for name in parts}
    about["files"] = {name: _size(path.stat().st_size) for name, path in files_of(folder).items()}
    print(yaml.safe_dump(about, sort_keys=False, width=1000), end="")
    return int(bad)


def _train(arguments: argparse.Namespace) -> None:
    from imtext.experiment.compute import train_together
    from imtext.runs.listing import find_run

    folder = find_run(arguments.runs_dir, arguments.name)
    print(train_together(folder, arguments.devices).dir)


def _remove(arguments: argparse.Namespace) -> None:
    from imtext.files import size_of
    from imtext.runs import listing

    root = arguments.runs_dir
    if not (arguments.names or arguments.unfinished or arguments.cache):
        raise ConfigError("nothing to remove: name a run, or give --unfinished or --cache")
    # All are found before the first one goes.
    folders = [listing.find_run(root, name) for name in arguments.names]
    if arguments.unfinished:
        folders += [run["folder"] for run in listing.list_runs(root) if run["state"] == listing.UNFINISHED]
    cache = [root / listing.CACHE] if arguments.cache and (root / listing.CACHE).is_dir() else []
    freed = 0
    for path in (*dict.fromkeys(folders), *cache):
        freed += size_of(path)
        print(one_line(f"{'removing' if arguments.yes else 'would remove'} {path} ({_size(size_of(path))})"))
        if arguments.yes and path in cache:
            listing.remove_cache(root)
        elif arguments.yes:
            listing.remove_run(path)
    print(f"{'freed' if arguments.yes else 'nothing was removed; --yes frees'} {_size(freed)}")


def _size(count: float) -> str:
    """Bytes in words.

    >>> _size(48_528)
    '48.5kB'
    """
    from tqdm import tqdm

    return tqdm.format_sizeof(count, "B")
