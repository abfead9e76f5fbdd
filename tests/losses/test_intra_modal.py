"""The Intra-Modal Constraint loss against explicit loops, and the way each reading moves a pair."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from imtext.errors import ConfigError
from imtext.losses.intra_modal import (
    DISTANCES,
    READINGS,
    constraint_of_distances,
    in_window,
    intra_modal_constraint,
    intra_modal_loss,
    pair_distances,
)
from imtext.losses.ranking import ranking_loss

FITTING = [("cosine", "released_cosine"), *((name, "released_distance") for name in ("msd", "l1", "l2"))]
ALL = [*((name, "printed") for name in DISTANCES), *FITTING]
# Where random points of a few dimensions have pairs below, within and above the window.
WIDE = {"cosine": (0.3, 1.2), "msd": (0.6, 2.4), "l1": (0.8, 2.2), "l2": (0.7, 1.5)}


def draw(count, dim=3, seed=0, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)


def naive_distance(a, b, name):
    a, b = ([x / (math.sqrt(sum(y * y for y in v)) or 1.0) for x in v] for v in (a.tolist(), b.tolist()))
    if name == "cosine":
        return 1 - sum(x * y for x, y in zip(a, b, strict=True))
    if name == "l1":
        return sum(abs(x - y) for x, y in zip(a, b, strict=True))
    squared = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    return squared if name == "msd" else math.sqrt(squared)


def naive_matrix(rows, name):
    count = len(rows)
    pairs = [
        [naive_distance(rows[i], rows[j], name) if i != j else 0.0 for j in range(count)]
        for i in range(count)
    ]
    return torch.tensor(pairs, dtype=torch.float64).reshape(count, count)


def naive_constraint(distances, reading, low, high, groups):
    """Eq. 4 pair by pair; its value and the pairs that count."""
    count, counted, total = len(distances), set(), 0.0
    apart = [[groups[i] != groups[j] for j in range(count)] for i in range(count)]
    table = [[float(distances[i, j]) if apart[i][j] else 0.0 for j in range(count)] for i in range(count)]
    if reading == "released_distance" and count:
        for i in range(count):
            length = math.sqrt(sum(value**2 for value in table[i])) or 1.0
            table[i] = [value / length for value in table[i]]
        order = sorted(table[0])
        low, high = (order[min(round(share * count), count - 1)] for share in (low, high))
    for i in range(count):
        for j in range(count):
            if apart[i][j] and low < table[i][j] < high:
                counted.add((i, j))
                total += 1 - table[i][j] if reading == "released_cosine" else table[i][j]
    return (total if reading == "printed" else total / max(count, 1)), counted


def line(*places):
    """Distances of points on a line, with a gradient."""
    points = torch.tensor(places, dtype=torch.float64)
    return (points[:, None] - points[None, :]).abs().requires_grad_()


def force(distances, reading, **options):
    (gradient,) = torch.autograd.grad(constraint_of_distances(distances, reading, **options), distances)
    return -gradient


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(("count", "dim"), [(0, 3), (1, 3), (2, 1), (5, 4), (9, 2)])
def test_distances_equal_loops(name, count, dim):
    rows = draw(count, dim)
    ours = pair_distances(rows, name)
    assert ours.shape == (count, count) and not ours.diagonal().any()
    torch.testing.assert_close(ours, naive_matrix(rows, name), rtol=0, atol=1e-12)
    if name != "cosine":  # a product, whose two triangles may differ in the last bit
        assert torch.equal(ours, ours.T)


@pytest.mark.parametrize("name", DISTANCES)
def test_gradient_of_distances(name):
    rows, weights = draw(6, 4, requires_grad=True), draw(6, 6, seed=1)  # pulled unlike in both directions
    assert torch.autograd.gradcheck(lambda x: pair_distances(x, name) * weights, rows)


def test_l1_gradient_over_uneven_blocks():
    rows, weights = draw(9, 10_000, requires_grad=True), draw(9, 9, seed=1)  # two rows a block, and one
    (ours,) = torch.autograd.grad((pair_distances(rows, "l1") * weights).sum(), rows)
    unit = F.normalize(rows, dim=1)
    (plain,) = torch.autograd.grad(((unit[:, None] - unit[None]).abs().sum(2) * weights).sum(), rows)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", DISTANCES)
def test_no_tensor_holds_all_differences(name):
    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                self.numbers = max(self.numbers, tensor.numel() if torch.is_tensor(tensor) else 0)
            return result

    rows = torch.randn(32, 8192, requires_grad=True)
    with Largest() as largest:
        pair_distances(rows, name).sum().backward()
    assert rows.numel() <= largest.numbers <= 2 * rows.numel()


@pytest.mark.parametrize("name", DISTANCES)
def test_equal_rows_and_rows_of_zeros(name):
    rows = torch.tensor([[3.0, 4.0, 1.0], [6.0, 8.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    distances = pair_distances(rows.requires_grad_(), name)
    torch.testing.assert_close(distances.double(), naive_matrix(rows, name), rtol=0, atol=1e-6)
    if name != "cosine":
        assert distances[0, 1] == distances[2, 3] == 0.0
    distances.sum().backward()
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize(("name", "reading"), ALL)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 13])
@pytest.mark.parametrize("grouped", [False, True])
def test_equals_loops(name, reading, count, grouped):
    rows = draw(count, seed=count)
    groups = torch.arange(count) // 2 % 5 if grouped else None
    numbers = groups.tolist() if grouped else range(count)
    for low, high in (WIDE[name], (0.05, 0.5), (0.0, 1.0)):
        if reading == "released_distance" and high > 1:
            low, high = 0.2, 0.8
        expected, counted = naive_constraint(naive_matrix(rows, name), reading, low, high, numbers)
        ours = intra_modal_constraint(rows, name, reading, low, high, groups)
        assert float(ours) == pytest.approx(expected, abs=1e-12)
        window = in_window(pair_distances(rows, name), reading, low, high, groups)
        assert set(map(tuple, window.nonzero().tolist())) == counted
        if count > 3 and high != 0.5:
            assert 0 < len(counted) < count * (count - 1)


@pytest.mark.parametrize("reading", READINGS)
def test_ties_lie_outside(reading):
    distances = line(0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0)  # steps of 1, and the borders are two of them
    options = {"low": 1.0, "high": 3.0}
    if reading == "released_distance":
        options = {"low": 0.2, "high": 0.7}  # of the first row: 1 and 4 (twice), so 2 and 3 are left
    expected, counted = naive_constraint(distances.detach(), reading, **options, groups=range(7))
    assert float(constraint_of_distances(distances.detach(), reading, **options)) == pytest.approx(
        expected, abs=1e-12
    )
    window = in_window(distances, reading, **options)
    assert window[0].nonzero().flatten().tolist() == ([2, 3] if reading == "released_distance" else [2])
    assert window.sum() == len(counted)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(20, 1, 10), (10, 0, 5), (50, 2, 25), (70, 4, 35), (3, 0, 2)]
)
def test_borders_are_order_statistics_of_the_first_row(count, low, high):
    distances = line(*range(count))
    window = in_window(distances, "released_distance")
    assert window[0].nonzero().flatten().tolist() == list(range(low + 1, high))
    # Other rows are scaled by their own norm and held against the borders of the first.
    scaled = F.normalize(distances, dim=1)
    inside = (scaled > scaled[0, low]) & (scaled < scaled[0, high])
    assert torch.equal(window, inside)


def test_the_first_item_matters_in_the_released_code_alone():
    rows, order = draw(12), torch.tensor([5, 0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])
    for name, reading in ALL:
        low, high = (0.05, 0.5) if reading == "released_distance" else WIDE[name]
        given, turned = (
            float(intra_modal_constraint(x, name, reading, low, high)) for x in (rows, rows[order])
        )
        assert (given == pytest.approx(turned)) == (reading != "released_distance")


def test_forces_of_printed_and_released_cosine():
    distances = torch.tensor([[0.0, 0.04, 0.3], [0.04, 0.0, 0.6], [0.3, 0.6, 0.0]], requires_grad=True)
    near, far, inside = (0, 1), (1, 2), (0, 2)
    together, apart = force(distances, "printed"), force(distances, "released_cosine")
    assert together[inside] == together.T[inside] == -1.0
    assert apart[inside] == apart.T[inside] == pytest.approx(1 / 3)
    for pull in (together, apart):
        assert pull[near] == pull[far] == 0.0 and pull.count_nonzero() == 2


def test_forces_of_released_distance():
    distances = pair_distances(draw(30, 5), "l1").requires_grad_()
    pull, window = force(distances, "released_distance"), in_window(distances, "released_distance")
    distances = distances.detach()
    itself = torch.eye(30, dtype=torch.bool)
    assert (pull[window] < 0).all() and window.any()
    assert (pull[~window & ~itself] > 0).all()  # the gradient does not end at the borders
    assert not pull[itself].any()
    # Nothing is won by making a whole row smaller: the forces on a row balance.
    torch.testing.assert_close(
        (pull * distances).sum(1), torch.zeros(30, dtype=torch.float64), atol=1e-12, rtol=0
    )
    scaled = constraint_of_distances(7 * distances, "released_distance")
    assert float(scaled) == pytest.approx(float(constraint_of_distances(distances, "released_distance")))


@pytest.mark.parametrize(("name", "reading"), ALL)
def test_gradient(name, reading):
    rows, groups = draw(9, 4, seed=2, requires_grad=True), torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7])
    low, high = (0.1, 0.7) if reading == "released_distance" else WIDE[name]

    def run(x):
        return intra_modal_constraint(x, name, reading, low, high, groups)

    assert torch.autograd.gradcheck(run, rows)
    assert torch.autograd.grad(run(rows), rows)[0].any()


@pytest.mark.parametrize(("name", "reading"), ALL)
def test_degenerate_batches(name, reading):
    nothing = [torch.zeros(0, 3), torch.ones(1, 3), torch.ones(2, 3), torch.ones(7, 3), torch.zeros(7, 3)]
    for rows in nothing:
        if not rows.any() and name == "cosine":
            continue  # the cosine of two rows of zeros is 0: far apart
        loss = intra_modal_constraint(rows.requires_grad_(), name, reading)
        loss.backward()
        assert loss.item() == 0.0 and not rows.grad.any()
    same = intra_modal_constraint(draw(6), name, reading, 0.0, 1.0, groups=torch.zeros(6, dtype=torch.long))
    assert same.item() == 0.0
    pair = intra_modal_constraint(draw(2), name, reading)
    assert reading != "released_distance" or pair.item() == 0.0  # a row has one entry, the upper border
    assert intra_modal_constraint(torch.full((4, 3), torch.nan), name, reading).isnan()


def test_loss_is_hinges_and_both_constraints():
    images, captions, groups = draw(8), draw(8, seed=1), torch.tensor([0, 0, 1, 2, 3, 4, 4, 5])
    for name, reading in ALL:
        low, high = (0.1, 0.9) if reading == "released_distance" else WIDE[name]
        for given in (None, groups):
            hinge = {"margin": 0.3, "negatives": "all", "reduction": "mean"}
            parts = [
                intra_modal_constraint(rows, name, reading, low, high, given) for rows in (images, captions)
            ]
            hinges = ranking_loss(images, captions, given, **hinge)
            ours = intra_modal_loss(
                images, captions, given, 0.7, distance=name, reading=reading, low=low, high=high, **hinge
            )
            assert float(ours) == pytest.approx(float(hinges + 0.7 * (parts[0] + parts[1])))
            assert parts[0] > 0 and parts[1] > 0 and parts[0] != parts[1]
    default = ranking_loss(images, captions, margin=0.2, reduction="sum")
    assert torch.equal(intra_modal_loss(images, captions, weight=0.0), default)
    terms = [intra_modal_constraint(x, "l1", "released_distance", 0.05, 0.5) for x in (images, captions)]
    assert float(intra_modal_loss(images, captions)) == pytest.approx(float(default + sum(terms)))


@pytest.mark.parametrize(("name", "reading"), ALL)
def test_half_precision_and_autocast_keep_distances_apart(name, reading):
    images, captions = draw(64, 16).float(), draw(64, 16, seed=1).float()
    options = {"distance": name, "reading": reading, "low": 0.2, "high": 0.9}
    plain = intra_modal_loss(images, captions, **options)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain, intra_modal_loss(images, captions, **options))
    half = images.bfloat16()
    assert torch.equal(pair_distances(half, name), pair_distances(half.float(), name))
    assert constraint_of_distances(pair_distances(half, name).half(), reading).dtype == torch.float32
    assert pair_distances(images.double(), name).dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "reading"), ALL)
def test_same_on_a_gpu(name, reading):
    rows = draw(64, 32, requires_grad=True)
    there = rows.detach().cuda().requires_grad_()
    losses = [intra_modal_constraint(x, name, reading, 0.2, 0.9) for x in (rows, there)]
    for loss in losses:
        loss.backward()
    assert losses[1].device.type == "cuda" and float(losses[0]) == pytest.approx(float(losses[1]))
    torch.testing.assert_close(there.grad.cpu(), rows.grad, rtol=0, atol=1e-9)


def test_what_does_not_fit():
    rows = torch.eye(3)
    for name, reading in (("cosine", "released_distance"), ("l1", "released_cosine")):
        with pytest.raises(
            ConfigError, match=f"'{reading}' is not what the released code does with '{name}'"
        ):
            intra_modal_constraint(rows, name, reading)
    for change in ({"distance": "l3"}, {"reading": "meant"}):
        with pytest.raises(ConfigError, match=f"{next(iter(change))}=.*expected one of"):
            intra_modal_constraint(rows, **change)
    for low, high in ((0.5, 0.5), (0.6, 0.5), (math.nan, 0.5), (-0.1, 0.5), (0.1, 1.1)):
        with pytest.raises(ConfigError, match=r"low < high, shares from 0 to 1"):
            intra_modal_loss(rows, rows, low=low, high=high, weight=0.0)
    assert float(intra_modal_constraint(rows, "msd", "printed", -0.1, 2.1)) == pytest.approx(12.0)
    with pytest.raises(ConfigError, match=r"low=2, high=1: expected low < high"):
        in_window(rows, "printed", 2, 1)
    with pytest.raises(ConfigError, match=r"distances \(N, N\), found \(2, 3\)"):
        constraint_of_distances(torch.zeros(2, 3), "printed")
    with pytest.raises(ConfigError, match=r"one group per pair \(3\), found \(2,\)"):
        in_window(rows, "printed", groups=torch.arange(2))
    with pytest.raises(ConfigError, match=r"rows \(N, D\), found \(3,\)"):
        pair_distances(torch.zeros(3), "l1")
    with pytest.raises(ConfigError, match="distance='manhattan'"):
        pair_distances(rows, "manhattan")
    with pytest.raises(ConfigError, match="pairs, found"):
        intra_modal_loss(rows, torch.eye(4)[:, :3])
