"""Runs in one folder: asked for by configuration, computed once, never half."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import RunError
from imtext.runs import files, locks
from imtext.runs.files import NO_ROOM, atomic, cannot_write, remove_command, sync_path, write_json
from imtext.runs.manifest import MANIFEST, METRICS, check_whole, read_manifest, write_manifest
from imtext.runs.stamp import CONFIG, check_config, check_version, config_hash, write_stamp

PARTIAL = ".partial"
LOCK = ".lock"


class Run:
    """A folder that holds one run: config, curves, embeddings, checkpoint, metrics, provenance.

    Whatever is written through it is written whole or not at all. Once the run is finished its files stay as
    they are.
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
        check_version(self.dir)
        check_whole(self.dir, full)

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """A temporary path for a file that becomes ``name`` when the body succeeds.

        Raises:
            RunError: the file cannot be written, or belongs to a finished run.
        """
        return atomic(self._open_to(name))

    def save_json(self, name: str, content: Any) -> None:
        """Write ``name`` as JSON, whole or not at all."""
        write_json(self._open_to(name), content)

    def load_json(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            RunError: where the file is missing or not JSON.
        """
        try:
            return files.read_json(self.dir / name)
        except (OSError, ValueError) as error:
            raise self._unreadable(name, f"a run's {name}", error) from None

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as ``name`` (``.npz``), whole or not at all."""
        files.write_arrays(self._open_to(name), arrays)

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read a ``.npz`` of the run, without pickle.

        Raises:
            RunError: where the file is missing, damaged or would need pickle.
        """
        try:
            return files.read_arrays(self.dir / name)
        except (OSError, ValueError) as error:
            raise self._unreadable(name, "a run's arrays", error) from None

    def save_table(self, name: str, table: Any) -> None:
        """Write a data frame as ``name`` (CSV without its index), whole or not at all."""
        with self.writing(name) as temporary:
            table.to_csv(temporary, index=False)

    def save_tensors(self, name: str, tensors: Mapping[str, Any]) -> None:
        """Write tensors as ``name`` (safetensors, which hold nothing to execute), whole or not at all."""
        from safetensors.torch import save

        # Its own writer makes files that only their owner can read, and raises errors of its own.
        content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        with self.writing(name) as temporary:
            temporary.write_bytes(content)

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return self.load_json(METRICS)

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``; RunError where another version wrote it."""
        check_version(self.dir)
        return self.load_json(CONFIG)

    def _open_to(self, name: str) -> Path:
        """The path of a file to write; RunError where it belongs to a finished run."""
        path = self.dir / name
        if self.finished and name in (read_manifest(self.dir) or {}):
            raise RunError(
                f"{path}: belongs to a finished run, which is not changed; write under another name, or "
                f"remove the run with {remove_command(self.dir)}"
            )
        return path

    def _unreadable(self, name: str, expected: str, error: Exception) -> RunError:
        reason = getattr(error, "strerror", None) or error
        return RunError(
            f"{self.dir / name}: expected {expected}, found {reason}; remove the run with "
            f"{remove_command(self.dir)} to run again"
        )


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
        try:
            if not run.dir.is_dir() or not any(run.dir.iterdir()):
                return None
        except OSError as error:
            raise RunError(
                f"{run.dir}: cannot be read ({error.strerror or error}); give another runs_dir"
            ) from None
        run.check()
        check_config(run.dir, config)
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
        done = self.get(study, slug, config)
        if done is not None:
            yield done
            return
        run = Run(final.with_name(final.name + PARTIAL))
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            lock = locks.take(final.with_name(final.name + LOCK), lambda: _waiting(final.name, run.dir))
        except OSError as error:
            raise _no_place(final, error) from None
        try:
            done = self.get(study, slug, config) or _adopt(run.dir, final, config)
            if done is not None:
                yield done
                return
            _begin(run, study, slug, config)
            with _room(run.dir):
                yield run
            if (run.dir / METRICS).is_file():
                _finish(run.dir, final)
                run.dir = final
        finally:
            with suppress(OSError):
                (run.dir / locks.WORKER).unlink(missing_ok=True)
            lock.release()


def _waiting(name: str, folder: Path) -> str:
    return f"waiting for the run {name}: {locks.holder(folder)} is computing it"


def _no_place(final: Path, error: OSError) -> RunError:
    return RunError(
        f"{final}: cannot write runs here ({error.strerror or error}); finished runs can be read, for new "
        "ones give another runs_dir"
    )


def _begin(run: Run, study: str, slug: str, config: Mapping[str, Any]) -> None:
    """A partial folder that is stamped, holds the config and nothing that could be taken for a result."""
    try:
        run.dir.mkdir(exist_ok=True)
        check_version(run.dir)
        if files.read_object(run.dir / CONFIG):
            check_config(run.dir, config)
        for name in (METRICS, MANIFEST):
            (run.dir / name).unlink(missing_ok=True)
        _sweep(run.dir)
    except OSError as error:
        raise _no_place(run.dir, error) from None
    write_stamp(run.dir, study, slug, config)
    run.save_json(CONFIG, dict(config))
    locks.sign(run.dir)


def _sweep(folder: Path) -> None:
    """Remove what a killed process was writing; under the lock nobody else is."""
    for path in folder.glob(".*"):
        if path.suffix in (".tmp", PARTIAL) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """A disk that fills up while a run is computed, in one line; what there is stays to go on from."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise cannot_write(Path(error.filename or folder), error) from None


def _finish(partial: Path, final: Path) -> None:
    """Give a complete run its final name, once all of it is on the disk."""

    def steps() -> None:
        _sweep(partial)
        (partial / locks.WORKER).unlink(missing_ok=True)
        write_manifest(partial)

    _land(partial, final, steps)


def _adopt(partial: Path, final: Path, config: Mapping[str, Any]) -> Run | None:
    """The run that a process had written down whole when it was killed before the last step, or None."""
    if not (partial / MANIFEST).is_file():
        return None
    try:
        check_version(partial)
        check_config(partial, config)
        check_whole(partial, full=True)
    except RunError:  # then it is begun again, which says what is odd about it
        return None
    _land(partial, final, lambda: None)
    return Run(final)


def _land(partial: Path, final: Path, before: Callable[[], None]) -> None:
    try:
        before()
        sync_path(partial)
        os.replace(partial, final)
        sync_path(final.parent)
    except OSError as error:
        raise cannot_write(final, error) from None
