"""The parameters every notebook takes, checked before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imtext.errors import ConfigError
from imtext.experiment.experiment import changed
from imtext.training.device import resolve_device

PROFILES = ("smoke", "quick", "paper")


@dataclass(frozen=True)
class Parameters:
    """Parameters of a notebook, in its order.

    Attributes:
        dataset, data_root: as for :func:`imtext.data.load_dataset`.
        profile: one of `PROFILES`.
        seeds: a list, one integer, or a text such as ``"0,1,2"``.
        tables: ``"all"`` or a list (or text) of table numbers.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        jobs: rows side by side, ``"auto"`` or a number.
        runs_dir: None is the folder that the environment variable ``IMTEXT_RUNS`` names, else ``runs``.
        overrides: settings by part, such as ``{"recipe": {"epochs": 1}}``.
    """

    dataset: str = "picturebook"
    data_root: str | Path | None = None
    profile: str = "smoke"
    seeds: list | tuple | int | str = (0,)
    tables: list | tuple | int | str = "all"
    device: str = "auto"
    jobs: int | str = "auto"
    runs_dir: str | Path | None = None
    overrides: Mapping | None = None

    def checked(self, known: Sequence[str]) -> Parameters:
        """Each in one form, folders with ``~`` as the home folder; ``known``: the tables that there are.

        Raises:
            ConfigError: a parameter of the wrong type or outside its range.

        >>> Parameters(tables="5", seeds=[0, 1]).checked(("2", "5")).tables
        ('5',)
        """
        given = changed(Parameters(), vars(self), "parameter ")
        if given.profile not in PROFILES:
            raise ConfigError(f"parameter profile: one of {', '.join(PROFILES)}, found {given.profile!r}")
        if given.jobs != "auto" and (isinstance(given.jobs, str) or given.jobs < 1):
            raise ConfigError(f"parameter jobs: 'auto' or a whole number from 1, found {given.jobs!r}")
        seeds, tables = _listed(given.seeds), _listed(given.tables)
        if not all(map(str.isdecimal, seeds)) or not 0 < len(seeds) == len(set(seeds)):
            raise ConfigError(
                f"parameter seeds: different whole numbers such as [0, 1, 2], found {given.seeds!r}"
            )
        tables = known if tables == ["all"] else tables
        if not tables or not set(tables) <= set(known):
            raise ConfigError(
                f"parameter tables: 'all', or among {', '.join(known)}, found {given.tables!r}"
            )
        return replace(
            given,
            data_root=str(_folder(given.data_root).resolve()) if given.data_root else None,
            seeds=tuple(map(int, seeds)),
            tables=tuple(table for table in known if table in tables),
            device=resolve_device(given.device),
            runs_dir=_folder(given.runs_dir or os.environ.get("IMTEXT_RUNS", "runs")),
            overrides=given.overrides or {},
        )


def _folder(path: str | Path) -> Path:
    return Path(os.path.expanduser(path))


def _listed(value: Any) -> list[str]:
    """Texts of a list, a single value or comma-separated text."""
    if isinstance(value, str):
        value = value.strip("[] ").split(",")
    parts = value if isinstance(value, list | tuple) else [value]
    return [str(part).strip(" '\"") for part in parts]
