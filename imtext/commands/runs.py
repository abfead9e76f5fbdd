"""``imtext runs``: list, show, remove and export what the run store holds."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imtext.commands.common import add_command, typed_path
from imtext.errors import ConfigError, RunError

if TYPE_CHECKING:
    from imtext.runs.listing import Listed

_NAMING = "RUN is a run's folder, or the beginning of its name where only one run begins so."


def add(commands: Any) -> None:
    """Declare ``imtext runs`` with its actions."""
    about = "list, show, remove or export stored runs"
    parser = commands.add_parser("runs", help=about, description=f"{about.capitalize()}.")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    for declare in (_add_list, _add_show, _add_remove, _add_export):
        declare(actions)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs-dir",
        type=typed_path,
        default=None,
        metavar="DIR",
        help="folder of runs (default: $IMTEXT_RUNS or runs)",
    )


def _root(arguments: argparse.Namespace) -> Path:
    return arguments.runs_dir or _default_root()


def _default_root() -> Path:
    return typed_path(os.environ.get("IMTEXT_RUNS") or "runs")


def _add_list(actions: Any) -> None:
    parser = add_command(
        actions,
        "list",
        "runs with their state, R-sum, seed, profile, dataset, date and size",
        _list,
        "Exit code 1 where a run is damaged.",
    )
    _where(parser)
    parser.add_argument("--study", default=None, help="only the runs of this study")
    parser.add_argument("--verify", action="store_true", help="read every file and compare its digest")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def _list(arguments: argparse.Namespace) -> int:
    from imtext.runs.files import size_of
    from imtext.runs.listing import CACHE, DAMAGED, list_runs

    root = _root(arguments)
    runs = list_runs(root, arguments.study, arguments.verify)
    cache = size_of(root / CACHE)
    if arguments.json:
        about = {"runs_dir": str(root), "cache_bytes": cache}
        _print_json({**about, "runs": [run.to_dict() for run in runs]})
    else:
        print("\n".join(_table([_line(run) for run in runs])) if runs else f"no runs in {root}")
        _print_rest(root, runs, cache)
    return int(any(run.state == DAMAGED for run in runs))


def _line(run: Listed) -> dict[str, str]:
    return {
        "study": run.study,
        "run": run.name,
        "state": run.state,
        "R-sum": "" if run.rsum is None else f"{run.rsum:.1f}",
        "seed": "" if run.seed is None else str(run.seed),
        "profile": run.profile,
        "dataset": run.dataset,
        "date": run.date,
        "min": "" if run.minutes is None else f"{run.minutes:.1f}",
        "size": _size(run.bytes),
    }


def _print_rest(root: Path, runs: Sequence[Listed], cache: int) -> None:
    """What is wrong, what the states add up to, and the cache."""
    for run in runs:
        if run.state == "running":
            _say(f"{run.name}: {run.reason}")
        elif run.state not in ("finished", "unfinished"):
            _say(run.reason)
    states = [run.state for run in runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    if counts:
        print(f"{counts}; {_size(sum(run.bytes for run in runs))} in {root}")
    if cache:
        where = "" if root == _default_root() else f" --runs-dir {root}"
        print(
            f"cache of pixels and features: {_size(cache)} (`imtext runs remove{where} --cache` removes it)"
        )


def _add_show(actions: Any) -> None:
    parser = add_command(
        actions,
        "show",
        "everything about one run: configuration, provenance, metrics, files",
        _show,
        f"{_NAMING} Exit code 1 where the run is damaged or of another version.",
    )
    parser.add_argument("name", metavar="RUN", help="a run's folder, or the beginning of its name")
    _where(parser)
    parser.add_argument("--verify", action="store_true", help="read every file and compare its digest")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _show(arguments: argparse.Namespace) -> int:
    from imtext.runs.files import read_object
    from imtext.runs.listing import DAMAGED, FINISHED, OTHER_VERSION, find_run, look_at
    from imtext.runs.manifest import STAMP, files_of

    folder = find_run(_root(arguments), arguments.name)
    run = look_at(folder, arguments.verify)
    bad = run.state in (DAMAGED, OTHER_VERSION)
    verified = arguments.verify and run.state == FINISHED
    parts: dict[str, Any] = {"stamp": read_object(folder / STAMP)}
    if run.state != OTHER_VERSION:  # what its files mean only that version knows
        parts |= {name: read_object(folder / f"{name}.json") for name in ("config", "provenance", "metrics")}
    parts["files"] = {name: path.stat().st_size for name, path in files_of(folder).items()}
    if arguments.json:
        _print_json({**run.to_dict(), "verified": verified, **parts})
        return int(bad)
    checked = ", every file verified" if verified else ""
    _say(f"{run.study}/{run.name}", f"folder  {run.folder}", f"state   {run.state}{checked}")
    if run.reason:
        _say(f"        {run.reason}")
    _print_parts(parts)
    return int(bad)


def _print_parts(parts: Mapping[str, Any]) -> None:
    for title in ("config", "provenance"):
        lines = list(_flat(parts.get(title, {})))
        if lines:
            width = max(len(key) for key, _ in lines)
            _say("", title, *(f"  {key:<{width}}  {value}" for key, value in lines))
    metrics = _metrics(parts.get("metrics", {}))
    if metrics:
        _say("", "metrics", *(f"  {line}" for line in metrics))
    width = max((len(name) for name in parts["files"]), default=0)
    _say("", "files", *(f"  {name:<{width}}  {_size(length):>9}" for name, length in parts["files"].items()))


def _flat(values: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as dotted keys.

    >>> list(_flat({"data": {"crop": 144}, "weights": [0, 1]}))
    [('data.crop', '144'), ('weights', '[0, 1]')]
    """
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from _flat(value, f"{before}.{key}" if before else str(key))
    elif before:
        yield before, values if isinstance(values, str) and values else json.dumps(values)


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    """A table with one line a metric and one column a split; as dotted keys where there are no splits."""
    splits = {name: values for name, values in metrics.items() if isinstance(values, Mapping)}
    if not splits or len(splits) < len(metrics):
        return [f"{key}  {value}" for key, value in _flat(metrics)]
    names = dict.fromkeys(name for values in splits.values() for name in values)
    rows = [{"metric": name, **{s: _short(v.get(name)) for s, v in splits.items()}} for name in names]
    return _table(rows)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return "" if value is None else str(value)


