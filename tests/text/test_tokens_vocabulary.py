from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.text import Vocabulary, WordVectors, load_word_vectors, position_shift, shift_all, tokenize


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A man's dog.", ["a", "man", "'s", "dog"]),
        ("The man\u2019s dog isn\u2019t here", ["the", "man", "'s", "dog", "is", "n't", "here"]),
        ("can't won't don't", ["ca", "n't", "wo", "n't", "do", "n't"]),
        ("black-and-white snow_board", ["black", "and", "white", "snow", "board"]),
        ("3.5 miles, 1,000 people. 2!", ["3.5", "miles", "1,000", "people", "2"]),
        ("a 4x4 truck, the 2nd", ["a", "4x4", "truck", "the", "2nd"]),
        ("caf\u00e9 'quoted' dogs'", ["caf\u00e9", "quoted", "dogs"]),
        ("they're 'selling' rock'n'roll", ["they", "'re", "selling", "rock", "n", "roll"]),
        (
            "A 1950s car on 42nd street, 100m from the 1,000th shop",
            ["a", "1950s", "car", "on", "42nd", "street", "100m", "from", "the", "1,000th", "shop"],
        ),
        ("the '50s, 3.5mm, 10:30am, 21st-century", ["the", "50s", "3.5mm", "10", "30am", "21st", "century"]),
        ("हिन्दी में एक कुत्ता।", ["हिन्दी", "में", "एक", "कुत्ता"]),
        ("ไม่มี தமிழ் می\u200cخواهم שָׁלוֹם", ["ไม่มี", "தமிழ்", "می\u200cخواهم", "שָׁלוֹם"]),
        ("\u0130stanbul'da", ["i\u0307stanbul", "da"]),
        ("", []),
        ("?! ... \u0301 \u2764\ufe0f \t\n", []),
    ],
)
def test_tokenize(caption, words):
    assert tokenize(caption) == words


def test_both_forms_of_an_accent_are_one_word(tmp_path):
    composed, decomposed = "café naïve", unicodedata.normalize("NFD", "Café naïve")
    assert decomposed != composed and tokenize(decomposed) == tokenize(composed) == composed.split()
    numbers = np.eye(2, dtype="<f4")
    words = unicodedata.normalize("NFD", composed).split()
    lines = f"{words[0]} 1 0\n{words[1]} 0 1\n{composed.split()[0]} 9 9\n"
    (tmp_path / "v.vec").write_text(lines, encoding="utf-8")
    (tmp_path / "v.bin").write_bytes(
        b"2 2\n" + b"".join(w.encode() + b" " + row.tobytes() for w, row in zip(words, numbers, strict=True))
    )
    for vectors in (
        WordVectors(words, numbers),
        load_word_vectors(tmp_path / "v.vec", only=tokenize(composed)),
        load_word_vectors(tmp_path / "v.bin"),
    ):
        assert Vocabulary.build([decomposed], vectors).words == ("café", "naïve")
        assert vectors["café"].tolist() == [1, 0]


def test_vocabulary_keeps_every_training_word_that_the_vectors_know():
    captions = ["a dog and a zzyzx", "a dog", "rare emu"]
    vectors = WordVectors(["emu", "dog", "a", "cat"], np.eye(4))
    words = Vocabulary.build(captions, vectors)
    assert words.words == ("a", "dog", "emu")  # by count, then spelling; no cut; cat is not in the captions
    assert Vocabulary.build(captions, min_count=2).words == ("a", "dog")
    assert Vocabulary.build(reversed(captions), vectors).words == words.words


def test_encode_skips_unknown_words_before_the_cut():
    words = Vocabulary(["a", "dog", "runs"])
    codes, lengths = words.encode(["a big dog runs", "", "big", "runs runs runs runs"], length=3)
    assert codes.dtype == np.int64 and lengths.dtype == np.int64
    assert codes.tolist() == [[1, 2, 3], [0, 0, 0], [0, 0, 0], [3, 3, 3]]
    assert lengths.tolist() == [3, 0, 0, 3]
    empty_codes, empty_lengths = words.encode([])
    assert empty_codes.shape == (0, 32) and empty_lengths.shape == (0,)


def test_encode_equals_an_explicit_loop():
    rng = np.random.default_rng(0)
    names = [f"w{i}" for i in range(30)]
    words = Vocabulary(names[:20])
    captions = [" ".join(rng.choice(names, rng.integers(0, 50))) for _ in range(200)]
    codes, lengths = words.encode(captions, length=32)
    for row, caption in enumerate(captions):
        expected = [names.index(w) + 1 for w in caption.split() if w in names[:20]][:32]
        assert lengths[row] == len(expected)
        assert codes[row].tolist() == expected + [0] * (32 - len(expected))


def test_matrix_rows_are_codes():
    vectors = WordVectors(["cat", "dog"], [[1.0, 2.0], [3.0, 4.0]])
    matrix = Vocabulary(["dog", "unseen", "cat"]).matrix(vectors)
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[0, 0], [3, 4], [0, 0], [1, 2]]


