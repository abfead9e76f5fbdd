"""The training loop: resumes to the same numbers after a kill, stops at a loss that is not finite."""

import os
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn

from imtext.errors import ConfigError, TrainingError
from imtext.training import Recipe, fit, loop, make_fabric
from imtext.training.loop import LOOK_EVERY

SCRIPT = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import torch
    from torch import nn
    from imtext.training import Recipe, fit, loop, make_fabric

    torch.set_num_threads(1)
    save = torch.save
    loop.KEEP_EVERY = 0.0

    class Objective(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
        def forward(self, batch):
            return {"loss": (self.net(batch["x"]) - batch["y"]).pow(2).mean()}

    def train(folder, moment):
        def batches(epoch):
            for step in range(3):
                g = torch.Generator().manual_seed(100 * epoch + step)
                if moment == f"{epoch}.{step}":
                    os.kill(os.getpid(), signal.SIGKILL)
                yield {"x": torch.randn(16, 4, generator=g), "y": torch.randn(16, 1, generator=g)}

        def half(state, path):
            save(state, path)
            if state["epoch"] == 2:
                with open(path, "r+b") as file:
                    file.truncate(100)
                os.kill(os.getpid(), signal.SIGKILL)

        torch.save = half if moment == "save" else save
        torch.manual_seed(0)
        objective = Objective()
        recipe = Recipe(epochs=4, lr=0.01, cosine=True)
        more = lambda epoch: {} if epoch % 2 else {"more": 10.0 * epoch}
        curves = fit(make_fabric("cpu"), objective, recipe, batches, folder, seed=1, validate=more)
        curves.to_csv(folder / "curves.csv", index=False)
        save(objective.state_dict(), folder / "model.pt")

    # One import of torch, then a process of its own for every attempt.
    for job in sys.argv[1:]:
        folder, moment = job.split("@")
        Path(folder).mkdir(exist_ok=True)
        child = os.fork()
        if child == 0:
            train(Path(folder), moment)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
)


def outcome(folder):
    state = torch.load(folder / "model.pt", weights_only=True)
    return pd.read_csv(folder / "curves.csv"), state


def test_killed_at_three_moments_ends_with_the_same_numbers(tmp_path):
    moments = ("0.1", "2.2", "save")
    jobs = [f"{tmp_path}/whole@never"]
    for moment in moments:
        jobs += [f"{tmp_path}/{moment}@{moment}", f"{tmp_path}/{moment}@never"]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *jobs], capture_output=True, text=True)
    killed = str(-signal.SIGKILL)
    assert done.stdout.split() == ["0"] + [killed, "0"] * 3, done.stderr
    curves, state = outcome(tmp_path / "whole")
    assert curves["more"].dropna().tolist() == [20, 40] and len(curves) == 4
    for moment in moments:
        resumed_curves, resumed_state = outcome(tmp_path / moment)
        pd.testing.assert_frame_equal(curves, resumed_curves, check_exact=True)
        assert all(torch.equal(state[name], resumed_state[name]) for name in state)


class Linear(nn.Module):
    """A smallest objective."""

    def __init__(self):
        super().__init__()
        self.word = nn.Linear(2, 2)
        self.rest = nn.Linear(2, 1)
        self.epoch = None

    def forward(self, batch):
        return {"loss": self.rest(self.word(batch["x"])).pow(2).mean()}


def constant(value, steps=2):
    return lambda epoch: iter([{"x": torch.full((2, 2), value)}] * steps)


@pytest.mark.parametrize("clip", [None, 2.0])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, monkeypatch, clip):
    monkeypatch.setattr(loop, "KEEP_EVERY", 0.0)

    def batches(epoch):
        yield {"x": torch.ones(2, 2), "captions": torch.tensor([5, 6])}
        bad = float("nan") if epoch == 1 else 1.0
        yield {"x": torch.full((2, 2), bad), "captions": torch.tensor([7, 9])}
        yield {"x": torch.ones(2, 2), "captions": torch.tensor([1, 2])}

    named = r"not finite in epoch 2, batch 2 \(training captions such as \[7, 9\]\); try a lower"
    with pytest.raises(TrainingError, match=named):
        fit(make_fabric("cpu"), Linear(), Recipe(epochs=3, lr=0.1, clip=clip), batches, tmp_path)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["epoch"] == 1


