"""Region proposals: about 100 boxes per image among which a phrase looks for its own.

Structure-Preserving Embeddings, section 3.3, takes 100 EdgeBoxes per image. EdgeBoxes needs the model file of
an edge detector, which no package holds; selective search (Uijlings and others, IJCV 2013) needs none and is
the default here. OpenCV orders its boxes by C's random numbers, another order at each call, so only the *set*
of boxes counts: it is thinned by non-maximum suppression at the highest overlap that leaves ``count`` boxes.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import torch
from PIL import Image
from torchvision.ops import nms

from imtext.check import one_of, whole
from imtext.data.dataset import Dataset
from imtext.data.images import open_picture, read_picture
from imtext.data.pack import source_fingerprint
from imtext.errors import ConfigError, DataError
from imtext.files import cached_array
from imtext.progress import progress

METHODS = ("selective_search", "jittered")
"""Boxes around segments that belong together, and boxes that do not look at the image."""

_VERSION = 2
_CHUNK = 64  # images between two writes: what a broken-off call loses
_COARSENESS, _STEP, _SIGMA = 150, 150, 0.8  # OpenCV's defaults
_LEAST_SIDE, _MOST_RATIO = 0.05, 6.0
_LEAST_NMS, _MOST_NMS, _HALVINGS = 0.4, 0.95, 7
_SCALES, _RATIOS, _JITTER = (0.8, 0.5, 0.32), (0.5, 1.0, 2.0), 0.1


def proposals(
    image: np.ndarray | str | os.PathLike[str],
    count: int = 100,
    method: str = "selective_search",
    seed: int = 0,
    side: int = 160,
) -> np.ndarray:
    """At most ``count`` boxes ``(P, 4)`` int64 of one image, ``x1 y1 x2 y2`` from 0, both ends inclusive.

    The first is the whole image, the others follow by size. Boxes narrower than a twentieth of the image's
    shorter side or more than six times as long as wide are left out.

    Args:
        image: uint8 ``(H, W, 3)`` RGB, or the path of a picture.
        count: most boxes, at least 1.
        method: ``"selective_search"`` (OpenCV's fast mode), or ``"jittered"``: a grid of three sizes and
            three shapes, each box moved and resized by up to a tenth.
        seed: of the jitter; selective search has none.
        side: selective search runs on the picture with its longer side resized to this many pixels (ours; 0
            for the picture as it is). Its time grows with the area, its segments do not grow with the
            picture: 160 found most on validation images of the picturebook, of 128 as of 256 pixels.

    Raises:
        DataError: the picture cannot be read.
        ConfigError: a parameter is out of range, or OpenCV lacks its contrib modules.

    >>> stripes = np.zeros((60, 80, 3), np.uint8)
    >>> stripes[20:40, 30:60] = 255
    >>> boxes = proposals(stripes, count=10)
    >>> boxes[0].tolist(), [30, 20, 59, 39] in boxes.tolist()
    ([0, 0, 79, 59], True)
    """
    _check(count, method, side, seed)
    pixels = np.asarray(image if isinstance(image, np.ndarray) else read_picture(image))
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise DataError(f"image: expected uint8 (H, W, 3), found {pixels.dtype} {pixels.shape}")
    with _one_thread(method):
        return _propose(pixels, count, method, seed, side)


def proposals_of(
    dataset: Dataset,
    count: int = 100,
    method: str = "selective_search",
    cache_dir: str | os.PathLike[str] = "cache",
    seed: int = 0,
    side: int = 160,
) -> tuple[np.ndarray, np.ndarray]:
    """Proposals of every image: ``boxes (P, 4)`` and ``image_of_box (P,)``, both int64, image by image.

    Every image has at least one. Boxes are in pixels of the upright image file (for a dataset read from a
    pack, of the pack's square). A second call reads them from ``cache_dir``; a second process waits for the
    first; a broken-off call goes on where it stopped. An image's boxes do not depend on the other images.

    Args:
        dataset: whose images.
        count, method, side: see :func:`proposals`.
        cache_dir: folder for the ``.npy`` file; made if absent.
        seed: of the jitter, which is drawn for each image id anew.

    Raises:
        DataError: an image is missing or cannot be read, or the disk is full.
        ConfigError: as for :func:`proposals`.
    """
    _check(count, method, side, seed)
    content = {
        "version": _VERSION,
        "images": source_fingerprint(dataset, 1, "cover"),
        "count": int(count),
        "method": method,
    }
    if method == "jittered":
        content["seed"] = int(seed)
    else:
        content |= {"side": int(side), "cv2": _cv2().__version__}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
    starts = range(0, dataset.n_images, _CHUNK)

    def work(i: int) -> np.ndarray:
        """Boxes ``(count, 4)`` of an image; where it has fewer, -1 follows."""
        name = zlib.crc32(dataset.image_ids[i].encode("utf-8", "surrogatepass"))
        own = int(np.random.SeedSequence([seed, name]).generate_state(1)[0])
        found = _propose(np.asarray(open_picture(dataset, i)), count, method, own, side)
        return np.pad(found, ((0, count - len(found)), (0, 0)), constant_values=-1)

    def compute(done: int) -> Iterator[np.ndarray]:
        rest = starts[done:]
        with _one_thread(method), ThreadPoolExecutor(joblib.cpu_count()) as pool:
            for a in progress(rest, f"proposals of {dataset.name}", len(rest)):
                yield np.stack(list(pool.map(work, range(a, min(a + _CHUNK, dataset.n_images)))))

    path = Path(cache_dir).expanduser() / f"proposals-{method}-{count}-{key}.npy"
    sizes = [4 * count * (min(a + _CHUNK, dataset.n_images) - a) for a in starts]
    kept = cached_array(path, (dataset.n_images, count, 4), "<i4", sizes, compute)
    image, place = np.nonzero(kept[:, :, 0] >= 0)
    return kept[image, place].astype(np.int64), image


def _check(count: int, method: str, side: int, seed: int) -> None:
    one_of("method", method, METHODS)
    whole("count", count)
    whole("side", side, 0)
    whole("seed", seed, 0)


def _cv2():  # noqa: ANN202
    """OpenCV with its contrib modules; imported late, as most users never need it."""
    try:
        import cv2

        cv2.ximgproc.segmentation.createSelectiveSearchSegmentation  # noqa: B018
    except (ImportError, AttributeError):
        raise ConfigError(
            "selective search: expected OpenCV with its contrib modules, found none; "
            "pip install opencv-contrib-python-headless, or use method='jittered'"
        ) from None
    return cv2


@contextmanager
def _one_thread(method: str) -> Iterator[None]:
    """OpenCV on one thread, for the same boxes on every machine and no crowd of threads."""
    if method == "jittered":
        yield
        return
    cv2 = _cv2()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _propose(pixels: np.ndarray, count: int, method: str, seed: int, side: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    blind = method == "jittered"
    found = _jittered(width, height, count, seed) if blind else _selective_search(pixels, side)
    return _thin(_usable(found, width, height), count)


def _selective_search(pixels: np.ndarray, side: int) -> np.ndarray:
    """All boxes ``(n, 4)``, in no particular order."""
    cv2 = _cv2()
    height, width = pixels.shape[:2]
    small = pixels
    if side:
        factor = side / max(height, width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(small[:, :, ::-1]))
    search.switchToSelectiveSearchFast(_COARSENESS, _STEP, _SIGMA)
    edges = np.asarray(search.process(), dtype=np.float64).reshape(-1, 4)
    edges[:, 2:] += edges[:, :2]  # from width and height to the far edges
    edges *= np.array([width / small.shape[1], height / small.shape[0]] * 2)
    return _inclusive(edges, width, height)


def _jittered(width: int, height: int, count: int, seed: int) -> np.ndarray:
    """A grid of boxes of several sizes and shapes, dense enough for ``count``, each moved and resized."""
    for step in np.linspace(1, 0.05, 39):
        grid = np.array([cell for s in _SCALES for r in _RATIOS for cell in _cells(s, r, step)])
        if len(grid) >= 1.3 * count:
            break
    rng = np.random.default_rng(seed)
    size = grid[:, 2:] * np.exp(rng.uniform(-_JITTER, _JITTER, (len(grid), 2)))
    middle = grid[:, :2] + rng.uniform(-_JITTER, _JITTER, (len(grid), 2)) * size
    edges = np.concatenate([middle - size / 2, middle + size / 2], 1).clip(0, 1)
    return _inclusive(edges * np.array([width, height] * 2), width, height)


def _cells(scale: float, ratio: float, step: float) -> list[tuple[float, float, float, float]]:
    """Middles and sizes, as shares of the image, of boxes that lie ``step`` of their size apart."""
    wide, tall = min(1.0, scale * ratio**0.5), min(1.0, scale / ratio**0.5)
    across = np.linspace(wide / 2, 1 - wide / 2, int(np.ceil((1 - wide) / (step * wide))) + 1)
    down = np.linspace(tall / 2, 1 - tall / 2, int(np.ceil((1 - tall) / (step * tall))) + 1)
    return [(x, y, wide, tall) for y in down for x in across]


def _inclusive(edges: np.ndarray, width: int, height: int) -> np.ndarray:
    """From edges between pixels to first and last pixel, at least one, inside the image."""
    last = np.array([width - 1, height - 1])
    first = np.floor(edges[:, :2] + 1e-6).clip(0, last)
    end = (np.ceil(edges[:, 2:] - 1e-6) - 1).clip(first, last)
    return np.concatenate([first, end], 1).astype(np.int64)


def _usable(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """The whole image, then the boxes that are not too small or thin, each once, large ones first."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    thin = sides.max(1, initial=1) > _MOST_RATIO * sides.min(1, initial=max(width, height))
    small = sides.min(1, initial=max(width, height)) < _LEAST_SIDE * min(width, height)
    boxes = np.unique(boxes[~(thin | small)], axis=0)
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    boxes = boxes[np.argsort(-sides.prod(1), kind="stable")]
    return np.concatenate([[[0, 0, width - 1, height - 1]], boxes])


def _thin(boxes: np.ndarray, count: int) -> np.ndarray:
    """The boxes that suppression leaves, at the highest overlap (to 1/200) that leaves at most ``count``.

    A fixed overlap leaves 60 boxes of one picture and cuts off half of another's.
    """
    edges = torch.from_numpy(boxes + np.array([0, 0, 1, 1])).double()
    order = -torch.arange(len(boxes), dtype=torch.float64)
    low, high = _LEAST_NMS, _MOST_NMS
    best = nms(edges, order, low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        stay = nms(edges, order, middle)
        if len(stay) <= count:
            best, low = stay, middle
        else:
            high = middle
    return boxes[best[:count].numpy()]
