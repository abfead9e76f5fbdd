from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.data.dataset import Dataset
from imtext.errors import ConfigError, DataError
from imtext.retrieval.localisation import iou
from imtext.vision import proposals, proposals_of
from imtext.vision import region_proposals as module
from imtext.vision.region_proposals import METHODS


def picture(seed: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A few plain rectangles on a plain ground."""
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), rng.integers(0, 255, 3), np.uint8)
    for _ in range(4):
        x, y = rng.integers(0, [width - 20, height - 20])
        w, h = rng.integers(8, 20, 2)
        pixels[y : y + h, x : x + w] = rng.integers(0, 255, 3)
    return pixels


def dataset(root: Path, count: int = 5, **size) -> Dataset:
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(picture(i, **size)).save(root / f"{i}.png")
    ids = tuple(str(i) for i in range(count))
    files = tuple(f"{i}.png" for i in range(count))
    return Dataset(
        "boxes", root, files, ids, ids, np.arange(count), np.array(["test"] * count), np.arange(count)
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("width", "height"), [(64, 48), (40, 90)])
def test_boxes_lie_inside_and_are_no_twins(method, width, height):
    boxes = proposals(picture(1, width, height), 30, method, side=48)
    assert boxes.dtype == np.int64 and 1 <= len(boxes) <= 30
    assert boxes[0].tolist() == [0, 0, width - 1, height - 1]
    assert (boxes >= 0).all() and (boxes[:, 2] < width).all() and (boxes[:, 3] < height).all()
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    assert (sides >= 0.05 * min(width, height)).all()
    assert (sides[1:].max(1) <= 6 * sides[1:].min(1)).all()
    assert (np.diff(sides.prod(1)) <= 0).all()
    assert (iou(boxes, boxes) - np.eye(len(boxes))).max() <= 0.95


@pytest.mark.parametrize("method", METHODS)
def test_a_second_call_gives_the_same_boxes(method):
    first = proposals(picture(2), 20, method, seed=3)
    for _ in range(3):  # OpenCV's own order differs from call to call
        np.testing.assert_array_equal(proposals(picture(2), 20, method, seed=3), first)
    if method == "jittered":
        assert not np.array_equal(proposals(picture(2), 20, method, seed=4), first)
        np.testing.assert_array_equal(proposals(picture(5), 20, method, seed=3), first)  # blind to the image


def test_a_rectangle_is_found_at_any_size():
    pixels = np.full((120, 160, 3), 255, np.uint8)
    pixels[30:70, 40:100] = (200, 30, 30)
    for side in (0, 80, 200):
        boxes = proposals(pixels, 50, side=side)
        assert iou(boxes, [[40, 30, 99, 69]]).max() > 0.9


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, 3), (300, 9)])
def test_tiny_and_plain_pictures_have_at_least_themselves(method, shape):
    boxes = proposals(np.zeros((*shape, 3), np.uint8), 10, method)
    assert boxes[0].tolist() == [0, 0, shape[1] - 1, shape[0] - 1]


@pytest.mark.parametrize("count", [1, 7, 100, 400])
def test_the_grid_is_as_dense_as_asked_for(count):
    boxes = proposals(picture(0, 300, 200), count, "jittered")
    assert 0.9 * count <= len(boxes) <= count


@pytest.mark.parametrize("method", METHODS)
def test_a_dataset_is_done_once_and_image_by_image(tmp_path, method, monkeypatch):
    images = dataset(tmp_path / "images")
    boxes, image = proposals_of(images, 15, method, tmp_path / "cache")
    assert boxes.dtype == image.dtype == np.int64 and len(boxes) == len(image)
    assert np.unique(image).tolist() == [0, 1, 2, 3, 4] and (np.diff(image) >= 0).all()
    if method != "jittered":
        np.testing.assert_array_equal(boxes[image == 3], proposals(picture(3), 15, method))
    some, of = proposals_of(images.take([3, 1]), 15, method, tmp_path / "cache")
    np.testing.assert_array_equal(some[of == 0], boxes[image == 3])  # the other images do not matter
    monkeypatch.setattr(module, "_propose", None)
    again = proposals_of(images, 15, method, tmp_path / "cache")
    np.testing.assert_array_equal(again[0], boxes)
    np.testing.assert_array_equal(again[1], image)
    assert not [p for p in (tmp_path / "cache").iterdir() if p.suffix not in (".npy", ".lock")]


def test_the_key_holds_what_determines_the_boxes(tmp_path):
    images = dataset(tmp_path / "images", 2)
    calls = [{}, {"count": 16}, {"seed": 1}, {"method": "selective_search"}]
    calls += [{"method": "selective_search", "side": 40}]
    for number, change in enumerate(calls, 1):
        proposals_of(images, **{"count": 15, "method": "jittered", "cache_dir": tmp_path / "c", **change})
        assert len(list((tmp_path / "c").glob("*.npy"))) == number
    Image.fromarray(picture(9, 70, 50)).save(tmp_path / "images" / "1.png")
    boxes, image = proposals_of(images, 15, "jittered", tmp_path / "c")
    assert boxes[image == 1][0].tolist() == [0, 0, 69, 49]


def test_a_broken_off_call_goes_on_and_ends_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 4)
    images = dataset(tmp_path / "images", 11)
    whole = proposals_of(images, 9, "jittered", tmp_path / "whole")
    real, calls = module._propose, []

    def stop_later(*arguments):
        calls.append(1)
        if len(calls) > 9:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "_propose", stop_later)
    with pytest.raises(KeyboardInterrupt):
        proposals_of(images, 9, "jittered", tmp_path / "cut")
    partial = next((tmp_path / "cut").glob("*.partial"))
    with partial.open("ab") as file:
        file.write(b"\x07" * 13)
    calls.clear()
    monkeypatch.setattr(module, "_propose", lambda *a: calls.append(1) or real(*a))
    resumed = proposals_of(images, 9, "jittered", tmp_path / "cut")
    np.testing.assert_array_equal(resumed[0], whole[0])
    np.testing.assert_array_equal(resumed[1], whole[1])
    assert len(calls) < 11 and not list((tmp_path / "cut").glob("*.partial"))


def test_a_damaged_cache_is_built_again_and_threads_wait(tmp_path):
    images, results = dataset(tmp_path / "images"), []
    good = proposals_of(images, 9, "jittered", tmp_path)[0]
    file = next(tmp_path.glob("*.npy"))
    for damage in (file.read_bytes()[:200], b"", b"not an array"):
        file.write_bytes(damage)
        np.testing.assert_array_equal(proposals_of(images, 9, "jittered", tmp_path)[0], good)
    file.unlink()
    call = lambda: results.append(proposals_of(images, 9, "jittered", tmp_path)[0])  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3 and all(np.array_equal(found, good) for found in results)


def test_what_is_refused_says_why(tmp_path, monkeypatch):
    for wrong in ({"count": 0}, {"method": "edge_boxes"}, {"side": -1}, {"seed": -1}):
        with pytest.raises(ConfigError):
            proposals(picture(0), **wrong)
    with pytest.raises(DataError, match=r"expected uint8 \(H, W, 3\)"):
        proposals(np.zeros((4, 4), np.uint8))
    images = dataset(tmp_path / "images", 3)
    (tmp_path / "images" / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="1.png: expected an image"):
        proposals_of(images, 9, "jittered", tmp_path / "cache")
    (tmp_path / "a-file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        proposals_of(dataset(tmp_path / "good", 2), 9, "jittered", tmp_path / "a-file")
    import cv2

    monkeypatch.delattr(cv2, "ximgproc")
    with pytest.raises(ConfigError, match="opencv-contrib-python-headless, or use method='jittered'"):
        proposals(picture(0))
