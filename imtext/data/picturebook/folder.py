"""Generated folders: whole or not at all, known again by a stamp, drawn by several processes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from imtext.errors import ConfigError, DataError
from imtext.progress import progress

CHUNK = 64
LIMIT = 100_000
Job = TypeVar("Job")
Row = TypeVar("Row")


def check_numbers(
    what: str, given: Mapping[str, int] | None, defaults: Mapping[str, int], unit: str, size: int, seed: int
) -> dict[str, int]:
    """The counts of each split, completed by the defaults; ConfigError where a parameter is out of range."""
    full = {**defaults, **(given or {})}
    for name, count in full.items():
        if name not in defaults:
            raise ConfigError(f"{what}: unknown split {name!r}; expected {', '.join(defaults)}")
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= LIMIT:
            raise ConfigError(f"{what}: {name}={count!r}: expected an integer from 0 to {LIMIT:,}")
    if not sum(full.values()):
        raise ConfigError(f"{what}: train, val and test are all 0; ask for at least one {unit}")
    if isinstance(size, bool) or not isinstance(size, int) or not 64 <= size <= 256:
        raise ConfigError(f"{what}: size={size!r}: expected an integer from 64 to 256 (pixels)")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"{what}: seed={seed!r}: expected an integer of 0 or more")
    return full


def advice(root: Path) -> str:
    """What to do about a folder that is not what it should be."""
    return f"remove the folder {root} and load again, or choose another data_root"


def read_stamp(path: Path, expected: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The stamp of a generated folder; DataError unless it holds what is expected of it.

    Args:
        path: the stamp, a JSON file in the folder.
        expected: keys that must be there with these values.
        what: what the folder should hold, such as `a picturebook`.
    """
    hint = advice(path.parent)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        there = {key: found.get(key) if isinstance(found, dict) else None for key in expected}
        wrong = [
            f"{key} {value}, found {there[key]}" for key, value in expected.items() if there[key] != value
        ]
    except FileNotFoundError:
        raise DataError(f"{path}: expected the parameters of {what}, found no such file; {hint}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, found {error}; {hint}") from None
    if wrong:
        raise DataError(f"{path}: expected {wrong[0]}; {hint}")
    return found


def write_once(root: Path, check: Callable[[], None], fill: Callable[[Path], None], what: str) -> Path:
    """Have `fill` write a hidden folder beside `root` and rename it, unless `root` is there and is right.

    A killed run leaves nothing that could be taken for a dataset; the next one removes what it left. Other
    processes that want the same folder wait.

    Raises:
        DataError: `check` found something else, or the folder cannot be written.
    """
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(root.parent / f".{root.name}.lock"):
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                check()
                return root
            for old in root.parent.glob(f".{root.name}.partial-*"):
                shutil.rmtree(old, ignore_errors=True)
            partial = root.parent / f".{root.name}.partial-{os.getpid()}"
            try:
                fill(partial)
                os.replace(partial, root)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{root}: {what} could not be written ({error}); free space or choose another data_root"
        ) from error
    return root


def in_chunks(
    work: Callable[[list[Job]], list[Row]], jobs: Sequence[Job], n_jobs: int | None, label: str
) -> Iterator[Row]:
    """The rows that `work` makes of all jobs, in order; in processes where it pays.

    >>> list(in_chunks(lambda some: [2 * k for k in some], [1, 2, 3], 1, "doubling"))
    [2, 4, 6]
    """
    from joblib import Parallel, cpu_count, delayed

    chunks = [list(jobs[k : k + CHUNK]) for k in range(0, len(jobs), CHUNK)]
    if n_jobs == 1 or len(jobs) < 4 * CHUNK:  # starting processes takes longer than drawing so few
        done = (work(chunk) for chunk in chunks)
    else:
        done = Parallel(n_jobs=n_jobs or cpu_count(), return_as="generator")(
            delayed(work)(chunk) for chunk in chunks
        )
    for rows in progress(done, label, len(chunks)):
        yield from rows
