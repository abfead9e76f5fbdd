from __future__ import annotations

import numpy as np
import pytest

from imtext.errors import ConfigError, DataError
from imtext.retrieval.localisation import (
    average_precision,
    iou,
    localise,
    pairs,
    phrase_scores,
    suppress,
    truth_boxes,
)


def naive_iou(a, b) -> float:
    """By counting pixels."""
    ours = {(x, y) for x in range(a[0], a[2] + 1) for y in range(a[1], a[3] + 1)}
    theirs = {(x, y) for x in range(b[0], b[2] + 1) for y in range(b[1], b[3] + 1)}
    return len(ours & theirs) / len(ours | theirs)


def naive_nms(candidates, scores, boxes, limit):
    """Candidates that stay, best first; ties by index."""
    left, stay = sorted(candidates, key=lambda c: (-scores[c], c)), []
    for c in left:
        if all(naive_iou(boxes[c], boxes[s]) <= limit for s in stay):
            stay.append(c)
    return stay


def naive_ap(hits, positives, points=None) -> float:
    """The curve, written out: precision at each rank, the best of all later ranks, recall by recall."""
    curve, found = [], 0
    for rank, hit in enumerate(hits, 1):
        found += hit
        curve.append((found / positives, found / rank))
    best = lambda recall: max((p for r, p in curve if r >= recall - 1e-12), default=0.0)  # noqa: E731
    if points:
        return sum(best(k / (points - 1)) for k in range(points)) / points
    return sum(best(k / positives) for k in range(1, positives + 1)) / positives


def case(seed: int, images: int = 6, queries: int = 40):
    """Ragged candidates (image 2 has none), tied scores, phrases that repeat, some queries without a box."""
    rng = np.random.default_rng(seed)
    image_of_box = rng.choice([i for i in range(images) if i != 2], 60)
    corner = rng.integers(0, 6, (60, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 7, (60, 2))], 1)
    image, kind = rng.integers(0, images, queries), rng.integers(0, 5, queries)
    truth = boxes[rng.integers(0, 60, queries)].copy()
    truth[rng.random(queries) < 0.15] = -1
    table = rng.integers(0, 6, (5, 60)) / 4  # by phrase and box, with ties
    query, box = pairs(image, image_of_box)
    return table[kind[query], box], truth, image, boxes, image_of_box, [f"p{k}" for k in kind], table, kind


def naive(case_, limit, threshold, protocol, nms_before_recall):
    """Recalls, mean AP, bound and ranks by loops."""
    _, truth, image, boxes, image_of_box, _, table, kind = case_
    ranks, bound, lists, units = [], [], {}, {}
    for q in range(len(image)):
        if truth[q, 0] < 0:
            continue
        mine = [c for c in range(len(boxes)) if image_of_box[c] == image[q]]
        order = sorted(mine, key=lambda c, q=q: (-table[kind[q], c], c))
        left = naive_nms(mine, table[kind[q]], boxes, limit)
        right = [naive_iou(boxes[c], truth[q]) >= threshold for c in order]
        bound.append(any(right))
        after = [naive_iou(boxes[c], truth[q]) >= threshold for c in left]
        used = after if nms_before_recall else right
        ranks.append(used.index(True) + 1 if any(used) else np.inf)
        rows = [
            (table[kind[q], c], k == (after.index(True) if any(after) else -1)) for k, c in enumerate(left)
        ]
        lists.setdefault(kind[q], []).append(rows)
        units.setdefault(kind[q], {}).setdefault(image[q], (left, set()))[1].add(tuple(truth[q].tolist()))
    aps = []
    for k in sorted(lists):
        if protocol == "mentions":
            rows = sorted((row for rows in lists[k] for row in rows), key=lambda row: -row[0])
            aps.append(naive_ap([hit for _, hit in rows], len(lists[k]), 11))
            continue
        # like the library, boxes of equal score in the order of the first mention of each image
        rows, positives = [], sum(len(targets) for _, targets in units[k].values())
        for left, targets in units[k].values():
            claimed, targets = set(), sorted(targets)
            for c in left:
                overlaps = [naive_iou(boxes[c], t) for t in targets]
                t = int(np.argmax(overlaps))
                hit = overlaps[t] >= threshold and t not in claimed
                claimed |= {t} if hit else set()
                rows.append((table[k, c], hit))
        rows.sort(key=lambda row: -row[0])
        aps.append(naive_ap([hit for _, hit in rows], positives))
    return ranks, 100 * np.mean(bound), aps


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("protocol", "limit", "threshold", "early"),
    [("detection", 0.5, 0.5, False), ("mentions", 0.5, 0.5, True), ("detection", 0.3, 0.35, True)],
)
def test_localise_is_what_loops_find(seed, protocol, limit, threshold, early):
    made = case(seed)
    found = localise(*made[:6], threshold=threshold, nms=limit, protocol=protocol, nms_before_recall=early)
    ranks, bound, aps = naive(made, limit, threshold, protocol, early)
    assert found.ranks.tolist() == ranks
    assert found.upper_bound == pytest.approx(bound)
    np.testing.assert_allclose(found.ap, aps, rtol=1e-12)
    assert found.mean_ap == pytest.approx(100 * np.mean(aps))
    assert (found.r1, found.r5) == tuple(100 * np.mean(np.array(ranks) <= k) for k in (1, 5))
    assert found.without_box == (made[1][:, 0] < 0).sum() and found.queries == len(ranks)
    assert found.words == tuple(sorted({f"p{k}" for k in made[7][found.query]})) and found.phrases == len(aps)
    assert np.isinf(found.ranks[made[2][found.query] == 2]).all()  # an image without candidates: a miss