def test_a_checkpoint_is_kept_once_a_minute(tmp_path, monkeypatch):
    clock, kept = iter(range(0, 1000, 25)), []
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(loop, "_keep", lambda model, optimizer, folder, epoch, curves: kept.append(epoch))
    fit(make_fabric("cpu"), Linear(), Recipe(epochs=9, lr=0.1), constant(1.0), tmp_path)
    # After 25, 50 and 75 seconds; the next minute begins when it is written, and so on.
    assert kept == [3, 6, 9]


class Root(nn.Module):
    """A loss of 0 whose gradient is infinite."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch):
        return {"loss": self.weight.sqrt().sum()}


def test_a_gradient_that_is_not_finite_does_not_reach_the_weights(tmp_path):
    objective = Root()
    with pytest.raises(TrainingError, match="gradient is not finite in epoch 1, batch 1"):
        fit(make_fabric("cpu"), objective, Recipe(epochs=1, lr=0.1, clip=2.0), constant(1.0, 1), tmp_path)
    assert objective.weight.item() == 0


@pytest.mark.parametrize("clip", [None, 2.0])
@pytest.mark.parametrize(("bad", "steps"), [(3, 25), (11, 25), (10, 10), (24, 24)])
def test_a_loss_read_now_and_then_still_names_the_first_bad_batch(tmp_path, monkeypatch, bad, steps, clip):
    # A GPU is asked for its losses every tenth step; the same path is taken here.
    monkeypatch.setitem(LOOK_EVERY, "cpu", LOOK_EVERY["cuda"])

    def batches(epoch):
        for step in range(1, steps + 1):
            x = torch.full((2, 2), float("inf") if step >= bad else 1.0)
            yield {"x": x, "captions": torch.arange(step, step + 6)}

    named = rf"epoch 1, batch {bad} \(training captions such as \[{bad}, .*\]\); try a lower"
    with pytest.raises(TrainingError, match=named):
        fit(make_fabric("cpu"), Linear(), Recipe(epochs=1, lr=0.1, clip=clip), batches, tmp_path)


def test_no_batches_is_an_error(tmp_path):
    with pytest.raises(TrainingError, match="no batch"):
        fit(make_fabric("cpu"), Linear(), Recipe(epochs=1, lr=0.1), lambda epoch: iter(()), tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingError, match="remove it to start again"):
        fit(make_fabric("cpu"), Linear(), Recipe(epochs=1, lr=0.1), constant(1.0), tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "was-run"),))

    torch.save({"model": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(TrainingError, match="remove it"):
        fit(make_fabric("cpu"), Linear(), Recipe(epochs=1, lr=0.1), constant(1.0), tmp_path)
    assert not (tmp_path / "was-run").exists()


def test_parts_learn_at_their_own_rate(tmp_path):
    torch.manual_seed(0)
    objective = Linear()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    fit(
        make_fabric("cpu"),
        objective,
        Recipe(epochs=2, lr=0.1, lr_scale=(("word.", 0.0),)),
        constant(1.0),
        tmp_path,
    )
    after = objective.state_dict()
    assert torch.equal(before["word.weight"], after["word.weight"])
    assert not torch.equal(before["rest.weight"], after["rest.weight"])


def test_a_prefix_that_matches_nothing_is_an_error():
    with pytest.raises(ConfigError, match="no parameter"):
        Recipe(epochs=1, lr=0.1, lr_scale=(("words.", 0.1),)).optimizer(Linear())


def test_schedules():
    steps = Recipe(epochs=10, lr=1.0, milestones=(3, 6), gamma=0.5)
    assert [steps.rate(e) for e in (0, 2.9, 3, 6.5)] == [1.0, 1.0, 0.5, 0.25]
    cosine = Recipe(epochs=10, lr=1.0, cosine=True, warmup=1.0)
    assert cosine.rate(0.0) == 0.0
    assert cosine.rate(5) == pytest.approx(0.5)
    assert cosine.rate(10) == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"lr": 0.0}, {"batch_size": 1}, {"optimiser": "lion"}, {"captions_per_group": 0}]
)
def test_bad_recipes(bad):
    with pytest.raises(ConfigError):
        Recipe(**{"epochs": 1, "lr": 0.1, **bad})


def test_device_names():
    from imtext.training import resolve_device

    with pytest.raises(ConfigError, match="device='tpu': expected one of auto"):
        resolve_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no GPU"):
            resolve_device("cuda")
