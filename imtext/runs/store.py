"""Runs in one folder: asked for by configuration, computed once, never half."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import RunError
from imtext.runs import locks, manifest
from imtext.runs.files import atomic, read_json, remove_command, sync_path, told, write_json
from imtext.runs.locks import PARTIAL, partial_of
from imtext.runs.manifest import CONFIG, MANIFEST, METRICS, check_run, config_hash

# A disk or a quota that is full, a file that may not grow further, a file system that is read-only.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class Run:
    """A folder that holds one run: config, curves, embeddings, checkpoint, metrics, provenance.

    Whatever is written through it is written whole or not at all; writing raises RunError where the disk is
    full, or the run is finished: then its files stay as they are.
    """

    def __init__(self, folder: Path) -> None:
        self.dir = folder

    @property
    def finished(self) -> bool:
        """True when the run is complete and under its final name."""
        return self.dir.suffix != PARTIAL and (self.dir / METRICS).is_file()

    def check(self, full: bool = False) -> None:
        """Refuse a finished run of another version, or one whose files were damaged.

        Args:
            full: compare the contents of all files, not only of small ones.

        Raises:
            RunError: names the folder or the file, and what to do.
        """
        check_run(self.dir, full=full)

    def save_json(self, name: str, content: Any) -> None:
        """Write ``name`` as JSON."""
        write_json(self._new(name), content)

    def load_json(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            RunError: where the file is missing or not JSON.
        """
        return self._read(name, read_json)

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as ``name`` (``.npz``)."""
        with atomic(self._new(name)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read a ``.npz`` of the run, without pickle.

        Raises:
            RunError: where the file is missing, damaged or would need pickle.
        """
        return self._read(name, _arrays)

    def save_table(self, name: str, table: Any) -> None:
        """Write a data frame as ``name`` (CSV without its index)."""
        with atomic(self._new(name)) as temporary:
            table.to_csv(temporary, index=False)

    def save_tensors(self, name: str, tensors: Mapping[str, Any]) -> None:
        """Write tensors as ``name`` (safetensors, which hold nothing to execute)."""
        from safetensors.torch import save

        # Its own writer makes files that only their owner can read, and raises errors of its own.
        content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        with atomic(self._new(name)) as temporary:
            temporary.write_bytes(content)

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return self.load_json(METRICS)

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return self.load_json(CONFIG)

    def _new(self, name: str) -> Path:
        if self.finished:
            raise RunError(
                f"{self.dir / name}: belongs to a finished run, which is not changed; remove the run with "
                f"{remove_command(self.dir)}"
            )
        return self.dir / name

    def _read(self, name: str, read: Callable[[Path], Any]) -> Any:
        try:
            return read(self.dir / name)
        except Exception as error:  # zipfile, zlib and NumPy raise almost anything on a broken file
            raise RunError(
                f"{self.dir / name}: expected a file of a run, found {error}; remove the run with "
                f"{remove_command(self.dir)} to run again"
            ) from None


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


class RunStore:
    """Runs under one folder.

    >>> import tempfile
    >>> store = RunStore(tempfile.mkdtemp())
    >>> with store.open("study", "row", {"seed": 0}) as run:
    ...     run.save_json("metrics.json", {"rsum": 1.5})
    >>> with store.open("study", "row", {"seed": 0}) as run:
    ...     run.finished, run.metrics
    (True, {'rsum': 1.5})
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(os.path.expanduser(root))

    def folder(self, study: str, slug: str, config: Mapping[str, Any]) -> Path:
        """Where the run of this config lives once it is finished."""
        return self.root / study / f"{slug}-{config_hash(config)}"

    def get(self, study: str, slug: str, config: Mapping[str, Any]) -> Run | None:
        """The finished run of this config, or None. Nothing is written: the folder may be read-only.

        Raises:
            RunError: the run is damaged, or of another version or config; it is never replaced unasked.
        """
        run = Run(self.folder(study, slug, config))
        if not os.path.isdir(run.dir):
            return None
        check_run(run.dir, config)
        return run

    @contextmanager
    def open(self, study: str, slug: str, config: Mapping[str, Any]) -> Iterator[Run]:
        """The run of this config, locked against other processes.

        A finished run is returned as it is. Otherwise the body works in the partial folder, which still
        holds what an earlier, broken-off process left, and the run is finished when the body has written
        ``metrics.json`` and returns.

        Raises:
            RunError: where the folder cannot be written, or holds another run or version.
        """
        final = self.folder(study, slug, config)
        run = self.get(study, slug, config)
        with nullcontext() if run else locks.take(final):
            run = run or self.get(study, slug, config) or _taken_up(final, config)
            with told(run.dir, only=_NO_ROOM):
                yield run
            if not run.finished and (run.dir / METRICS).is_file():
                _finish(run, final)


def _taken_up(final: Path, config: Mapping[str, Any]) -> Run:
    """The run in the partial folder: begun again, or finished where only the last step was missing."""
    run = Run(partial_of(final))
    manifest.check_stamp(run.dir, config)
    try:
        manifest.check_whole(run.dir, full=True)
    except RunError:
        _begin(run.dir, config)
    else:
        _finish(run, final)
    return run


def _begin(folder: Path, config: Mapping[str, Any]) -> None:
    """Have a folder stamped, with the config and nothing that could be taken for a result."""
    with told(folder):
        folder.mkdir(exist_ok=True)
        for name in (METRICS, MANIFEST):
            (folder / name).unlink(missing_ok=True)
        _sweep(folder)
    manifest.write_stamp(folder, config)
    write_json(folder / CONFIG, config)
    locks.sign(folder)


def _finish(run: Run, final: Path) -> None:
    """Give a complete run its final name, once all of it is on the disk."""
    with told(final):
        _sweep(run.dir)
        manifest.write_manifest(run.dir)
        sync_path(run.dir)
        os.replace(run.dir, final)
        run.dir = final
        sync_path(final.parent)


def _sweep(folder: Path) -> None:
    """Remove who works here and what a killed process was writing; under the lock nobody else is."""
    for path in folder.glob(".*"):
        if path.suffix in (".tmp", PARTIAL):
            path.unlink()
