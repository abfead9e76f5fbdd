from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from imtext.data.transforms import augment, centre, normalise
from imtext.errors import ConfigError, DataError
from imtext.vision import load_backbone
from imtext.vision.grid_features import cell_boxes, extract_grid_features, grid_cells


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


class Coarse(nn.Module):
    """Maps C3 and C4 of 8 and 4 cells a side at 16 pixels; counts images, but for the one that is tried."""

    name, dim, mean, std = "coarse", 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3)
    stage_dims = {"C3": 4, "C4": 5}

    def __init__(self, digest: str = "d", stop_after: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.early, self.late = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 5, 2, 2)
        self.weights_digest, self.stop_after, self.seen = digest, stop_after, [0]

    def fused(self) -> Coarse:
        out = copy.deepcopy(self)
        out.seen = self.seen
        return out

    def stages(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen[0] += len(x) if x.any() else 0
        if self.stop_after is not None and self.seen[0] > self.stop_after:
            raise KeyboardInterrupt
        early = self.early(x)
        return {"C3": early, "C4": self.late(early)}


def cells_by_hand(maps: torch.Tensor, grid: int) -> np.ndarray:
    """Mean over the places of each cell, in float64; a cell spans every place that it touches."""
    side = maps.shape[-1]
    rows = []
    for one in maps.double().numpy():
        cells = []
        for y in range(grid):
            for x in range(grid):
                places = [
                    one[:, v, u]
                    for v in range(side)
                    for u in range(side)
                    if v < (y + 1) * side / grid
                    and v + 1 > y * side / grid
                    and u < (x + 1) * side / grid
                    and u + 1 > x * side / grid
                ]
                cells.append(sum(places) / len(places))
        rows.append(cells)
    return np.array(rows)


def maps_of(net: Coarse, views: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return net.stages(normalise(views, net.mean, net.std))


@pytest.mark.parametrize(
    ("stage", "grid", "side"), [("C4", None, 4), ("C3", 6, 8), ("C3", 1, 8), ("C4", 3, 4)]
)
def test_regions_are_the_cells_of_the_map(tmp_path, stage, grid, side):
    net, store = Coarse(), Store()
    found = extract_grid_features(net, store, tmp_path, 16, stage, grid, views=2, seed=4)
    cells = (grid or side) ** 2
    assert found.regions.shape == (150, cells, net.stage_dims[stage]) and found.regions.dtype == np.float32
    assert found.boxes.shape == (cells, 4) and found.train.shape == (2, *found.regions.shape)
    assert isinstance(found.train, np.memmap) and not found.train.flags.writeable
    expected = cells_by_hand(maps_of(net, centre(store.batch(np.arange(150)), 16))[stage], grid or side)
    np.testing.assert_allclose(found.regions, expected, rtol=1e-4, atol=1e-5)
    state = np.random.SeedSequence([4, 1, 128]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    views = augment(store.batch(np.arange(128, 150)), 16, generator)
    expected = cells_by_hand(maps_of(net, views)[stage], grid or side)
    np.testing.assert_allclose(found.train[1, 128:], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("crop", [16, 20])
def test_a_mark_in_the_picture_lights_up_the_cell_whose_box_holds_it(tmp_path, crop):
    def features(name: str, mark: tuple[int, int] | None):
        store = Store(count=1, fingerprint=name)
        store.pixels[:] = 0
        if mark is not None:
            store.pixels[0, :, mark[0], mark[1]] = 255
        return extract_grid_features(Coarse(), store, tmp_path, crop, "C3")

    dark = features("dark", None)
    for y, x in ((3, 4), (9, 16), (17, 2), (12, 12)):
        lit = features(f"{y}-{x}", (y, x))
        cells = np.flatnonzero(np.abs(lit.regions[0] - dark.regions[0]).max(1) > 1e-3)
        left, top, right, bottom = lit.boxes[cells[0]] * 20
        assert len(cells) == 1 and left <= x < right and top <= y < bottom


def test_half_of_the_disk(tmp_path):
    net, store = Coarse(), Store()
    full = extract_grid_features(net, store, tmp_path, 16)
    half = extract_grid_features(net, store, tmp_path, 16, dtype="float16")
    assert half.regions.dtype == np.float16 and half.key != full.key
    np.testing.assert_array_equal(half.regions, full.regions.astype(np.float16))
    sizes = sorted(path.stat().st_size for path in tmp_path.glob("*.npy"))
    assert sizes[1] - 128 == 2 * (sizes[0] - 128) == 150 * 16 * 5 * 4


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_broken_off_call_goes_on_and_ends_the_same(tmp_path, dtype):
    store, settings = Store(count=300), {"crop": 16, "views": 2, "dtype": dtype}
    whole = extract_grid_features(Coarse(), store, tmp_path / "whole", **settings)
    for stop_after in (200, 500, 800):
        cut = tmp_path / f"cut{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            extract_grid_features(Coarse(stop_after=stop_after), store, cut, **settings)
        for partial in cut.glob("*.partial"):
            with partial.open("ab") as file:  # part of a row, as after a kill in the middle of a write
                file.write(b"\x01" * 77)
        rest = Coarse()
        resumed = extract_grid_features(rest, store, cut, **settings)
        np.testing.assert_array_equal(resumed.regions, whole.regions)
        np.testing.assert_array_equal(resumed.train, whole.train)
        assert rest.seen[0] < 900 and not list(cut.glob("*.partial"))


def test_a_second_call_computes_nothing_and_the_key_holds_what_matters(tmp_path):
    net, store = Coarse(), Store()
    first = extract_grid_features(net, store, tmp_path, 16)
    again = extract_grid_features(net, store, tmp_path, 16, grid=4)  # the map's own
    assert net.seen[0] == 150 and again.key == first.key
    changes = [{"stage": "C3"}, {"grid": 2}, {"crop": 15}, {"dtype": "float16"}, {"stage": "C3", "grid": 4}]
    for number, changed in enumerate(changes, 2):
        extract_grid_features(net, store, tmp_path, **{"crop": 16, **changed})
        assert len(list(tmp_path.glob("*.npy"))) == number
    for number, (backbone, pixels) in enumerate([(Coarse("e"), store), (net, Store(fingerprint="g"))], 7):
        extract_grid_features(backbone, pixels, tmp_path, 16)
        assert len(list(tmp_path.glob("*.npy"))) == number
    views = extract_grid_features(net, store, tmp_path / "views", 16, views=1, evaluation=False)
    assert views.eval.shape == (0, 150, 16, 5)
    with pytest.raises(DataError, match="evaluation=True"):
        _ = views.regions


@pytest.mark.parametrize(("side", "grid"), [(4, None), (7, 6), (7, 3), (5, 5), (1, None)])
def test_boxes_are_the_places_that_a_cell_averages(side, grid):
    boxes = cell_boxes(side, grid)
    places = torch.zeros(side * side, 1, side, side)
    places[
        torch.arange(side * side), 0, torch.arange(side * side) // side, torch.arange(side * side) % side
    ] = 1
    weights = grid_cells(places, grid)[:, :, 0].numpy()  # (places, cells)
    for cell, (left, top, right, bottom) in enumerate(boxes * side):
        v, u = np.divmod(np.flatnonzero(weights[:, cell]), side)
        assert np.allclose((u.min(), v.min(), u.max() + 1, v.max() + 1), (left, top, right, bottom))


def test_boxes_within_a_picture_larger_than_the_crop():
    boxes = cell_boxes(4, crop=112, size=160)
    assert boxes.dtype == np.float32 and boxes.shape == (16, 4)
    np.testing.assert_allclose(boxes[0] * 160, [24, 24, 52, 52], rtol=1e-6)
    np.testing.assert_allclose(boxes[7] * 160, [108, 52, 136, 80], rtol=1e-6)


def test_cells_of_a_real_backbone(tmp_path):
    net = load_backbone("efficientnet_lite1", weights=None)
    store, before = Store(count=2, size=128), net.weights_digest
    fine = extract_grid_features(net, store, tmp_path, 112, "C3", grid=6)
    own = extract_grid_features(net, store, tmp_path, 112)
    assert fine.regions.shape == (2, 36, 112) and own.regions.shape == (2, 16, 1280)
    assert net.training and net.weights_digest == before  # nor have the batch norms' statistics moved


def test_what_is_refused_says_why(tmp_path):
    for wrong in (
        {"stage": "C5"},
        {"dtype": "int8"},
        {"grid": 0},
        {"grid": 5},
        {"grid": 2.0},
        {"grid": True},
    ):
        with pytest.raises(ConfigError, match="stage=|grid="):
            extract_grid_features(Coarse(), Store(), tmp_path, **{"crop": 16, **wrong})
    for wrong in ({"crop": 21}, {"views": -1}, {"batch_size": 0}, {"precision": "bf16"}):
        with pytest.raises(ConfigError):
            extract_grid_features(Coarse(), Store(), tmp_path, **{"crop": 16, **wrong})
    with pytest.raises(ConfigError, match="grid=5: expected an integer of 1 to 4, the side of the map C4 at"):
        extract_grid_features(Coarse(), Store(), tmp_path, 16, grid=5)
    large = Coarse()
    nn.init.constant_(large.late.bias, 1e5)
    assert extract_grid_features(large, Store(), tmp_path / "a", 16).regions.min() > 65504
    with pytest.raises(DataError, match="hold NaN or infinity; check the weights, or use dtype='float32'"):
        extract_grid_features(large, Store(), tmp_path / "b", 16, dtype="float16")
    assert not list((tmp_path / "b").glob("*.npy"))
