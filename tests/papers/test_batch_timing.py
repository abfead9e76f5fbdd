"""Times of a batch: what is reported, not how long it takes."""

import math

import numpy as np
import pytest
import torch

from imtext.errors import ConfigError
from imtext.losses import InstanceLoss
from imtext.papers import batch_timing
from imtext.papers.batch_timing import BatchTimes, batch_times, timing_table

TINY = {
    "backbone": "resnet18",
    "crop": 32,
    "width": 0.125,
    "depth": 50,
    "dim": 16,
    "batch": 4,
    "length": 8,
    "words": 20,
    "classes": 5,
}
MILLISECONDS = ("image_forward_ms", "image_ms", "text_forward_ms", "text_ms")


@pytest.fixture(scope="module")
def times():
    return batch_times(**TINY, device="cpu", repeats=2)


def test_four_positive_times_and_what_they_were_measured_with(times):
    assert all(getattr(times, name) > 0 for name in MILLISECONDS)
    for name, value in TINY.items():
        if name not in ("words", "classes"):
            assert getattr(times, name) == value
    assert (times.device, times.precision, times.repeats) == ("cpu", "float32", 2)
    assert "thread" in times.hardware


def test_a_budget_ends_the_repeats_early():
    times = batch_times(**TINY, repeats=1000, budget_s=1e-6)
    assert times.repeats == 0
    assert all(getattr(times, name) > 0 for name in MILLISECONDS)
    assert timing_table([times])["network"].iloc[1].endswith("first call")


def test_bfloat16_is_an_option():
    times = batch_times(**TINY, repeats=1, autocast=True)
    assert times.precision == "bfloat16" and times.image_ms > 0
    assert timing_table([times])["device"].iloc[1].endswith("bfloat16")


def test_settings_and_random_numbers_stay_as_they_were(times):
    def state():
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark

    before, numbers = state(), torch.random.get_rng_state()
    batch_times(**TINY, repeats=1)
    assert state() == before
    assert torch.equal(torch.random.get_rng_state(), numbers)
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")


def test_forward_and_backward_reach_every_weight_of_a_path():
    net, loss = batch_timing._network("resnet18", 20, 50, 0.125, 16), InstanceLoss(16, 5)
    groups = torch.tensor([0, 1])
    inputs = {"image": torch.randn(2, 3, 32, 32), "text": torch.randint(1, 21, (2, 8))}
    for path, embed in (("image", net.embed_images), ("text", net.embed_captions)):
        batch_timing._path_times(net, embed, loss, inputs[path], groups, 1, 1.0)
        touched = {name.split(".")[0] for name, p in net.named_parameters() if p.grad is not None}
        assert touched == {"image": {"backbone", "image_head"}, "text": {"text", "text_head"}}[path]
        assert loss.classifier.weight.grad is not None


def test_the_table_stands_beside_the_papers_row(times):
    table = timing_table([times, times._replace(batch=32)])
    assert list(table.columns) == ["network", "pixels", "device", "image path ms", "text path ms"]
    assert table["network"].iloc[0].startswith("Paper")
    assert table.iloc[0, 1:].tolist() == [224, "Nvidia 1080Ti", 119.0, 117.0]
    assert table.iloc[1, 1:].tolist() == [32, times.hardware, times.image_ms, times.text_ms]
    assert table["network"].iloc[1].endswith("16-d, batch of 4")
    assert table["network"].iloc[2].endswith("16-d")


def test_forward_times_are_columns_on_request(times):
    table = timing_table([times], forward=True)
    assert np.isnan(table.iloc[0, 5:].astype(float)).all()
    assert table.iloc[1, 5:].tolist() == [times.image_forward_ms, times.text_forward_ms]


@pytest.mark.parametrize(
    "wrong", [{"batch": 1}, {"repeats": 0}, {"budget_s": 0}, {"budget_s": float("nan")}, {"crop": 8}]
)
def test_numbers_out_of_range_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        batch_times(**(TINY | wrong))


def test_an_unknown_device_is_named():
    with pytest.raises(ConfigError, match="'tpu'"):
        batch_times(**TINY, device="tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no GPU")
def test_a_gpu_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="no GPU"):
        batch_times(**TINY, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    times = batch_times(**TINY, device="cuda", repeats=2, autocast=True)
    assert isinstance(times, BatchTimes) and times.hardware == torch.cuda.get_device_name(0)


def test_the_forward_pass_alone_can_be_left_out():
    times = batch_timing.batch_times(
        "resnet18", 32, 0.125, 50, 16, batch=2, words=10, classes=4, repeats=1, forward=False
    )
    assert math.isnan(times.image_forward_ms) and times.text_ms > 0
