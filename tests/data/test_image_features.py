"""Rows of features, and the .npy files below them."""

from __future__ import annotations

import os
import struct

import numpy as np
import pytest

from imtext.data.dataset import ImageFeatures
from imtext.data.precomp import open_npy
from imtext.errors import DataError


def two_parts(shape=(2,)):
    a = np.arange(3 * np.prod(shape), dtype=np.float16).reshape(3, *shape)
    b = -np.arange(1, 1 + 4 * np.prod(shape), dtype=np.float32).reshape(4, *shape)
    return a, b


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
def test_rows_across_parts(shape):
    a, b = two_parts(shape)
    features = ImageFeatures((a, b), [6, 0, 3, 2, 0])
    expected = np.concatenate([a, b])[[6, 0, 3, 2, 0]].astype(np.float32)
    assert features.shape == (5, *shape)
    for order in ([0, 1, 2, 3, 4], [4, 4, 0, 2], [], np.array([3], np.uint8)):
        found = features[order]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected[np.asarray(order, int)])
        np.testing.assert_array_equal(features.take(order)[range(len(order))], found)
    found[:] = 0
    assert features[[3]].any()  # a copy was handed out


@pytest.mark.parametrize(
    "images", [[5], [-1], [True, False], [0.0], 3, slice(2), [[0]], np.zeros((0, 2)), "ab", [2**70], {1}]
)
def test_only_indices_choose_images(images):
    features = ImageFeatures(two_parts(), [6, 0, 3, 2, 0])
    for choose in (features.__getitem__, features.take):
        with pytest.raises(DataError, match="features: images: expected"):
            choose(images)


def test_fingerprint_follows_numbers_and_rows():
    a, b = two_parts()
    features = ImageFeatures((a, b), [0, 1, 5])
    others = [
        ImageFeatures((a + 1, b), [0, 1, 5]),
        ImageFeatures((a, b), [0, 1, 4]),
        ImageFeatures((a.astype(np.float32), b), [0, 1, 5]),
        ImageFeatures((np.concatenate([a.astype(np.float32), b]),), [0, 1, 5]),
    ]
    assert len({one.fingerprint() for one in (features, *others)}) == 5


def header(text, version=1):
    body = text.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(body)) + body


def form(shape, descr="<f4", fortran=False):
    return f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}}}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "other content"),
        (b"version https://git-lfs.github.com/spec/v1", "other content"),
        (b"\x80\x04\x95", "other content"),
        (b"\x93NUMPY", "expected an .npy file of the length that its header says"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "expected an .npy file of the length that its header says"),
        (header("{}"), "expected an .npy file of the length that its header says"),
        (header("(" * 3000), "expected an .npy file of the length that its header says"),
        (header(form("(2, 3)")) + b"1" * 20, "expected an .npy file of the length"),
        (header(form("(2, 3)")) + b"1" * 25, "bytes left over"),
        (header(form("(1000000000000, 36, 2048)")) + b"1" * 24, "expected an .npy file of the length"),
        (header(form("(" + "9" * 4000 + ", 2)")), "expected an .npy file of the length"),
        (header(form("(0, 4)")), "found float32 (0, 4)"),
        (header(form("(-1, 4)")), "x.npy: expected an .npy file of the length"),
        (header(form("(" + "1, " * 100 + ")")) + b"1111", "x.npy: expected an .npy file of the length"),
        (header(form("(2, 3)", fortran=True)) + b"1" * 24, "(2, 3) in Fortran order"),
        (header(form("(2, 3)", "|O")) + b"1" * 24, "Python objects"),
        (header(form("(2, 3)", "<i4")) + b"1" * 24, "found int32"),
        (header(form("(2, 3)", "<f16")) + b"1" * 96, "found float128"),
        (header(form("(2, 3)", "|V2")) + b"1" * 12, "found |V2"),
    ],
)
def test_files_that_are_refused(tmp_path, content, words):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        open_npy(path)
    assert words in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value) and len(str(error.value)) < 400 + len(str(path))


def test_files_that_are_taken(tmp_path):
    path = tmp_path / "x.npy"
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    for version, text in ((1, form("(2L, 3L)")), (2, form("(2, 3)")), (1, form("(2, 3)", ">f4"))):
        swapped = numbers.astype(">f4") if ">" in text else numbers
        path.write_bytes(header(text, version) + swapped.tobytes())
        np.testing.assert_array_equal(open_npy(path), numbers)
    np.save(path, np.asfortranarray(numbers[:, :1]))  # one column: both orders are one
    assert open_npy(path).shape == (2, 1)
    with pytest.raises(ValueError):
        open_npy(path)[0] = 1


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("pipe.npy", "."):
        with pytest.raises(DataError, match="expected an .npy file, found none"):
            open_npy(tmp_path / name)
    with pytest.raises(DataError, match="expected an .npy file, found none"):
        open_npy(tmp_path / "nothing.npy")
