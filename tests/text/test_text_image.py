"""Text as pictures: against a version that paints pixel by pixel, and back again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imtext.errors import ConfigError, DataError
from imtext.files import write_tensors
from imtext.text.text_image import _KIND, TextImage, largest_superpixel
from imtext.text.tiles import Tiles


def _matrix(words: int, features: int, seed: int = 0) -> np.ndarray:
    """Vectors by code, with padding and, from four words on, one word that has none."""
    matrix = np.random.default_rng(seed).standard_normal((words + 1, features)).astype(np.float32)
    matrix[0] = 0
    if words > 3:
        matrix[3] = 0
    return matrix


def _level(value: float, low: float, high: float) -> int:
    return min(255, max(0, round((float(value) - low) / (high - low) * 255)))


def _naive(codes, matrix, low, high, side, superpixel, row_tiles, separator, start, canvas, offset):
    """One caption, a cursor and single pixels: (picture, words past the canvas, words not whole on it)."""
    page = [[[0] * canvas for _ in range(canvas)] for _ in range(3)]
    count = len(matrix[0]) // 3
    wide = row_tiles * superpixel
    tall = -(-count // row_tiles) * superpixel
    y, x = start
    past = cut = 0
    for code in codes:
        vector = [float(value) for value in matrix[code]]
        if code == 0 or not any(vector):
            continue
        if x + wide > canvas - start[1]:
            y, x = y + tall + separator, start[1]
        if y + tall > canvas - start[0]:
            past += 1
            continue
        levels = [_level(value, low[n], high[n]) for n, value in enumerate(vector)]
        if not any(levels):
            levels[0] = 1
        whole = True
        for row in range(tall):
            for column in range(wide):
                top, left = y + row - offset[0], x + column - offset[1]
                whole &= 0 <= top < side and 0 <= left < side
                number = row // superpixel * row_tiles + column // superpixel
                for channel in range(3):
                    if number < count:
                        page[channel][y + row][x + column] = levels[3 * number + channel]
        cut += not whole
        x += wide + separator
    picture = [[line[offset[1] : offset[1] + side] for line in plane[offset[0] :][:side]] for plane in page]
    return np.array(picture, dtype=np.uint8), past, past + cut


CASES = {
    "plain": dict(features=12, side=23, superpixel=2, row_tiles=2, separator=1, start=(0, 0), canvas=23),
    "wide": dict(features=24, side=40, superpixel=3, row_tiles=4, separator=4, start=(3, 1), canvas=40),
    "one row": dict(features=9, side=20, superpixel=2, row_tiles=3, separator=2, start=(0, 0), canvas=20),
    "part of a row": dict(
        features=15, side=19, superpixel=1, row_tiles=2, separator=0, start=(1, 2), canvas=19
    ),
    "safe crop": dict(features=12, side=21, superpixel=1, row_tiles=4, separator=2, start=(6, 6), canvas=27),
    "crop that cuts": dict(
        features=12, side=17, superpixel=2, row_tiles=2, separator=1, start=(0, 2), canvas=26
    ),
    "tall": dict(features=6, side=16, superpixel=3, row_tiles=1, separator=1, start=(0, 0), canvas=16),
}


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_pictures_equal_those_painted_pixel_by_pixel(name: str, each: bool) -> None:
    form = dict(CASES[name])
    random = np.random.default_rng(len(name))
    matrix = _matrix(9, form.pop("features"), seed=5)
    drawer = TextImage.fit(matrix, training=[1, 2, 4, 5], each=each, **form)
    room = drawer.capacity
    codes = random.integers(0, 10, (7, room + 4))
    codes[0], codes[1, 2:], codes[2] = 0, 0, 3  # nothing; two words; only the word without a vector
    codes[3] = np.where(codes[3] % 3 == 0, 1, codes[3])  # more words than fit
    offsets = random.integers(0, drawer.slack + 1, (7, 2))
    pictures, dropped = drawer.encode(codes, offsets), drawer.dropped(codes, offsets)
    assert pictures.shape == (7, 3, form["side"], form["side"]) and pictures.dtype == np.uint8
    rows = matrix[[1, 2, 4, 5]].astype(float)
    low = rows.min(axis=0) if each else [rows.min()] * rows.shape[1]
    high = rows.max(axis=0) if each else [rows.max()] * rows.shape[1]
    pasts = []
    for number in range(7):
        expected, past, missing = _naive(
            codes[number].tolist(), matrix, low, high, **form, offset=offsets[number].tolist()
        )
        np.testing.assert_array_equal(pictures[number], expected, err_msg=f"caption {number}")
        assert dropped[number] == missing, number
        pasts.append(past)
    assert pasts[3] > 0 and (name == "crop that cuts") == (pasts != dropped.tolist())


def test_words_stand_where_the_places_say() -> None:
    drawer = TextImage.fit(_matrix(5, 24), side=50)
    assert drawer.tile == (6, 12) and drawer.grid == (5, 3) and drawer.capacity == 15
    assert drawer.places[:5].tolist() == [[0, 0], [0, 16], [0, 32], [10, 0], [10, 16]]
    picture = drawer.encode(np.ones((1, 4), int))[0]
    lit = picture.any(axis=0)
    assert lit.sum() <= 4 * 6 * 12 and lit[0, 0] and not lit[:, 12:16].any() and not lit[6:10].any()
    np.testing.assert_array_equal(picture[:, 10:16, :12], picture[:, :6, 16:28])


def test_published_sizes() -> None:
    found = {features: (Tiles(features).tile, Tiles(features).grid) for features in (12, 24, 36)}
    assert found == {12: ((6, 6), (23, 23)), 24: ((6, 12), (23, 14)), 36: ((9, 12), (17, 14))}
    cropped = Tiles(12, canvas=256)
    assert cropped.slack == 29 and cropped.start == (29, 29) and cropped.grid == (20, 20) and not cropped.cuts
    assert Tiles(12, canvas=256, start=0).cuts and Tiles(12, canvas=256, start=(29, 0)).cuts


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 8),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_vectors_can_be_read_back(thirds, superpixel, separator, slack, seed, each) -> None:
    random = np.random.default_rng(seed)
    matrix = _matrix(12, 3 * thirds, seed)
    side = int(random.integers(3 * thirds * superpixel, 70)) if 3 * thirds * superpixel < 70 else 96
    row_tiles = int(random.integers(1, thirds + 1))
    drawer = TextImage.fit(
        matrix, None, each, side=side, superpixel=superpixel, separator=separator, row_tiles=row_tiles,
        canvas=side + min(slack, side // 4), start=None if slack % 2 else min(slack, side // 4) + 1,
    )  # fmt: skip
    codes = random.integers(0, 13, (4, int(random.integers(0, 20))))
    offsets = random.integers(0, drawer.slack + 1, (4, 2))
    vectors, counts = drawer.read(drawer.encode(codes, offsets), offsets)
    words = [[code for code in row if code not in (0, 3)] for row in codes.tolist()]
    kept = [row[: drawer.capacity] for row in words]
    assert counts.tolist() == [len(row) for row in kept]
    assert vectors.shape == (4, max(counts, default=0), 3 * thirds) and vectors.dtype == np.float32
    bound = (drawer.high - drawer.low) / 510 + 1e-5
    for row, own, count in zip(vectors, kept, counts, strict=True):
        assert (np.abs(row[:count] - matrix[own]) <= bound).all() and not row[count:].any()
    expected = [len(row) - len(own) for row, own in zip(words, kept, strict=True)]
    assert drawer.dropped(codes, offsets).tolist() == expected
    assert drawer.unknown(codes).tolist() == (codes == 3).sum(axis=1).tolist()


def test_a_black_word_is_lifted_by_one_step_and_counted() -> None:
    matrix = np.array([[0.0] * 3, [-1.0] * 3, [1.0] * 3])
    drawer = TextImage.fit(matrix, side=32)
    codes = np.array([[2, 1], [1, 2], [1, 1]])
    vectors, counts = drawer.read(drawer.encode(codes))
    assert counts.tolist() == [2, 2, 2]
    np.testing.assert_allclose(vectors[2, 1], [-1 + 2 / 255, -1, -1], atol=1e-6)


def test_what_lies_outside_the_range_of_the_training_words_is_cut_off() -> None:
    matrix = np.array([[0.0] * 3, [-1.0, 0, 1], [5.0, -7, 0.5]])
    picture = TextImage.fit(matrix, training=[1], side=4, superpixel=1).encode(np.array([[2]]))
    assert picture[0, :, 0, 0].tolist() == [255, 0, 191]


def test_blocks_lazy_pictures_and_one_call_draw_the_same() -> None:
    drawer = TextImage.fit(_matrix(30, 12), side=40, canvas=48)
    random = np.random.default_rng(1)
    codes, offsets = random.integers(0, 31, (600, 9)), random.integers(0, 9, (600, 2))
    whole = drawer.encode(codes, offsets)
    blocks = list(drawer.blocks(codes, 250, offsets))
    assert [len(block) for block in blocks] == [250, 250, 100]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    lazy, chosen = drawer.lazy(codes), np.array([599, 0, 0, 17])
    taken = lazy.take(chosen, offsets[chosen])
    assert len(lazy) == 600 and taken.dtype == torch.uint8
    np.testing.assert_array_equal(taken.numpy(), whole[chosen])
    np.testing.assert_array_equal(lazy.take(torch.from_numpy(chosen), offsets[chosen]), whole[chosen])
    middle = drawer.encode(codes[:2], np.array([4, 4]))
    np.testing.assert_array_equal(lazy.take([0, 1]), middle)
    assert lazy.take([]).shape == (0, 3, 40, 40) and not list(drawer.blocks(codes[:0]))
    read, counts = drawer.read(whole, offsets)
    assert (counts == ((codes != 0) & (codes != 3)).sum(axis=1)).all()
    for row in (0, 255, 256, 511, 512, 599):
        alone, count = drawer.read(whole[row : row + 1], offsets[row])
        np.testing.assert_array_equal(read[row, : count[0]], alone[0])


def test_ten_crops_hold_the_same_words_at_other_places() -> None:
    drawer = TextImage.fit(_matrix(20, 12), canvas=256)
    codes = np.random.default_rng(0).integers(4, 21, (1, 24))
    offsets = np.array([(y, x) for y in (0, 7, 14, 21, 29) for x in (0, 29)])
    pictures = drawer.encode(np.repeat(codes, 10, axis=0), offsets)
    assert len({picture.tobytes() for picture in pictures}) == 10
    vectors, counts = drawer.read(pictures, offsets)
    assert (counts == 24).all() and (vectors == vectors[0]).all()
    corner = [np.argwhere(picture.any(axis=0)).min(axis=0).tolist() for picture in pictures]
    assert corner == (29 - offsets).tolist()


def test_a_text_image_that_was_saved_draws_the_same(tmp_path) -> None:
    drawer = TextImage.fit(
        _matrix(9, 24), each=True, side=60, canvas=64, start=(4, 5), row_tiles=3, separator=2
    )
    drawer.save(tmp_path / "t.safetensors")
    again, codes = TextImage.load(tmp_path / "t.safetensors"), np.arange(10)[None]
    np.testing.assert_array_equal(again.encode(codes), drawer.encode(codes))
    assert repr(again) == repr(drawer) and again.start == (4, 5)
    arrays = {name: getattr(drawer, name) for name in ("vectors", "low", "high")}
    form = {name: getattr(drawer, name) for name in ("side", "superpixel", "row_tiles", "separator", "start")}
    form["canvas"] = 64
    for damage, other in (
        ({"low": drawer.high}, {}),
        ({}, {"side": -1}),
        ({}, {"start": None, "canvas": "a"}),
    ):
        write_tensors(tmp_path / "u.safetensors", _KIND, {**arrays, **damage}, {**form, **other})
        with pytest.raises(DataError, match="u.safetensors: expected a text image"):
            TextImage.load(tmp_path / "u.safetensors")
    write_tensors(tmp_path / "u.safetensors", _KIND, arrays, {"side": 60})
    with pytest.raises(DataError, match="u.safetensors: expected a text image"):
        TextImage.load(tmp_path / "u.safetensors")


def test_the_largest_superpixel_is_the_largest() -> None:
    for words, features, form in (
        (1, 12, {}),
        (32, 12, {}),
        (20, 24, {"side": 96}),
        (11, 36, {"canvas": 256}),
    ):
        size = largest_superpixel(words, features, **form)
        assert Tiles(features, superpixel=size, **form).capacity >= words
        try:
            assert Tiles(features, superpixel=size + 1, **form).capacity < words
        except ConfigError as error:
            assert "no word fits" in str(error)
    with pytest.raises(ConfigError, match="do not fit, even with super-pixels of one pixel"):
        largest_superpixel(10_000, 12)


MATRIX = _matrix(5, 12)
WRONG = [
    (ConfigError, "multiple of 3 numbers", lambda d: TextImage(np.zeros((2, 10)), 0, 1)),
    (ConfigError, "no word fits", lambda d: TextImage(MATRIX, 0, 1, side=5)),
    (ConfigError, "no word fits", lambda d: TextImage(MATRIX, 0, 1, canvas=500)),
    (ConfigError, "expected side", lambda d: TextImage(MATRIX, 0, 1, side=0)),
    (ConfigError, "expected superpixel", lambda d: TextImage(MATRIX, 0, 1, superpixel=1.5)),
    (ConfigError, "expected separator", lambda d: TextImage(MATRIX, 0, 1, separator=-1)),
    (ConfigError, "expected canvas .* 227", lambda d: TextImage(MATRIX, 0, 1, canvas=200)),
    (ConfigError, "row_tiles of at most 4", lambda d: TextImage(MATRIX, 0, 1, row_tiles=5)),
    (ConfigError, "start as one integer or two", lambda d: TextImage(MATRIX, 0, 1, start=(1, 2, 3))),
    (DataError, "low below high, found 1 and 1", lambda d: TextImage(MATRIX, 1, 1)),
    (DataError, "for number 3 ", lambda d: TextImage(MATRIX, 0, [1] * 2 + [0] + [1] * 9)),
    (DataError, "one number or 12", lambda d: TextImage(MATRIX, [0, 0], 1)),
    (DataError, "NaN or infinity", lambda d: TextImage(np.full((2, 12), np.nan), 0, 1)),
    (DataError, "row 0 is padding", lambda d: TextImage(np.ones((2, 12)), 0, 1)),
    (DataError, r"expected vectors \(d \+ 1", lambda d: TextImage(np.ones(12), 0, 1)),
    (DataError, "no training word has a vector", lambda d: TextImage.fit(MATRIX, training=[3, 0])),
    (DataError, "codes 0 to 5, as there are vectors, found 6", lambda d: d.encode(np.array([[6]]))),
    (DataError, "found -1", lambda d: d.dropped(np.array([[-1]]))),
    (DataError, r"expected codes \(M, L\)", lambda d: d.encode(np.array([1, 2]))),
    (DataError, "of float64", lambda d: d.unknown(np.ones((1, 2)))),
    (ConfigError, "offsets from 0 to 2, found 3", lambda d: d.encode(np.array([[1]]), np.array([0, 3]))),
    (ConfigError, r"offsets \(2,\) or \(1, 2\)", lambda d: d.encode(np.array([[1]]), np.zeros((2, 2), int))),
    (ConfigError, "expected size", lambda d: list(d.blocks(np.array([[1]]), 0))),
    (DataError, "expected pictures", lambda d: d.read(np.zeros((1, 3, 40, 40)))),
    (DataError, "found 1$", lambda d: d.lazy(np.array([[1]])).take([1])),
    (DataError, "found -1$", lambda d: d.lazy(np.array([[1]])).take([-1])),
    (DataError, "expected indices", lambda d: d.lazy(np.array([[1]])).take([0.5])),
    (
        ConfigError,
        "cannot be read back",
        lambda d: TextImage.fit(MATRIX, side=40, canvas=42, start=1).read(np.zeros((1, 3, 40, 40), np.uint8)),
    ),
]


@pytest.mark.parametrize(("kind", "text", "wrong"), WRONG, ids=[text for _, text, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line(kind: type, text: str, wrong) -> None:
    with pytest.raises(kind, match=text) as caught:
        wrong(TextImage.fit(MATRIX, side=40, canvas=42))
    assert "\n" not in str(caught.value)
