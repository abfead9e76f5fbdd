from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

from imtext.data.transforms import augment, centre, mirror, normalise
from imtext.errors import ConfigError, DataError
from imtext.vision import extract_features, load_backbone
from imtext.vision import features as features_module


class Store:
    """Random pixels with the face of an ImageStore."""

    def __init__(self, count: int = 300, size: int = 20, fingerprint: str = "f") -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
        self.size, self.fingerprint = size, fingerprint

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices) -> torch.Tensor:
        return torch.from_numpy(self.pixels[np.asarray(indices)])


class Tiny(nn.Module):
    """A backbone of one convolution that counts the images it sees."""

    name, dim, mean, std = "tiny", 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3)

    def __init__(self, digest: str = "d", stop_after: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Conv2d(3, 5, 3)
        self.weights_digest, self.stop_after, self.seen = digest, stop_after, [0]

    def fused(self) -> Tiny:
        out = copy.deepcopy(self)
        out.seen = self.seen
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen[0] += len(x)
        if self.stop_after is not None and self.seen[0] > self.stop_after:
            raise KeyboardInterrupt
        return self.net(x).relu().mean((2, 3))


def test_eval_is_the_mean_of_image_and_mirror(tmp_path):
    store, net = Store(), Tiny()
    features = extract_features(net, store, tmp_path, crop=16)
    assert features.eval.shape == (2, 300, 5) and features.eval.dtype == np.float32
    assert features.train.shape == (0, 300, 5)
    x = centre(store.batch(np.arange(300)), 16)
    with torch.no_grad():
        one, two = (net(normalise(v, net.mean, net.std)) for v in (x, mirror(x)))
    np.testing.assert_allclose(features.eval, torch.stack([one, two]).numpy(), rtol=1e-5, atol=1e-6)
    plain = extract_features(net, store, tmp_path, crop=16, mirror=False)
    np.testing.assert_allclose(plain.eval[0], one.numpy(), rtol=1e-5, atol=1e-6)
    assert plain.key != features.key


def test_train_views_differ_and_follow_the_seed_alone(tmp_path):
    store, net = Store(), Tiny()
    reference = extract_features(net, store, tmp_path / "a", crop=16, views=2, batch_size=128)
    assert reference.train.shape == (2, 300, 5)
    assert not np.allclose(reference.train[0], reference.train[1])
    for number, size in enumerate((1000, 256, 37)):
        other = extract_features(net, store, tmp_path / f"b{number}", crop=16, views=2, batch_size=size)
        np.testing.assert_allclose(other.train, reference.train, rtol=1e-5, atol=1e-6)
    other = extract_features(net, store, tmp_path / "a", crop=16, views=2, seed=1)
    assert not np.allclose(other.train, reference.train)
    generator = torch.Generator().manual_seed(
        int(np.random.SeedSequence([0, 1, 128]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    )
    x = augment(store.batch(np.arange(128, 256)), 16, generator)
    with torch.no_grad():
        expected = net(normalise(x, net.mean, net.std)).numpy()
    np.testing.assert_allclose(reference.train[1, 128:256], expected, rtol=1e-5, atol=1e-6)


def test_second_call_does_not_run_the_backbone(tmp_path):
    store, net = Store(), Tiny()
    first = extract_features(net, store, tmp_path, crop=16, views=2)
    assert net.seen[0] == 300 * 4
    again = extract_features(net, store, tmp_path, crop=16, views=2)
    assert net.seen[0] == 300 * 4 and again.key == first.key
    np.testing.assert_array_equal(again.train, first.train)
    assert isinstance(again.eval, np.memmap) and not again.eval.flags.writeable
    extract_features(net, store, tmp_path, crop=16, views=1)  # the eval part is shared
    assert net.seen[0] == 300 * 5
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": Tiny("other")},
        {"store": Store(fingerprint="other")},
        {"crop": 15},
        {"mirror": False},
        {"views": 2},
        {"views": 1, "seed": 1},
        {"views": 1, "scale": (0.5, 1.0)},
    ],
)
def test_key_holds_what_determines_the_result(tmp_path, change):
    settings = {"backbone": Tiny(), "store": Store(), "cache_dir": tmp_path, "crop": 16, "views": 1}
    assert extract_features(**{**settings, **change}).key != extract_features(**settings).key


def test_a_broken_off_call_goes_on_and_ends_the_same(tmp_path):
    store = Store()
    whole = extract_features(Tiny(), store, tmp_path / "whole", crop=16, views=3)
    for stop_after in (300, 700, 1100, 1400):
        cut = tmp_path / f"cut{stop_after}"
        net = Tiny(stop_after=stop_after)
        with pytest.raises(KeyboardInterrupt):
            extract_features(net, store, cut, crop=16, views=3)
        for partial in cut.glob("*.partial"):
            with partial.open("ab") as file:  # half a row, as after a kill in the middle of a write
                file.write(b"\x01" * 7)
        rest = Tiny()
        resumed = extract_features(rest, store, cut, crop=16, views=3)
        np.testing.assert_array_equal(resumed.eval, whole.eval)
        np.testing.assert_array_equal(resumed.train, whole.train)
        assert rest.seen[0] < 300 * 5
        assert not list(cut.glob("*.partial"))


def test_damaged_cache_is_built_again(tmp_path):
    store = Store()
    good = np.array(extract_features(Tiny(), store, tmp_path, crop=16).eval)
    file = next(tmp_path.glob("*.npy"))
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(extract_features(Tiny(), store, tmp_path, crop=16).eval, good)


def test_two_threads_compute_once(tmp_path):
    store, net, results = Store(), Tiny(), []
    call = lambda: results.append(extract_features(net, store, tmp_path, crop=16))  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert net.seen[0] == 300 * 2
    np.testing.assert_array_equal(results[0].eval, results[2].eval)


def test_bad_parameters_and_broken_weights(tmp_path):
    store = Store()
    for wrong in ({"crop": 21}, {"crop": 0}, {"views": -1}, {"batch_size": 0}, {"precision": "bf16"}):
        with pytest.raises(ConfigError):
            extract_features(Tiny(), store, tmp_path, **{"crop": 16, **wrong})
    with pytest.raises(DataError, match="empty"):
        extract_features(Tiny(), Store(count=0), tmp_path, crop=16)
    assert not list(tmp_path.iterdir())
    broken = Tiny()
    nn.init.constant_(broken.net.bias, float("nan"))
    with pytest.raises(DataError, match="images 0 to 127 hold NaN"):
        extract_features(broken, store, tmp_path, crop=16)
    assert not list(tmp_path.glob("*.npy"))


def test_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(features_module.npy, "write_array_header_1_0", full)
    with pytest.raises(DataError, match="cannot write features of 0 MB, found: No space left"):
        extract_features(Tiny(), Store(), tmp_path, crop=16)


def test_a_real_backbone_stays_as_it_was(tmp_path):
    torch.manual_seed(0)
    net = load_backbone("efficientnet_lite0", weights=None)
    before = net.weights_digest
    features = extract_features(net, Store(count=4, size=40), tmp_path, crop=32, views=1)
    assert net.training and net.weights_digest == before
    assert features.eval.shape == (2, 4, 1280) and np.isfinite(features.train).all()
    x = centre(Store(count=4, size=40).batch(np.arange(4)), 32)
    with torch.inference_mode():
        one, two = (net.eval()(normalise(v, net.mean, net.std)) for v in (x, mirror(x)))
    np.testing.assert_allclose(features.eval, torch.stack([one, two]).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu(tmp_path):
    net, store = load_backbone("efficientnet_lite0"), Store(count=140, size=72)
    cpu = extract_features(net, store, tmp_path / "cpu", crop=64, views=1)
    gpu = extract_features(net, store, tmp_path / "gpu", crop=64, views=1, device="cuda")
    half = extract_features(net, store, tmp_path / "gpu", crop=64, views=1, device="cuda", precision="bf16")
    np.testing.assert_allclose(gpu.eval, cpu.eval, rtol=1e-2, atol=1e-2)
    for a, b in ((gpu.train, cpu.train), (half.eval, cpu.eval), (half.train, cpu.train)):
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        assert cosine.min() > 0.98
    assert half.key != gpu.key
