"""One row of one table as plain values: what is read, what is trained on it, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib import import_module
from types import ModuleType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from imtext.errors import ConfigError
from imtext.experiment.source import Beside, Data
from imtext.training import Recipe


@dataclass(frozen=True)
class Experiment:
    """What is trained on what. Every part is a small frozen dataclass with one method that builds it.

    Attributes:
        data: the splits; image, text: what the network reads of either side.
        network: what is trained; loss: what it minimises; recipe: how.
        start: experiments that this one goes on from.
        seed: of all random numbers of the training.
        precision: ``"32"``; ``"64"``, whose outcome is the same on every processor; or ``"bf16"``, faster on
            a CPU with AMX, and on a GPU what ``"32"`` is.

    >>> from imtext.experiment import Hinges, Joint, Pooled, Words, adam
    >>> base = Experiment(Data(), Pooled(), Words(), Joint(), Hinges(margin=0.2), adam(30, 2e-4))
    >>> base.but(loss={"margin": 0.1}, recipe={"epochs": 2}).loss.margin
    0.1
    """

    data: Data
    image: Any
    text: Any
    network: Any
    loss: Any
    recipe: Recipe
    start: tuple[Experiment, ...] = ()
    seed: int = 0
    precision: str = "32"

    def but(self, **changes: Any) -> Experiment:
        """Another experiment: a dictionary changes fields of the part that is there, a part takes its place.

        Raises:
            ConfigError: a field that the part does not have, or a value of another type.
        """
        return changed(self, changes)

    @property
    def said(self) -> str:
        """What ran, for people."""
        parts = (self.image, self.text, self.network, self.loss)
        return "; ".join(filter(None, (part.said for part in parts)))


def adam(epochs: int, lr: float, batch_size: int = 128, clip: float | None = 2.0, **options: Any) -> Recipe:
    """The Adam of public code: AdamW without weight decay, with gradients clipped at a norm of 2.

    Args:
        epochs, lr, batch_size, clip, options: as for :class:`imtext.training.recipe.Recipe`.
    """
    return Recipe(epochs, lr, batch_size, weight_decay=0.0, clip=clip, **options)


def changed(part: Any, changes: Mapping[str, Any], where: str = "") -> Any:
    """A part with some fields changed, or each of several beside; mappings go on into the parts it holds."""
    if isinstance(part, Beside) and "parts" not in changes:
        return Beside(tuple(changed(one, changes, where) for one in part.parts))
    hints, found = get_type_hints(type(part)), {}
    for name, change in changes.items():
        path = f"{where}{name}"
        if name not in hints:
            raise ConfigError(f"{path}: {type(part).__name__} has no such field; it has {', '.join(hints)}")
        held, hint = getattr(part, name), hints[name]
        if isinstance(change, Mapping) and is_dataclass(held):
            found[name] = changed(held, change, f"{path}.")
            continue
        found[name] = frozen(change) if isinstance(change, list) or hint is tuple else change
        if not _fits(found[name], hint):
            kind = "a part" if hint is Any else getattr(hint, "__name__", hint)
            raise ConfigError(f"{path}: takes {kind} (here {held!r}), found {change!r}")
    return replace(part, **found)


def frozen(value: Any) -> Any:
    """Mappings as pairs and lists as tuples, which a frozen part can hold.

    >>> frozen({"columns": {"caption": "title"}, "captions": ["train.csv", "test.csv"]})
    (('columns', (('caption', 'title'),)), ('captions', ('train.csv', 'test.csv')))
    """
    if isinstance(value, Mapping):
        return tuple((name, frozen(one)) for name, one in value.items())
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def _fits(value: Any, hint: Any) -> bool:
    if hint is Any:
        return is_dataclass(value)
    kinds = [get_origin(kind) or kind for kind in (get_args(hint) if isinstance(hint, UnionType) else [hint])]
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, tuple(kinds)) or (isinstance(value, int) and float in kinds)


def plain(value: Any) -> Any:
    """Parts as JSON takes them, each with its class as ``kind``.

    >>> plain(Data(train=3))["kind"], plain((1, 2))
    ('Data', [1, 2])
    """
    if is_dataclass(value):
        held = {one: getattr(value, one.name) for one in fields(value)}
        kept = {one.name: plain(own) for one, own in held.items() if own or "optional" not in one.metadata}
        return {"kind": type(value).__name__, **kept}
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def rebuilt(value: Any, *more: ModuleType) -> Any:
    """What `plain` wrote, as parts again; ``more``: modules that have parts of their own.

    >>> rebuilt(plain(Data(train=3))) == Data(train=3)
    True
    """
    if isinstance(value, dict):
        modules = (import_module("imtext.experiment"), *more)  # the first imports this module
        kind = next(vars(module)[value["kind"]] for module in modules if value["kind"] in vars(module))
        return kind(**{name: rebuilt(one, *more) for name, one in value.items() if name != "kind"})
    return tuple(rebuilt(one, *more) for one in value) if isinstance(value, list) else value


def differences(first: Any, second: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Fields in which two experiments differ, by dotted name.

    >>> differences(Data(train=3), Data(train=4, seed=1))
    {'train': (3, 4), 'seed': (0, 1)}
    """
    found = {}
    for one in fields(first):
        values = getattr(first, one.name), getattr(second, one.name)
        if is_dataclass(values[0]) and type(values[0]) is type(values[1]):
            found |= differences(*values, f"{where}{one.name}.")
        elif values[0] != values[1]:
            found[f"{where}{one.name}"] = values
    return found
