"""The parameters every notebook takes, checked before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError
from imtext.training.device import resolve_device

PROFILES = ("smoke", "quick", "paper")


@dataclass(frozen=True)
class Parameters:
    """Checked notebook parameters; see :func:`check_parameters`."""

    dataset: str
    data_root: str | None
    profile: str
    seeds: tuple[int, ...]
    device: str
    runs_dir: Path
    tables: tuple[str, ...]
    jobs: int | str = "auto"
    overrides: Mapping[str, Any] = field(default_factory=dict)


def check_parameters(
    known_tables: tuple[str, ...],
    dataset: str = "picturebook",
    data_root: str | None = None,
    profile: str = "smoke",
    seeds: Any = (0,),
    device: str = "auto",
    runs_dir: str | None = None,
    tables: Any = "all",
    jobs: Any = "auto",
    overrides: Any = None,
) -> Parameters:
    """Check and normalise the parameters of a notebook.

    ``seeds`` may be a list, one integer, or a text such as ``"0,1,2"``; ``tables`` is ``"all"`` or a list
    (or text) of table numbers. Without ``runs_dir`` runs go to the folder that the environment variable
    ``IMTEXT_RUNS`` names, else to ``runs``. A ``~`` in front of a folder is the home folder.
    ``jobs``: rows side by side, ``"auto"`` or a number; ``overrides``: a mapping of settings, by part.

    Raises:
        ConfigError: a parameter of the wrong type or outside its range.

    >>> check_parameters(("2", "5"), tables="5", seeds=[0, 1]).tables
    ('5',)
    """
    for name, value in (("dataset", dataset), ("profile", profile), ("device", device)):
        if not isinstance(value, str):
            raise ConfigError(f"parameter {name} must be a text, found {value!r} ({type(value).__name__})")
    for name, value in (("data_root", data_root), ("runs_dir", runs_dir)):
        if value is not None and not isinstance(value, str | Path):
            raise ConfigError(
                f"parameter {name} must be a folder or None, found {value!r} ({type(value).__name__})"
            )
    if profile not in PROFILES:
        raise ConfigError(f"parameter profile must be one of {', '.join(PROFILES)}, found {profile!r}")
    if jobs != "auto" and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise ConfigError(f"parameter jobs must be 'auto' or a whole number from 1, found {jobs!r}")
    if not isinstance(overrides or {}, Mapping):
        example = "{'recipe': {'epochs': 1}}"
        raise ConfigError(f"parameter overrides must be a mapping such as {example}, found {overrides!r}")
    return Parameters(
        dataset=dataset,
        data_root=os.path.expanduser(data_root) if data_root else None,
        profile=profile,
        seeds=_seeds(seeds),
        device=resolve_device(device),
        runs_dir=Path(os.path.expanduser(runs_dir or os.environ.get("IMTEXT_RUNS", "runs"))),
        tables=_tables(tables, known_tables),
        jobs=jobs,
        overrides=dict(overrides or {}),
    )


def _listed(value: Any) -> list[Any]:
    """A list from a list, a single value or comma-separated text."""
    if isinstance(value, str):
        return [part.strip(" []'\"") for part in value.split(",") if part.strip(" []'\"")]
    return list(value) if isinstance(value, list | tuple) else [value]


def _seeds(value: Any) -> tuple[int, ...]:
    try:
        if isinstance(value, bool | float):
            raise TypeError
        seeds = tuple(int(seed) for seed in _listed(value))
    except (TypeError, ValueError):
        raise ConfigError(
            f"parameter seeds must be whole numbers such as [0, 1, 2], found {value!r}"
        ) from None
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ConfigError(f"parameter seeds must be different numbers >= 0, at least one, found {value!r}")
    return seeds


def _tables(value: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    asked = [str(table) for table in _listed(value)]
    if asked == ["all"]:
        return known
    unknown = [table for table in asked if table not in known]
    if unknown or not asked:
        raise ConfigError(f"parameter tables must be 'all' or among {', '.join(known)}, found {value!r}")
    return tuple(table for table in known if table in asked)
