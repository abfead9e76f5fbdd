"""The mean of several models' similarities against explicit loops, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.retrieval import mean_scores


@pytest.mark.parametrize("weights", [None, (1, 1, 1), (0.2, 3.0, 0.0)])
def test_the_mean_is_that_of_loops(weights):
    models = np.random.default_rng(0).normal(size=(3, 7, 19))
    shares = weights or (1, 1, 1)
    found = mean_scores(list(models), weights)
    for i in range(7):
        for j in range(19):
            expected = sum(share * model[i, j] for share, model in zip(shares, models, strict=True))
            assert found[i, j] == pytest.approx(expected / sum(shares))


def test_types():
    assert mean_scores([torch.ones(2, 3, dtype=torch.bfloat16)] * 2).dtype == np.float32
    mixed = [np.ones((2, 3), dtype=int), np.zeros((2, 3), dtype=np.float32)]
    assert mean_scores(mixed).tolist() == [[0.5] * 3] * 2
    assert mean_scores(mixed).dtype == np.float64


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mean_scores([]), "expected matrices of one shape.*found none"),
        (lambda: mean_scores([np.eye(3), np.ones((3, 2))]), r"found \(3, 3\), \(3, 2\)"),
        (lambda: mean_scores([np.eye(3), np.ones(3)]), r"scores\[1\]: expected numbers"),
        (lambda: mean_scores([[[1.0, float("nan")]]]), r"scores\[0\]: row 0 holds NaN"),
        (lambda: mean_scores([[[float("inf"), 1.0]]]), r"scores\[0\]: row 0 holds NaN"),
        (lambda: mean_scores([[[1.0], [1.0, 2.0]]]), "rows of one length"),
    ],
)
def test_unfit_models_are_named(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize("weights", [(1,), (1, -1), (0, 0), (float("nan"), 1), 3])
def test_unfit_weights_are_named(weights):
    with pytest.raises(ConfigError, match="weights: expected 2 numbers"):
        mean_scores([np.eye(2), np.eye(2)], weights)
