"""The hinges of VSE++ and SCAN networks: schedule, groups, constraint, Adam."""

import shutil

import pandas as pd
import pytest
import torch
from torch import nn

from imtext.errors import ConfigError
from imtext.losses.intra_modal import intra_modal_constraint, intra_modal_loss
from imtext.losses.ranking import hinge_loss, ranking_loss
from imtext.models import SCAN, GRUText, LSTMText, vse
from imtext.training import PairBatches, Recipe, fit, make_fabric
from imtext.training.objectives import Constraint, HingeObjective
from imtext.vision.reading import CachedFeatures


def small(**options):
    torch.manual_seed(0)
    return HingeObjective(vse(GRUText(9, 4, 8, True, "mean"), image_dim=6, dim=8), **options)


def batch(groups=(0, 1, 2, 2, 3)):
    g = torch.Generator().manual_seed(1)
    size = len(groups)
    codes = torch.randint(0, 10, (size, 7), generator=g)
    return {"images": torch.randn(size, 6, generator=g), "codes": codes, "groups": torch.tensor(groups)}


class Scores(nn.Module):
    """A network that scores pairs and has no embedding of either side, in the form of SCAN."""

    def __init__(self):
        super().__init__()
        self.embed_regions, self.words = nn.Linear(3, 4), nn.Embedding(10, 4)

    def embed_words(self, codes, lengths=None):
        return self.words(codes), (codes > 0).sum(1)

    def scores(self, regions, words, region_counts=None, word_counts=None):
        return torch.einsum("nrd,mwd->nmrw", regions, words).amax(2).sum(2)

    def forward(self, features, codes, lengths=None):
        return self.scores(self.embed_regions(features), self.words(codes))


@pytest.mark.parametrize(
    "net",
    [
        vse(GRUText(9, 4, 8, True, "mean"), image_dim=6, dim=8),
        vse(LSTMText(9, 4, 8, dropout=0.0), image_dim=6, dim=8),
        SCAN(9, word_dim=4, dim=8, region_dim=6),
    ],
)
def test_the_lengths_of_a_batch_change_no_number(net):
    codes = torch.tensor([[3, 1, 0], [2, 0, 0], [0, 0, 0], [4, 5, 6]]).numpy()
    owners = torch.arange(4).numpy()
    images = torch.randn(1, 4, *([2] if isinstance(net, SCAN) else []), 6)
    pairs = PairBatches(CachedFeatures(images.numpy()), codes, (codes > 0).sum(1), owners, owners, 4)
    (given,) = pairs(0)
    assert sorted(given["lengths"]) == [1, 1, 2, 3]
    with_lengths, counted = net(given["images"], given["codes"], given["lengths"]), HingeObjective(net)
    without = net(given["images"], given["codes"])
    assert all(map(torch.equal, with_lengths, without))
    assert torch.equal(counted(given)["loss"], counted({**given, "lengths": None})["loss"])


@pytest.mark.parametrize("negatives", ["hardest", "all", "mean"])
def test_the_loss_is_the_ranking_loss_of_the_embeddings(negatives):
    objective, given = small(negatives=negatives, margin=0.3), batch()
    pair = objective.net(given["images"], given["codes"])
    expected = ranking_loss(*pair, given["groups"], margin=0.3, negatives=negatives)
    assert torch.equal(objective(given)["loss"], expected)


def test_another_caption_of_the_image_is_no_negative():
    assert small()(batch((0, 0, 0)))["loss"].item() == 0
    assert small()(batch((0, 1, 2)))["loss"].item() > 0


def test_all_hinges_first_then_the_hardest():
    objective, given = small(all_epochs=2), batch()
    pair = objective.net(given["images"], given["codes"])
    for epoch, negatives in enumerate(("all", "all", "hardest", "hardest")):
        objective.epoch = epoch
        expected = ranking_loss(*pair, given["groups"], negatives=negatives)
        assert torch.equal(objective(given)["loss"], expected)


def test_a_network_that_scores_pairs():
    objective, given = HingeObjective(Scores()), batch()
    given["images"] = torch.randn(5, 2, 3)
    net = objective.net
    scores = net(given["images"], given["codes"])
    loss = objective(given)["loss"]
    assert torch.equal(loss, hinge_loss(scores, given["groups"], 0.2, "hardest", "sum"))
    loss.backward()
    assert all(p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"negatives": "softest"},
        {"margin": -0.1},
        {"margin": float("nan")},
        {"all_epochs": -1},
    ],
)
def test_bad_options_are_named(options):
    with pytest.raises(ConfigError, match=f"{next(iter(options))}="):
        small(**options)


