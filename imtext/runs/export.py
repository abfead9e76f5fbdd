"""Finished runs for another machine: an archive or a folder with digests, or one table of their numbers."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

from imtext import __version__
from imtext.errors import RunError
from imtext.runs.files import atomic, entry, new_archive, read_object
from imtext.runs.listing import look_at
from imtext.runs.manifest import MANIFEST, METRICS, describe, files_of
from imtext.runs.stamp import CONFIG, SCHEMA
from imtext.runs.store import PARTIAL, Run

INDEX = "imtext-runs.json"
SOURCE = "source.json"
WEIGHTS = ".safetensors"
_ABOUT = ("device", "hardware", "torch", "imtext", "commit", "when", "seconds")
Content = Path | bytes


def export_runs(folders: Sequence[Path], out: Path, weights: bool = True) -> list[str]:
    """Write finished runs to a ``.zip`` or a new folder, in the layout of a folder of runs.

    Unpacked into another folder of runs, each is a finished run there. Beside them lies an index with the
    SHA-256 of every file. Equal runs give equal archives, byte for byte.

    Args:
        folders: of the runs; each is checked in full first.
        out: ``NAME.zip``, or a folder that is absent or empty.
        weights: whether to take the trained networks along.

    Returns:
        The names of the files, sorted.

    Raises:
        RunError: a run is unfinished or damaged, two have one name, or ``out`` cannot be written.
    """
    content: dict[str, Content] = {}
    for folder in folders:
        entries = {f"{_place(folder)}/{name}": what for name, what in _contents(folder, weights).items()}
        if content.keys() & entries.keys():
            raise RunError(f"{folder}: a run {_place(folder)} is in the export already; name each run once")
        content |= entries
    content = dict(sorted(content.items()))
    index = {
        "imtext": __version__,
        "schema": SCHEMA,
        "runs": sorted(_place(folder) for folder in folders),
        "weights": weights,
        "files": {name: _describe(what) for name, what in content.items()},
    }
    content = {INDEX: _json(index), **content}
    if out.suffix.lower() == ".zip":
        _write_zip(content, out)
    else:
        _write_folder(content, out)
    return list(content)


def _place(folder: Path) -> str:
    folder = folder.resolve()
    return f"{folder.parent.name}/{folder.name}"


def _contents(folder: Path, weights: bool) -> dict[str, Content]:
    """The files of a run as they are exported, with a manifest that fits them."""
    run = Run(folder)
    if folder.name.endswith(PARTIAL):
        raise RunError(f"{folder}: not finished; run its command again to finish it, then export")
    run.check(full=True)
    content: dict[str, Content] = {
        name: path for name, path in files_of(folder).items() if weights or path.suffix != WEIGHTS
    }
    if SOURCE in content:
        content[SOURCE] = _json(portable(run.load_json(SOURCE), folder.resolve().parent.parent))
    content[MANIFEST] = _json({"files": {name: _describe(what) for name, what in content.items()}})
    return content


def portable(source: Any, root: Path) -> Any:
    """``source.json`` without this machine's paths.

    A path in the folder of runs becomes relative to it; of any other absolute path the last name stays.

    >>> portable({"data_root": "/data/flickr8k", "cache": "/x/runs/cache", "crop": 144}, Path("/x/runs"))
    {'data_root': 'flickr8k', 'cache': 'cache', 'crop': 144}
    """
    if isinstance(source, Mapping):
        return {key: portable(value, root) for key, value in source.items()}
    if isinstance(source, list):
        return [portable(value, root) for value in source]
    if not isinstance(source, str):
        return source
    if PurePosixPath(source).is_absolute():
        path = Path(source)
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return PureWindowsPath(source).name if PureWindowsPath(source).is_absolute() else source


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _describe(what: Content) -> dict[str, Any]:
    if isinstance(what, Path):
        return describe(what)
    return {"bytes": len(what), "sha256": hashlib.sha256(what).hexdigest()}


def _pour(what: Content, target: BinaryIO) -> None:
    if isinstance(what, bytes):
        target.write(what)
        return
    with open(what, "rb") as file:
        shutil.copyfileobj(file, target, 1 << 20)


def _write_zip(content: Mapping[str, Content], out: Path) -> None:
    # Weights and embeddings do not shrink, so nothing is lost by storing them.
    with new_archive(out) as archive:
        for name, what in content.items():
            with archive.open(entry(name), "w", force_zip64=True) as target:
                _pour(what, target)


def _write_folder(content: Mapping[str, Content], out: Path) -> None:
    partial = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RunError(f"{out}: there is something already; give a new folder, or NAME.zip")
        for name, what in content.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as file:
                _pour(what, file)
        os.replace(partial, out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error.strerror or error}); give another place") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def table(folders: Sequence[Path]) -> tuple[list[str], list[dict[str, Any]]]:
    """Numbers of finished runs, one line a run and split: the columns and the lines.

    Raises:
        RunError: a run is unfinished or damaged.
    """
    lines, names = [], set()
    for folder in folders:
        if folder.name.endswith(PARTIAL):
            raise RunError(f"{folder}: not finished; run its command again to finish it, then export")
        Run(folder).check()
        for split, values in _splits(read_object(folder / METRICS)):
            names |= set(values)
            lines.append({**_head(folder), "split": split, **values, **_about(folder)})
    head = ["study", "run", "hash", "seed", "profile", "dataset", "split"]
    return [*head, *sorted(names - set(head) - set(_ABOUT)), *_ABOUT], lines


def write_table(folders: Sequence[Path], out: Path) -> int:
    """Write :func:`table` as CSV and return the number of its lines. Raises RunError where it cannot."""
    columns, lines = table(folders)
    with atomic(out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return len(lines)


def _head(folder: Path) -> dict[str, Any]:
    run = look_at(folder)
    seed = "" if run.seed is None else run.seed
    return {
        "study": run.study,
        "run": run.slug,
        "hash": run.hash,
        "seed": seed,
        "profile": run.profile,
        "dataset": run.dataset,
    }


def _about(folder: Path) -> dict[str, Any]:
    about, config = read_object(folder / "provenance.json"), read_object(folder / CONFIG)
    return {name: about.get(name, config.get(name, "")) for name in _ABOUT}


def _splits(metrics: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each split with its numbers; metrics that have no splits are one line without a name."""
    flat = {name: value for name, value in metrics.items() if not isinstance(value, Mapping | list)}
    if flat:
        yield "", flat
    for split, values in metrics.items():
        if isinstance(values, Mapping):
            yield split, {k: v for k, v in values.items() if not isinstance(v, Mapping | list)}
