from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from random_pixels import Store
from torch import nn

from imtext.data.dataset import Dataset
from imtext.data.images import ImageStore
from imtext.data.pack import open_pack, write_pack
from imtext.data.transforms import normalise
from imtext.errors import ConfigError, DataError
from imtext.vision import box_features, extract, image_extents, load_backbone
from imtext.vision.regions import mean_of_boxes, to_store


def features_of(net, store, boxes, image, extents, folder, *given, **options) -> np.ndarray:
    """Features ``(P, D)`` of boxes that are sorted by their images."""
    return extract(net, store, folder, box_features(store, boxes, image, extents, *given, **options)).eval[0]


class Squares(nn.Module):
    """Maps are block means of the pixels, so that features can be checked by hand; counts images."""

    name, mean, std, weights_digest = "squares", (0.5, 0.4, 0.3), (0.2, 0.2, 0.3), "d"
    stage_dims, strides = {"C1": 3, "C2": 3, "C3": 40, "C4": 50}, {"C1": 4, "C2": 8, "C3": 16, "C4": 32}

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.seen, self.stop_after, self.broken = [0], stop_after, False

    def fused(self) -> Squares:
        out = copy.deepcopy(self)
        out.seen = self.seen
        return out

    def stages(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen[0] += len(x)
        if self.stop_after is not None and self.seen[0] > self.stop_after:
            raise KeyboardInterrupt
        x = x / 0 if self.broken else x
        maps = {f"C{k + 1}": nn.functional.avg_pool2d(x, s) for k, s in enumerate((4, 8, 16, 32))}
        widen = lambda m, dim: torch.cat([m * (1 + k) for k in range(dim)], 1)[:, :dim]  # noqa: E731
        return {name: widen(m, self.stage_dims[name]) for name, m in maps.items()}


def some_boxes(seed: int, extents: np.ndarray, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, len(extents), count))
    low = rng.integers(0, extents[image] - 1)
    high = rng.integers(low, extents[image])
    return np.concatenate([low, high], 1), image


def naive_mean(stage: np.ndarray, roi, scale: float, bins: int) -> np.ndarray:
    """Mean over bins of 2 x 2 bilinear samples each, in float64 (aligned: centres of cells at one half)."""
    channels, height, width = stage.shape
    x1, y1, x2, y2 = (v * scale - 0.5 for v in roi)
    total = np.zeros(channels)
    for row in range(2 * bins):
        for column in range(2 * bins):
            y = min(max(y1 + (row + 0.5) * (y2 - y1) / (2 * bins), 0), height - 1)
            x = min(max(x1 + (column + 0.5) * (x2 - x1) / (2 * bins), 0), width - 1)
            a, b = int(y), int(x)
            c, d = min(a + 1, height - 1), min(b + 1, width - 1)
            u, v = y - a, x - b
            total += (1 - u) * ((1 - v) * stage[:, a, b] + v * stage[:, a, d])
            total += u * ((1 - v) * stage[:, c, b] + v * stage[:, c, d])
    return total / (2 * bins) ** 2


EXTENTS = np.array([(64, 64), (100, 50), (30, 90)] * 3)


def test_features_are_means_of_bilinear_samples(tmp_path):
    store, net = Store(9, 64), Squares()
    boxes, image = some_boxes(0, EXTENTS)
    got = features_of(net, store, boxes, image, EXTENTS, tmp_path, ("C2", "C4"))
    assert net.seen[0] == len(np.unique(image))  # images without a box are not looked at
    assert got.shape == (40, 53) and got.dtype == np.float32 and not got.flags.writeable
    maps = net.stages(normalise(store.batch(np.arange(9)), net.mean, net.std))
    for p in range(40):
        scale = 64 / EXTENTS[image[p]]
        x1, y1, x2, y2 = boxes[p] + [0, 0, 1, 1]
        roi = (x1 * scale[0], y1 * scale[1], x2 * scale[0], y2 * scale[1])
        expected = [
            naive_mean(maps[n][image[p]].double().numpy(), roi, 1 / s, 3)
            for n, s in (("C2", 8), ("C4", 32))
        ]
        np.testing.assert_allclose(got[p], np.concatenate(expected), rtol=1e-4, atol=1e-4)


def test_both_ways_to_pool_agree():
    torch.manual_seed(0)
    rois = [
        torch.tensor([[0.0, 0, 64, 64], [10, 20, 11, 60]]),
        torch.zeros(0, 4),
        torch.tensor([[3.0, 3, 40, 9]]),
    ]
    maps = torch.randn(3, 30, 4, 4)  # 16 places: by weights
    whole = mean_of_boxes(maps, rois, 1 / 16)
    parts = [mean_of_boxes(maps[:, k : k + 10], rois, 1 / 16) for k in (0, 10, 20)]  # 10 channels: direct
    torch.testing.assert_close(whole, torch.cat(parts, 1), rtol=1e-5, atol=1e-5)
    assert whole.shape == (3, 30)


