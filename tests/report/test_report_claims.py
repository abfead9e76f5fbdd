"""Verdicts on cases made so that the right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from imtext.errors import ConfigError, DataError
from imtext.report import (
    Claim,
    Evidence,
    claims_frame,
    claims_table,
    decide,
    from_ranks,
    from_samples,
    gain_where,
)

CLAIM = Claim("c", "A beats B", "section 1", "R@1")
NO_GAIN = Claim("n", "A does not beat B", "section 1", "R@1", kind="no_gain", tolerance=1.5)
ABOUT = Claim("a", "A adds about ten", "section 1", "R@1", kind="about", around=10, within=5)
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
    verdict = decide(CLAIM, evidence)
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
    assert decide(NO_GAIN, _evidence((low + high) / 2, low, high)).word == word


@pytest.mark.parametrize(
    ("low", "high", "word", "why"),
    [
        (6, 14, "reproduced", ""),
        (5, 15, "reproduced", ""),
        (1, 4, "not reproduced", "R@1: smaller than about 10 points"),
        (-8, -2, "not reproduced", "R@1: smaller than about 10 points"),
        (16, 20, "not reproduced", "R@1: larger than about 10 points"),
        (3, 8, "undecided", "R@1: the interval reaches beyond 5 to 15 points"),
        (12, 18, "undecided", "R@1: the interval reaches beyond 5 to 15 points"),
        (1, 19, "undecided", "R@1: the interval reaches beyond 5 to 15 points"),
    ],
)
def test_rule_for_about(low, high, word, why):
    # Single seeds do not matter here: one of them lies outside the bounds throughout.
    verdict = decide(ABOUT, _evidence((low + high) / 2, low, high, (-20.0, 40.0)))
    assert (verdict.word, verdict.reason) == (word, why)


def test_bounds_stand_in_the_table_in_words():
    verdicts = [decide(claim, _evidence(12, 6, 14)) for claim in (CLAIM, ABOUT, NO_GAIN)]
    text = claims_table(verdicts, PROVENANCE).to_html()
    assert "claimed: about 10 points, taken as 5 to 15" in text
    assert "claimed: no gain above 1.5 points" in text and text.count("claimed: ") == 2
    assert "except where bounds are claimed" in text
    assert "except where bounds" not in claims_table(verdicts[:1], PROVENANCE).to_html()


def test_reasons():
    assert decide(CLAIM, _evidence(4, 1, 7), "too few images").reason == ""
    assert (
        decide(CLAIM, _evidence(1, -1, 3), "too few images.").reason
        == "R@1: the interval holds 0; too few images"
    )
    verdict = decide(CLAIM, reason="needs Stage II")
    assert (verdict.word, verdict.reason, verdict.evidence) == ("undecided", "needs Stage II", ())
    with pytest.raises(ConfigError, match="neither evidence nor a reason"):
        decide(CLAIM)


def test_from_ranks_is_the_mean_over_seeds():
    rng = np.random.default_rng(0)
    better = [rng.integers(1, 4, 300) for _ in range(3)]
    worse = [rng.integers(1, 9, 300) for _ in range(3)]
    got = from_ranks("R@1", better, worse, n=500)
    expected = [100 * (np.mean(a == 1) - np.mean(b == 1)) for a, b in zip(better, worse, strict=True)]
    assert got.per_seed == pytest.approx(expected)
    assert got.difference == pytest.approx(np.mean(expected))
    assert got.low < got.difference < got.high
    assert decide(CLAIM, got).word == "reproduced"
    assert decide(CLAIM, from_ranks("R@1", worse, better, n=500)).word == "not reproduced"


def test_copies_of_one_seed_do_not_narrow_the_interval():
    rng = np.random.default_rng(1)
    better, worse = rng.integers(1, 4, 200), rng.integers(1, 5, 200)
    one = from_ranks("R@1", better, worse)
    five = from_ranks("R@1", [better] * 5, [worse] * 5)
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.1)


def test_clusters_widen_the_interval():
    rng = np.random.default_rng(2)
    better = np.repeat(rng.integers(1, 4, 60), 5)
    worse = np.repeat(rng.integers(1, 5, 60), 5)
    loose = from_ranks("R@1", better, worse)
    tied = from_ranks("R@1", better, worse, clusters=np.repeat(np.arange(60), 5))
    assert tied.high - tied.low > 1.5 * (loose.high - loose.low)


def test_rsum_adds_three_recalls():
    got = from_ranks("R-sum", [1, 4, 9, 50], [2, 4, 11, 50], k="rsum", n=50)
    assert got.difference == pytest.approx(25 + 0 + 25)


def test_from_samples_pools_seeds():
    first, second = np.linspace(0.1, 0.2, 1001), np.linspace(0.3, 0.4, 1001)
    got = from_samples("S", [0.15, 0.35], [first, second])
    low, high = np.percentile(np.concatenate([first, second]), [2.5, 97.5])
    assert (got.difference, got.low, got.high) == pytest.approx((0.25, low, high))
    assert decide(CLAIM, got).word == "reproduced"
    assert decide(CLAIM, from_samples("S", -0.15, -first)).word == "not reproduced"
    assert decide(CLAIM, from_samples("S", 0.0, first - 0.15)).word == "undecided"


def test_mistakes_are_named():
    with pytest.raises(DataError, match="differ in length"):
        from_ranks("x", [np.ones(3, int), np.ones(4, int)], [np.ones(3, int)] * 2)
    with pytest.raises(DataError, match="same seeds and queries"):
        from_ranks("x", np.ones(3, int), np.ones(4, int))
    with pytest.raises(DataError, match="2 clusters for 3 queries"):
        from_ranks("x", np.ones(3, int), np.ones(3, int), clusters=[0, 1])
    with pytest.raises(DataError, match="2 differences for 1 seeds"):
        from_samples("x", [0.1, 0.2], np.ones(5))
    with pytest.raises(DataError, match="not finite"):
        from_samples("x", 0.1, [0.1, np.nan])
    with pytest.raises(DataError, match="not finite"):
        _evidence(float("nan"), 0, 1)
    with pytest.raises(ConfigError, match="kind"):
        Claim("c", "t", "s", "t", kind="less")
    with pytest.raises(ConfigError, match="needs around and within > 0"):
        Claim("c", "t", "s", "t", kind="about", around=10.0)
    with pytest.raises(ConfigError, match="belong to kind 'about'"):
        Claim("c", "t", "s", "t", within=1.0)
    with pytest.raises(ConfigError, match="twice"):
        claims_frame([decide(CLAIM, _evidence(4, 1, 7))] * 2)


def test_table_shows_word_and_symbol_and_is_the_same_every_time():
    other = Claim("d", "C < D & more", "section 2", "S", paper="0.1 against 0.2")
    third = Claim("e", "E", "section 3", "none")
    verdicts = [
        decide(CLAIM, _evidence(4, 1, 7)),
        decide(other, from_samples("S", -0.2, np.linspace(-0.3, -0.1, 50)), "the text CNN saw 400 groups"),
        decide(third, reason="not run"),
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
    assert "the text CNN saw 400 groups" in text and "not run" in text and 'id="T_claims"' in text
    frame = claims_frame(verdicts)
    assert list(frame.index) == ["c", "d", "e"] and frame.loc["c", "verdict"] == "✓ reproduced"


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
    for all_or_none in (chosen | True, chosen & False):
        with pytest.raises(ConfigError, match="choose some"):
            gain_where("gain", gains, all_or_none, clusters)
