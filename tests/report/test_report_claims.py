"""Evidence against loops and verdicts on cases made so that the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.errors import DataError
from imtext.report import (
    Claim,
    Evidence,
    claims_table,
    decide,
    difference_of_gains,
    from_samples,
    from_scores,
    gain_where,
)

CLAIM = Claim("c", "A beats B", "section 1", "R@1")
NO_GAIN = Claim("n", "A does not beat B", "section 1", "R@1", bounds=(-np.inf, 1.5))
ABOUT = Claim("a", "A adds about ten", "section 1", "R@1", bounds=(5, 15))
PROVENANCE = {"dataset": "picturebook", "profile": "smoke", "seeds": [0], "device": "cpu"}


def _evidence(difference, low, high, per_seed=None):
    return Evidence("R@1", difference, low, high, per_seed or (difference,))


@pytest.mark.parametrize(
    ("evidence", "word", "why"),
    [
        (_evidence(4, 1, 7), "reproduced", ""),
        (_evidence(-4, -7, -1), "not reproduced", "other sign"),
        (_evidence(4, -1, 9), "undecided", "holds 0"),
        (_evidence(4, 0, 9), "undecided", "holds 0"),
        (_evidence(4, 1, 7, (9.0, 4.0, -1.0)), "undecided", "1 of 3 seeds"),
        (_evidence(-4, -7, -1, (-9.0, 1.0)), "undecided", "1 of 2 seeds"),
        (_evidence(4, 1, 7, (8.0, 0.0)), "reproduced", ""),
    ],
)
def test_rule_for_one_difference(evidence, word, why):
    verdict = decide(CLAIM, [evidence])
    assert verdict.word == word and why in verdict.reason


def test_rule_for_several_differences():
    good, bad, open_ = _evidence(4, 1, 7), _evidence(-4, -7, -1), _evidence(1, -1, 3)
    assert decide(CLAIM, [good, good]).word == "reproduced"
    assert decide(CLAIM, [good, open_]).word == "undecided"
    assert decide(CLAIM, [good, open_, bad]).word == "not reproduced"


@pytest.mark.parametrize(
    ("low", "high", "word"), [(-3, 1, "reproduced"), (2, 4, "not reproduced"), (-1, 3, "undecided")]
)
def test_rule_for_no_gain(low, high, word):
    assert decide(NO_GAIN, [_evidence((low + high) / 2, low, high)]).word == word


@pytest.mark.parametrize(
    ("low", "high", "word", "why"),
    [
        (6, 14, "reproduced", ""),
        (5, 15, "reproduced", ""),
        (1, 4, "not reproduced", "R@1: smaller than claimed"),
        (-8, -2, "not reproduced", "R@1: smaller than claimed"),
        (16, 20, "not reproduced", "R@1: larger than claimed"),
        (3, 8, "undecided", "R@1: the interval reaches beyond what is claimed"),
        (12, 18, "undecided", "R@1: the interval reaches beyond what is claimed"),
        (1, 19, "undecided", "R@1: the interval reaches beyond what is claimed"),
    ],
)
def test_rule_for_about(low, high, word, why):
    # Single seeds do not matter here: one of them lies outside the bounds throughout.
    verdict = decide(ABOUT, [_evidence((low + high) / 2, low, high, (-20.0, 40.0))])
    assert (verdict.word, verdict.reason) == (word, why)


def test_bounds_stand_in_the_table_in_words():
    verdicts = [decide(claim, [_evidence(12, 6, 14)]) for claim in (CLAIM, ABOUT, NO_GAIN)]
    text = claims_table(verdicts, PROVENANCE).to_html()
    assert "claim taken as 5 to 15 points" in text
    assert "claim taken as at most 1.5 points" in text and text.count("taken as") == 2
    assert "except where bounds are claimed" in text
    assert "except where bounds" not in claims_table(verdicts[:1], PROVENANCE).to_html()


def test_a_reason_stands_where_the_verdict_is_another():
    assert decide(CLAIM, [_evidence(4, 1, 7)], "too few images").reason == ""
    found = decide(CLAIM, [_evidence(1, -1, 3)], "too few images").reason
    assert found == "R@1: the interval holds 0; too few images"


def test_scores_equal_a_loop_over_draws():
    random = np.random.default_rng(2)
    better, worse, owners = random.random((2, 40)), random.random((2, 40)), np.repeat(np.arange(8), 5)
    found = from_scores("mAP", list(better), list(worse), owners)
    own = 100 * (better - worse).mean(1)
    assert found.difference == pytest.approx(own.mean()) and found.per_seed == pytest.approx(tuple(own))
    per_image = 100 * (better - worse).reshape(2, 8, 5).mean((0, 2))
    means = per_image[np.random.default_rng(0).integers(0, 8, (2000, 8))].mean(1)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    with pytest.raises(DataError, match="finite"):
        from_scores("mAP", better[0], np.full(40, np.nan))


def test_copies_of_one_seed_do_not_narrow_the_interval():
    better, worse = np.random.default_rng(1).random((2, 200))
    one, five = from_scores("R@1", better, worse), from_scores("R@1", [better] * 5, [worse] * 5)
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.1)


def test_clusters_widen_the_interval():
    better, worse = np.repeat(np.random.default_rng(2).random((2, 60)), 5, axis=1)
    loose, tied = (from_scores("R@1", better, worse, owners) for owners in (None, np.arange(300) // 5))
    assert tied.high - tied.low > 1.5 * (loose.high - loose.low)


def test_gains_of_two_sides_are_subtracted_over_the_same_images():
    random, owners, images = np.random.default_rng(1), np.repeat(np.arange(30), 5), np.arange(30)
    text, image = random.random((2, 150)), random.random((2, 30))
    found = difference_of_gains("more", (text, owners), (image, images))
    assert found.difference == pytest.approx(text.mean() - image.mean())
    assert found.low < found.difference < found.high and len(found.per_seed) == 2
    same = difference_of_gains("same", (text, owners), (text, owners))
    assert (same.difference, same.low, same.high) == (0, 0, 0)


def test_from_samples_pools_seeds():
    first, second = np.linspace(0.1, 0.2, 1001), np.linspace(0.3, 0.4, 1001)
    got = from_samples("S", [0.15, 0.35], [first, second])
    low, high = np.percentile(np.concatenate([first, second]), [2.5, 97.5])
    assert (got.difference, got.low, got.high) == pytest.approx((0.25, low, high))
    assert decide(CLAIM, [got]).word == "reproduced"
    assert decide(CLAIM, [from_samples("S", -0.15, -first)]).word == "not reproduced"
    assert decide(CLAIM, [from_samples("S", 0.0, first - 0.15)]).word == "undecided"
    with pytest.raises(DataError, match="not finite"):
        from_samples("x", 0.1, [0.1, np.nan])


def test_table_shows_word_and_symbol_and_is_the_same_every_time():
    other = Claim("d", "C < D & more", "section 2", "S", paper="0.1 against 0.2")
    verdicts = [
        decide(CLAIM, [_evidence(4, 1, 7)]),
        decide(other, [from_samples("S", -0.2, np.linspace(-0.3, -0.1, 50))], "the text CNN saw 400 groups"),
        decide(CLAIM, [_evidence(1, -1, 3)]),
    ]
    text = claims_table(verdicts, PROVENANCE).to_html()
    assert text == claims_table(verdicts, PROVENANCE).to_html()
    for part in (
        "<i>✓</i> reproduced",
        "<i>✗</i> not reproduced",
        "<i>?</i> undecided",
        "+4.00 [+1.00, +7.00]",
        "C &lt; D &amp; more",
    ):
        assert part in text
    assert "the text CNN saw 400 groups" in text and 'id="T_claims"' in text
    assert "<td" not in claims_table([], PROVENANCE).to_html()


def test_one_part_of_the_queries_against_the_others():
    random = np.random.default_rng(5)
    clusters = np.repeat(np.arange(20), 3)
    gains = [random.integers(-1, 2, 60).astype(float) for _ in range(2)]
    chosen = random.random(60) < 0.3
    found = gain_where("gain", gains, chosen, clusters)
    own = [100 * (gain[chosen].mean() - gain[~chosen].mean()) for gain in gains]
    assert found.per_seed == pytest.approx(own)
    means = []
    for draw in np.random.default_rng(0).integers(0, 20, (2000, 20)):
        picked = np.concatenate([np.flatnonzero(clusters == one) for one in draw])
        gain, part = np.mean(gains, axis=0)[picked], chosen[picked]
        means.append(100 * (gain[part].mean() - gain[~part].mean()))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    other = gain_where("gain", gains, ~chosen, clusters)
    assert other.difference == pytest.approx(-found.difference)
