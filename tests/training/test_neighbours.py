"""Batches with added positives and negatives: what is in them, and that they do not depend on history."""

import numpy as np
import pytest
import torch
from scipy import sparse

from imtext.models import two_branch
from imtext.retrieval import evaluate
from imtext.training import NeighbourBatches, Recipe, StructureObjective, fit, make_fabric


def five_each(images=7, dim=4, captions=5):
    random = np.random.default_rng(0)
    owners = np.repeat(np.arange(images), captions)
    pairs = np.stack([owners, np.arange(len(owners))], axis=1)
    features = random.normal(size=(images, dim)).astype(np.float32)
    return features, random.normal(size=(len(owners), dim)).astype(np.float32), pairs


def test_every_pair_is_met_once_an_epoch_and_each_image_has_one_more_caption():
    images, captions, pairs = five_each()
    plain = NeighbourBatches(images, captions, pairs, batch_size=8, more_captions=False)
    more = NeighbourBatches(images, captions, pairs, batch_size=8)
    met = np.concatenate([batch["captions"].numpy() for batch in plain(0)])
    assert sorted(met) == list(range(35))
    for bare, full in zip(plain(0), more(0), strict=True):
        added = set(full["captions"].tolist()) - set(bare["captions"].tolist())
        assert len(added) == len(bare["images"])  # each image of the batch had one left
        assert full["match"].sum(1).min() >= 2
    assert len(more(0)) == len(list(more(0))) == 5


