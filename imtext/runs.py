"""The run store: one folder per run, complete only when its ``metrics.json`` is there.

A run is worked on in ``<slug>-<hash>.partial`` under a lock and renamed when it is done, so that a folder
under its final name is always a finished run, whatever moment a process was killed at.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from imtext import __version__
from imtext.errors import RunError

SCHEMA = 1


def config_hash(config: Mapping[str, Any]) -> str:
    """Ten hex digits of what determines a run.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps({"schema": SCHEMA, **config}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


class Run:
    """A folder that holds one run: config, curves, embeddings, checkpoint, metrics, provenance."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder

    @property
    def finished(self) -> bool:
        """True when the run is complete and under its final name."""
        return self.dir.suffix != ".partial" and (self.dir / "metrics.json").is_file()

    def save_json(self, name: str, content: Any) -> None:
        """Write ``name`` as JSON, whole or not at all."""
        with _atomic(self.dir / name) as temporary:
            temporary.write_text(json.dumps(content, indent=1, sort_keys=True, default=_plain) + "\n")

    def load_json(self, name: str) -> Any:
        """Read a JSON file of the run.

        Raises:
            RunError: where the file is missing or not JSON.
        """
        path = self.dir / name
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise RunError(
                f"{path}: expected a run's {name}, found {error}; remove the folder to run again"
            ) from None

    def save_arrays(self, name: str, **arrays: np.ndarray) -> None:
        """Write arrays as ``name`` (``.npz``), whole or not at all."""
        with _atomic(self.dir / name) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)

    def load_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read a ``.npz`` of the run, without pickle."""
        path = self.dir / name
        try:
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, KeyError) as error:
            raise RunError(
                f"{path}: expected a run's arrays, found {error}; remove the folder to run again"
            ) from None

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return self.load_json("metrics.json")

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return self.load_json("config.json")


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
        self.root = Path(root)

    def folder(self, study: str, slug: str, config: Mapping[str, Any]) -> Path:
        """Where the run of this config lives once it is finished."""
        return self.root / study / f"{slug}-{config_hash(config)}"

    def get(self, study: str, slug: str, config: Mapping[str, Any]) -> Run | None:
        """The finished run of this config, or None."""
        run = Run(self.folder(study, slug, config))
        return run if run.finished else None

    @contextmanager
    def open(self, study: str, slug: str, config: Mapping[str, Any]) -> Iterator[Run]:
        """The run of this config, locked against other processes.

        A finished run is returned as it is. Otherwise the body works in the partial folder, which still
        holds what an earlier, broken-off process left, and the run is finished when the body has written
        ``metrics.json`` and returns.

        Raises:
            RunError: where the folder cannot be written.
        """
        final = self.folder(study, slug, config)
        done = self.get(study, slug, config)
        if done is not None:
            yield done
            return
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(str(final) + ".lock")
            lock.acquire()
        except OSError as error:
            raise RunError(f"{final}: cannot write runs here ({error}); give another runs_dir") from None
        try:
            if (final / "metrics.json").is_file():
                yield Run(final)
                return
            run = Run(final.with_name(final.name + ".partial"))
            run.dir.mkdir(exist_ok=True)
            (run.dir / "metrics.json").unlink(missing_ok=True)
            run.save_json("config.json", dict(config))
            yield run
            if (run.dir / "metrics.json").is_file():
                os.replace(run.dir, final)
                run.dir = final
        finally:
            lock.release()


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
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def _commit() -> str:
    """The commit this package runs from, marked where the package differs from it; '' where there is none."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )

    try:
        commit = git("rev-parse", "--short=10", "HEAD").stdout.strip()
        changed = commit and git("diff", "--quiet", "HEAD", "--", ".").returncode
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}-dirty" if changed else commit


@contextmanager
def _atomic(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the body succeeds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error}); free some space or give another runs_dir"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays as JSON takes them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
