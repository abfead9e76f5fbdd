from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from imtext.data.transforms import augment, centre, mirror, normalise
from imtext.errors import ConfigError, DataError
from imtext.vision import extract_features, load_backbone
from imtext.vision.stage_features import (
    RICH_VARIANTS,
    RichBackbone,
    RichPool,
    StageFeatures,
    extract_stage_features,
    pool_stages,
    rich_image_features,
    variant_dim,
)

# Fu et al., section IV.D, written out: what is joined, in the order of Eq. 2
PLANS = {
    "avg-4": ["avg C4"],
    "avg-4-max-4": ["max C4", "avg C4"],
    "avg-4-max-34": ["max C3", "max C4", "avg C4"],
    "avg-4-max-123": ["max C1", "max C2", "max C3", "avg C4"],
    "avg-4-max-1234": ["max C1", "max C2", "max C3", "max C4", "avg C4"],
    "avg-1234": ["avg C1", "avg C2", "avg C3", "avg C4"],
    "avg-1234-max-1234": [f"{pool} C{i}" for pool in ("max", "avg") for i in (1, 2, 3, 4)],
}
DIMS = {"C1": 2, "C2": 3, "C3": 4, "C4": 5}
RESNET152 = {"C1": 256, "C2": 512, "C3": 1024, "C4": 2048}
WIDTH = 28


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


