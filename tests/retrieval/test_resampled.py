"""Bootstrap samples of the separation against explicit loops."""

import numpy as np
import pytest
from toys import cosine

from imtext.errors import DataError
from imtext.retrieval import separation
from imtext.retrieval.spread import separation_samples


def naive(images, captions, owners, weights, bins):
    """S and the gap when image i counts weights[i] times, pair by pair."""
    positive, negative = [0.0] * bins, [0.0] * bins
    sums = {True: [0.0, 0.0], False: [0.0, 0.0]}
    for i, image in enumerate(images):
        for caption, owner in zip(captions, owners, strict=True):
            score = cosine(image, caption)
            place = min(int((score + 1) * bins / 2), bins - 1)
            (positive if owner == i else negative)[place] += weights[i]
            sums[bool(owner == i)][0] += weights[i] * score
            sums[bool(owner == i)][1] += weights[i]
    shared = sum(min(p / sum(positive), q / sum(negative)) for p, q in zip(positive, negative, strict=True))
    return shared, sums[True][0] / sums[True][1] - sums[False][0] / sums[False][1]


def test_equals_loops_with_the_same_draws():
    random = np.random.default_rng(3)
    images, captions = random.normal(size=(6, 5)), random.normal(size=(11, 5))
    owners = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4, 5, 5])
    samples = separation_samples(images, captions, owners, n=8, bins=10, seed=4)
    draws = np.random.default_rng(4).multinomial(6, np.full(6, 1 / 6), size=8)
    for number, weights in enumerate([np.ones(6), *draws]):
        shared, gap = naive(images, captions, owners, weights, 10)
        assert samples["S"][number] == pytest.approx(shared, abs=1e-9)
        assert samples["gap"][number] == pytest.approx(gap, abs=1e-6)


def test_samples_lie_around_the_value_of_the_whole():
    random = np.random.default_rng(0)
    images = random.normal(size=(80, 8))
    owners = np.repeat(np.arange(80), 3)
    captions = images[owners] + random.normal(size=(240, 8))
    whole = separation(images, captions, owners)
    samples = separation_samples(images, captions, owners, n=400)
    assert np.percentile(samples["S"], 1) < whole.S < np.percentile(samples["S"], 99)
    assert samples["S"][0] == pytest.approx(whole.S)
    assert samples["gap"].mean() == pytest.approx(whole.mean_positive - whole.mean_negative, abs=0.01)


def test_arrays_that_do_not_fit_are_named():
    with pytest.raises(DataError):
        separation_samples(np.eye(3), np.eye(4), np.arange(3))
