from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from random_pixels import Store
from torch import nn

from imtext.data.dataset import Dataset
from imtext.data.images import ImageStore
from imtext.data.transforms import augment, centre, normalise
from imtext.errors import ConfigError, DataError
from imtext.threads import torch_threads
from imtext.vision import cells, extract, load_backbone, pooled, stages, ten_crop
from imtext.vision.features import CROPS, cell_boxes, crop_views, grid_cells, pool_stages

DIMS = {"C1": 2, "C2": 3, "C3": 4, "C4": 5}


class Tiny(nn.Module):
    """A backbone of one convolution a stage that counts the images it sees, and can stop half-way."""

    name, dim, mean, std, stage_dims = "tiny", 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3), DIMS

    def __init__(self, digest: str = "d", stop_after: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        widths, strides = (3, *DIMS.values()), (1, 1, 2, 2)
        layers = zip(widths, widths[1:], strides, strides, strict=False)
        self.layers = nn.ModuleList(nn.Conv2d(*layer) for layer in layers)
        self.weights_digest, self.stop_after, self.seen = digest, stop_after, [0]

    def fused(self) -> Tiny:
        out = copy.deepcopy(self)
        out.seen = self.seen
        return out

    def stages(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        count = len(x) if x.any() else 0  # black is what a map's side is found with
        self.seen[0] += count
        if self.stop_after is not None and self.seen[0] > self.stop_after:
            raise KeyboardInterrupt
        maps = {}
        for number, layer in enumerate(self.layers, 1):
            maps[f"C{number}"] = x = layer(x)
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stages(x)["C4"].mean((2, 3))


def maps_of(net: Tiny, views: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return copy.deepcopy(net).stages(normalise(views, net.mean, net.std))


def drawn(store: Store, seed: int) -> torch.Tensor:
    """The second view of images 128 and on."""
    state = np.random.SeedSequence([seed, 1, 128]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    return augment(store.batch(np.arange(128, min(256, len(store)))), 16, generator)


def test_eval_is_the_mean_of_image_and_mirror(tmp_path):
    store, net = Store(300, 20), Tiny()
    features = extract(net, store, tmp_path, crop=16)
    assert features.eval.shape == (2, 300, 5) and features.eval.dtype == np.float32
    assert features.train.shape == (0, 300, 5)
    x = centre(store.batch(np.arange(300)), 16)
    with torch.no_grad():
        one, two = (net(normalise(v, net.mean, net.std)) for v in (x, x.flip(-1)))
    np.testing.assert_allclose(features.eval, torch.stack([one, two]).numpy(), rtol=1e-5, atol=1e-6)
    plain = extract(net, store, tmp_path, crop=16, mirror=False)
    np.testing.assert_allclose(plain.eval[0], one.numpy(), rtol=1e-5, atol=1e-6)


def test_train_views_differ_and_follow_the_seed_alone(tmp_path):
    store, net = Store(300, 20), Tiny()
    reference = extract(net, store, tmp_path / "a", crop=16, views=2)
    assert reference.train.shape == (2, 300, 5)
    assert not np.allclose(reference.train[0], reference.train[1])
    other = extract(net, store, tmp_path / "a", crop=16, views=2, seed=1)
    assert not np.allclose(other.train, reference.train)
    x = drawn(store, 0)
    with torch.no_grad():
        expected = net(normalise(x, net.mean, net.std)).numpy()
    np.testing.assert_allclose(reference.train[1, 128:256], expected, rtol=1e-5, atol=1e-6)


def test_second_call_does_not_run_the_backbone(tmp_path):
    store, net = Store(300, 20), Tiny()
    first = extract(net, store, tmp_path, crop=16, views=2)
    assert net.seen[0] == 300 * 4
    again = extract(net, store, tmp_path, crop=16, views=2)
    assert net.seen[0] == 300 * 4 and np.array_equal(again.eval, first.eval)
    np.testing.assert_array_equal(again.train, first.train)
    assert isinstance(again.eval, np.memmap) and not again.eval.flags.writeable
    extract(net, store, tmp_path, crop=16, views=1)  # the eval part is shared
    assert net.seen[0] == 300 * 5
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("change", "files"),
    [
        ({"backbone": Tiny("other")}, 2),
        ({"store": Store(300, 20, fingerprint="other")}, 2),
        ({"crop": 15}, 2),
        ({"precision": "64"}, 2),
        ({"mirror": False}, 1),
        ({"read": ten_crop(5), "mirror": False}, 1),
        ({"views": 2}, 1),
        ({"seed": 1}, 1),
        ({"read": stages}, 2),
        ({"read": cells("C3")}, 2),
        ({"read": cells("C3", 4)}, 2),
    ],
)
def test_what_determines_the_result_has_a_file_of_its_own(tmp_path, change, files):
    settings = {"backbone": Tiny(), "store": Store(40, 20), "cache": tmp_path, "crop": 16, "views": 1}
    extract(**settings)
    extract(**{**settings, **change})
    assert len(list(tmp_path.glob("*.npy"))) == 2 + files


@pytest.mark.parametrize("read", [pooled, stages, cells("C3", 4)])
def test_a_broken_off_call_goes_on_and_ends_the_same(tmp_path, read):
    store = Store(300, 20)
    whole = extract(Tiny(), store, tmp_path / "whole", read, 16, views=3)
    for stop_after in (300, 700, 1100, 1400):
        cut = tmp_path / f"cut{stop_after}"
        net = Tiny(stop_after=stop_after)
        with pytest.raises(KeyboardInterrupt), torch_threads(1):  # chunk by chunk
            extract(net, store, cut, read, 16, views=3)
        for partial in cut.glob("*.partial"):
            with partial.open("ab") as file:  # half a row, as after a kill in the middle of a write
                file.write(b"\x01" * 7)
        rest = Tiny()
        resumed = extract(rest, store, cut, read, 16, views=3)
        np.testing.assert_array_equal(resumed.eval, whole.eval)
        np.testing.assert_array_equal(resumed.train, whole.train)
        assert rest.seen[0] < 300 * 5
        assert not list(cut.glob("*.partial"))


def test_damaged_cache_is_built_again(tmp_path):
    store = Store(300, 20)
    good = np.array(extract(Tiny(), store, tmp_path, crop=16).eval)
    file = next(tmp_path.glob("*.npy"))
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(extract(Tiny(), store, tmp_path, crop=16).eval, good)


def test_two_threads_compute_once(tmp_path):
    store, net, results = Store(300, 20), Tiny(), []
    call = lambda: results.append(extract(net, store, tmp_path, crop=16))  # noqa: E731
    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert net.seen[0] == 300 * 2
    np.testing.assert_array_equal(results[0].eval, results[2].eval)


def test_bad_parameters_and_broken_weights(tmp_path):
    store = Store(300, 20)
    for wrong in ({"crop": 21}, {"crop": 0}, {"views": -1}, {"precision": "16"}, {"read": cells("C4", 9)}):
        with pytest.raises(ConfigError):
            extract(Tiny(), store, tmp_path, **{"crop": 16, **wrong})
    for wrong in (lambda: cells("C5"), lambda: ten_crop(4)):
        with pytest.raises(ConfigError, match="expected one of"):
            wrong()
    with pytest.raises(ConfigError, match="grid=9: expected an integer from 1 to 4"):
        extract(Tiny(), store, tmp_path, cells("C4", 9), 16)
    assert not list(tmp_path.iterdir())
    broken = Tiny()
    nn.init.constant_(broken.layers[3].bias, float("nan"))
    for read in (pooled, stages, cells(), ten_crop()):
        with pytest.raises(DataError, match="images 0 to 127 hold NaN or infinity; check the weights"):
            extract(broken, store, tmp_path, read, 16)
    assert not list(tmp_path.glob("*.npy"))


def pooled_by_hand(maps: dict[str, torch.Tensor]) -> np.ndarray:
    """Maxima and means ``(B, W)`` in float64, one channel at a time."""
    rows = []
    for image in range(len(maps["C1"])):
        channels = [c.double().flatten().tolist() for stage in DIMS for c in maps[stage][image]]
        rows.append([max(c) for c in channels] + [sum(c) / len(c) for c in channels])
    return np.array(rows)


def test_pooling_is_the_maximum_and_the_mean_of_every_channel():
    torch.manual_seed(1)
    sides = {"C1": (7, 5), "C2": (4, 4), "C3": (1, 3), "C4": (1, 1)}
    for dtype in (torch.float32, torch.float64):
        maps = {name: (torch.randn(3, DIMS[name], *sides[name]) - 3).to(dtype) for name in DIMS}
        rows = pool_stages(maps)
        assert rows.dtype == dtype and rows.shape == (3, 28)
        np.testing.assert_allclose(rows.numpy(), pooled_by_hand(maps), rtol=1e-5, atol=1e-6)


def test_stages_of_both_sides_and_of_training_views(tmp_path):
    store, net = Store(150, 20), Tiny()
    found = extract(net, store, tmp_path, stages, 16, views=2, seed=5)
    assert found.eval.shape == found.train.shape == (2, 150, 28) and found.eval.dtype == np.float32
    x = centre(store.batch(np.arange(150)), 16)
    for side, view in zip(found.eval, (x, x.flip(-1)), strict=True):
        np.testing.assert_allclose(side, pooled_by_hand(maps_of(net, view)), rtol=1e-4, atol=1e-5)
    expected = pooled_by_hand(maps_of(net, drawn(store, 5)))
    np.testing.assert_allclose(found.train[1, 128:], expected, rtol=1e-4, atol=1e-5)
    alone = extract(net, store, tmp_path / "alone", stages, 16, views=2, seed=5, evaluation=False)
    assert alone.eval.shape == (0, 150, 28)
    np.testing.assert_array_equal(alone.train, found.train)


def cells_by_hand(maps: torch.Tensor, grid: int) -> np.ndarray:
    """Mean over the places of each cell, in float64; a cell spans every place that it touches."""
    side = maps.shape[-1]
    inside = [
        [v for v in range(side) if v < (y + 1) * side / grid and v + 1 > y * side / grid] for y in range(grid)
    ]
    rows = []
    for one in maps.double().numpy():
        rows.append([one[:, v][:, :, u].mean((1, 2)) for v in inside for u in inside])
    return np.array(rows)


@pytest.mark.parametrize(("stage", "grid"), [("C4", None), ("C3", 6), ("C3", 1), ("C4", 2)])
def test_regions_are_the_cells_of_the_map(tmp_path, stage, grid):
    net, store = Tiny(), Store(150, 20)
    maps = maps_of(net, centre(store.batch(np.arange(150)), 16))[stage]
    side = grid or maps.shape[-1]
    found = extract(net, store, tmp_path, cells(stage, grid), 16, views=2, mirror=False, seed=4)
    shape = (150, side**2, DIMS[stage])
    assert (found.eval.shape, found.train.shape) == ((1, *shape), (2, *shape))
    np.testing.assert_allclose(found.eval[0], cells_by_hand(maps, side), rtol=1e-4, atol=1e-5)
    expected = cells_by_hand(maps_of(net, drawn(store, 4))[stage], side)
    np.testing.assert_allclose(found.train[1, 128:], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("side", "grid"), [(4, None), (7, 6), (7, 3), (5, 5), (1, None)])
def test_boxes_are_the_places_that_a_cell_averages(side, grid):
    boxes = cell_boxes(side, grid)
    places = torch.eye(side * side).view(side * side, 1, side, side)
    weights = grid_cells(places, grid)[:, :, 0].numpy()  # (places, cells)
    for cell, (left, top, right, bottom) in enumerate(boxes * side):
        v, u = np.divmod(np.flatnonzero(weights[:, cell]), side)
        assert np.allclose((u.min(), v.min(), u.max() + 1, v.max() + 1), (left, top, right, bottom))


def test_boxes_within_a_picture_larger_than_the_crop():
    boxes = cell_boxes(4, crop=112, size=160)
    assert boxes.dtype == np.float32 and boxes.shape == (16, 4)
    np.testing.assert_allclose(boxes[0] * 160, [24, 24, 52, 52], rtol=1e-6)
    np.testing.assert_allclose(boxes[7] * 160, [108, 52, 136, 80], rtol=1e-6)


def crops_by_hand(net: Tiny, store: Store, crop: int, crops: int) -> np.ndarray:
    """Crops cut with NumPy, one image at a time, averaged in float64."""
    room = store.size - crop
    middle = round(room / 2)
    corners = [(middle, middle), (0, 0), (0, room), (room, 0), (room, room)]
    starts = corners[:1] if crops < 3 else corners
    rows = []
    for image in store.pixels:
        views = [image[:, y : y + crop, x : x + crop] for y, x in starts]
        if crops in (2, 10):
            views += [view[:, :, ::-1] for view in views]
        assert len(views) == crops
        maps = maps_of(net, torch.from_numpy(np.stack(views)))
        rows.append(maps["C4"].mean((2, 3)).double().mean(0).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("crops", CROPS)
@pytest.mark.parametrize("crop", [16, 20])
def test_features_are_means_over_the_crops(tmp_path, crops, crop):
    net, store = Tiny(), Store(150, 20)
    found = extract(net, store, tmp_path, ten_crop(crops), crop, mirror=False).eval
    np.testing.assert_allclose(found[0], crops_by_hand(net, store, crop, crops), rtol=1e-4, atol=1e-6)


def test_ten_views_are_five_and_their_mirror_images():
    images = torch.arange(2 * 3 * 6 * 6, dtype=torch.uint8).reshape(2, 3, 6, 6)
    views = crop_views(images, 4)
    assert len(views) == 10 and len({view.numpy().tobytes() for view in views}) == 10
    for plain, flipped in zip(views[:5], views[5:], strict=True):
        assert torch.equal(plain.flip(-1), flipped)


def test_a_real_backbone_stays_as_it_was(tmp_path):
    torch.manual_seed(0)
    net = load_backbone("efficientnet_lite0", weights=None)
    before = net.weights_digest
    features = extract(net, Store(count=4, size=40), tmp_path, crop=32, views=1)
    assert net.training and net.weights_digest == before
    assert features.eval.shape == (2, 4, 1280) and np.isfinite(features.train).all()
    x = centre(Store(count=4, size=40).batch(np.arange(4)), 32)
    with torch.inference_mode():
        one, two = (net.eval()(normalise(v, net.mean, net.std)) for v in (x, x.flip(-1)))
    np.testing.assert_allclose(features.eval, torch.stack([one, two]).numpy(), rtol=1e-3, atol=1e-4)


def test_small_files_are_enlarged_to_the_side_of_the_weights(tmp_path):
    Image.fromarray(Store(1, 160).pixels[0].transpose(1, 2, 0)).save(tmp_path / "a.png")
    first = np.array([0])
    one = Dataset("one", tmp_path, ("a.png",), ("a",), ("noise",), first, np.array(["test"]), first)
    net = load_backbone("efficientnet_lite0", weights=None)
    store = ImageStore.open(one, net.input_size, tmp_path / "cache")
    with Image.open(tmp_path / "a.png") as picture:
        large = np.asarray(picture.resize((net.input_size,) * 2, Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(store.batch([0])[0].permute(1, 2, 0).numpy(), large)
    assert extract(net, store, tmp_path, crop=net.input_size).eval.shape == (2, 1, net.dim)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu(tmp_path):
    net, store = load_backbone("efficientnet_lite0"), Store(count=140, size=72)
    cpu = extract(net, store, tmp_path / "cpu", crop=64, views=1)
    gpu = extract(net, store, tmp_path / "gpu", crop=64, views=1, device="cuda")
    np.testing.assert_allclose(gpu.eval, cpu.eval, rtol=1e-2, atol=1e-2)
    lengths = [np.linalg.norm(found.train, axis=-1) for found in (gpu, cpu)]
    cosine = (gpu.train * cpu.train).sum(-1) / np.prod(lengths, 0)
    assert cosine.min() > 0.98