WHOLE = {"format": "imtext-vocabulary-3", "words": ["a"], "unknown": True, "ends": False}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"format": "imtext-vocabulary-3", "words": ["a"',
        b"[]",
        b'{"words": ["a"]}',
        b"\xff\xfe",
        json.dumps({**WHOLE, "words": ["a", "a"]}).encode(),
        json.dumps({**WHOLE, "words": ["a", 3]}).encode(),
        json.dumps({**WHOLE, "format": "imtext-vocabulary-2"}).encode(),
        json.dumps({key: WHOLE[key] for key in ("format", "words", "unknown")}).encode(),
    ],
)
def test_vocabulary_load_refuses_other_files(tmp_path, content):
    file = tmp_path / "words.json"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"words\.json"):
        Vocabulary.load(file)


def test_marks_of_vse():
    captions = ["a dog runs", "a dog", "a dog sleeps", "a dog and a cat"]
    words = Vocabulary.build(captions, min_count=4, unknown=True, ends=True)
    assert words.words == ("a", "dog", "<start>", "<end>", "<unk>") and len(words) == 5
    codes, lengths = words.encode(["A cat, a dog!", "", "a a a a a a"], length=6)
    assert codes.tolist() == [[3, 1, 5, 1, 2, 4], [3, 4, 0, 0, 0, 0], [3, 1, 1, 1, 1, 4]]
    assert lengths.tolist() == [6, 2, 6]
    assert words.known(["A cat, a dog!", "", "cat", "<start> <unk>"]).tolist() == [3, 0, 0, 0]
    assert words.matrix(WordVectors(["dog"], [[1.0]])).ravel().tolist() == [0, 0, 1, 0, 0, 0]


def test_marks_one_without_the_other():
    unknown = Vocabulary(["dog"], unknown=True)
    assert unknown.encode(["a dog", "?"], length=3)[0].tolist() == [[2, 1, 0], [0, 0, 0]]
    ends = Vocabulary(["dog"], ends=True)
    assert ends.encode(["a dog", "cat"], length=3)[0].tolist() == [[2, 1, 3], [2, 3, 0]]
    with pytest.raises(ConfigError, match="length=2: expected an integer of 3 or more"):
        ends.encode(["dog"], length=2)
    with pytest.raises(DataError, match="repeated"):
        Vocabulary(["<unk>"], unknown=True)
    with pytest.raises(ConfigError, match="one string"):
        ends.known("dog")


@pytest.mark.parametrize(("unknown", "ends"), [(True, True), (True, False), (False, True), (False, False)])
def test_vocabulary_round_trip(tmp_path, unknown, ends):
    words = Vocabulary(["dog", "caf\u00e9", "'s"], unknown, ends)
    words.save(tmp_path / "words.json")
    again = Vocabulary.load(tmp_path / "words.json")
    assert (again.words, again.unknown, again.ends) == (words.words, unknown, ends)
    assert [p.name for p in tmp_path.iterdir()] == ["words.json"]


def test_vocabulary_bad_parameters(tmp_path):
    with pytest.raises(DataError, match="none of the 1 words"):
        Vocabulary.build(["dog"], WordVectors(["cat"], [[1.0]]))
    with pytest.raises(ConfigError, match="min_count"):
        Vocabulary.build(["dog"], min_count=0)
    with pytest.raises(ConfigError, match="one string"):
        Vocabulary(["dog"]).encode("dog")
    with pytest.raises(ConfigError, match="length"):
        Vocabulary(["dog"]).encode(["dog"], length=0)
    with pytest.raises(DataError, match="absent"):
        Vocabulary.load(tmp_path / "absent.json")


def _left_aligned(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.arange(rows) % (length + 1)
    codes = torch.arange(1, length + 1).repeat(rows, 1)
    codes[torch.arange(length) >= lengths[:, None]] = 0
    return codes, lengths


def test_position_shift_moves_whole_captions():
    codes, lengths = _left_aligned(40, 8)
    shifted = position_shift(codes, lengths, torch.Generator().manual_seed(3))
    assert shifted.shape == codes.shape and shifted.dtype == codes.dtype
    for row, length in enumerate(lengths.tolist()):
        values = shifted[row].tolist()
        start = values.index(1) if length else 0
        assert values == [0] * start + list(range(1, length + 1)) + [0] * (8 - start - length)
    again = position_shift(codes, lengths, torch.Generator().manual_seed(3))
    assert torch.equal(shifted, again)


def test_position_shift_is_uniform_over_the_free_space():
    codes = torch.tensor([[1, 2, 0, 0, 0]]).repeat(8000, 1)
    shifted = position_shift(codes, torch.full((8000,), 2), torch.Generator().manual_seed(0))
    starts = shifted.argmax(1) - 1  # the place of code 2, less one
    shares = torch.bincount(starts, minlength=5) / 8000
    assert shares[4] == 0
    assert torch.allclose(shares[:4], torch.full((4,), 0.25), atol=0.02)


def test_shift_all_lists_every_position():
    codes, lengths = _left_aligned(9, 8)
    shifted, row = shift_all(codes, lengths)
    assert torch.bincount(row).tolist() == (9 - lengths).tolist()
    expected = []
    for one, length in zip(codes.tolist(), lengths.tolist(), strict=True):
        for start in range(8 - length + 1):
            expected.append([0] * start + one[:length] + [0] * (8 - start - length))
    assert shifted.tolist() == expected


def test_position_shift_refuses_mismatched_shapes():
    with pytest.raises(ValueError, match=r"codes must be \(B, L\)"):
        position_shift(torch.zeros(3, 4, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
