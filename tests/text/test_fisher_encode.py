"""Fisher vectors of captions, summed over words, against plain loops."""

from __future__ import annotations

import fisher_naive as naive
import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from imtext.text import fisher as module
from imtext.text.fisher import encode
from imtext.text.mixture import GaussianMixture, HybridMixture

KINDS = (HybridMixture, GaussianMixture)


def fitted(kind, scale: float = 1.0) -> tuple[np.ndarray, HybridMixture]:
    random = np.random.default_rng(3)
    points = scale * (random.laplace(size=(40, 5)) + 2 * random.integers(3, size=(40, 1)))
    return points, kind(4, 4).fit(points, random.integers(1, 9, 40))


def bags() -> sp.csr_array:
    """30 captions of 0 to 9 of 40 words, some more than once."""
    random = np.random.default_rng(4)
    counts = sp.lil_array((30, 40))
    for row in range(30):
        for word in random.integers(40, size=row % 10):
            counts[row, word] += 1
    return counts.tocsr()


def of(points: np.ndarray, mixture: HybridMixture) -> np.ndarray:
    """The Fisher vector ``(2, K, D)`` of one caption of all the points."""
    ((_, found),) = encode(sp.csr_array(np.ones((1, len(points)))), points, mixture)
    return found.reshape(2, *mixture.means_.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0], ids=["soft", "middle", "hard"])
def test_fisher_vectors_are_those_of_plain_loops(kind, scale, monkeypatch) -> None:
    monkeypatch.setattr(module, "_POINTS", 7)
    monkeypatch.setattr(module, "_BLOCK", 16)
    monkeypatch.setattr(module, "_ROWS", 4)
    points, mixture = fitted(kind, scale)
    counts, runs = bags(), []
    for threads in (1, 2):
        with threadpool_limits(threads):
            starts, blocks = zip(*encode(counts, points, mixture), strict=True)
            runs.append(np.concatenate(blocks))
    assert starts == (0, 16) and np.array_equal(*runs) and runs[0].dtype == np.float32
    for row, found in enumerate(runs[0]):
        words = np.repeat(np.arange(40), counts[[row]].toarray()[0].astype(int))
        raw = naive.fisher_vector(points[words], mixture)
        # Squares: where words cancel, a root would blow up the rounding of float32.
        expected = raw / max(np.abs(raw).sum(), 1e-300)
        np.testing.assert_allclose(np.sign(found) * found**2, expected, rtol=2e-5, atol=1e-6)
        assert np.linalg.norm(found) == pytest.approx(float(row % 10 > 0), abs=1e-6)


def test_a_point_on_the_median_has_no_direction() -> None:
    points, mixture = fitted(HybridMixture)
    k, d = np.argwhere(mixture.laplace_)[0]
    x = points[:1].copy()
    x[0, d] = mixture.medians_[k, d]
    assert of(x, mixture)[0, k, d] == 0


def test_a_dead_component_gives_zeros() -> None:
    points, mixture = fitted(HybridMixture)
    mixture.priors_[2] = 0
    mixture.priors_ /= mixture.priors_.sum()
    found = of(points[:6], mixture)
    assert np.isfinite(found).all() and (found[:, 2] == 0).all() and (found[:, 1] != 0).any()
