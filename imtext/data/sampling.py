"""Batches of captions in which no two belong to one group."""

from __future__ import annotations

import numpy as np

from imtext.check import whole

_TRIES = 200


def group_batches(
    group_of_caption: np.ndarray, batch_size: int, epoch: int, seed: int, per_group: int | None = None
) -> list[np.ndarray]:
    """The batches of one epoch: caption indices, shuffled, no two of one group in a batch.

    A random order is cut into batches; where a group meets itself, a caption is exchanged with a random one
    of another batch. Batches differ by at most one in size and never exceed ``batch_size``. Where a group has
    more captions than there would be batches, there are as many batches as it has captions.

    Args:
        group_of_caption: ``(M,)`` integers, at least one.
        batch_size: at least 2.
        epoch, seed: the same two numbers give the same batches; not negative.
        per_group: None: every caption once an epoch; k: k random captions of each group (or all).

    Returns:
        int64 arrays; a batch of one caption (only possible when one group is most of the data) is left out.

    Raises:
        ConfigError: a number is out of range.

    >>> batches = group_batches(np.array([0, 0, 1, 1, 2, 2]), batch_size=3, epoch=0, seed=0)
    >>> [len(batch) for batch in batches], sorted(np.concatenate(batches).tolist())
    ([3, 3], [0, 1, 2, 3, 4, 5])
    >>> [sorted(batch // 2) for batch in batches] == [[0, 1, 2], [0, 1, 2]]
    True
    """
    whole("batch_size", batch_size, 2)
    rng = np.random.default_rng([whole("seed", seed, 0), whole("epoch", epoch, 0)])
    _, groups = np.unique(group_of_caption, return_inverse=True)
    order = rng.permutation(len(groups))
    if per_group is not None:
        from pandas import Series

        rank = Series(order).groupby(groups[order]).cumcount()
        order = order[rank.to_numpy() < whole("per_group", per_group)]
    count = max(-(-len(order) // batch_size), int(np.bincount(groups[order]).max()))
    batch = np.repeat(np.arange(count), [len(part) for part in np.array_split(order, count)])
    if not _exchange(order, batch, groups, count, rng):
        order, batch = _deal(order, groups, count, rng)
    cuts = np.flatnonzero(np.diff(batch)) + 1
    return [part for part in np.split(order, cuts) if len(part) >= 2]


def _exchange(
    order: np.ndarray, batch: np.ndarray, groups: np.ndarray, count: int, rng: np.random.Generator
) -> bool:
    """Exchange in place until no group meets itself; False if some place found no partner."""
    width = int(groups.max()) + 1
    keys = batch * width + groups[order]
    held, first = np.unique(keys, return_index=True)
    if len(held) == len(keys):
        return True
    conflicts = np.setdiff1d(np.arange(len(keys)), first)
    tally = dict(zip(*(a.tolist() for a in np.unique(keys, return_counts=True)), strict=True))
    for i in conflicts.tolist():
        key = int(keys[i])
        if tally[key] < 2:
            continue
        b, g = divmod(key, width)
        for j in rng.integers(len(keys), size=_TRIES).tolist():
            other_b, other_g = divmod(int(keys[j]), width)
            to, fro = other_b * width + g, b * width + other_g
            if tally.get(to, 0) or tally.get(fro, 0):
                continue
            tally[key] -= 1
            tally[int(keys[j])] -= 1
            tally[to] = tally[fro] = 1
            keys[i], keys[j] = fro, to
            order[i], order[j] = order[j], order[i]
            break
        else:
            return False
    return True


def _deal(
    order: np.ndarray, groups: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Group after group dealt round the batches like cards: always possible, less random; for tight cases."""
    shuffled = rng.permutation(int(groups.max()) + 1)
    cards = order[np.argsort(shuffled[groups[order]], kind="stable")]
    batch = np.arange(len(cards)) % count
    by_batch = np.argsort(batch, kind="stable")
    cards, batch = cards[by_batch], batch[by_batch]
    inside = np.lexsort((rng.random(len(cards)), batch))
    return cards[inside], batch
