"""Finished runs for another machine, as an archive or a folder, or one table of their numbers."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from imtext.errors import RunError
from imtext.runs.files import atomic, json_bytes, read_json, read_object
from imtext.runs.listing import FINISHED, Listed, look_at
from imtext.runs.manifest import MANIFEST, METRICS, PROVENANCE, SOURCE

WEIGHTS = ".safetensors"
_ABOUT = ("device", "hardware", "torch", "imtext", "commit", "when", "seconds")
Content = Path | bytes


def export_runs(folders: Sequence[Path], out: Path, weights: bool = True) -> list[str]:
    """Write finished runs to a ``.zip`` or a new folder, in the layout of a folder of runs.

    Unpacked into another folder of runs, each is a finished run there, whose manifest has the SHA-256 of
    every file. Equal runs give equal archives, byte for byte.

    Args:
        folders: of the runs; each is checked in full first.
        out: ``NAME.zip``, or a folder that is absent or empty.
        weights: whether to take the trained networks along.

    Returns:
        The names of the files, sorted.

    Raises:
        RunError: a run is unfinished or damaged, or ``out`` cannot be written.
    """
    content: dict[str, Content] = {}
    for folder in folders:
        run = _finished(folder, verify=True)
        own = _contents(folder, weights)
        content |= {f"{run.study}/{run.name}/{name}": what for name, what in own.items()}
    content = dict(sorted(content.items()))
    write = _write_zip if out.suffix.lower() == ".zip" else _write_folder
    write(content, out)
    return list(content)


def _finished(folder: Path, verify: bool = False) -> Listed:
    run = look_at(folder, verify)
    if run.state != FINISHED:
        raise RunError(f"{folder}: {run.state}, only finished runs are exported: {run.reason}")
    return run


def _contents(folder: Path, weights: bool) -> dict[str, Content]:
    """The files of a run as they are exported, with a manifest that fits them."""
    files = read_json(folder / MANIFEST)["files"]
    files = {name: entry for name, entry in files.items() if weights or not name.endswith(WEIGHTS)}
    content: dict[str, Content] = {name: folder / name for name in files}
    content[MANIFEST] = json_bytes({"files": files})
    if SOURCE in files:
        content[SOURCE] = json_bytes(portable(read_object(folder / SOURCE), folder.resolve().parent.parent))
    return content


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


def _write_zip(content: Mapping[str, Content], out: Path) -> None:
    # Weights and embeddings do not shrink, so nothing is lost by storing them.
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, what in content.items():
            entry = zipfile.ZipInfo(name)  # with the date that all entries have
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as target:
                _pour(what, target)


def _write_folder(content: Mapping[str, Content], out: Path) -> None:
    with atomic(out) as temporary:
        for name, what in content.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "wb") as target:
                _pour(what, target)


def _pour(what: Content, target: BinaryIO) -> None:
    with io.BytesIO(what) if isinstance(what, bytes) else open(what, "rb") as source:
        shutil.copyfileobj(source, target)


def table(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Numbers of finished runs, one line a run and split.

    Raises:
        RunError: a run is unfinished or damaged.
    """
    lines = []
    for folder in folders:
        run, about = _finished(folder), read_object(folder / PROVENANCE)
        line = {"study": run.study, "run": run.slug, "hash": run.hash, "seed": run.seed}
        line |= {"profile": run.profile, "dataset": run.dataset}
        metrics = read_object(folder / METRICS)
        splits = {name: values for name, values in metrics.items() if isinstance(values, Mapping)}
        for split, values in (splits or {"": metrics}).items():
            lines.append({**line, "split": split, **values, **{name: about.get(name) for name in _ABOUT}})
    return lines


def write_table(folders: Sequence[Path], out: Path) -> int:
    """Write :func:`table` as CSV and return the number of its lines. Raises RunError where it cannot."""
    lines = table(folders)
    columns = dict.fromkeys(name for line in lines for name in line if name not in _ABOUT)
    frame = pd.DataFrame(lines, columns=[*columns, *_ABOUT], dtype=object)
    with atomic(out) as temporary:
        frame.to_csv(temporary, index=False)
    return len(lines)
