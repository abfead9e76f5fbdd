"""What there is to draw, to wear and to say: the files in ``tables/``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

RGB = tuple[int, ...]
Shares = dict[str, float]
Groups = Mapping[str, tuple[str, ...]]


def read(name: str) -> dict[str, Any]:
    """A file of ``tables/``."""
    with (Path(__file__).parent / "tables" / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)


def entries(text: str, groups: Groups | None = None) -> tuple[str, ...]:
    """The entries of a list separated by commas; the name of a group stands for its members.

    >>> entries("dog, hot dog"), entries("paint, tan", {"paint": ("red", "blue")})
    (('dog', 'hot dog'), ('red', 'blue', 'tan'))
    """
    listed = (" ".join(part.split()) for part in text.split(","))
    return tuple(member for entry in listed for member in (groups or {}).get(entry, (entry,)))


@dataclass(frozen=True)
class Kind:
    """One kind of thing: Entities type, size in adult heights, colours, actions, largest count."""

    type: str
    height: float
    width: float
    colours: tuple[str, ...] = ()
    actions: tuple[str, ...] = ("standing",)
    most: int = 1
    sizes: bool = False
    patterns: tuple[str, ...] = ()
    seat: float = 0.0


@dataclass(frozen=True)
class Setting:
    """A place: its horizon from the top, colours, skies, nameable features, what is found there."""

    horizon: float
    ground: tuple[RGB, RGB, int]
    features: tuple[str, ...]
    deeds: tuple[str, ...]
    animals: tuple[str, ...]
    objects: tuple[str, ...]
    vehicles: tuple[str, ...] = ()
    skies: tuple[str, ...] = ()
    walls: tuple[RGB, ...] = ()
    indoor: bool = False


@dataclass(frozen=True)
class Garment:
    """An upper garment of pedestrians; see ``tables/wardrobe.toml``."""

    sleeves: int
    hem: float
    patterns: Shares
    colours: Shares
    opens: float = 0.0
    collar: bool = False
    thick: float = 0.003
    flare: float = 0.0


def _rows(kind: Any, table: dict[str, dict[str, Any]], groups: Groups) -> dict[str, Any]:
    """Rows of a table as instances of a class; a text is a list of entries."""

    def value(name: str, given: Any) -> Any:
        return entries(given, groups) if isinstance(given, str) and name != "type" else given

    return {key: kind(**{name: value(name, v) for name, v in row.items()}) for key, row in table.items()}


def _colours(table: dict[str, list[int]]) -> dict[str, RGB]:
    return {name: tuple(rgb) for name, rgb in table.items()}


_RGB, _KINDS, _SETTINGS = read("colours"), read("kinds"), read("settings")
COLOURS, HAIR, DENIM = _colours(_RGB["things"]), _colours(_RGB["hair"]), _colours(_RGB["denim"])
PALETTE = COLOURS | _colours(_RGB["cloth"])
"""Colours of things, and of what pedestrians wear and carry."""
SKIN, LEAVES, HOUSES = (tuple(map(tuple, _RGB[name])) for name in ("skin", "leaves", "houses"))

_GROUPS = {name: entries(text) for name, text in _KINDS["groups"].items()}
CLOTH = _GROUPS["cloth"]
KINDS: dict[str, Kind] = _rows(Kind, _KINDS["kinds"], _GROUPS)
PEOPLE = ("man", "woman", "boy", "girl")
SETTINGS: dict[str, Setting] = _rows(Setting, _SETTINGS["settings"], {"play": entries(_SETTINGS["play"])})
SKIES, LIGHTS, FIGURES = _SETTINGS["skies"], _SETTINGS["lights"], read("figures")


def _wardrobe() -> SimpleNamespace:
    """What people wear and carry, the names of lists of colours replaced by the lists."""
    tables = read("wardrobe")
    lists = tables["colours"]
    for table in (tables["lower_colours"], tables["item_colours"], *tables["tops"].values()):
        table.update({key: lists[value] for key, value in table.items() if isinstance(value, str)})
    tables["tops"] = {name: Garment(**row) for name, row in tables["tops"].items()}
    tables["scenes"] = {name: entries(text) for name, text in tables["scenes"].items()}
    return SimpleNamespace(**tables)


WARDROBE = _wardrobe()
