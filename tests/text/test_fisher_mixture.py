"""EM of both mixtures against plain loops and scikit-learn, its likelihood, and what can go wrong."""

from __future__ import annotations

import warnings

import fisher_naive as naive
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Other
from threadpoolctl import threadpool_limits

from imtext.errors import ConfigError, DataError
from imtext.text import mixture as module
from imtext.text.mixture import GaussianMixture, HybridMixture

KINDS = (HybridMixture, GaussianMixture)
NAMES = ("priors", "means", "variances", "medians", "scales", "laplace")


def samples(seed: int, rows: int = 60, dim: int = 4) -> np.ndarray:
    """Two clumps, some dimensions with heavy tails."""
    random = np.random.default_rng(seed)
    x = np.where(random.random(dim) < 0.5, random.normal(size=(rows, dim)), random.laplace(size=(rows, dim)))
    return x + 3 * (random.random((rows, 1)) < 0.4)


def arrays(mixture: HybridMixture) -> list[np.ndarray]:
    return [getattr(mixture, f"{name}_") for name in NAMES]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rounded", [False, True], ids=["distinct", "ties"])
def test_a_step_is_that_of_plain_loops(kind, rounded, monkeypatch) -> None:
    monkeypatch.setattr(module, "_ROWS", 7)
    x = samples(1)
    x = np.round(x) if rounded else x
    for steps in (0, 1, 2):
        before = kind(3, steps, seed=5).fit(x)
        after = kind(3, steps + 1, seed=5).fit(x)
        expected = naive.step(x, before, kind.hybrid)
        for name in NAMES:
            if kind.hybrid or name not in ("medians", "scales"):
                np.testing.assert_allclose(
                    getattr(after, f"{name}_"), expected[name], atol=1e-9, err_msg=name
                )
        assert after.likelihoods_[-2] == pytest.approx(np.mean([naive.log_likelihood(r, before) for r in x]))
        assert after.likelihoods_[-1] == pytest.approx(np.mean([naive.log_likelihood(r, after) for r in x]))
        np.testing.assert_allclose(after.posteriors(x), [naive.posterior(r, after) for r in x], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_is_samples_and_the_spread_of_all(kind) -> None:
    x = samples(2)
    start = kind(4, 0, seed=1).fit(x)
    assert all(any(np.array_equal(centre, row) for row in x) for centre in start.means_)
    assert len(np.unique(start.means_, axis=0)) == 4
    np.testing.assert_allclose(start.variances_, np.tile(x.var(axis=0), (4, 1)))
    assert start.priors_.tolist() == [0.25] * 4
    if kind.hybrid:
        np.testing.assert_allclose(start.medians_, start.means_)
        deviation = np.abs(x - [naive.weighted_median(c, [1.0] * len(x)) for c in x.T.tolist()]).mean(0)
        np.testing.assert_allclose(start.scales_, np.tile(deviation, (4, 1)))
        chosen = HybridMixture(40, 0).fit(samples(3, dim=30)).laplace_
        assert 0.4 < chosen.mean() < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_weights_count_as_repeated_rows(kind) -> None:
    random = np.random.default_rng(4)
    x, weights = np.round(samples(4, 30), 1), random.integers(1, 6, 30)
    x = np.unique(x, axis=0)
    weights = weights[: len(x)]
    # The same start for both: drawing rows differs, so one component.
    short = kind(1, 4, seed=2).fit(x, weights)
    long = kind(1, 4, seed=2).fit(np.repeat(x, weights, axis=0))
    for one, other in zip(arrays(short)[1:], arrays(long)[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    # And with three components, by a step of the naive form on the repeated rows.
    before, after = (kind(3, steps, seed=2).fit(x, weights) for steps in (2, 3))
    expected = naive.step(np.repeat(x, weights, axis=0), before, kind.hybrid)
    for name in ("priors", "means", "variances", "laplace", *(("medians", "scales") if kind.hybrid else ())):
        np.testing.assert_allclose(getattr(after, f"{name}_"), expected[name], atol=1e-9, err_msg=name)


def test_the_median_of_an_even_number_is_the_lower_one() -> None:
    x = np.array([[4.0], [1.0], [3.0], [2.0], [2.0], [3.0], [9.0], [0.0]])
    found = HybridMixture(1, 1).fit(x)
    assert found.medians_[0, 0] == 2.0
    assert found.scales_[0, 0] == pytest.approx(np.abs(x - 2).mean())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("case", ["real", "whole numbers", "few values", "words"])
def test_the_likelihood_never_falls(kind, seed, case) -> None:
    random = np.random.default_rng(seed)
    x = samples(seed, 200, 6)
    weights = None
    if case == "whole numbers":
        x = np.round(x)
    elif case == "few values":  # floors hold: components shrink to points
        x = random.normal(size=(9, 6))[random.integers(9, size=200)]
    elif case == "words":
        x = 10 * x / np.linalg.norm(x, axis=1, keepdims=True)
        weights = np.ceil(1000 / np.arange(1, 201))
    mixture = kind(8, 25, seed=seed).fit(x, weights)
    rises = np.diff(mixture.likelihoods_)
    assert len(mixture.likelihoods_) == 26 and np.isfinite(mixture.likelihoods_).all()
    assert rises.min() > -1e-10 * max(1, np.abs(mixture.likelihoods_).max()), rises
    assert min(mixture.variances_.min(), mixture.scales_.min()) >= 1e-3


def test_gaussians_are_those_of_scikit_learn() -> None:
    x = samples(7, 300)
    start = GaussianMixture(3, 0, seed=1).fit(x)
    ours = GaussianMixture(3, 6, seed=1).fit(x)
    other = Other(
        3,
        covariance_type="diag",
        tol=0,
        reg_covar=0,
        max_iter=6,
        weights_init=start.priors_,
        means_init=start.means_,
        precisions_init=1 / start.variances_,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        other.fit(x)
    assert ours.likelihoods_[-1] == pytest.approx(other.score(x), abs=1e-9)
    np.testing.assert_allclose(ours.means_, other.means_, atol=1e-9)
    np.testing.assert_allclose(ours.variances_, other.covariances_, atol=1e-9)
    np.testing.assert_allclose(ours.posteriors(x), other.predict_proba(x), atol=1e-9)


def test_each_dimension_gets_the_distribution_it_came_from() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=(3000, 3)), random.laplace(size=(3000, 3))], axis=1)
    assert HybridMixture(1).fit(x).laplace_.tolist() == [[False] * 3 + [True] * 3]
    assert HybridMixture(2).fit(x).likelihoods_[-1] > GaussianMixture(2).fit(x).likelihoods_[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_nothing(kind) -> None:
    x = samples(8, 5000, 5)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            mixture = kind(5, 3).fit(x)
            found.append([*arrays(mixture), mixture.posteriors(x), np.array(mixture.likelihoods_)])
    assert all(np.array_equal(one, two) for one, two in zip(*found, strict=True))
    assert not np.array_equal(found[0][1], kind(5, 3, seed=1).fit(x).means_)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("x", [np.full((50, 3), 2.5), np.ones((1, 3)), np.zeros((5, 1))])
def test_samples_that_are_all_the_same(kind, x) -> None:
    mixture = kind(min(4, len(x))).fit(x)
    assert all(np.isfinite(array).all() for array in arrays(mixture))
    assert np.isfinite(mixture.likelihoods_).all() and np.isfinite(mixture.posteriors(x)).all()
    np.testing.assert_allclose(mixture.means_, np.tile(x[:1], (mixture.components, 1)), atol=1e-9)
    assert (mixture.variances_ == 1e-3).all()


class Lost(HybridMixture):
    """One component starts where no sample is."""

    def _start(self, *arguments) -> None:
        super()._start(*arguments)
        self.means_[1] = self.medians_[1] = 1e5


def test_a_component_that_dies_stays_dead_and_harms_nothing() -> None:
    x = samples(10)
    mixture = Lost(3, 8).fit(x)
    assert mixture.priors_[1] == 0 and mixture.priors_.sum() == pytest.approx(1)
    assert (mixture.means_[1] == 1e5).all()
    assert (mixture.posteriors(x)[:, 1] == 0).all()
    assert np.diff(mixture.likelihoods_).min() > -1e-9 and np.isfinite(mixture.likelihoods_).all()


def test_more_components_than_distinct_samples() -> None:
    mixture = HybridMixture(5).fit(np.eye(2), [4, 3])
    assert np.isfinite(mixture.likelihoods_).all() and mixture.priors_.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "weights", "words"),
    [
        (np.ones((4, 2)), None, "4 samples for 5 components"),
        (np.ones((2, 2)), [1, 3], "4 samples for 5 components"),
        (np.ones(9), None, "table"),
        (np.ones((0, 2)), None, "table"),
        (np.full((9, 2), np.nan), None, "finite"),
    ],
)
def test_bad_samples_are_named(x, weights, words) -> None:
    with pytest.raises(DataError, match=words):
        HybridMixture(5).fit(x, weights)


def test_bad_parameters_are_named() -> None:
    with pytest.raises(ConfigError, match="components=0: expected an integer of 1 or more"):
        HybridMixture(0)
    with pytest.raises(ConfigError, match="iterations"):
        HybridMixture(iterations=1.5)
