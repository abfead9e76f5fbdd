"""Text as pictures, against a version that paints pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError, DataError
from imtext.text.text_image import TextImage, largest_superpixel


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
    "plain": dict(features=12, side=23, superpixel=2, separator=1, canvas=23),
    "wide": dict(features=24, side=40, superpixel=3, separator=4, canvas=40),
    "one row": dict(features=9, side=20, superpixel=2, separator=2, canvas=20),
    "no separator": dict(features=15, side=19, superpixel=1, separator=0, canvas=19),
    "crop": dict(features=12, side=21, superpixel=1, separator=2, canvas=27),
    "crop, three rows": dict(features=36, side=31, superpixel=2, separator=1, canvas=35),
}
ACROSS = {9: 3, 12: 2, 15: 5, 24: 4, 36: 4}  # super-pixels in a row of a tile


@pytest.mark.parametrize("deviations", [None, 0.7])
@pytest.mark.parametrize("name", CASES)
def test_pictures_equal_those_painted_pixel_by_pixel(name: str, deviations: float | None) -> None:
    form = dict(CASES[name])
    random = np.random.default_rng(len(name))
    matrix = _matrix(9, form.pop("features"), seed=5)
    drawer = TextImage.fit(matrix, deviations, **form)
    room = drawer.capacity
    codes = random.integers(0, 10, (7, room + 4))
    codes[0], codes[1, 2:], codes[2] = 0, 0, 3  # nothing; two words; only the word without a vector
    codes[3] = np.where(codes[3] % 3 == 0, 1, codes[3])  # more words than fit
    offsets = random.integers(0, drawer.slack + 1, (7, 2))
    pictures, dropped = drawer.encode(codes, offsets), drawer.dropped(codes)
    assert pictures.shape == (7, 3, form["side"], form["side"]) and pictures.dtype == np.uint8
    rows = np.delete(matrix, [0, 3], axis=0).astype(float)
    low, high = [rows.min()] * rows.shape[1], [rows.max()] * rows.shape[1]
    if deviations is not None:
        spreads = [np.sqrt(((column - column.mean()) ** 2).mean()) for column in rows.T]
        low, high = (rows.mean(axis=0) + sign * deviations * np.array(spreads) for sign in (-1, 1))
    form |= {"row_tiles": ACROSS[rows.shape[1]], "start": (drawer.slack, drawer.slack)}
    for number in range(7):
        expected, past, missing = _naive(
            codes[number].tolist(), matrix, low, high, **form, offset=offsets[number].tolist()
        )
        np.testing.assert_array_equal(pictures[number], expected, err_msg=f"caption {number}")
        assert dropped[number] == missing == past, number  # no crop cuts a word
    assert dropped[3] > 0


def test_words_stand_where_the_places_say() -> None:
    drawer = TextImage.fit(_matrix(5, 24), side=50)
    assert drawer.tile == (6, 12) and drawer.grid == (5, 3) and drawer.capacity == 15
    picture = drawer.encode(np.ones((1, 4), int))[0]
    lit = picture.any(axis=0)
    assert lit.sum() <= 4 * 6 * 12 and lit[0, 0] and not lit[:, 12:16].any() and not lit[6:10].any()
    np.testing.assert_array_equal(picture[:, 10:16, :12], picture[:, :6, 16:28])


def test_published_sizes() -> None:
    drawers = [TextImage.fit(_matrix(2, features)) for features in (12, 24, 36)]
    assert [(drawer.tile, drawer.grid) for drawer in drawers] == [
        ((6, 6), (23, 23)),
        ((6, 12), (23, 14)),
        ((9, 12), (17, 14)),
    ]
    cropped = TextImage.fit(_matrix(2, 12), canvas=256)
    assert cropped.slack == 29 and cropped.grid == (20, 20)


def test_a_black_word_is_lifted_by_one_step() -> None:
    drawer = TextImage.fit(np.array([[0.0] * 3, [-1.0] * 3, [1.0] * 3]), side=32)
    picture = drawer.encode(np.array([[2, 1]]))[0]
    assert picture[:, 0, 0].tolist() == [255] * 3 and picture[:, 0, 7].tolist() == [1, 0, 0]


def test_what_lies_outside_the_range_is_cut_off() -> None:
    matrix = np.array([[0.0] * 3, [5.0, -7, 0.5]])
    picture = TextImage(matrix, -1, 1, side=4, superpixel=1).encode(np.array([[1]]))
    assert picture[0, :, 0, 0].tolist() == [255, 0, 191]


def test_lazy_pictures_and_one_call_draw_the_same() -> None:
    drawer = TextImage.fit(_matrix(30, 12), side=40, canvas=48)
    random = np.random.default_rng(1)
    codes, offsets = random.integers(0, 31, (600, 9)), random.integers(0, 9, (600, 2))
    whole = drawer.encode(codes, offsets)
    lazy, chosen = drawer.lazy(codes), np.array([599, 0, 0, 17])
    taken = lazy.take(chosen, offsets[chosen])
    assert len(lazy) == 600 and taken.dtype == torch.uint8
    np.testing.assert_array_equal(taken.numpy(), whole[chosen])
    np.testing.assert_array_equal(lazy.take(torch.from_numpy(chosen), offsets[chosen]), whole[chosen])
    middle = drawer.encode(codes[:2], np.array([4, 4]))
    np.testing.assert_array_equal(lazy.take([0, 1]), middle)
    assert lazy.take([]).shape == (0, 3, 40, 40)


def test_ten_crops_hold_the_same_words_at_other_places() -> None:
    drawer = TextImage.fit(_matrix(20, 12), canvas=256)
    codes = np.random.default_rng(0).integers(4, 21, (1, 24))
    offsets = np.array([(y, x) for y in (0, 7, 14, 21, 29) for x in (0, 29)])
    pictures = drawer.encode(np.repeat(codes, 10, axis=0), offsets)
    assert len({picture.tobytes() for picture in pictures}) == 10
    corners = zip(pictures, 29 - offsets, strict=True)
    words = {picture[:, top : top + 198, left : left + 198].tobytes() for picture, (top, left) in corners}
    assert len(words) == 1 and (pictures > 0).sum() == 10 * (pictures[0] > 0).sum()


def test_a_text_image_that_was_saved_draws_the_same(tmp_path) -> None:
    path = tmp_path / "t.safetensors"
    drawer = TextImage.fit(_matrix(9, 24), 1.5, side=60, canvas=64, separator=2)
    drawer.save(path)
    again, codes = TextImage.load(path), np.arange(10)[None]
    np.testing.assert_array_equal(again.encode(codes), drawer.encode(codes))
    assert again.slack == 4


def test_the_largest_superpixel_is_the_largest() -> None:
    for words, features, form in (
        (1, 12, {}),
        (32, 12, {}),
        (20, 24, {"side": 96}),
        (11, 36, {"canvas": 256}),
    ):
        size, matrix = largest_superpixel(words, features, **form), _matrix(2, features)
        assert TextImage.fit(matrix, superpixel=size, **form).capacity >= words
        try:
            assert TextImage.fit(matrix, superpixel=size + 1, **form).capacity < words
        except ConfigError as error:
            assert "no word fits" in str(error)
    with pytest.raises(ConfigError, match="do not fit, even with super-pixels of one pixel"):
        largest_superpixel(10_000, 12)


MATRIX = _matrix(5, 12)
WRONG = [
    (ConfigError, "multiple of 3 numbers", lambda d: TextImage(np.zeros((2, 10)), 0, 1)),
    (ConfigError, "no word fits", lambda d: TextImage(MATRIX, 0, 1, side=5)),
    (ConfigError, "no word fits", lambda d: TextImage(MATRIX, 0, 1, canvas=500)),
    (ConfigError, "side=0: expected", lambda d: TextImage(MATRIX, 0, 1, side=0)),
    (ConfigError, "superpixel=1.5: expected", lambda d: TextImage(MATRIX, 0, 1, superpixel=1.5)),
    (ConfigError, "separator=-1: expected", lambda d: TextImage(MATRIX, 0, 1, separator=-1)),
    (ConfigError, "canvas=200: .* of 227 or more", lambda d: TextImage(MATRIX, 0, 1, canvas=200)),
    (DataError, "low below high, found 1 and 1", lambda d: TextImage(MATRIX, 1, 1)),
    (DataError, "for number 3 ", lambda d: TextImage(MATRIX, 0, [1] * 2 + [0] + [1] * 9)),
    (DataError, "finite", lambda d: TextImage(np.full((2, 12), np.nan), 0, 1)),
    (DataError, "row 0 zeros", lambda d: TextImage(np.ones((2, 12)), 0, 1)),
    (DataError, r"expected vectors \(d \+ 1", lambda d: TextImage(np.ones(12), 0, 1)),
    (DataError, "no word has a vector", lambda d: TextImage.fit(np.zeros((3, 12)))),
    (DataError, "codes 0 to 5, as there are vectors, found 6", lambda d: d.encode(np.array([[6]]))),
    (DataError, "found -1 to", lambda d: d.lazy(np.array([[-1]]))),
]


@pytest.mark.parametrize(("kind", "text", "wrong"), WRONG, ids=[text for _, text, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line(kind: type, text: str, wrong) -> None:
    with pytest.raises(kind, match=text) as caught:
        wrong(TextImage.fit(MATRIX, side=40, canvas=42))
    assert "\n" not in str(caught.value)
