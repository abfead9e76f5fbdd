"""Times of a batch: what is reported, not how long it takes."""

import time

import pytest
import torch

from imtext.papers import batch_timing
from imtext.papers.batch_timing import batch_times, timing_table

TINY = ("resnet18", 32, 0.125, 16, 8, 20)  # backbone, crop, width, dim, length, words


@pytest.fixture(scope="module")
def times():
    return batch_times(*TINY, seconds=5.0)


def test_two_positive_times_and_what_they_were_measured_with(times):
    assert times["image path ms"] > 0 and times["text path ms"] > 0
    assert times["network"] == "ResNet-18, text CNN depth 50, width 0.125, 16-d"
    assert times["pixels"] == 32 and times["device"].endswith(f"threads: {torch.get_num_threads()}")


@pytest.mark.parametrize(("seconds", "warm", "calls"), [(1e-9, 1, 1), (1e-9, 3, 1), (3600.0, 1, 20)])
def test_a_warm_up_is_not_counted_and_at_least_one_call_is(seconds, warm, calls):
    done = []
    # The warm-up takes 50 ms a call, the others nothing.
    found = batch_timing._median_ms(
        lambda: done.append(time.sleep(0.05 if len(done) < warm else 0)), warm=warm, seconds=seconds
    )
    assert len(done) == warm + calls and 0 < found < 50


def test_settings_and_random_numbers_stay_as_they_were():
    def state():
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, cudnn.enabled

    before, numbers = state(), torch.random.get_rng_state()
    batch_times(*TINY, seconds=1e-6)
    assert state() == before
    assert torch.equal(torch.random.get_rng_state(), numbers)


def test_forward_and_backward_reach_every_weight_of_a_path(monkeypatch):
    made, net = {}, batch_timing.dual_path
    touched = []

    def once(step, warm, seconds):
        step()
        named = made["net"].named_parameters()
        touched.append({name.split(".")[0] for name, weights in named if weights.grad is not None})
        return 1.0

    monkeypatch.setattr(batch_timing, "dual_path", lambda *given: made.setdefault("net", net(*given)))
    monkeypatch.setattr(batch_timing, "_median_ms", once)
    batch_times(*TINY)
    assert touched == [{"backbone", "image_head"}, {"text", "text_head"}]


def test_the_table_stands_beside_the_papers_row(times):
    table = timing_table([times])
    assert list(table.columns) == ["network", "pixels", "device", "image path ms", "text path ms"]
    assert table["network"].iloc[0].startswith("Paper")
    assert table.iloc[0, 1:].tolist() == [224, "Nvidia 1080Ti", 119.0, 117.0]
    assert table.iloc[1].to_dict() == times


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    assert batch_times(*TINY, device="cuda")["device"] == torch.cuda.get_device_name(0)