def test_geometry_is_appended_as_shares_of_the_image(tmp_path):
    boxes, image = np.array([[25, 10, 74, 29], [0, 0, 29, 89]]), np.array([1, 2])
    plain = features_of(Squares(), Store(9, 64), boxes, image, EXTENTS, tmp_path)
    more = features_of(Squares(), Store(9, 64), boxes, image, EXTENTS, tmp_path, geometry=True)
    np.testing.assert_array_equal(more[:, :-4], plain)
    np.testing.assert_allclose(more[:, -4:], [[0.25, 0.2, 0.5, 0.4], [0, 0, 1, 1]], rtol=1e-6)


def test_boxes_in_a_centre_crop():
    extents = np.array([[40, 20]] * 4)
    boxes = np.array([[0, 0, 39, 19], [10, 0, 29, 19], [12, 4, 15, 5], [0, 0, 3, 3]])
    got = to_store(boxes, extents, 10, "cover")
    assert got[0].tolist() == got[1].tolist() == [0, 0, 10, 10]
    assert got[2].tolist() == [1, 2, 3, 3]
    assert got[3].tolist() == [0, 0, 1, 2]  # outside of it: the nearest pixel
    pixel = to_store(np.array([[39, 19, 39, 19]]), extents[:1], 10, "squash")
    np.testing.assert_allclose(pixel, [[9.75, 9.5, 10.0, 10.0]])  # narrower than a pixel: as it is
    assert (got[:, 2:] > got[:, :2]).all()


def test_what_is_refused_says_why(tmp_path):
    boxes, image = some_boxes(3, EXTENTS)
    call = lambda b=boxes, i=image, e=EXTENTS, **more: features_of(  # noqa: E731
        Squares(), Store(9, 64), b, i, e, tmp_path, **more
    )
    with pytest.raises(ConfigError, match="stages='C5': expected one of C1, C2, C3, C4"):
        call(stages=("C5",))
    with pytest.raises(DataError, match="box 0 is .* of image 1; use boxes of these files"):
        call([[0, 0, 100, 10]], [1])
    for wrong in ([9, 9], [-1, 0], [1, 0]):
        with pytest.raises(DataError, match="image_of_box: expected 0 to 8 in ascending order"):
            call([[0, 0, 1, 1]] * 2, wrong)
    with pytest.raises(DataError, match="the store holds 9 images"):
        call(e=EXTENTS[:4])
    broken = Squares()
    broken.broken = True
    with pytest.raises(DataError, match="regions of images 0 to 8 hold NaN"):
        features_of(broken, Store(9, 64), boxes, image, EXTENTS, tmp_path)


def pictures(root: Path) -> Dataset:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 20), "red").save(root / "a.png")
    Image.new("RGB", (48, 32), "blue").save(root / "b.jpg", exif=turned)
    names = ("a", "b")
    return Dataset("two", root, ("a.png", "b.jpg"), names, names, [0, 1], ["test"] * 2, [0, 1])


def test_extents_are_those_of_upright_files_and_of_packs(tmp_path):
    dataset = pictures(tmp_path)
    assert image_extents(dataset).tolist() == [[40, 20], [32, 48]]
    write_pack(dataset, tmp_path / "two.pack", 16, fit="squash")
    assert image_extents(open_pack(tmp_path / "two.pack")).tolist() == [[16, 16]] * 2
    (tmp_path / "b.jpg").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"b\.jpg: expected an image"):
        image_extents(dataset)


def test_a_real_backbone_through_a_real_store(tmp_path):
    dataset = pictures(tmp_path)
    store = ImageStore.open(dataset, 64, tmp_path / "cache", fit="squash")
    torch.manual_seed(0)
    net = load_backbone("efficientnet_lite0", weights=None)
    boxes, image = np.array([[0, 0, 39, 19], [0, 0, 31, 47]]), np.array([0, 1])
    got = features_of(
        net, store, boxes, image, image_extents(dataset), tmp_path / "cache", ("C3", "C4")
    )
    assert got.shape == (2, 112 + 1280) and np.isfinite(got).all()
    x = normalise(store.batch([0, 1]), net.mean, net.std)
    with torch.inference_mode():
        maps = net.eval().stages(x)["C3"].mean((2, 3))
    np.testing.assert_allclose(got[:, :112], maps, rtol=1e-2, atol=1e-2)  # 36 samples among 16 places
