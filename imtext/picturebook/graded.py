"""How much of what a caption says is true of another scene: graded relevance, computed from the scenes.

For photographs nobody knows how many captions of a test set fit a picture. Here it can be computed. A caption
is a list of statements, a scene describes what is there, and the relevance of a caption for a scene is the
share of its statements that are true of it. A statement about a thing is true if the thing is there *and* it
is so: of a scene without a dog nothing said of a dog is true.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .pieces import Statement, Values
from .scenes import Scene

# How a person who does this stands, where the drawing shows it; what else they do leaves no posture.
POSTURES = dict.fromkeys(("holding", "flying", "playing", "reading"), "standing")
_BLOCK = 1 << 21  # pairs, or triples, of things compared at a time
_GARMENTS = 4  # three pieces of clothing and one extra at most


def relevance(scenes: Sequence[Scene], said: Iterable[Sequence[Statement]]) -> np.ndarray:
    """For each scene, the share of what each caption says that is true of it, ``(N, M)`` float32 in [0, 1].

    Counted are: that there is a thing of the named kind, how many, its size, pattern and colour; garments,
    their pattern and colour; hair; what it does, alone or to another thing; where two things stand to each
    other; place, weather or hour, features of the place, indoors or out. A word with several senses is true
    if one of them is. Words of the long tail (*happy*, *slowly*) stand for nothing in a scene and are not
    counted, nor is a verb that says nothing (*a bench stands*). "A dog" says that there is one: of a scene
    with three that is false, and the rest may be true. Things of a caption are matched to things of a scene
    in the way that makes most statements true, never two to one.

    Args:
        scenes: N scenes.
        said: of each of M captions its statements (:func:`imtext.picturebook.pieces.statements`).

    >>> from .captions import describe
    >>> from .pieces import statements
    >>> scene, captions = describe(0, "train", 0)
    >>> relevance([scene], map(statements, captions)).tolist()
    [[1.0, 1.0, 1.0, 1.0, 1.0]]
    """
    facts = Facts(scenes)
    return np.array([facts.share(one) for one in said], np.float32).reshape(-1, facts.n).T


class Facts:
    """Scenes as arrays: N scenes of at most T things, and one thing more that is none."""

    def __init__(self, scenes: Sequence[Scene]) -> None:
        self.scenes = scenes
        self.n = len(scenes)
        self.width = 1 + max((len(scene["things"]) for scene in scenes), default=0)
        self.codes: dict[Any, int] = {}
        shape = (self.n, self.width)
        self.things = {name: np.full(shape, -1) for name in ("kind", "count", "size", "pattern", "colour")}
        self.things |= {name: np.full(shape, -1) for name in ("action", "hair", "length")}
        self.worn = {part: np.full((*shape, _GARMENTS), -1) for part in ("name", "pattern", "colour")}
        self.pairs = {name: np.full((*shape, self.width), -1) for name in ("deed", "side", "depth")}
        self.whole = {name: np.full((self.n, 1), -1) for name in ("place", "sky", "indoors")}
        features = 1 + max((len(scene["features"]) for scene in scenes), default=0)
        self.whole["feature"] = np.full((self.n, features), -1)
        for i, scene in enumerate(scenes):
            self._add(i, scene)

    def _code(self, value: Any) -> int:
        return self.codes.setdefault(value, len(self.codes))

    def _add(self, i: int, scene: Scene) -> None:
        """Write one scene into the arrays."""
        number = {thing["id"]: t for t, thing in enumerate(scene["things"])}
        deeds = {deed["subject"]: deed["predicate"] for deed in scene["deeds"]}
        for t, thing in enumerate(scene["things"]):
            hair = thing.get("hair", {})
            deed = deeds.get(thing["id"]) if thing["type"] == "people" else None
            facts = {
                "kind": thing["kind"],
                "count": thing["count"],
                "size": thing.get("size"),
                "pattern": thing.get("pattern"),
                "colour": thing.get("colour"),
                "action": (thing["type"], POSTURES.get(deed or "", thing["action"])),
                "hair": hair.get("colour"),
                "length": hair.get("length"),
            }
            for name, value in facts.items():
                self.things[name][i, t] = self._code(value)
            for k, item in enumerate((*thing.get("clothes", ()), *thing.get("extras", ()))):
                for part in self.worn:
                    self.worn[part][i, t, k] = self._code(item.get(part))
        for deed in scene["deeds"]:
            a, b = number[deed["subject"]], number[deed["object"]]
            mouth = scene["things"][a]["kind"] == "dog" and deed["predicate"] == "carrying"
            self.pairs["deed"][i, a, b] = self._code("mouth" if mouth else deed["predicate"])
        for relation in scene["spatial"]:
            self._place(i, number[relation["subject"]], number[relation["object"]], relation["predicate"])
        for name, value in (("place", "setting"), ("sky", "sky")):
            self.whole[name][i, 0] = self._code(scene[value])
        self.whole["indoors"][i, 0] = self._code("indoors" if scene["indoor"] else "outdoors")
        for k, feature in enumerate(scene["features"]):
            self.whole["feature"][i, k] = self._code(feature["name"])

    def _place(self, i: int, a: int, b: int, predicate: str) -> None:
        """A spatial relation and its opposite: sides in one array, next to and depth in the other."""
        opposite = {"left of": "right of", "behind": "in front of"}.get(predicate, predicate)
        array = self.pairs["side" if predicate == "left of" else "depth"]
        array[i, a, b], array[i, b, a] = self._code(predicate), self._code(opposite)

    def _among(self, array: np.ndarray, values: Values) -> np.ndarray:
        """Where ``array`` holds the code of one of ``values``."""
        table = np.zeros(len(self.codes) + 1, dtype=bool)  # the last place is for -1, nothing there
        table[[self.codes[value] for value in values if value in self.codes]] = True
        return table[array]

    def _of_thing(self, s: Statement) -> np.ndarray:
        """Where a statement holds, as far as the thing itself goes, (N, T)."""
        if s.field in self.things:
            return self._among(self.things[s.field], s.values)
        if s.field == "worn":
            return self._among(self.worn["name"], s.values).any(-1)
        item = self._among(self.worn["name"], s.item)
        return (item & self._among(self.worn[s.field.removeprefix("worn ")], s.values)).any(-1)

    def _of_pair(self, s: Statement) -> np.ndarray:
        """Where a relation holds, (N, T, T)."""
        if s.field == "deed":
            return self._among(self.pairs["deed"], s.values)
        return self._among(self.pairs["side"], s.values) | self._among(self.pairs["depth"], s.values)

    def _truths(self, said: Sequence[Statement]) -> list[np.ndarray]:
        """Where each statement holds: (N,), (N, T) or (N, T, T), nowhere for a thing of another kind."""
        kinds = {s.thing: self._of_thing(s) for s in said if s.field == "kind"}
        truths = []
        for s in said:
            if s.thing < 0:
                truths.append(self._among(self.whole[s.field], s.values).any(-1))
            elif s.other < 0:
                truths.append(self._of_thing(s) & kinds[s.thing])
            else:
                both = kinds[s.thing][:, :, None] & kinds[s.other][:, None, :]
                truths.append(self._of_pair(s) & both)
        return truths

    def share(self, said: Sequence[Statement]) -> np.ndarray:
        """The share of statements that are true of each scene, (N,) float64.

        >>> scene = {"setting": "park", "sky": "sunny", "indoor": False, "features": [], "deeds": [],
        ...          "spatial": [], "things": []}
        >>> said = [Statement("place", frozenset({"park", "field"})),
        ...         Statement("sky", frozenset({"rainy"}))]
        >>> Facts([scene]).share(said).tolist()
        [0.5]
        """
        truths = self._truths(said)
        whole = sum((t.astype(np.int64) for t in truths if t.ndim == 1), np.zeros(self.n, np.int64))
        slots = 1 + max((s.thing for s in said), default=-1)
        slots = max(slots, 1 + max((s.other for s in said), default=-1))
        if slots:
            whole += self._alone(said, truths, slots)
            # Only where two things of the caption are there can they get in each other's way.
            found = [t.any(1) for s, t in zip(said, truths, strict=True) if s.field == "kind"]
            several = np.flatnonzero(np.sum(found, 0) > 1)
            step = max(1, _BLOCK // self.width**slots)
            for start in range(0, len(several), step):
                part = several[start : start + step]
                sums = self._sums(said, truths, slots, part)
                whole[part] += sums.reshape(len(sums), -1).max(1)
        return whole / len(said)

    def _alone(self, said: Sequence[Statement], truths: list[np.ndarray], slots: int) -> np.ndarray:
        """True statements about things where one thing of the caption is there at most, else 0."""
        sums = np.zeros((slots, self.n, self.width), dtype=np.int64)
        for s, truth in zip(said, truths, strict=True):
            if truth.ndim == 2:
                sums[s.thing] += truth
        best = sums.max(2)
        return np.where((best > 0).sum(0) > 1, 0, best.sum(0))

    def _sums(
        self, said: Sequence[Statement], truths: list[np.ndarray], slots: int, part: np.ndarray
    ) -> np.ndarray:
        """True statements about things for every match of things of the caption to things of the scene."""
        sums = np.zeros((1,) + (1,) * slots, dtype=np.int8)
        for s, truth in zip(said, truths, strict=True):
            if truth.ndim == 2:
                sums = sums + _spread(truth[part], (s.thing,), slots)
            elif truth.ndim == 3:
                sums = sums + _spread(truth[part], (s.thing, s.other), slots)
        sums = np.broadcast_to(sums, (len(part),) + (self.width,) * slots)
        return np.where(_distinct(self.width, slots), sums, -1)


def _spread(truth: np.ndarray, axes: tuple[int, ...], slots: int) -> np.ndarray:
    """``truth (N, T[, T])`` as int8 over all slots, its axes where the slots are, in rising order."""
    shape = [truth.shape[0]] + [1] * slots
    for axis in axes:
        shape[1 + axis] = truth.shape[1]
    return truth.astype(np.int8).reshape(shape)


@lru_cache(maxsize=16)
def _distinct(width: int, slots: int) -> np.ndarray:
    """Which matches name no thing twice; the last place is no thing and may be named again."""
    index = np.indices((width,) * slots)
    fine = np.ones((width,) * slots, dtype=bool)
    for a in range(slots):
        for b in range(a + 1, slots):
            fine &= (index[a] != index[b]) | (index[a] == width - 1)
    return fine
