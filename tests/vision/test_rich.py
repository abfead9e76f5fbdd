from __future__ import annotations

import numpy as np
import pytest
from test_features import DIMS

from imtext.errors import ConfigError, DataError
from imtext.vision import RICH_VARIANTS, rich_image_features
from imtext.vision.rich import variant_dim

# Fu et al., section IV.D, written out: what is joined, in the order of Eq. 2
PLANS = {
    "avg-4": ["avg C4"],
    "avg-4-max-4": ["max C4", "avg C4"],
    "avg-4-max-34": ["max C3", "max C4", "avg C4"],
    "avg-4-max-123": ["max C1", "max C2", "max C3", "avg C4"],
    "avg-4-max-1234": ["max C1", "max C2", "max C3", "max C4", "avg C4"],
    "avg-1234": ["avg C1", "avg C2", "avg C3", "avg C4"],
    "avg-1234-max-1234": [f"{pool} C{i}" for pool in ("max", "avg") for i in (1, 2, 3, 4)],
}
RESNET152 = {"C1": 256, "C2": 512, "C3": 1024, "C4": 2048}
WIDTH = 28


def rich_by_hand(row: np.ndarray, variant: str) -> np.ndarray:
    """Equation 2 on one row of maxima and means, in float64, or with each part of length 1 first."""
    names = [f"{pool} C{i}" for pool in ("max", "avg") for i in (1, 2, 3, 4)]
    ends = np.cumsum([DIMS[name[-2:]] for name in names])
    part = dict(zip(names, np.split(row.astype(np.float64), ends[:-1]), strict=True))
    joined = []
    for name in PLANS[variant.removesuffix("-unit")]:
        own = sum(value * value for value in part[name]) ** 0.5 if variant.endswith("-unit") else 1
        joined += [value / (own or 1) for value in part[name]]
    length = sum(value * value for value in joined) ** 0.5
    return np.array(joined) / (length or 1)


@pytest.mark.parametrize("variant", [*RICH_VARIANTS, "avg-4-max-34-unit", "avg-4-max-1234-unit"])
def test_rich_features_are_the_parts_in_the_papers_order_over_one_norm(variant):
    rows = np.random.default_rng(0).normal(size=(2, 50, WIDTH)).astype(np.float32)
    rows[1, 7] = 0  # zeros stay zeros
    rows[1, 8] *= 1e-9
    rich = rich_image_features(rows, variant, DIMS)
    assert rich.shape == (2, 50, variant_dim(variant, DIMS)) and rich.dtype == np.float32
    for view, image in np.ndindex(2, 50):
        expected = rich_by_hand(rows[view, image], variant)
        np.testing.assert_allclose(rich[view, image], expected, rtol=1e-5, atol=1e-7)


def test_the_seven_variants_and_their_lengths():
    assert tuple(PLANS) == RICH_VARIANTS
    expected = (2048, 4096, 5120, 3840, 5888, 3840, 7680)
    assert tuple(variant_dim(variant, RESNET152) for variant in RICH_VARIANTS) == expected


def test_what_is_refused_says_why():
    rows = np.ones((2, WIDTH), np.float32)
    with pytest.raises(ConfigError, match=r"variant='max-4': expected one of avg-4, avg-4-max-4, "):
        rich_image_features(rows, "max-4", DIMS)
    for bad, dims in ((rows[:, 1:], DIMS), (rows, RESNET152)):
        with pytest.raises(DataError, match="pooled stages .* expected rows of "):
            rich_image_features(bad, "avg-4", dims)
