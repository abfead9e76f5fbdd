"""Runs in one folder: asked for by configuration, computed once, never half.

The system frees the lock of a process that was killed: a lock file that lies about is no obstacle.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import AcquireReturnProxy, FileLock, Timeout

from imtext import __version__
from imtext.errors import RunError
from imtext.files import atomic, digest, read_json, read_object, told, write_json
from imtext.progress import announce

SCHEMA = 1
STAMP, MANIFEST = "run.json", "manifest.json"
CONFIG, METRICS, PROVENANCE = "config.json", "metrics.json", "provenance.json"
# Where the data lies on this machine; a run that was moved may say it anew.
SOURCE = "source.json"
# Shorter files are read whole whenever the run is asked for, longer ones only by a full check.
_SMALL = 1 << 16
PARTIAL = ".partial"
LOCK = ".lock"
SAY_AFTER = 5.0
_NO_FILE = "expected a file of a run, found {}; remove the run to run again"
# zipfile, zlib and NumPy raise almost anything on a broken file.
_reading = partial(told, error=RunError, of=Exception, said=_NO_FILE)


class Run:
    """A folder that holds one run: config, curves, embeddings, checkpoint, metrics, provenance.

    Whatever is written through it is written whole or not at all; writing raises RunError where the disk is
    full. A file that is written over once the run is finished is found by :meth:`check`.
    """

    def __init__(self, folder: Path) -> None:
        self.dir = folder

    @property
    def finished(self) -> bool:
        """True when the run is complete and under its final name."""
        return self.dir.suffix != PARTIAL and (self.dir / METRICS).is_file()

    def check(self, full: bool = False) -> None:
        """Refuse a finished run of which something is missing or changed.

        Lengths of all files and the contents of small ones are compared with the manifest, with ``full`` all
        contents.

        Raises:
            RunError: names the file and the command that removes the run.
        """
        try:
            files = read_object(self.dir / MANIFEST)["files"]
            faulty = [name for name, entry in files.items() if not _is_whole(self.dir / name, entry, full)]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            faulty = [MANIFEST]
        if faulty:
            remove = f"`imtext runs remove {shlex.quote(str(self.dir))} --yes`"
            raise RunError(
                f"{self.dir / faulty[0]}: missing, cut off or changed after the run was finished; put it "
                f"back from a copy, or remove the run with {remove} to run again"
            )

    def save_json(self, name: str, content: Any) -> None:
        """Write ``name`` as JSON."""
        write_json(self.dir / name, content, RunError)

    def load_json(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            RunError: where the file is missing or not JSON.
        """
        with _reading(self.dir / name):
            return read_json(self.dir / name)

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as ``name`` (``.npz``)."""
        with atomic(self.dir / name, RunError) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read a ``.npz`` of the run, without pickle.

        Raises:
            RunError: where the file is missing, damaged or would need pickle.
        """
        with _reading(self.dir / name), np.load(self.dir / name, allow_pickle=False) as file:
            return dict(file)

    def save_table(self, name: str, table: Any) -> None:
        """Write a data frame as ``name`` (CSV without its index)."""
        with atomic(self.dir / name, RunError) as temporary:
            table.to_csv(temporary, index=False)

    def save_tensors(self, name: str, tensors: Mapping[str, Any]) -> None:
        """Write tensors as ``name`` (safetensors, which hold nothing to execute)."""
        from safetensors.torch import save

        # Its own writer makes files that only their owner can read, and raises errors of its own.
        content = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        with atomic(self.dir / name, RunError) as temporary:
            temporary.write_bytes(content)

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return self.load_json(METRICS)

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return self.load_json(CONFIG)


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
            RunError: the run is damaged, or of another config; it is never replaced unasked.
        """
        run = Run(self.folder(study, slug, config))
        if not os.path.isdir(run.dir):
            return None
        run.check()
        found = read_object(run.dir / STAMP).get("hash")
        if found != config_hash(config):
            raise RunError(f"{run.dir}: holds the run of another configuration, {found}; name it so again")
        return run

    @contextmanager
    def open(self, study: str, slug: str, config: Mapping[str, Any]) -> Iterator[Run]:
        """The run of this config, locked against other processes.

        A finished run is returned as it is, and locked all the same: ask :meth:`get` first. Otherwise the
        body works in the partial folder, which still holds what an earlier, broken-off process left, and the
        run is finished when the body has written ``metrics.json`` and returns.

        Raises:
            RunError: where the folder cannot be written, or holds another run.
        """
        final = self.folder(study, slug, config)
        with take(final):
            run = self.get(study, slug, config) or _begun(beside(final, PARTIAL), config)
            yield run
            if not run.finished and (run.dir / METRICS).is_file():
                _finish(run, final)


def _begun(folder: Path, config: Mapping[str, Any]) -> Run:
    """A run in its partial folder: stamped, with the config and nothing that could be taken for a result."""
    stamp = {
        "imtext": __version__,
        "hash": config_hash(config),
        "process": os.getpid(),
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with told(folder, RunError):
        folder.mkdir(exist_ok=True)
        (folder / METRICS).unlink(missing_ok=True)
    write_json(folder / STAMP, stamp, RunError)
    write_json(folder / CONFIG, config, RunError)
    return Run(folder)


def _finish(run: Run, final: Path) -> None:
    """Give a complete run its final name, once all of it is on the disk."""
    with told(final, RunError):
        for path in run.dir.glob(".*"):  # what a killed process was writing
            path.unlink()
        files = files_of(run.dir)
        about = {name: {"bytes": path.stat().st_size, "sha256": digest(path)} for name, path in files.items()}
        write_json(run.dir / MANIFEST, {"files": about}, RunError)
        for path in (*files.values(), run.dir / MANIFEST):
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
    with told(folder, RunError):
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


def config_hash(config: Mapping[str, Any]) -> str:
    """Ten hex digits of what determines a run.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps({"schema": SCHEMA, **config}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def files_of(folder: Path) -> dict[str, Path]:
    """The files of a run by their names, sorted, without hidden ones and the manifest."""
    paths = (path for path in sorted(folder.iterdir()) if path.is_file())
    return {path.name: path for path in paths if path.name != MANIFEST and not path.name.startswith(".")}


def _is_whole(path: Path, entry: Mapping[str, Any], full: bool) -> bool:
    """Whether a file is there and as the manifest says."""
    if path.name == SOURCE or not path.is_file():
        return path.is_file()
    length = path.stat().st_size
    read = full or length <= _SMALL
    return length == entry["bytes"] and (not read or digest(path) == entry["sha256"])


def provenance(device: str, seconds: float, **extra: Any) -> dict[str, Any]:
    """Where a number comes from: versions, hardware, commit, time.

    >>> sorted(provenance("cpu", 1.0))[:4]
    ['commit', 'device', 'hardware', 'imtext']
    """
    import torch

    hardware = torch.cuda.get_device_name(0) if device.startswith("cuda") else _processor()
    return {
        "imtext": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": device,
        "hardware": hardware,
        "commit": _commit(),
        "seconds": round(seconds, 1),
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        **extra,
    }


def _processor() -> str:
    """The processor's name and the cores this process may use."""
    name = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    """The commit of imtext's own checkout, marked where the package differs from it; '' with none."""
    package = Path(__file__).resolve().parent.parent
    # Named, since git would look further up and take whatever repository the package happens to lie in.
    git = ["git", f"--git-dir={package.parent / '.git'}", f"--work-tree={package.parent}"]
    options = {"cwd": package, "capture_output": True, "text": True, "timeout": 10}
    try:
        commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], **options).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "."], **options).returncode
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}-dirty" if commit and changed else commit
