"""Finished runs for another machine, as an archive or a folder, or one table of their numbers."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from imtext.errors import RunError
from imtext.runs.files import atomic, json_bytes, read_json, read_object
from imtext.runs.listing import FINISHED, look_at
from imtext.runs.manifest import MANIFEST, METRICS, PROVENANCE, SOURCE

WEIGHTS = ".safetensors"


def export_runs(folders: Sequence[Path], out: Path, weights: bool = True) -> None:
    """Write finished runs to a ``.zip`` or a new folder, in the layout of a folder of runs.

    Unpacked into another folder of runs, each is a finished run there, whose manifest has the SHA-256 of
    every file. Equal runs give equal archives, byte for byte.

    Args:
        folders: of the runs; each is checked in full first.
        out: ``NAME.zip``, or a folder that is absent or empty.
        weights: whether to take the trained networks along.

    Raises:
        RunError: a run is unfinished or damaged, or ``out`` cannot be written.
    """
    files = (file for folder in sorted(set(folders)) for file in _files(folder, weights))
    with atomic(out) as temporary:
        if out.suffix.lower() == ".zip":
            _write_zip(files, temporary)
            return
        for name, content in files:
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _finished(folder: Path, verify: bool = False) -> dict[str, Any]:
    run = look_at(folder, verify)
    if run["state"] != FINISHED:
        raise RunError(f"{folder}: {run['state']}, only finished runs are exported: {run['reason']}")
    return run


def _files(folder: Path, weights: bool) -> Iterator[tuple[str, bytes]]:
    """The files of a run as they are exported, with a manifest that fits them."""
    _finished(folder, verify=True)
    entries = read_json(folder / MANIFEST)["files"]
    entries = {name: entry for name, entry in entries.items() if weights or not name.endswith(WEIGHTS)}
    place = f"{folder.parent.name}/{folder.name}"
    for name in sorted(entries):
        content = (folder / name).read_bytes()
        if name == SOURCE:
            content = json_bytes(portable(read_json(folder / name), folder.resolve().parent.parent))
        yield f"{place}/{name}", content
    yield f"{place}/{MANIFEST}", json_bytes({"files": entries})


def portable(source: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """``source.json`` without this machine's paths.

    A path in the folder of runs becomes relative to it; of any other absolute path the last name stays.

    >>> portable({"data_root": "/data/flickr8k", "cache": "/x/runs/cache", "crop": 144}, Path("/x/runs"))
    {'data_root': 'flickr8k', 'cache': 'cache', 'crop': 144}
    """
    found = dict(source)
    for key, value in source.items():
        path = Path(str(value))
        if path.is_absolute():
            found[key] = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return found


def _write_zip(files: Iterator[tuple[str, bytes]], out: Path) -> None:
    with zipfile.ZipFile(out, "w") as archive:  # not packed: weights and embeddings do not shrink
        for name, content in files:
            entry = zipfile.ZipInfo(name)  # with the date that all entries have
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)


def table(folders: Sequence[Path]) -> pd.DataFrame:
    """Numbers of finished runs, one line a run and split, with where each comes from.

    Raises:
        RunError: a run is unfinished or damaged.
    """
    lines = []
    for folder in folders:
        run = _finished(folder)
        line = {name: run[name] for name in ("study", "run", "hash")} | read_object(folder / PROVENANCE)
        for split, values in read_json(folder / METRICS).items():
            lines.append(line | {"split": split} | values)
    return pd.DataFrame(lines, dtype=object)
