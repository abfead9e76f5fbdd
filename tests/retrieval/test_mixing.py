"""Modality mixing against explicit loops: ties shared by expectation, chance at 1, intervals over groups."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imtext.errors import ConfigError, DataError
from imtext.retrieval import Mixing, modality_mixing, spread


def distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def naive_shares(points, is_text, k):
    """The expected share of the other modality among the k nearest of each point, ties by lot."""
    shares = []
    for i, point in enumerate(points):
        others = [(distance(point, points[j]), j) for j in range(len(points)) if j != i]
        last = sorted(far for far, _ in others)[k - 1]
        sure = [j for far, j in others if far < last - 1e-9]
        tied = [j for far, j in others if abs(far - last) <= 1e-9]
        found = sum(is_text[j] != is_text[i] for j in sure)
        found += (k - len(sure)) * sum(is_text[j] != is_text[i] for j in tied) / len(tied)
        shares.append(found / k)
    return shares


def naive_sides(images, captions, k):
    points = np.concatenate([images, captions]).astype(np.float64).tolist()
    is_text = [False] * len(images) + [True] * len(captions)
    sums, others = [0.0, 0.0], len(points) - 1
    for share, text in zip(naive_shares(points, is_text, k), is_text, strict=True):
        chance = (len(images) if text else len(captions)) / others
        sums[text] += share / chance
    return sums[0] / len(images), sums[1] / len(captions)


def draw(seed, n=7, m=19, dim=3, high=3):
    """Points on a small grid: many at one place, and many ties."""
    random = np.random.default_rng(seed)
    return random.integers(-high, high + 1, (n, dim)), random.integers(-high, high + 1, (m, dim))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(1, 3),
    st.integers(0, 3),
    st.data(),
)
def test_equals_loops_on_grids_full_of_ties(seed, n, m, dim, high, data):
    images, captions = draw(seed, n, m, dim, high)
    k = data.draw(st.integers(1, n + m - 1))
    found = modality_mixing(images, captions, k, n=3)
    expected = naive_sides(images, captions, k)
    assert (found.images, found.captions) == pytest.approx(expected, abs=1e-9)
    assert found.value == pytest.approx(sum(min(side, 1) for side in expected) / 2, abs=1e-9)
    assert 0 <= found.low <= found.high <= 1 and 0 <= found.value <= 1


def test_equals_loops_on_ragged_sizes_and_does_not_depend_on_the_block(monkeypatch):
    random = np.random.default_rng(1)
    images, captions = random.normal(size=(23, 5)), random.normal(0.4, 1, (61, 5))
    for k in (1, 7, 60, 82):
        monkeypatch.setattr(spread, "_NUMBERS", 1 << 22)
        whole = modality_mixing(images, captions, k, n=5)
        assert (whole.images, whole.captions) == pytest.approx(naive_sides(images, captions, k))
        monkeypatch.setattr(spread, "_NUMBERS", 9 * 84)
        assert asdict(modality_mixing(images, captions, k, n=5)) == pytest.approx(asdict(whole))
    # All others are neighbours: nothing but chance is left.
    assert modality_mixing(images, captions, 83, n=5).value == 1


def test_apart_is_nothing_and_one_cloud_is_one():
    random = np.random.default_rng(0)
    one, two = random.normal(size=(60, 4)), random.normal(size=(300, 4))
    apart = modality_mixing(one, two + 100)
    assert apart.value == apart.low == apart.high == 0
    together = modality_mixing(one, two)
    assert together.low < together.value and together.value > 0.9
    # Between both: half of the captions lie where the images are.
    half = modality_mixing(one, np.concatenate([two[:150], two[150:] + 100]))
    assert 0.35 < half.value < 0.85


def test_it_is_cut_on_each_side():
    """Captions around every image cannot make up for captions that have no image near."""
    images = np.arange(10.0)[:, None] * 100
    captions = (images + np.array([-0.2, -0.1, 0.1, 0.2, 0.3])).reshape(-1, 1)
    found = modality_mixing(images, captions, k=4)
    assert found.images == pytest.approx(59 / 50) and found.images > 1
    # Of a caption's four nearest one is the image, which is more than chance too.
    assert found.captions == pytest.approx(0.25 * 59 / 10) and found.value == 1
    one = modality_mixing(images, captions, k=1)
    assert one.captions < 59 / 10 and one.value == pytest.approx((1 + min(one.captions, 1)) / 2)


def test_a_collapsed_space_is_as_mixed_as_chance_in_any_order():
    point = np.full((40, 6), 0.3, np.float32)
    found = modality_mixing(point[:10], point, k=7)
    assert found.value == found.images == found.captions == 1
    # Far from the origin and with tiny spread, distances still count.
    random = np.random.default_rng(2)
    images, captions = random.normal(size=(12, 3)), random.normal(1, 1, (30, 3))
    near = modality_mixing(images, captions, k=5)
    for change in (lambda x: x * 1e-20, lambda x: x * 1e20, lambda x: 1000 + x * 1e-3, lambda x: x - 7):
        moved = modality_mixing(change(images), change(captions), k=5)
        assert moved.value == pytest.approx(near.value)


def test_the_order_of_points_does_not_matter():
    images, captions = draw(5, 11, 30, 2, 1)
    base = modality_mixing(images, captions, k=4)
    turned = modality_mixing(images[::-1], captions[::-1], k=4)
    swapped = modality_mixing(captions, images, k=4)
    assert turned.value == pytest.approx(base.value) == swapped.value
    assert (swapped.images, swapped.captions) == pytest.approx((base.captions, base.images))


def test_the_interval_draws_images_with_their_captions():
    images, captions = draw(3, 9, 24, 2, 2)
    owners = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 5, 5, 5, 6, 7, 7, 7, 7, 7, 0, 1, 3, 4, 6])  # 8 has none
    found = modality_mixing(images, captions, k=3, image_of_caption=owners, n=400, seed=4)
    points = np.concatenate([images, captions]).astype(float).tolist()
    shares = naive_shares(points, [False] * 9 + [True] * 24, 3)
    generator, values = np.random.default_rng(4), []
    for picks in generator.integers(0, 9, (400, 9)):
        image = [shares[i] * 32 / 24 for i in picks]
        text = [shares[9 + j] * 32 / 9 for i in picks for j in range(24) if owners[j] == i]
        if text:
            values.append((min(1, np.mean(image)) + min(1, np.mean(text))) / 2)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])))
    alone = modality_mixing(images, captions, k=3, n=400, seed=4)
    assert (alone.low, alone.high) != (found.low, found.high) and alone.value == found.value


@pytest.mark.parametrize("kind", [np.float16, np.int64, torch.float16, torch.bfloat16, torch.float32])
def test_takes_arrays_and_tensors_of_any_kind(kind):
    images, captions = draw(6)
    expected = modality_mixing(images.astype(float), captions.astype(float), k=5)
    if isinstance(kind, torch.dtype):
        images, captions = (torch.from_numpy(x).to(kind).requires_grad_() for x in (images, captions))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = modality_mixing(images, captions, k=5)
    else:
        found = modality_mixing(images.astype(kind), captions.astype(kind), k=5)
    assert isinstance(found, Mixing) and asdict(found) == pytest.approx(asdict(expected))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    images, captions = draw(7, 40, 160)
    found = modality_mixing(torch.from_numpy(images).cuda(), torch.from_numpy(captions).cuda())
    assert found.value == pytest.approx(modality_mixing(images, captions).value)


def test_mistakes_are_named():
    images, captions = draw(0)
    for wrong in (0, 26, -1, 2.0, True, "3"):
        with pytest.raises(ConfigError, match="k=.*: expected an integer from 1 to 25"):
            modality_mixing(images, captions, wrong)
    with pytest.raises(ConfigError, match="n=0: expected"):
        modality_mixing(images, captions, n=0)
    with pytest.raises(DataError, match="images have 3 dimensions, captions have 2"):
        modality_mixing(images, captions[:, :2])
    with pytest.raises(DataError, match="row 1 holds NaN"):
        modality_mixing([[0.0], [np.nan]], [[1.0]])
    with pytest.raises(DataError, match="points to image 9"):
        modality_mixing(images, captions, image_of_caption=np.full(19, 9))
