"""Violations of Eq. 5 counted against loops over triplets, and after a training."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from imtext.studies.preparation import DataSpec
from imtext.studies.running import run_one
from imtext.studies.structure_experiment import StructureExperiment
from imtext.studies.structure_violations import few_violations, violations
from imtext.training import Recipe


def by_loops(images, captions, match, margin):
    distances = torch.cdist(images, captions).numpy()
    first, second = [], []
    for i, j in match.nonzero().tolist():
        bound = distances[i, j] + margin
        first.append(sum(distances[i, k] < bound for k in range(len(captions)) if not match[i, k]))
        second.append(sum(distances[k, j] < bound for k in range(len(images)) if not match[k, j]))
    return first, second


@pytest.mark.parametrize("margin", [0.0, 0.1, 0.5])
def test_violations_against_loops(margin):
    torch.manual_seed(0)
    images, captions = (F.normalize(torch.randn(n, 4, dtype=torch.float64), dim=1) for n in (9, 23))
    match = torch.rand(9, 23) < 0.2
    found = violations(images, captions, match, margin)
    expected = by_loops(images, captions, match, margin)
    assert [side.tolist() for side in found] == [[int(n) for n in side] for side in expected]
    assert max(expected[0]) > 5 > min(expected[0])


def test_shares_of_a_trained_row(tmp_path):
    data = DataSpec(train=24, val=12, test=12, size=64, crop=48, cache=str(tmp_path / "cache"))
    recipe = Recipe(epochs=1, lr=3e-3, batch_size=60)
    options = {"crops": 1, "dim": 8, "hidden": 16, "reduction": "mean"}
    row = StructureExperiment("plain", data, "mean", recipe, **options)
    run = run_one(row, tmp_path / "runs")
    before = torch.random.get_rng_state()
    few = few_violations(row, run)
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = few["image"].shape
    assert pairs == few["text"].shape and few["text"].min() == 1  # fewer than 50 other images in a batch
    assert 0 <= few["image"].min() <= few["image"].max() <= 1
    again = few_violations(row, run)
    assert all(np.array_equal(few[side], again[side]) for side in few)