def test_matches_and_features_are_those_of_the_items():
    images, captions, pairs = five_each()
    for batch in NeighbourBatches(images, captions, pairs, batch_size=6)(1):
        rows = batch["captions"].numpy()
        owners = np.unique(rows // 5)
        assert torch.equal(batch["texts"], torch.from_numpy(captions[rows]))
        assert torch.equal(batch["images"], torch.from_numpy(images[owners]))
        expected = owners[:, None] == (rows // 5)[None, :]
        assert np.array_equal(batch["match"].numpy(), expected)


def test_many_to_many_adds_regions_too_and_reads_sparse_texts():
    images, _, _ = five_each(images=6)
    texts = sparse.csr_array(np.eye(4, dtype=np.float32))
    pairs = np.array([[0, 0], [1, 0], [2, 0], [2, 1], [3, 2], [4, 2], [5, 3]])
    batches = NeighbourBatches(images, texts, pairs, 2, more_captions=False, more_images=True)
    for batch in batches(0):
        assert batch["texts"].shape == (len(batch["captions"]), 4)
        assert batch["match"].any(0).all()
        for column, phrase in enumerate(batch["captions"].tolist()):
            has = int((pairs[:, 1] == phrase).sum())
            assert int(batch["match"][:, column].sum()) >= min(2, has)


def test_hard_negatives_come_without_a_match():
    images, captions, pairs = five_each(images=6)
    extra = np.concatenate([images, np.full((3, 4), 9.0, np.float32)])
    negatives = sparse.lil_array((30, 9), dtype=bool)
    negatives[:, 7] = True
    batches = NeighbourBatches(
        extra, captions, pairs, batch_size=5, more_captions=False, negatives=sparse.csr_array(negatives)
    )
    for batch in batches(0):
        added = (batch["images"] == 9.0).all(1)
        assert int(added.sum()) == 1
        assert not batch["match"][added].any()


def test_batches_depend_on_seed_and_epoch_alone():
    images, captions, pairs = five_each()
    first, second = (NeighbourBatches(images, captions, pairs, batch_size=8, seed=3) for _ in range(2))
    list(first(0))
    for a, b in zip(first(2), second(2), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    orders = [next(iter(first(epoch)))["captions"].tolist() for epoch in (0, 1)]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("hidden", [None, 32])
def test_a_two_branch_network_fits_a_tiny_set(tmp_path, hidden):
    torch.manual_seed(0)
    images, captions, pairs = five_each(images=8, dim=16)
    net = two_branch(16, 16, dim=16, hidden=hidden, dropout=0.0)
    objective = StructureObjective(net, margin=0.1, lambdas=(2.0, 0.0, 0.2), reduction="mean")
    batches = NeighbourBatches(images, captions, pairs, batch_size=40)
    curves = fit(make_fabric("cpu"), objective, Recipe(epochs=150, lr=1e-2), batches, tmp_path)
    assert curves["loss"].iloc[-1] < 0.1 * curves["loss"].iloc[0]
    net.eval()
    with torch.no_grad():
        scores = (
            net.embed_images(torch.from_numpy(images)) @ net.embed_captions(torch.from_numpy(captions)).T
        )
    assert (scores.argmax(0).numpy() == pairs[:, 0]).mean() > 0.95


def linear_rsum(folder, blank):
    """R-sum of a linear two-branch network on 800 captions, ``blank`` of them without a known word."""
    random = np.random.default_rng(0)
    images = random.normal(size=(160, 16)).astype(np.float32)
    owners = np.repeat(np.arange(160), 5)
    axes = np.linalg.qr(random.normal(size=(16, 16)))[0]
    captions = (images[owners] @ axes + 0.1 * random.normal(size=(800, 16))).astype(np.float32)
    captions /= np.linalg.norm(captions, axis=1, keepdims=True)
    captions[random.permutation(800)[:blank]] = 0
    torch.manual_seed(0)
    net = two_branch(16, 16, dim=16, hidden=None)
    objective = StructureObjective(net, margin=0.1, lambdas=(2.0, 0.0, 0.2), reduction="mean")
    batches = NeighbourBatches(images, captions, np.stack([owners, np.arange(800)], 1), batch_size=200)
    recipe = Recipe(epochs=10, lr=0.1, batch_size=200, optimiser="sgd")
    fit(make_fabric("cpu"), objective, recipe, batches, folder)
    net.eval()
    with torch.no_grad():
        sides = net(torch.from_numpy(images), torch.from_numpy(captions))
    return evaluate(*(side.numpy() for side in sides), owners).rsum


def test_captions_without_a_known_word_do_not_spoil_a_linear_network(tmp_path):
    (tmp_path / "whole").mkdir()
    whole, blank = linear_rsum(tmp_path / "whole", 0), linear_rsum(tmp_path, 12)
    assert whole > 590 and blank > 580


def test_parameter_count():
    count = sum(p.numel() for p in two_branch(6, 5, dim=4, hidden=8).parameters())
    assert count == (6 * 8 + 8 + 8 * 4 + 4 + 2 * 4) + (5 * 8 + 8 + 8 * 4 + 4 + 2 * 4)
    assert sum(p.numel() for p in two_branch(6, 5, dim=4, hidden=None).parameters()) == 6 * 4 + 4 + 5 * 4 + 4


class Numbered:
    """Pixels that tell their image, and a random number of their own."""

    def take(self, indices, generator):
        return torch.stack([torch.from_numpy(indices).float(), torch.rand(len(indices), generator=generator)])


def test_some_pairs_of_each_image_make_a_shorter_epoch():
    images, captions, pairs = five_each()
    few = NeighbourBatches(images, captions, pairs, batch_size=8, more_captions=False, pairs_each=2)
    met = np.concatenate([batch["captions"].numpy() for batch in few(0)])
    assert np.bincount(met // 5).tolist() == [2] * 7
    assert len(set(met)) == 14 and len(few(0)) == len(list(few(0))) == 2
    other = np.concatenate([batch["captions"].numpy() for batch in few(1)])
    assert sorted(met) != sorted(other)
    # A positive that was not drawn for the epoch still matches, and may be the one more.
    more = NeighbourBatches(images, captions, pairs, batch_size=7, pairs_each=1)
    for batch in more(0):
        assert batch["match"].sum(1).tolist() == [2] * len(batch["images"])


def test_pixels_come_in_the_batches_of_features():
    images, captions, pairs = five_each()
    rows = NeighbourBatches(images, captions, pairs, batch_size=8, seed=3)
    pixels = NeighbourBatches(images, captions, pairs, batch_size=8, seed=3, pixels=Numbered())
    found = list(pixels(1))
    assert len(found) == len(pixels(1)) == 5
    for plain, batch in zip(rows(1), found, strict=True):
        assert all(torch.equal(plain[name], batch[name]) for name in ("texts", "match", "captions"))
        assert torch.equal(plain["images"], torch.from_numpy(images[batch["images"][0].long().numpy()]))
    again = list(pixels(1))
    assert all(torch.equal(a["images"], b["images"]) for a, b in zip(found, again, strict=True))
    assert not torch.equal(found[0]["images"][1, :4], found[1]["images"][1, :4])