def test_shuffled_boxes_change_nothing():
    scores, truth, image, boxes, image_of_box, words, *_ = case(3)
    flat = localise(scores, truth, image, boxes, image_of_box, words)
    order = np.argsort(image_of_box, kind="stable")  # keeps the order within each image, hence ties too
    assert localise(scores, truth, image, boxes[order], image_of_box[order], words) == flat
    assert flat.row() == {name: getattr(flat, name) for name in flat.row()} and len(flat.row()) == 8


def test_boxes_against_pixels():
    rng = np.random.default_rng(1)
    corner = rng.integers(0, 9, (30, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 9, (30, 2))], 1)
    got = iou(boxes[:12], boxes[12:])
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, [[naive_iou(a, b) for b in boxes[12:]] for a in boxes[:12]], rtol=1e-15)
    scores = rng.integers(0, 4, 30)
    for limit in (0.0, 0.3, 0.5, 1.0):
        assert suppress(boxes, scores, limit).tolist() == naive_nms(range(30), scores, boxes, limit)
    assert iou(np.zeros((0, 4)), boxes).shape == (0, 30)
    big = iou([[0, 0, 10**6, 10**6]], [[0, 0, 10**6, 10**6]])
    assert big[0, 0] == 1.0


def test_a_box_exactly_at_the_threshold_is_right_and_one_at_the_limit_stays():
    half, whole = [0, 0, 9, 4], [0, 0, 9, 9]
    for box, rank in ((half, 1), ([0, 0, 9, 3], np.inf)):
        assert localise([1.0], [whole], [0], [box], [0], ["a"]).ranks.tolist() == [rank]
    assert suppress([whole, half], [2, 1], 0.5).tolist() == [0, 1]
    assert suppress([whole, half], [2, 1], 0.49).tolist() == [0]
    constant = localise([0.5] * 3, [whole], [0], [[50, 50, 60, 60], whole, whole], [0] * 3, ["a"])
    assert constant.ranks.tolist() == [2]  # a constant score gains nothing


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_against_the_curve(seed):
    rng = np.random.default_rng(seed)
    for n in (0, 1, 5, 40):
        hits = rng.random(n) < 0.3
        positives = max(1, int(hits.sum()) + int(rng.integers(0, 3)))
        for points in (None, 11, 101):
            assert average_precision(hits, positives, points) == pytest.approx(
                naive_ap(hits, positives, points)
            )


def test_scores_from_embeddings():
    rng = np.random.default_rng(0)
    _, _, image, _, image_of_box, *_ = case(0)
    phrases, regions = rng.normal(size=(len(image), 7)), rng.normal(size=(len(image_of_box), 7))
    query, box = pairs(image, image_of_box)
    assert (image[query] == image_of_box[box]).all() and (np.diff(query) >= 0).all()
    expected = np.einsum("pd,pd->p", phrases[query], regions[box])
    np.testing.assert_allclose(phrase_scores(phrases, regions, image, image_of_box), expected)


def test_truth_is_the_union_of_a_chain_in_its_own_image():
    boxes = [[0, 0, 4, 4], [2, 2, 9, 9], [5, 5, 6, 6], [1, 1, 2, 2]]
    truth, has = truth_boxes(boxes, [3, 3, 4, 3], [7, 7, 7, 0], [3, 4, 3, 4], [7, 7, 0, 8])
    assert has.tolist() == [True, True, False, False]
    assert truth[:2].tolist() == [[0, 0, 9, 9], [5, 5, 6, 6]] and (truth[2:] == -1).all()
    truth, has = truth_boxes(np.zeros((0, 4)), [], [], [3], [7])
    assert not has.any() and truth.tolist() == [[-1] * 4]


def test_no_candidate_anywhere_is_all_misses():
    found = localise([], [[0, 0, 1, 1]], [0], np.zeros((0, 4)), [], ["a"])
    assert found.r10 == found.mean_ap == found.upper_bound == 0 and found.queries == 1


def test_what_is_refused_says_why():
    scores, truth, image, boxes, image_of_box, words, *_ = case(0)
    rest = (truth, image, boxes, image_of_box, words)
    for wrong in ({"threshold": 0}, {"nms": 1.5}, {"protocol": "coco"}):
        with pytest.raises(ConfigError):
            localise(scores, *rest, **wrong)
    with pytest.raises(DataError, match=r"one per query and candidate of its image, .* shape \(3,\)"):
        localise(scores[:3], *rest)
    with pytest.raises(DataError, match="none of them NaN"):
        localise(np.where(np.arange(len(scores)) == 5, np.nan, scores), *rest)
    with pytest.raises(DataError, match="none of the 40 queries has a box"):
        localise(scores, np.full_like(truth, -1), *rest[1:])
    with pytest.raises(DataError, match="x1 <= x2"):
        localise(scores, truth, image, boxes[:, [2, 3, 0, 1]], image_of_box, words)
    with pytest.raises(DataError, match="words 3"):
        localise(scores, truth, image, boxes, image_of_box, words[:3])