class Staged(nn.Module):
    """Four convolutions, one a stage; counts the images it sees and can stop half-way."""

    name, dim, mean, std, stage_dims = "staged", 5, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3), DIMS

    def __init__(self, digest: str = "d", stop_after: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        widths = (3, *DIMS.values())
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, 2 if b == 2 else 1) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.weights_digest, self.stop_after, self.seen = digest, stop_after, [0]

    def fused(self) -> Staged:
        out = copy.deepcopy(self).eval()
        out.seen = self.seen
        return out

    def stages(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen[0] += len(x)
        if self.stop_after is not None and self.seen[0] > self.stop_after:
            raise KeyboardInterrupt
        maps = {}
        for number, layer in enumerate(self.layers, 1):
            maps[f"C{number}"] = x = layer(x)
        return maps


def by_hand(maps: dict[str, torch.Tensor]) -> np.ndarray:
    """Maxima and means ``(B, W)`` in float64, one channel at a time."""
    rows = []
    for image in range(len(maps["C1"])):
        channels = [c.double().flatten().tolist() for i in (1, 2, 3, 4) for c in maps[f"C{i}"][image]]
        rows.append([max(c) for c in channels] + [sum(c) / len(c) for c in channels])
    return np.array(rows)


def rich_by_hand(row: np.ndarray, variant: str, dims: dict[str, int]) -> np.ndarray:
    """Equation 2 on one row of maxima and means, in float64."""
    names = [f"{pool} C{i}" for pool in ("max", "avg") for i in (1, 2, 3, 4)]
    ends = np.cumsum([dims[name[-2:]] for name in names])
    part = dict(zip(names, np.split(row.astype(np.float64), ends[:-1]), strict=True))
    joined = [value for name in PLANS[variant] for value in part[name]]
    length = sum(value * value for value in joined) ** 0.5
    return np.array(joined) / (length or 1)


def maps_of(net: Staged, views: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return net.stages(normalise(views, net.mean, net.std))


def test_pooling_is_the_maximum_and_the_mean_of_every_channel():
    torch.manual_seed(1)
    sides = {"C1": (7, 5), "C2": (4, 4), "C3": (1, 3), "C4": (1, 1)}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        maps = {name: (torch.randn(3, DIMS[name], *sides[name]) - 3).to(dtype) for name in DIMS}
        rows = pool_stages(maps)
        assert rows.dtype == torch.promote_types(dtype, torch.float32) and rows.shape == (3, WIDTH)
        np.testing.assert_allclose(rows.numpy(), by_hand(maps), rtol=1e-5, atol=1e-6)
        flat = {name: m.contiguous(memory_format=torch.channels_last) for name, m in maps.items()}
        torch.testing.assert_close(pool_stages(flat), rows)


def test_evaluation_is_the_centre_crop_and_the_mirror_image_if_asked(tmp_path):
    store, net = Store(), Staged()
    pooled = extract_stage_features(net, store, tmp_path, crop=16)
    assert isinstance(pooled, StageFeatures) and pooled.stage_dims == DIMS
    assert pooled.eval.shape == (1, 300, WIDTH) and pooled.eval.dtype == np.float32
    assert isinstance(pooled.eval, np.memmap) and not pooled.eval.flags.writeable
    assert pooled.train.shape == (0, 300, WIDTH)
    x = centre(store.batch(np.arange(300)), 16)
    one, two = (by_hand(maps_of(net, view)) for view in (x, mirror(x)))
    np.testing.assert_allclose(pooled.eval[0], one, rtol=1e-4, atol=1e-5)
    both = extract_stage_features(net, store, tmp_path, crop=16, mirror=True)
    np.testing.assert_allclose(both.eval, np.stack([one, two]), rtol=1e-4, atol=1e-5)
    assert both.key != pooled.key


def test_training_views_are_drawn_chunk_by_chunk_from_the_seed(tmp_path):
    store, net = Store(), Staged()
    pooled = extract_stage_features(net, store, tmp_path / "a", 16, views=2, seed=5, evaluation=False)
    assert pooled.eval.shape == (0, 300, WIDTH) and pooled.train.shape == (2, 300, WIDTH)
    state = np.random.SeedSequence([5, 1, 128]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    x = augment(store.batch(np.arange(128, 256)), 16, generator)
    np.testing.assert_allclose(pooled.train[1, 128:256], by_hand(maps_of(net, x)), rtol=1e-4, atol=1e-5)
    other = extract_stage_features(net, store, tmp_path / "b", 16, views=2, seed=5, batch_size=300)
    np.testing.assert_allclose(other.train, pooled.train, rtol=1e-5, atol=1e-6)
    again = extract_stage_features(net, store, tmp_path / "a", 16, views=2, seed=6, evaluation=False)
    assert not np.allclose(again.train, pooled.train)


def test_one_pass_and_one_file_for_all_variants(tmp_path):
    store, net = Store(), Staged()
    pooled = extract_stage_features(net, store, tmp_path, 16, views=1)
    for variant in RICH_VARIANTS:
        again = extract_stage_features(net, store, tmp_path, 16, views=1)
        rich_image_features(again, variant)
    assert net.seen[0] == 600 and again.key == pooled.key
    assert len(list(tmp_path.glob("*.npy"))) == 2 and not list(tmp_path.glob("*.partial"))
    others = [(Staged("e"), store, {}), (net, Store(fingerprint="g"), {}), (net, store, {"crop": 15})]
    for number, (backbone, pixels, changed) in enumerate([*others, (net, store, {"mirror": True})], 3):
        extract_stage_features(backbone, pixels, tmp_path, **{"crop": 16, **changed})
        assert len(list(tmp_path.glob("*.npy"))) == number


def test_a_broken_off_call_goes_on_and_ends_the_same(tmp_path):
    store = Store()
    whole = extract_stage_features(Staged(), store, tmp_path / "whole", 16, views=2)
    for stop_after in (200, 500, 800):
        cut = tmp_path / f"cut{stop_after}"
        with pytest.raises(KeyboardInterrupt):
            extract_stage_features(Staged(stop_after=stop_after), store, cut, 16, views=2)
        for partial in cut.glob("*.partial"):
            with partial.open("ab") as file:  # half a row, as after a kill in the middle of a write
                file.write(b"\x01" * 7)
        rest = Staged()
        resumed = extract_stage_features(rest, store, cut, 16, views=2)
        np.testing.assert_array_equal(resumed.eval, whole.eval)
        np.testing.assert_array_equal(resumed.train, whole.train)
        assert rest.seen[0] < 900 and not list(cut.glob("*.partial"))


@pytest.mark.parametrize("variant", RICH_VARIANTS)
def test_rich_features_are_the_parts_in_the_papers_order_over_one_norm(tmp_path, variant):
    net, store = Staged(), Store()
    pooled = extract_stage_features(net, store, tmp_path, 16, views=2, mirror=True)
    rich = rich_image_features(pooled, variant)
    size = variant_dim(variant, DIMS)
    assert rich.eval.shape == (2, 300, size) and rich.train.shape == (2, 300, size)
    assert rich.eval.dtype == np.float32 and not rich.eval.flags.writeable
    for found, rows in ((rich.eval, pooled.eval), (rich.train, pooled.train)):
        for view, image in ((0, 0), (1, 299), (1, 17)):
            expected = rich_by_hand(rows[view, image], variant, DIMS)
            np.testing.assert_allclose(found[view, image], expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(rich.train, axis=-1), 1, rtol=1e-5)
    some = pooled.train[[0, 1, 1], [4, 4, 9]]
    rows = rich_image_features(some, variant, DIMS)
    np.testing.assert_array_equal(rows, rich.train[[0, 1, 1], [4, 4, 9]])
    assert torch.equal(rich_image_features(torch.from_numpy(some), variant, DIMS), torch.from_numpy(rows))
    live = RichPool(variant)
    views = centre(store.batch(np.arange(300)), 16)
    np.testing.assert_allclose(live(maps_of(net, views)).numpy(), rich.eval[0], rtol=1e-4, atol=1e-5)
    assert live.dim(DIMS) == size and repr(live) == f"RichPool({variant!r})"


def test_the_seven_variants_and_their_lengths():
    assert tuple(PLANS) == RICH_VARIANTS
    expected = (2048, 4096, 5120, 3840, 5888, 3840, 7680)
    assert tuple(variant_dim(variant, RESNET152) for variant in RICH_VARIANTS) == expected
    keys = set()
    rows = np.zeros((1, 1, WIDTH), np.float32)
    pooled = StageFeatures(rows, rows, "key", DIMS)
    for variant in RICH_VARIANTS:
        rich = rich_image_features(pooled, variant)
        assert not rich.eval.any() and np.isfinite(rich.eval).all()  # zeros stay zeros
        keys.add(rich.key)
    assert len(keys) == 7


def test_more_rows_than_are_normalised_at_a_time(tmp_path):
    rows = np.random.default_rng(0).normal(size=(2, 5000, WIDTH)).astype(np.float32)
    rich = rich_image_features(StageFeatures(rows, rows[:0], "key", DIMS), "avg-4-max-34")
    np.testing.assert_array_equal(rich.eval, rich_image_features(rows, "avg-4-max-34", DIMS))
    assert rich.train.shape == (0, 5000, 14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_of_rows(dtype):
    rows = (torch.rand(4, WIDTH) * 100).to(dtype)
    found = rich_image_features(rows, "avg-1234-max-1234", DIMS)
    assert found.dtype == torch.promote_types(dtype, torch.float32)
    expected = [rich_by_hand(row, "avg-1234-max-1234", DIMS) for row in rows.double().numpy()]
    close = {"rtol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-7}
    np.testing.assert_allclose(found.numpy(), np.stack(expected), **close)


def test_live_pooling_has_the_gradient_of_its_equation():
    torch.manual_seed(0)
    sizes = {"C1": (2, 4), "C2": (3, 3), "C3": (4, 2), "C4": (5, 1)}
    maps = [torch.randn(2, c, s, s, dtype=torch.float64, requires_grad=True) for c, s in sizes.values()]
    for variant in RICH_VARIANTS:
        pool = RichPool(variant)
        assert torch.autograd.gradcheck(lambda *m, pool=pool: pool(dict(zip(DIMS, m, strict=True))), maps)
    maps = [m.detach() for m in maps]
    with torch.autocast("cpu", torch.bfloat16):
        half = RichPool("avg-4-max-1234")({k: m.bfloat16() for k, m in zip(DIMS, maps, strict=True)})
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.norm(dim=1), torch.ones(2), rtol=1e-5, atol=1e-5)


def _with_statistics(name: str) -> nn.Module:
    """A fresh network whose batch norms have moved, so that folding them changes every weight."""
    torch.manual_seed(0)
    net = load_backbone(name, weights=None)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.3, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return net


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_lite1"])
def test_stages_of_a_folded_network_are_those_of_the_plain_one(tmp_path, name):
    net = _with_statistics(name)
    store = Store(count=3, size=72)
    x = normalise(centre(store.batch(np.arange(3)), 64), net.mean, net.std)
    fused = net.fused()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    with torch.inference_mode():
        trained = copy.deepcopy(net).train().stages(x)
        folded, plain = fused.stages(x), net.eval().stages(x)
    for stage, width in net.stage_dims.items():
        assert plain[stage].shape[:2] == (3, width)
        scale = float(plain[stage].abs().max())
        torch.testing.assert_close(folded[stage], plain[stage], rtol=1e-3, atol=1e-4 * scale)
        assert not torch.allclose(trained[stage], plain[stage], rtol=1e-2, atol=1e-2 * scale)
    pooled = extract_stage_features(net, store, tmp_path, 64)
    np.testing.assert_allclose(pooled.eval[0], by_hand(plain), rtol=1e-3, atol=1e-4 * scale)
    live = RichBackbone(net, "avg-4-max-123").eval()
    with torch.no_grad():
        rows = live(x).numpy()
    assert rows.shape == (3, live.dim) and (live.mean, live.std) == (net.mean, net.std)
    np.testing.assert_allclose(rows, rich_image_features(pooled, "avg-4-max-123").eval[0], atol=1e-5)
    # the mean of C4 is the feature that every other row uses
    feature = extract_features(net, store, tmp_path, 64, mirror=False).eval
    np.testing.assert_array_equal(pooled.eval[..., -net.dim :], feature)


def test_what_is_refused_says_why(tmp_path):
    store = Store()
    for wrong in ({"crop": 21}, {"views": -1}, {"batch_size": 0}, {"precision": "bf16"}):
        with pytest.raises(ConfigError):
            extract_stage_features(Staged(), store, tmp_path, **{"crop": 16, **wrong})
    broken = Staged()
    nn.init.constant_(broken.layers[3].bias, float("inf"))
    with pytest.raises(DataError, match="images 0 to 127 hold NaN or infinity; check the weights"):
        extract_stage_features(broken, store, tmp_path, 16)
    assert not list(tmp_path.glob("*.npy"))
    rows = np.ones((2, WIDTH), np.float32)
    for call in (RichPool, lambda v: variant_dim(v, DIMS), lambda v: rich_image_features(rows, v, DIMS)):
        with pytest.raises(ConfigError, match=r"variant='max-4': expected one of avg-4, avg-4-max-4, "):
            call("max-4")
    for bad, dims in ((rows[:, 1:], DIMS), (rows, RESNET152), (rows, None), (rows, {"C1": 14})):
        with pytest.raises(DataError, match="pooled stages .* expected rows of "):
            rich_image_features(bad, "avg-4", dims)
    for value in (np.nan, np.inf):
        rows[1, -1] = value
        with pytest.raises(DataError, match="NaN or infinity"):
            rich_image_features(rows, "avg-4", DIMS)
    with pytest.raises(DataError, match="found C4; C3 is missing"):
        RichPool("avg-4-max-34")({"C4": torch.zeros(1, 5, 2, 2)})


class Plain(nn.Module):
    name, dim, mean, std, weights_digest = "tiny", 3, (0.5, 0.4, 0.3), (0.2, 0.2, 0.3), "d"

    def fused(self) -> Plain:
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


def test_files_of_plain_features_keep_their_names(tmp_path):
    """What users have computed must be found again."""
    found = extract_features(Plain(), Store(count=4), tmp_path, 16, views=2, seed=3)
    assert found.key == "bd92ad96c6ba346ea4575cc1"
    names = {"features-tiny-d19c80015be952a311227276.npy", "features-tiny-f5dd771f12810a53d1b811ee.npy"}
    assert {path.name for path in tmp_path.glob("*.npy")} == names


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_agrees_with_cpu(tmp_path):
    net, store = load_backbone("efficientnet_lite0"), Store(count=140, size=72)
    cpu = extract_stage_features(net, store, tmp_path / "cpu", 64)
    gpu = extract_stage_features(net, store, tmp_path / "gpu", 64, device="cuda")
    np.testing.assert_allclose(gpu.eval, cpu.eval, rtol=1e-2, atol=5e-2)
    x = torch.randn(4, 5, 6, 6, device="cuda", requires_grad=True)
    maps = {"C4": x}
    out = RichPool("avg-4-max-4")(maps)
    out.square().sum().backward()
    assert out.device == x.device and bool(x.grad.isfinite().all())