def _add_remove(actions: Any) -> None:
    parser = add_command(
        actions,
        "remove",
        "remove runs, all unfinished runs, or the cache",
        _remove,
        f"{_NAMING} Without --yes nothing is removed: what would go is printed.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="RUN", help="a run's folder, or the beginning of its name"
    )
    _where(parser)
    parser.add_argument("--unfinished", action="store_true", help="all unfinished runs that nobody works on")
    parser.add_argument("--cache", action="store_true", help="stored pixels and features")
    parser.add_argument("--yes", action="store_true", help="do it")


def _remove(arguments: argparse.Namespace) -> None:
    from imtext.runs import listing
    from imtext.runs.files import size_of

    root = _root(arguments)
    if not (arguments.names or arguments.unfinished or arguments.cache):
        raise ConfigError("nothing to remove: name a run, or give --unfinished or --cache")
    folders = [listing.find_run(root, name) for name in arguments.names]
    if arguments.unfinished:
        folders += [run.folder for run in listing.list_runs(root) if run.state == listing.UNFINISHED]
    folders = list({folder.absolute(): folder for folder in folders}.values())
    for folder in folders:  # all are looked at before the first one goes
        listing.check_removable(folder)
    paths, cache = [*folders], root / listing.CACHE
    if arguments.cache and cache.is_dir():
        listing.check_cache(root)
        paths.append(cache)
    freed = sum(map(size_of, paths))
    for path in paths:
        _say(f"{'removing' if arguments.yes else 'would remove'} {path} ({_size(size_of(path))})")
        if not arguments.yes:
            continue
        if path == cache:
            listing.remove_cache(root)
        else:
            listing.remove_run(path)
    if not paths:
        print("nothing to remove")
    else:
        print(
            f"freed {_size(freed)}" if arguments.yes else f"nothing was removed; --yes frees {_size(freed)}"
        )


def _add_export(actions: Any) -> None:
    parser = add_command(
        actions,
        "export",
        "write finished runs to an archive or a folder, or their numbers to one table",
        _export,
        f"{_NAMING} Without RUN, --table takes all finished runs. Unpack an archive in another runs folder "
        "to have the runs there.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="RUN", help="a run's folder, or the beginning of its name"
    )
    _where(parser)
    about_out = "FILE.zip, or a new folder"
    parser.add_argument("--out", type=typed_path, default=None, metavar="OUT", help=about_out)
    parser.add_argument(
        "--weights",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="take the trained networks along (default: yes)",
    )
    parser.add_argument(
        "--table", type=typed_path, default=None, metavar="FILE.csv", help="one line a run and split, as CSV"
    )


def _export(arguments: argparse.Namespace) -> None:
    from imtext.runs import export, listing
    from imtext.runs.files import size_of

    if arguments.out is None and arguments.table is None:
        raise ConfigError("nowhere to export to: give --out FILE.zip, --out FOLDER or --table FILE.csv")
    if arguments.table is not None and arguments.table.suffix.lower() != ".csv":
        raise ConfigError(f"--table {arguments.table}: expected a name that ends in .csv")
    root = _root(arguments)
    folders = [listing.find_run(root, name) for name in arguments.names]
    if arguments.out is not None:
        if not folders:
            raise ConfigError("--out: name the runs to export; `imtext runs list` names them all")
        files = export.export_runs(folders, arguments.out, arguments.weights)
        size = _size(size_of(arguments.out))
        print(f"wrote {arguments.out}: {_count(len(folders), 'run')}, {len(files)} files, {size}")
    if arguments.table is not None:
        if not arguments.names:
            folders = [run.folder for run in listing.list_runs(root) if run.state == listing.FINISHED]
        if not folders:
            raise RunError(f"{root}: no finished run to put in a table")
        lines = export.write_table(folders, arguments.table)
        print(f"wrote {arguments.table}: {_count(len(folders), 'run')}, {_count(lines, 'line')}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Rows of one form as aligned lines, numbers to the right.

    >>> _table([{"run": "a", "R-sum": "9.5"}, {"run": "bcd", "R-sum": "10.0"}])
    ['run  R-sum', 'a      9.5', 'bcd   10.0']
    """
    columns = list(rows[0])
    cells = [columns, *([_clean(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[k]) for line in cells) for k in range(len(columns))]
    right = [all(line[k][:1].isdigit() or not line[k] for line in cells[1:]) for k in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    ]


def _say(*lines: str) -> None:
    for line in lines:
        print(_clean(line), flush=True)


def _clean(text: str) -> str:
    """Text without anything that would move the cursor of a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _size(count: float) -> str:
    """Bytes in words.

    >>> _size(48_528), _size(23_007_080)
    ('48.5 kB', '23.0 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"


def _print_json(content: Any) -> None:
    print(json.dumps(_finite(content), allow_nan=False))


def _finite(value: Any) -> Any:
    """NaN and infinity as null, which JSON knows."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
