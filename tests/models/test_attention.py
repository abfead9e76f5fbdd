"""Stacked cross attention by the Gram form against attended vectors formed one by one, in loops."""

import math

import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.models import scan
from imtext.models.scan import attend, scan_scores

SETTINGS = [
    ("t-i", "avg", 9.0, 6.0),
    ("t-i", "lse", 9.0, 6.0),
    ("i-t", "avg", 4.0, 5.0),
    ("i-t", "lse", 4.0, 20.0),
]


def naive_weights(context, queries, smooth):
    """Softmax weights (L, K), every number by the equations, as a list of rows."""
    x = [[float(c @ q) for q in queries] for c in context]
    x = [[v if v > 0 else 0.1 * v for v in row] for row in x]
    x = [[v / (math.sqrt(sum(u * u for u in row)) + 1e-8) for v in row] for row in x]
    weights = []
    for column in zip(*x, strict=True):
        powers = [math.exp(smooth * (v - max(column))) for v in column]
        weights.append([p / sum(powers) for p in powers])
    return weights


def naive_score(regions, words, direction, pooling, smooth, sharp):
    """One pair, with the attended vectors: regions (R, D) and words (W, D) in float64, no padding."""
    if not len(regions) or not len(words):
        return 0.0
    regions, words = (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-8) for rows in (regions, words))
    context, queries = (regions, words) if direction == "t-i" else (words, regions)
    relevance = []
    for query, weights in zip(queries, naive_weights(context, queries, smooth), strict=True):
        attended = sum(w * c for w, c in zip(weights, context, strict=True))
        relevance.append(float(query @ attended) / max(float(query.norm() * attended.norm()), 1e-8))
    if pooling == "avg":
        return sum(relevance) / len(relevance)
    return math.log(sum(math.exp(sharp * r) for r in relevance)) / sharp


def naive(regions, words, region_counts, word_counts, *settings):
    return torch.tensor(
        [
            [
                naive_score(image[:r].double(), caption[:w].double(), *settings)
                for caption, w in zip(words, word_counts, strict=True)
            ]
            for image, r in zip(regions, region_counts, strict=True)
        ],
        dtype=torch.float64,
    )


