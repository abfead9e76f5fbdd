"""Batches of an epoch: complete, free of repeats, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imtext.data.sampling import group_batches
from imtext.errors import ConfigError


def no_group_twice(batches, groups) -> bool:
    return all(len(set(groups[batch].tolist())) == len(batch) for batch in batches)


def test_every_caption_once_in_even_batches():
    groups = np.repeat(np.arange(200), 5)
    batches = group_batches(groups, 64, epoch=0, seed=0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    assert {len(batch) for batch in batches} == {62, 63}
    assert no_group_twice(batches, groups)
    assert all(batch.dtype == np.int64 for batch in batches)


def test_same_seed_and_epoch_same_order():
    groups = np.repeat(np.arange(50), 5)
    one, again, *others = (
        np.concatenate(group_batches(groups, 16, epoch, seed)).tolist()
        for epoch, seed in ((3, 7), (3, 7), (4, 7), (3, 8), (7, 3))
    )
    assert one == again and one not in others


def test_per_group_captions_change_with_the_epoch():
    groups = np.repeat(np.arange(60), 5)
    groups = np.concatenate([groups, [60]])
    seen = set()
    for epoch in range(40):
        batches = group_batches(groups, 16, epoch, 0, per_group=1)
        chosen = np.concatenate(batches)
        assert sorted(groups[chosen].tolist()) == list(range(61))
        seen.update(chosen.tolist())
    assert seen == set(range(301))
    two = np.concatenate(group_batches(groups, 16, 0, 0, per_group=2))
    assert np.bincount(groups[two]).tolist() == [2] * 60 + [1]
    assert len(np.unique(two)) == len(two)


def test_pairs_of_groups_that_meet_are_not_the_same_again():
    groups = np.repeat(np.arange(300), 5)
    meetings = np.zeros((300, 300), int)
    for batch in group_batches(groups, 50, 0, 0):
        members = groups[batch]
        meetings[np.ix_(members, members)] += 1
    np.fill_diagonal(meetings, 0)
    # 30 batches, 5 places each: two groups meet 5 * 5 / 30 times on average, hardly ever four times.
    assert (meetings >= 4).mean() < 0.01


@pytest.mark.parametrize(
    ("n_groups", "size", "batch"), [(10, 5, 10), (10, 5, 64), (6, 7, 6), (2, 5, 2), (3, 4, 100)]
)
def test_tight_cases_stay_valid(n_groups, size, batch):
    groups = np.repeat(np.arange(n_groups), size)
    batches = group_batches(groups, batch, 0, 0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_groups * size))
    assert no_group_twice(batches, groups)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(-3, 12), min_size=1, max_size=120),
    batch_size=st.integers(2, 40),
    seed=st.integers(0, 5),
)
def test_any_groups(groups, batch_size, seed):
    groups = np.array(groups)
    batches = group_batches(groups, batch_size, 0, seed)
    assert no_group_twice(batches, groups)
    assert all(2 <= len(batch) <= batch_size for batch in batches)
    used = np.concatenate(batches) if batches else np.empty(0, int)
    assert len(np.unique(used)) == len(used)
    largest = np.unique(groups, return_counts=True)[1].max()
    if 2 * max(largest, -(-len(groups) // batch_size)) <= len(groups):
        assert len(used) == len(groups)


def test_bad_input():
    groups = np.arange(4)
    for arguments, message in (
        ((1, 0, 0), "batch_size=1"),
        ((2, -1, 0), "epoch=-1"),
        ((2, 0, -1), "seed=-1"),
        ((2.0, 0, 0), "batch_size=2.0"),
        ((2, 0, 0, 0), "per_group=0"),
    ):
        with pytest.raises(ConfigError, match=message):
            group_batches(groups, *arguments)
