"""Runs in one folder: asked for by configuration, computed once, never half.

The system frees the lock of a process that was killed: a lock file that lies about is no obstacle.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout

from imtext import __version__
from imtext.errors import RunError
from imtext.progress import announce
from imtext.runs import manifest
from imtext.runs.files import atomic, read_json, read_object, told, write_json
from imtext.runs.manifest import CONFIG, MANIFEST, METRICS, STAMP, check_run, config_hash

PARTIAL = ".partial"
LOCK = ".lock"
SAY_AFTER = 5.0


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
        with self._reading(name):
            return read_json(self.dir / name)

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as ``name`` (``.npz``)."""
        with atomic(self._new(name)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read a ``.npz`` of the run, without pickle.

        Raises:
            RunError: where the file is missing, damaged or would need pickle.
        """
        with self._reading(name), np.load(self.dir / name, allow_pickle=False) as file:
            return dict(file)

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
            raise RunError(f"{self.dir / name}: belongs to a finished run; remove the run first")
        return self.dir / name

    @contextmanager
    def _reading(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # zipfile, zlib and NumPy raise almost anything on a broken file
            raise RunError(
                f"{self.dir / name}: expected a file of a run, found {error}; remove the run to run again"
            ) from None


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
        run.check()
        found = read_object(run.dir / STAMP).get("hash")
        if found != config_hash(config):
            raise RunError(
                f"{run.dir}: holds the run of another configuration, {found}; give it its own name again"
            )
        return run

    @contextmanager
    def open(self, study: str, slug: str, config: Mapping[str, Any]) -> Iterator[Run]:
        """The run of this config, locked against other processes.

        A finished run is returned as it is, and locked all the same: ask :meth:`get` first. Otherwise the
        body works in the partial folder, which still holds what an earlier, broken-off process left, and the
        run is finished when the body has written ``metrics.json`` and returns.

        Raises:
            RunError: where the folder cannot be written, or holds another run or version.
        """
        final = self.folder(study, slug, config)
        with take(final):
            run = self.get(study, slug, config) or _begun(beside(final, PARTIAL), config)
            yield run
            if not run.finished and (run.dir / METRICS).is_file():
                _finish(run, final)


def _begun(folder: Path, config: Mapping[str, Any]) -> Run:
    """A run in its partial folder: stamped, with the config and nothing that could be taken for a result."""
    manifest.check_stamp(folder)
    stamp = {
        "schema": manifest.SCHEMA,
        "imtext": __version__,
        "hash": config_hash(config),
        "process": os.getpid(),
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with told(folder):
        folder.mkdir(exist_ok=True)
        (folder / METRICS).unlink(missing_ok=True)
    write_json(folder / STAMP, stamp)
    write_json(folder / CONFIG, config)
    return Run(folder)


def _finish(run: Run, final: Path) -> None:
    """Give a complete run its final name, once all of it is on the disk."""
    with told(final):
        for path in run.dir.glob(".*"):  # what a killed process was writing
            path.unlink()
        manifest.write_manifest(run.dir)
        for path in (*manifest.files_of(run.dir).values(), run.dir / MANIFEST):
            with open(path, "rb+") as file:
                os.fsync(file)  # else a power cut may leave empty files under the final name
        os.replace(run.dir, final)
        run.dir = final


def beside(folder: Path, suffix: str) -> Path:
    """The lock file of a run, or the folder where it is worked on.

    >>> beside(Path("row-0123456789.partial"), LOCK).name
    'row-0123456789.lock'
    """
    return folder.with_name(folder.name.removesuffix(PARTIAL) + suffix)


def take(folder: Path) -> AcquireReturnProxy:
    """Take the lock of a run; it is held until the context ends.

    After some seconds it says on standard error what is waited for, but where ``CI`` is set.

    Raises:
        RunError: the lock file cannot be written.
    """
    lock = FileLock(beside(folder, LOCK))
    with told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            return lock.acquire(timeout=SAY_AFTER)
        except Timeout:
            line = f"waiting for the run {folder.name}: {holder(folder)} is computing it"
            announce(line)
            if not os.environ.get("CI"):  # there an output would be compared
                print(f"imtext: {line}", file=sys.stderr, flush=True)
            return lock.acquire(poll_interval=0.2)


def is_held(path: Path) -> bool:
    """Whether a living process holds a lock file; nothing is written where there is none."""
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except OSError as error:  # another one where the folder cannot be written: nobody works there
        return isinstance(error, Timeout)


def holder(folder: Path) -> str:
    """Who works on a run, in words.

    >>> holder(Path("nowhere"))
    'another process'
    """
    stamp = read_object(beside(folder, PARTIAL) / STAMP)
    return f"process {stamp.get('process')} (since {stamp.get('begun')})" if stamp else "another process"