def ragged(dtype=torch.float64, seed=0):
    """Nine images and eleven captions that share directions, counts from 0 up, NaN behind them."""
    torch.manual_seed(seed)
    topics = torch.randn(4, 6)
    regions = topics[torch.randint(4, (9, 5))] + 0.7 * torch.randn(9, 5, 6)
    words = topics[torch.randint(4, (11, 7))] + 0.7 * torch.randn(11, 7, 6)
    region_counts = torch.tensor([5, 0, 1, 3, 5, 2, 4, 5, 1])
    word_counts = torch.tensor([7, 1, 3, 0, 2, 7, 5, 4, 4, 1, 6])
    for rows, counts in ((regions, region_counts), (words, word_counts)):
        for item, count in enumerate(counts):
            rows[item, count:] = torch.nan
    return regions.to(dtype), words.to(dtype), region_counts, word_counts


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("block", [None, 1, 3])
def test_scores_are_those_of_the_attended_vectors(settings, dtype, within, block):
    data = ragged(dtype)
    expected = naive(*data, *settings)
    assert expected.std() > 0.1
    for training in (False, True):
        regions, words = (rows.clone().requires_grad_(training) for rows in data[:2])
        scores = scan_scores(regions, words, *data[2:], *settings, block=block)
        assert scores.dtype == dtype and scores.shape == (9, 11) and scores.requires_grad == training
        assert (scores.detach().double() - expected).abs().max() < within


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_published_sizes_in_float32(settings):
    torch.manual_seed(1)
    regions, words = torch.randn(3, 36, 1024), torch.randn(4, 13, 1024)
    words[:, 0] = regions[torch.tensor([0, 1, 2, 0]), 5] + 0.3 * words[:, 0]
    counts = torch.tensor([13, 12, 5, 9])
    expected = naive(regions, words, [36] * 3, counts, *settings)
    assert (scan_scores(regions, words, None, counts, *settings) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("settings", SETTINGS)
def test_gradients_agree_with_differences(settings):
    regions, words, region_counts, word_counts = ragged()
    regions, words = regions[:4, :, :4], words[1:4, :, :4]
    region_counts, word_counts = region_counts[:4], word_counts[1:4]

    def scores(a, b):
        return scan_scores(a, b, region_counts, word_counts, *settings, block=2)

    inputs = [torch.nan_to_num(rows, nan=0.3).requires_grad_() for rows in (regions, words)]
    assert torch.autograd.gradcheck(scores, inputs)


@pytest.mark.parametrize("settings", SETTINGS)
def test_padding_and_empty_items_pass_no_gradient(settings):
    regions, words, region_counts, word_counts = ragged()
    regions, words = regions.requires_grad_(), words.requires_grad_()
    scores = scan_scores(regions, words, region_counts, word_counts, *settings)
    assert not scores[1].any() and not scores[:, 3].any()
    scores.square().sum().backward()
    for rows, counts in ((regions, region_counts), (words, word_counts)):
        for gradient, count in zip(rows.grad, counts, strict=True):
            assert torch.isfinite(gradient).all()
            assert not gradient[count:].any()
            assert gradient[:count].abs().sum(1).gt(0).all()


def degenerate():
    """Rows of zeros, rows at right angles to all others, opposite rows that cancel, equal rows."""
    east, north, up = torch.eye(3, dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    items = [[zero, zero], [up, up], [east, -east], [east, east], [north, zero], [-north, up]]
    return torch.stack([torch.stack(rows) for rows in items])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("settings", SETTINGS)
def test_degenerate_rows_have_finite_scores_and_gradients(settings, dtype):
    items = degenerate()
    regions, words = (rows.to(dtype, copy=True).requires_grad_() for rows in (items, items.flip(0)))
    scores = scan_scores(regions, words, None, None, *settings)
    expected = naive(items, items.flip(0), [2] * 6, [2] * 6, *settings)
    assert (scores.double() - expected).abs().max() < 1e-6
    scores.sum().backward()
    assert torch.isfinite(regions.grad).all() and torch.isfinite(words.grad).all()
    assert max(regions.grad.abs().max(), words.grad.abs().max()) < 1e3


@pytest.mark.parametrize("smooth", [0.01, 60.0, 5000.0])
@pytest.mark.parametrize("direction", scan.DIRECTIONS)
def test_a_sharp_or_flat_softmax_does_not_overflow(smooth, direction):
    regions, words, *counts = ragged(torch.float32)
    scores = scan_scores(regions, words, *counts, direction, "lse", smooth, 50.0)
    expected = naive(regions, words, *counts, direction, "lse", smooth, 50.0)
    assert (scores - expected).abs().max() < 1e-4


@pytest.mark.parametrize("direction", scan.DIRECTIONS)
def test_a_cosine_stays_one_where_float32_cancels(direction):
    """Opposite rows with nearly equal weights: the squared length of their sum is rounding."""
    torch.manual_seed(0)
    row = torch.randn(200, 1, 8)
    context = torch.cat([row, -row + 1e-3 * torch.randn(200, 1, 8)], dim=1)
    queries = torch.randn(100, 1, 8)
    regions, words = (context, queries) if direction == "t-i" else (queries, context)
    scores = scan_scores(regions, words, None, None, direction, "avg", 1e-4)
    assert torch.isfinite(scores).all() and scores.abs().max() <= 1


def test_rows_may_have_any_length_and_order_of_items_does_not_matter():
    regions, words, region_counts, word_counts = ragged()
    scores = scan_scores(regions, words, region_counts, word_counts)
    scaled = scan_scores(5 * regions, 0.2 * words, region_counts, word_counts)
    assert torch.allclose(scaled, scores, atol=1e-12)
    a, b = torch.randperm(9), torch.randperm(11)
    shuffled = scan_scores(regions[a], words[b], region_counts[a], word_counts[b])
    assert torch.allclose(shuffled, scores[a][:, b], atol=1e-12)


def test_one_image_one_caption_and_none():
    regions, words, region_counts, word_counts = ragged()
    scores = scan_scores(regions, words, region_counts, word_counts)
    one = scan_scores(regions[4:5], words, region_counts[4:5], word_counts)
    assert torch.allclose(one, scores[4:5], atol=1e-12)
    one = scan_scores(regions, words[6:7], region_counts, word_counts[6:7])
    assert torch.allclose(one, scores[:, 6:7], atol=1e-12)
    assert scan_scores(regions[:0], words, region_counts[:0], word_counts).shape == (0, 11)
    assert not scan_scores(regions[:, :0], words, word_counts=word_counts).any()


def test_threads_give_the_same():
    regions, words, *counts = ragged()
    scores = scan_scores(regions, words, *counts)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert torch.allclose(scan_scores(regions, words, *counts, block=2), scores, atol=1e-12)
        with torch.inference_mode():
            assert torch.allclose(scan_scores(regions, words, *counts, block=2), scores, atol=1e-12)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("grad", [False, True])
def test_autocast_and_half_precision_work_in_float32(grad):
    regions, words, *counts = ragged(torch.float32)
    regions, words = regions.nan_to_num(0).requires_grad_(grad), words.nan_to_num(0)
    plain = scan_scores(regions, words, *counts)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = scan_scores(regions, words, *counts)
        weights = attend(regions[0], words[0])
    assert scores.dtype == weights.dtype == torch.float32
    assert torch.equal(scores, plain) and torch.equal(weights, attend(regions[0], words[0]))
    halves = scan_scores(regions.bfloat16(), words.half(), *counts)
    assert halves.dtype == torch.float32
    rounded = scan_scores(regions.bfloat16().float(), words.half().float(), *counts)
    assert torch.equal(halves, rounded)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_gpu_gives_the_same(settings):
    data = ragged(torch.float32)
    on_gpu = [part.cuda() for part in data]
    expected = scan_scores(*data, *settings)
    scores = scan_scores(*on_gpu, *settings)
    assert scores.is_cuda and (scores.cpu() - expected).abs().max() < 1e-5
    with torch.autocast("cuda", dtype=torch.float16):
        inputs = [rows.requires_grad_() for rows in on_gpu[:2]]
        scan_scores(*inputs, *on_gpu[2:], *settings).sum().backward()
    assert torch.isfinite(inputs[0].grad).all() and torch.isfinite(inputs[1].grad).all()


@pytest.mark.parametrize("direction", scan.DIRECTIONS)
def test_attend_gives_the_weights_of_the_loops(direction):
    regions, words, *_ = ragged()
    image, caption = regions[0], words[4, :2]
    unit = [rows / rows.norm(dim=1, keepdim=True) for rows in (image, caption)]
    context, queries = unit if direction == "t-i" else unit[::-1]
    expected = torch.tensor(naive_weights(context, queries, 7.0), dtype=torch.float64)
    weights = attend(image, caption, direction, 7.0)
    assert weights.shape == ((2, 5) if direction == "t-i" else (5, 2))
    assert (weights - expected).abs().max() < 1e-12
    assert torch.allclose(weights.sum(1), torch.ones(len(weights), dtype=torch.float64))


def fail(message, *args, error=DataError, run=scan_scores, **kwargs):
    with pytest.raises(error, match=message) as caught:
        run(*args, **kwargs)
    assert "\n" not in str(caught.value)


def test_messages():
    regions, words = torch.rand(2, 3, 4), torch.rand(5, 6, 4)
    fail(r"words: expected a tensor \(items, rows, D\), found shape \(6, 4\)", regions, words[0])
    fail("regions have 4 dimensions, words 3; both", regions, words[..., :3])
    for wrong in (torch.tensor([1, 2, 3]), torch.tensor([1.0, 2.0]), [-1, 1]):
        fail("regions: expected 2 counts, whole numbers from 0 to 3", regions, words, wrong)
    fail("words: expected 5 counts, whole numbers from 0 to 6", regions, words, None, [6, 7, 1, 1, 1])
    fail("block=0: expected", regions, words, block=0, error=ConfigError)
    fail("direction='t2i': expected one of t-i, i-t", regions, words, direction="t2i", error=ConfigError)
    fail("pooling='max': expected one of", regions, words, pooling="max", error=ConfigError)
    for wrong in (0.0, -1, math.nan, math.inf, "9"):
        fail(f"smooth={wrong!r}: expected", regions, words, smooth=wrong, error=ConfigError)
        fail(f"sharp={wrong!r}: expected", regions, words, sharp=wrong, error=ConfigError)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("direction", scan.DIRECTIONS)
def test_a_row_that_is_not_finite_is_named(wrong, direction):
    regions, words = torch.rand(2, 3, 4), torch.rand(5, 6, 4)
    words[3, 2, 1] = wrong
    fail("words: item 3 holds NaN or infinity", regions, words, direction=direction)
    fine = scan_scores(regions, words, None, torch.tensor([6, 6, 6, 2, 6]), direction)
    assert torch.isfinite(fine).all()
    regions[1, 0, 0] = wrong
    fail("regions: item 1 holds", regions, words[:3], direction=direction)
