"""Evidence against loops and simulations, and verdicts on cases made so that the right answer is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from imtext.errors import DataError
from imtext.report import Claim, Evidence, claims_table, decide, from_parts, from_samples, from_scores
from imtext.report.claims import SIGNS

CLAIM = Claim("c", "A beats B", "section 1", "R@1")
NO_GAIN = Claim("n", "A does not beat B", "section 1", "R@1", bounds=(-np.inf, 1.5))
ABOUT = Claim("a", "A adds about ten", "section 1", "R@1", bounds=(5, 15))
BEYOND = "the interval extends beyond what is claimed"
PROVENANCE = {"dataset": "picturebook", "profile": "quick", "seeds": [0, 1, 2], "device": "cpu"}


def _evidence(difference, low, high, seeds=3, name="R@1"):
    return Evidence(name, difference, low, high, (difference,) * seeds)


# Verdicts


@pytest.mark.parametrize(
    ("evidence", "word", "why"),
    [
        (_evidence(4, 1, 7), "reproduced", ""),
        (_evidence(-4, -7, -1), "not reproduced", "the opposite of the claim"),
        (_evidence(4, -1, 9), "undecided", "the interval includes 0"),
        (_evidence(4, 0, 9), "undecided", "the interval includes 0"),
        # No unanimity: a seed that points the other way is in the interval already.
        (Evidence("R@1", 4, 1, 7, (9.0, 4.0, -1.0)), "reproduced", ""),
        (_evidence(4, 1, 7, seeds=1), "one seed", "as claimed"),
        (_evidence(-4, -7, -1, seeds=1), "one seed", "the opposite of the claim"),
        (_evidence(4, -1, 9, seeds=1), "one seed", "the interval includes 0"),
        (_evidence(4, 4, 4, seeds=1), "one seed", "as claimed"),
    ],
)
def test_rule_for_one_difference(evidence, word, why):
    verdict = decide(CLAIM, [evidence])
    assert (verdict.word, verdict.reason) == (word, why)


def test_the_worst_of_several_differences_counts():
    good, bad, open_ = _evidence(4, 1, 7, name="a"), _evidence(-4, -7, -1, name="b"), _evidence(1, -1, 3)
    assert decide(CLAIM, [good, good]).word == "reproduced"
    assert decide(CLAIM, [good, open_]).word == "undecided"
    found = decide(CLAIM, [good, open_, bad])
    assert found.word == "not reproduced"
    assert found.reason == "R@1: the interval includes 0; b: the opposite of the claim"
    assert decide(CLAIM, [bad, bad]).reason == "the opposite of the claim"  # said once
    alone = decide(CLAIM, [good, _evidence(-4, -7, -1, seeds=1, name="b")])
    assert (alone.word, alone.reason) == ("one seed", "a: as claimed; b: the opposite of the claim")


@pytest.mark.parametrize(
    ("low", "high", "word"), [(-3, 1, "reproduced"), (2, 4, "not reproduced"), (-1, 3, "undecided")]
)
def test_rule_for_no_gain(low, high, word):
    assert decide(NO_GAIN, [_evidence((low + high) / 2, low, high)]).word == word


@pytest.mark.parametrize(
    ("low", "high", "word", "why"),
    [
        (5, 15, "consistent", "the interval lies within what is claimed"),
        (3, 13, "undecided", f"of the claimed size, but too wide to tell: {BEYOND}"),
        (1, 8, "undecided", BEYOND),
        (12, 20, "undecided", BEYOND),
        (-8, 4, "inconsistent", "smaller than claimed"),
        (16, 20, "inconsistent", "larger than claimed"),
    ],
)
def test_rule_for_about(low, high, word, why):
    several, one = (decide(ABOUT, [_evidence((low + high) / 2, low, high, seeds)]) for seeds in (3, 1))
    assert (several.word, several.reason) == (word, why)
    assert (one.word, one.reason) == ("one seed", why)


def test_an_interval_wider_than_just_below_decides_nothing():
    just_below = Claim("j", "B is just below A", "section 1", "mean recall", bounds=(0, 3))
    assert decide(just_below, [_evidence(0.45, -7.60, 8.56)]).word == "undecided"
    assert decide(just_below, [_evidence(1.4, 0.4, 2.6)]).word == "consistent"


def test_no_verdict_from_a_row_at_chance_or_where_nothing_is_judged():
    for low, high in product((-9, 1, 6), (7, 20)):
        for claim in (CLAIM, NO_GAIN, ABOUT):
            item = _evidence(6, low, high)
            found = decide(claim, [item], at_chance="full-2: R-sum 4.1, by chance 3.2")
            assert found.word == "undecided: at chance" and found.reason.startswith("full-2: R-sum 4.1")
            found = decide(claim, [item], "full-2", "profile smoke")
            assert (found.word, found.reason) == ("not judged", "profile smoke")
    assert decide(CLAIM, [], not_judged="too small").word == "not judged"


def test_every_word_is_reached_and_has_a_sign_of_its_own_class():
    cases = [(CLAIM, 1, 7), (CLAIM, -7, -1), (CLAIM, -1, 1), (ABOUT, 6, 9), (ABOUT, 1, 2)]
    verdicts = [decide(claim, [_evidence((low + high) / 2, low, high)]) for claim, low, high in cases]
    verdicts.append(decide(CLAIM, [_evidence(4, 1, 7, seeds=1)]))
    verdicts += [decide(CLAIM, [_evidence(4, 1, 7)], "a"), decide(CLAIM, [], not_judged="b")]
    assert {verdict.word for verdict in verdicts} == set(SIGNS)
    text = claims_table(verdicts, PROVENANCE).to_html()
    for word, (sign, _) in SIGNS.items():
        assert f"<i>{sign}</i> {word}</strong>" in text
    colours = {look for word, (_, look) in SIGNS.items() if look in ("yes", "no")}
    assert colours == {"yes", "no"} and SIGNS["one seed"][1] not in colours


def test_bounds_stand_in_the_table_in_words():
    verdicts = [decide(claim, [_evidence(12, 6, 14)]) for claim in (CLAIM, ABOUT, NO_GAIN)]
    text = claims_table(verdicts, PROVENANCE).to_html()
    assert "claimed: 5 to 15 points" in text
    assert "claimed: at most 1.5 points" in text and text.count("claimed: ") == 2


def test_table_shows_word_and_symbol_and_is_the_same_every_time():
    other = Claim("d", "C < D & more", "section 2", "S", paper="0.1 against 0.2")
    verdicts = [
        decide(CLAIM, [_evidence(4, 1, 7)]),
        decide(other, [from_samples("S", [-0.2] * 3, np.linspace(-0.3, -0.1, 50))]),
    ]
    text = claims_table(verdicts, PROVENANCE).to_html()
    assert text == claims_table(verdicts, PROVENANCE).to_html()
    for part in ("+4.00 [+1.00, +7.00]", "C &lt; D &amp; more", "the opposite of the claim", 'id="T_claims"'):
        assert part in text
    assert "<td" not in claims_table([], PROVENANCE).to_html()
    alone = from_samples("error", 0.25).show()
    assert alone == "+0.250"  # one seed, and nothing drawn: no interval


# Intervals


def test_one_seed_equals_a_loop_over_draws():
    random = np.random.default_rng(2)
    better, worse, owners = random.random(40), random.random(40), np.repeat(np.arange(8), 5)
    found = from_scores("mAP", better, worse, owners)
    per_image = 100 * (better - worse).reshape(8, 5).mean(1)
    means = per_image[np.random.default_rng(0).integers(0, 8, (2000, 8))].mean(1)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    with pytest.raises(DataError, match="finite"):
        from_scores("mAP", better, np.full(40, np.nan))


def test_several_seeds_equal_loops_over_queries_and_seeds():
    random, owners = np.random.default_rng(2), np.repeat(np.arange(8), 5)
    better, worse = random.random((3, 40)), random.random((3, 40))
    found = from_scores("mAP", list(better), list(worse), owners)
    own = [100 * sum(better[s, i] - worse[s, i] for i in range(40)) / 40 for s in range(3)]
    assert found.difference == pytest.approx(np.mean(own)) and found.per_seed == pytest.approx(own)
    drawn = []
    for draw in np.random.default_rng(0).integers(0, 8, (2000, 8)):
        items = [5 * image + caption for image in draw for caption in range(5)]
        drawn.append(100 * np.mean([better[s, items] - worse[s, items] for s in range(3)]))
    drawn = np.array(drawn)
    spread = t.ppf(0.975, 2) * np.std(own, ddof=1) / 3**0.5
    for end, place, sign in ((found.low, 2.5, -1), (found.high, 97.5, 1)):
        queries = np.percentile(drawn, place) - drawn.mean()
        assert end == pytest.approx(drawn.mean() + sign * (queries**2 + spread**2) ** 0.5)


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(
    ("training", "image", "query", "alone"),
    [(1, 6, 6, 0.97), (2, 2, 5, 0.6), (0, 6, 6, 0.99), (2, 0, 0.1, 0.05)],
)
def test_intervals_hold_a_known_difference(seeds, training, image, query, alone):
    """Trainings that differ, captions of an image that resemble each other; over queries alone it fails."""
    random, owners, repetitions = np.random.default_rng(seeds), np.repeat(np.arange(40), 5), 200
    held = {"both": 0, "queries": 0}
    for _ in range(repetitions):
        gains = 2.0 + random.normal(scale=query, size=(seeds, 200))
        gains += random.normal(scale=training, size=(seeds, 1)) + random.normal(scale=image, size=40)[owners]
        for which, own in (("both", gains), ("queries", gains.mean(0))):
            found = from_scores("gain", own, 0, owners, scale=1)
            held[which] += found.low <= 2 <= found.high
    assert 0.92 * repetitions <= held["both"]
    assert held["queries"] <= alone * repetitions


def test_seeds_that_agree_leave_the_interval_of_queries_and_clusters_widen_it():
    better, worse = np.random.default_rng(1).random((2, 200))
    one, five = from_scores("R@1", better, worse), from_scores("R@1", [better] * 5, [worse] * 5)
    assert (five.low, five.high) == pytest.approx((one.low, one.high)) and len(five.per_seed) == 5
    better, worse = np.repeat(np.random.default_rng(2).random((2, 60)), 5, axis=1)
    loose, tied = (from_scores("R@1", better, worse, owners) for owners in (None, np.arange(300) // 5))
    assert tied.high - tied.low > 1.5 * (loose.high - loose.low)


def test_scalars_of_several_seeds():
    draws = np.linspace(-0.05, 0.05, 1001)
    alone = from_samples("S", 0.15, 0.15 + draws)
    assert (alone.low, alone.high) == pytest.approx((0.1025, 0.1975))
    three = from_samples("S", [0.1, 0.2, 0.3], [own + draws for own in (0.1, 0.2, 0.3)])
    reach = ((0.95 * 0.05) ** 2 + (t.ppf(0.975, 2) * 0.1) ** 2 / 3) ** 0.5
    assert (three.difference, three.low, three.high) == pytest.approx((0.2, 0.2 - reach, 0.2 + reach))
    assert decide(CLAIM, [three]).word == "undecided"
    with pytest.raises(DataError, match="not finite"):
        from_samples("x", 0.1, [0.1, np.nan])


def test_one_part_of_the_queries_against_the_others():
    random = np.random.default_rng(5)
    clusters = np.repeat(np.arange(200), 3)
    gains = [random.integers(-1, 2, 600).astype(float) for _ in range(2)]
    chosen = random.random(600) < 0.3
    found = from_parts("gain", gains, chosen, clusters)
    own = [100 * (gain[chosen].mean() - gain[~chosen].mean()) for gain in gains]
    assert found.per_seed == pytest.approx(own)
    gain, means = gains[0], []
    for draw in np.random.default_rng(0).integers(0, 200, (500, 200)):
        picked = np.concatenate([np.arange(3 * one, 3 * one + 3) for one in draw])
        part = chosen[picked]
        means.append(100 * (gain[picked][part].mean() - gain[picked][~part].mean()))
    alone, other = from_parts("gain", gain, chosen, clusters), from_parts("gain", gain, ~chosen, clusters)
    wide = np.subtract(*np.percentile(means, [97.5, 2.5]))
    assert alone.high - alone.low == pytest.approx(wide, rel=0.1)
    assert other.difference == pytest.approx(-alone.difference)