CONSTRAINTS = [
    Constraint(),
    Constraint(0.3, "cosine", "released_cosine", high=0.9),
    Constraint(2.0, "cosine", "printed", low=0.1, high=1.5),
    Constraint(0.5, "l2", "released_distance", low=0.2, high=0.8),
]


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_with_a_constraint_it_is_the_intra_modal_loss(constraint):
    options = {"margin": 0.3, "negatives": "all"}
    objective, given = small(constraint=constraint, **options), batch((0, 0, 1, 2, 2, 3, 4, 5))
    groups = given["groups"]
    pair = objective.net(given["images"], given["codes"])
    out = objective(given)
    assert torch.equal(out["hinges"], small(**options)(given)["loss"])
    settings = (constraint.distance, constraint.reading, constraint.low, constraint.high)
    for rows, name in zip(pair, ("constraint_images", "constraint_captions"), strict=True):
        assert torch.equal(out[name], intra_modal_constraint(rows, *settings, groups=groups))
        assert out[name] > 0  # the batch has pairs in the window
    expected = intra_modal_loss(
        *pair,
        groups,
        weight=constraint.weight,
        distance=constraint.distance,
        reading=constraint.reading,
        low=constraint.low,
        high=constraint.high,
        margin=0.3,
        negatives="all",
        reduction="sum",
    )
    assert torch.allclose(out["loss"], expected, rtol=1e-6)
    parameters = list(objective.net.parameters())
    ours = torch.autograd.grad(out["loss"], parameters)
    for a, b in zip(ours, torch.autograd.grad(expected, parameters), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_a_constraint_is_the_papers_unless_told():
    assert Constraint() == Constraint(1.0, "l1", "released_distance", low=0.05, high=0.5)


def test_another_caption_of_the_image_is_not_constrained():
    constraint = Constraint(distance="cosine", reading="printed", low=-1, high=3)  # whatever the distance
    for groups, counts in (((0, 0, 0), False), ((0, 1, 2), True)):
        out = small(constraint=constraint)(batch(groups))
        assert bool(out["constraint_images"] > 0) == bool(out["constraint_captions"] > 0) == counts


def test_weight_zero_learns_the_hinges_and_reports_the_rest():
    given, plain, watched = batch(), small(), small(constraint=Constraint(weight=0))
    out = watched(given)
    assert torch.equal(out["loss"], plain(given)["loss"]) and out["constraint_images"] > 0
    out["loss"].backward()
    plain(given)["loss"].backward()
    for a, b in zip(watched.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


def test_a_constraint_adds_no_weights():
    plain, watched = small(), small(constraint=Constraint())
    plain.load_state_dict(watched.state_dict())
    out = watched(batch())
    assert list(out) == ["loss", "hinges", "constraint_images", "constraint_captions"]
    assert list(plain(batch())) == ["loss"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": -1.0}, "weight=-1.0"),
        ({"weight": float("inf")}, "weight=inf"),
        ({"weight": float("nan")}, "weight=nan"),
        ({"distance": "l3"}, "l3"),
        ({"reading": "meant"}, "meant"),
        ({"distance": "cosine"}, "released_distance"),
        ({"low": 0.5, "high": 0.5}, "low"),
    ],
)
def test_a_bad_constraint_is_named_before_training(options, message):
    with pytest.raises(ConfigError, match=message):
        Constraint(**options)


def test_a_network_that_scores_takes_no_constraint():
    with pytest.raises(ConfigError, match="constraint: Scores scores pairs"):
        HingeObjective(Scores(), constraint=Constraint())


def test_the_constraint_pushes_the_way_its_reading_says(tmp_path):
    torch.manual_seed(6)
    codes = torch.arange(1, 9).repeat(3, 1).T  # eight captions, each of a word of its own
    given = {"images": torch.randn(8, 6).abs(), "codes": codes, "groups": torch.arange(8)}
    spread = {}
    for name, constraint in {
        "none": None,
        "printed": Constraint(1.0, "cosine", "printed", high=1.5),
        "released_cosine": Constraint(1.0, "cosine", "released_cosine", high=0.999),
    }.items():
        torch.manual_seed(7)
        net = vse(LSTMText(9, 4, 8, dropout=0), image_dim=6, dim=8)
        recipe = Recipe(epochs=8, lr=1e-2, weight_decay=0.0)
        (tmp_path / name).mkdir()
        objective = HingeObjective(net, margin=0.0, constraint=constraint)
        curves = fit(make_fabric("cpu"), objective, recipe, lambda epoch: iter([given] * 5), tmp_path / name)
        images = net.embed_images(given["images"]).detach()
        spread[name] = float((1 - images @ images.T).sum() / 56)
        if constraint is not None:
            sums = curves["hinges"] + curves["constraint_images"] + curves["constraint_captions"]
            assert (sums - curves["loss"]).abs().max() < 1e-4
            assert curves["constraint_images"].iloc[-1] < curves["constraint_images"].iloc[0]
    assert spread["printed"] < 0.8 * spread["none"]  # minimised distances attract
    assert spread["released_cosine"] > 1.2 * spread["none"]  # minimised similarities repel


def test_adamw_without_decay_is_the_adam_of_the_public_code():
    ours, theirs = small(negatives="all").double(), small(negatives="all").double()
    recipe = Recipe(epochs=1, lr=2e-4, weight_decay=0.0)
    optimizers = recipe.optimizer(ours), torch.optim.Adam(theirs.parameters(), lr=2e-4)
    given = batch()
    given["images"] = given["images"].double()
    start = {name: p.detach().clone() for name, p in ours.named_parameters()}
    for step in range(3):
        for objective, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            objective(given)["loss"].backward()
            optimizer.step()
        for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(a, b, rtol=0, atol=1e-14), (name, step)
    moved = [name for name, p in ours.named_parameters() if not torch.equal(p, start[name])]
    assert len(moved) == len(start)
    decayed = small(negatives="all").double()
    optimizer = Recipe(epochs=1, lr=2e-4, weight_decay=0.1).optimizer(decayed)
    decayed(given)["loss"].backward()
    optimizer.step()
    one_step = small(negatives="all").double()
    adam = torch.optim.Adam(one_step.parameters(), lr=2e-4)
    one_step(given)["loss"].backward()
    adam.step()
    assert not torch.allclose(decayed.net.image_head.fc.weight, one_step.net.image_head.fc.weight, atol=1e-9)


def test_trains_on_pair_batches(tmp_path):
    g = torch.Generator().manual_seed(4)
    features = torch.randn(1, 12, 16, generator=g).numpy()
    codes = torch.zeros(24, 7, dtype=torch.long)
    codes[:, :4] = torch.randint(1, 10, (24, 4), generator=g)
    owners = torch.arange(12).repeat_interleave(2).numpy()
    batches = PairBatches(
        CachedFeatures(features), codes.numpy(), (codes > 0).sum(1).numpy(), owners, owners, batch_size=12
    )
    torch.manual_seed(5)
    objective = HingeObjective(vse(GRUText(9, 8, 32), image_dim=16, dim=32), all_epochs=2)
    recipe = Recipe(epochs=30, lr=1e-2, weight_decay=0.0, milestones=(25,), clip=2.0, batch_size=12)
    fit(make_fabric("cpu"), objective, recipe, batches, tmp_path)
    images, captions = objective.net(torch.from_numpy(features[0]), codes)
    assert ((captions @ images.T).argmax(1).numpy() == owners).mean() > 0.95


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")
def test_compiled_it_is_the_same_training(tmp_path, monkeypatch):
    curves, compiled_parts, compile_it = {}, [], nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda part: compiled_parts.append(part) or compile_it(part))
    for compiled in (False, True):
        (folder := tmp_path / str(compiled)).mkdir()
        recipe = Recipe(epochs=3, lr=1e-2, clip=2.0, compiled=compiled)
        objective = small(negatives="hardest", all_epochs=1)
        curves[compiled] = fit(
            make_fabric("cpu"), objective, recipe, lambda epoch: iter([batch()] * 2), folder
        )
    assert compiled_parts and objective.net.text not in compiled_parts
    pd.testing.assert_frame_equal(curves[True], curves[False], rtol=1e-4)
