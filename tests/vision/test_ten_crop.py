from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from imtext.data.transforms import normalise
from imtext.errors import ConfigError, DataError
from imtext.vision import extract_features
from imtext.vision.ten_crop import CROPS, crop_views, extract_ten_crop


class Store:
    """Random pixels with the face of an ImageStore."""

    def __init__(self, count: int = 150, size: int = 20, fingerprint: str = "f") -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
        self.size, self.fingerprint = size, fingerprint

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices) -> torch.Tensor:
        return torch.from_numpy(self.pixels[np.asarray(indices)])


class Small(nn.Module):
    """A backbone of one convolution that counts the images it sees and can stop half-way."""

    name, dim, mean, std = "small", 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3)

    def __init__(self, digest: str = "d", stop_after: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Conv2d(3, 5, 3)
        self.weights_digest, self.stop_after, self.seen = digest, stop_after, [0]

    def fused(self) -> Small:
        out = copy.deepcopy(self)
        out.seen = self.seen
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen[0] += len(x)
        if self.stop_after is not None and self.seen[0] > self.stop_after:
            raise KeyboardInterrupt
        return self.net(x).relu().mean((2, 3))


def by_hand(net: Small, store: Store, crop: int, crops: int) -> np.ndarray:
    """Crops cut with NumPy, one image at a time, averaged in float64."""
    s, room = store.size, store.size - crop
    middle = round(room / 2)
    corners = [(middle, middle), (0, 0), (0, room), (room, 0), (room, room)]
    starts = corners[:1] if crops < 3 else corners
    rows = []
    for image in store.pixels:
        views = [image[:, y : y + crop, x : x + crop] for y, x in starts]
        if crops in (2, 10):
            views += [view[:, :, ::-1] for view in views]
        assert len(views) == crops and all(view.shape == (3, crop, crop) for view in views) and s
        pixels = normalise(torch.from_numpy(np.stack(views)), net.mean, net.std)
        with torch.no_grad():
            rows.append(net(pixels).double().mean(0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("crops", CROPS)
@pytest.mark.parametrize("crop", [16, 20])
def test_features_are_means_over_the_crops(tmp_path, crops, crop):
    net, store = Small(), Store()
    features = extract_ten_crop(net, store, tmp_path, crop, crops)
    assert features.shape == (150, 5) and features.dtype == np.float32
    assert isinstance(features, np.memmap) and not features.flags.writeable
    np.testing.assert_allclose(features, by_hand(net, store, crop, crops), rtol=1e-4, atol=1e-6)


def test_one_and_two_crops_are_what_extract_features_has(tmp_path):
    net, store = Small(), Store()
    sides = extract_features(net, store, tmp_path, crop=16).eval
    np.testing.assert_array_equal(extract_ten_crop(net, store, tmp_path, 16, 1), sides[0])
    np.testing.assert_allclose(extract_ten_crop(net, store, tmp_path, 16, 2), sides.mean(0), rtol=1e-6)


def test_ten_views_are_five_and_their_mirror_images():
    images = torch.arange(2 * 3 * 6 * 6, dtype=torch.uint8).reshape(2, 3, 6, 6)
    views = crop_views(images, 4)
    assert len(views) == 10
    for plain, flipped in zip(views[:5], views[5:], strict=True):
        assert torch.equal(plain.flip(-1), flipped)
    assert len({view.numpy().tobytes() for view in views}) == 10


def test_a_second_call_computes_nothing_and_the_key_holds_what_matters(tmp_path):
    store, net = Store(), Small()
    first = extract_ten_crop(net, store, tmp_path, 16)
    assert net.seen[0] == 1500
    np.testing.assert_array_equal(extract_ten_crop(net, store, tmp_path, 16, batch_size=64), first)
    assert net.seen[0] == 1500
    others = [(Small("e"), store, 16, 10), (net, Store(fingerprint="g"), 16, 10), (net, store, 15, 10)]
    for number, (backbone, pixels, crop, crops) in enumerate([*others, (net, store, 16, 5)], 2):
        extract_ten_crop(backbone, pixels, tmp_path, crop, crops)
        assert len(list(tmp_path.glob("*.npy"))) == number


def test_a_broken_off_call_goes_on_and_ends_the_same(tmp_path):
    store = Store(count=300)
    whole = extract_ten_crop(Small(), store, tmp_path / "whole", 16)
    with pytest.raises(KeyboardInterrupt):
        extract_ten_crop(Small(stop_after=2000), store, tmp_path / "cut", 16)
    rest = Small()
    np.testing.assert_array_equal(extract_ten_crop(rest, store, tmp_path / "cut", 16), whole)
    assert rest.seen[0] < 3000 and not list((tmp_path / "cut").glob("*.partial"))


def test_what_is_refused_says_why(tmp_path):
    for wrong in ({"crops": 4}, {"crop": 21}, {"batch_size": 0}, {"precision": "bf16"}):
        with pytest.raises(ConfigError):
            extract_ten_crop(Small(), Store(), tmp_path, **{"crop": 16, **wrong})
    broken = Small()
    nn.init.constant_(broken.net.bias, float("nan"))
    with pytest.raises(DataError, match="images 0 to 127 hold NaN"):
        extract_ten_crop(broken, Store(), tmp_path, 16)
    assert not list(tmp_path.glob("*.npy"))
