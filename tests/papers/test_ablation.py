"""Leaving out words, over a whole split, against one caption at a time and explicit loops."""

import numpy as np
import pandas as pd
import pytest
import torch
from one_word_less import word_ablation

from imtext.experiment.compute import in_blocks
from imtext.models import TextCNN, dual_path
from imtext.papers import instance_loss
from imtext.papers.instance_loss import by_word, split_ablation
from imtext.text import Vocabulary
from imtext.training import make_fabric

CAPTIONS = [
    "A dog runs on the beach.",
    "Two men sit near a red car",
    "dog",
    "?",
    "the black dog on the black sofa",
    "a child with a ball in the grass",
]
OWNERS = np.array([0, 1, 0, 2, 2, 1])


@pytest.fixture(scope="module")
def words():
    return Vocabulary.build(CAPTIONS)


@pytest.fixture(scope="module")
def net(words):
    torch.manual_seed(0)
    made = dual_path(TextCNN(len(words), 16, width=0.125, zero_init=False), image_dim=6, dim=16)
    return made.eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)


def _toy_embed(codes):
    """Embeddings that depend on the words and on their order, without a network."""
    vectors = np.random.default_rng(1).normal(size=(100, 16))
    vectors[0] = 0
    return (vectors[codes] / np.arange(1, codes.shape[1] + 1)[:, None]).sum(1)


def test_a_split_equals_one_caption_after_the_other(words, net, images):
    fabric = make_fabric("cpu")
    codes, _ = words.encode(CAPTIONS, 12)
    frame = split_ablation(
        words.words, codes, images[OWNERS], lambda part: in_blocks(net.embed_captions, part, fabric)
    )
    assert frame["caption"].unique().tolist() == [0, 1, 4, 5]
    for number in (0, 1, 4, 5):
        alone = word_ablation(
            words.decode(codes[number]),
            images[OWNERS[number]],
            lambda captions: in_blocks(net.embed_captions, words.encode(captions, 12)[0], fabric),
        )
        own = frame[frame["caption"] == number]
        assert own["word"].tolist() == words.decode(codes[number])
        assert own["drop"].to_numpy() == pytest.approx(alone, abs=1e-6)
        assert np.abs(alone).max() > 1e-4


def test_blocks_do_not_change_the_result(words, images, monkeypatch):
    codes, _ = words.encode(CAPTIONS, 12)
    whole = split_ablation(words.words, codes, images[OWNERS], _toy_embed)
    monkeypatch.setattr(instance_loss, "BLOCK", 3)
    largest = []
    embed = lambda part: largest.append(len(part)) or _toy_embed(part)  # noqa: E731
    parts = split_ablation(words.words, codes, images[OWNERS], embed)
    assert max(largest) == 3
    pd.testing.assert_frame_equal(whole, parts, atol=1e-12)


def test_a_caption_that_fills_every_place_loses_one_word_at_a_time(images):
    codes, seen = np.array([[3, 1, 2]]), []
    embed = lambda part: seen.append(part) or _toy_embed(part)  # noqa: E731
    split_ablation(["a", "b", "c"], codes, images[:1], embed)
    assert seen[0].tolist() == [[3, 1, 2]]
    assert seen[1].tolist() == [[1, 2, 0], [3, 2, 0], [3, 1, 0]]


def test_a_split_without_a_caption_of_two_words_gives_nothing(images):
    codes = np.array([[1, 0]])
    assert split_ablation(["dog"], codes, images[:1], _toy_embed).empty


@pytest.fixture(scope="module")
def frame(words, images):
    codes, _ = words.encode(CAPTIONS, 12)
    return split_ablation(words.words, codes, images[OWNERS], _toy_embed)


def test_a_line_for_every_word_left_out(frame):
    assert list(frame.columns) == ["word", "kind", "caption", "drop"]
    first = frame[frame["caption"] == 0]
    assert first["word"].tolist() == ["a", "dog", "runs", "on", "the", "beach"]
    assert first["kind"].tolist() == ["function", "content", "content", "function", "function", "content"]


def test_means_by_word_equal_a_loop(frame):
    found = by_word(frame, least=2)
    expected = {}
    for word, drop in zip(frame["word"], frame["drop"], strict=True):
        expected.setdefault(word, []).append(drop)
    expected = {word: drops for word, drops in expected.items() if len(drops) >= 2}
    assert set(found["word"]) == set(expected)
    for line in found.itertuples():
        assert line.drop == pytest.approx(np.mean(expected[line.word]))
        assert line.count == len(expected[line.word])
    assert found["drop"].is_monotonic_decreasing
    assert by_word(frame, least=100).empty
