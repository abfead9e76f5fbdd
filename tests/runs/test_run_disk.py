"""A disk that is full or read-only: one line that names the folder, nothing half, then a good attempt.

``small_files`` makes the disk full for real: the system lets no file grow past a limit, whoever writes it.
"""

from __future__ import annotations

import errno
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from imtext.errors import DataError, ImtextError, RunError, TrainingError
from imtext.runs import Run, RunStore

resource = pytest.importorskip("resource")
BIG = 100_000


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file may grow past ``limit`` bytes (Python ignores the signal, so that writing raises OSError)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_line(error: ImtextError, *words: str) -> None:
    message = str(error)
    assert "\n" not in message and "Traceback" not in message
    for word in words:
        assert word in message, message


def write_json(run: Run) -> None:
    run.save_json("big.json", ["x" * BIG])


def write_arrays(run: Run) -> None:
    run.save_arrays("big.npz", small=np.zeros(3), images=np.zeros(BIG))


def write_table(run: Run) -> None:
    run.save_table("big.csv", pd.DataFrame({"epoch": range(BIG)}))


def write_tensors(run: Run) -> None:
    run.save_tensors("big.safetensors", {"weight": torch.zeros(BIG).t()})


WRITERS = (write_json, write_arrays, write_table, write_tensors)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.filterwarnings("error")  # also for what is raised where nobody can catch it
def test_a_full_disk_while_a_run_is_written(tmp_path, write, capfd):
    store = RunStore(tmp_path)
    for _ in range(2):  # a second attempt without room is told the same
        with (
            pytest.raises(RunError) as caught,
            small_files(20_000),
            store.open("s", "row", {"a": 1}) as run,
        ):
            write(run)
            run.save_json("metrics.json", {"rsum": 1})
        one_line(caught.value, str(run.dir), "free some space")
        assert store.get("s", "row", {"a": 1}) is None
        assert {path.name for path in run.dir.iterdir()} == {"config.json", "run.json"}
    with store.open("s", "row", {"a": 1}) as run:
        write(run)
        run.save_json("metrics.json", {"rsum": 1})
    store.get("s", "row", {"a": 1}).check(full=True)
    assert capfd.readouterr().err == ""


def attempt(root: Path) -> None:
    if RunStore(root).get("s", "row", {"a": 1}):
        return
    with RunStore(root).open("s", "row", {"a": 1}) as run:
        if not run.finished:
            run.save_arrays("embeddings.npz", images=np.ones(50))
            run.save_json("metrics.json", {"rsum": 1})


@pytest.mark.parametrize("code", ["ENOSPC", "EROFS", "EIO"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(os, "replace"), (os, "fsync"), (pathlib.Path, "write_bytes"), (pathlib.Path, "mkdir"), (os, "open")],
)
def test_every_write_of_a_run_may_fail(tmp_path, monkeypatch, owner, name, code):
    """The first, second, ... call fails until an attempt gets through without reaching the failing one."""
    real, calls = getattr(owner, name), 0

    def fail_at(number: int) -> Callable:
        def write(*arguments, **options):
            nonlocal calls
            if str(tmp_path) in str(arguments[0]) or isinstance(arguments[0], int):
                calls += 1
                if calls == number:
                    raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
            return real(*arguments, **options)

        return write

    for number in range(1, 60):
        root, calls = tmp_path / str(number), 0
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail_at(number))
            try:
                attempt(root)
            except RunError as error:
                one_line(error, str(root), os.strerror(getattr(errno, code)))
        if calls < number:
            break
        done = RunStore(root).get("s", "row", {"a": 1})
        if done is not None:  # only where the last step failed after the rename
            done.check(full=True)
        attempt(root)
        RunStore(root).get("s", "row", {"a": 1}).check(full=True)
        assert not list(root.rglob("*.tmp"))
    assert 1 < number < 59


def test_a_full_disk_at_a_checkpoint(tmp_path, monkeypatch):
    from imtext.training import Recipe, fit, loop, make_fabric

    monkeypatch.setattr(loop, "KEEP_EVERY", 0.0)

    class Objective(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(40, 400)

        def forward(self, batch):
            return {"loss": self.net(batch["x"]).pow(2).mean()}

    def train(epochs: int):
        torch.manual_seed(0)
        recipe = Recipe(epochs=epochs, lr=0.01)
        return fit(
            make_fabric("cpu"), Objective(), recipe, lambda _: iter([{"x": torch.ones(8, 40)}]), tmp_path
        )

    train(1)
    good = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(TrainingError) as caught, small_files(20_000):
        train(2)
    one_line(caught.value, str(tmp_path), "free some space")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "checkpoint.pt").read_bytes() == good
    assert len(train(2)) == 2


def photographs(root: Path, count: int = 3):
    from PIL import Image

    from imtext.data import Dataset

    root.mkdir()
    files = tuple(f"{k}.png" for k in range(count))
    for k, file in enumerate(files):
        Image.new("RGB", (64, 64), (40 * k, 0, 0)).save(root / file)
    rows = np.arange(count)
    return Dataset("few", root, files, files, files, rows, np.array(["train"] * count), rows)


def test_a_full_disk_while_pictures_are_stored(tmp_path):
    from imtext.data.images import ImageStore

    dataset, cache = photographs(tmp_path / "photos"), tmp_path / "cache"
    with pytest.raises(DataError) as caught, small_files(20_000):
        ImageStore.open(dataset, 64, cache)
    one_line(caught.value, str(cache), "free some space")
    assert [path.suffix for path in cache.iterdir()] == [".lock"]
    assert len(ImageStore.open(dataset, 64, cache)) == 3


def test_a_full_disk_while_features_are_computed(tmp_path):
    from imtext.data.images import ImageStore
    from imtext.vision import extract

    class Tiny(nn.Module):
        name, dim, mean, std, weights_digest = "tiny", 4000, (0.5,) * 3, (0.2,) * 3, "d"

        def fused(self) -> Tiny:
            return self

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((1, 2, 3))[:, None].expand(-1, self.dim)

    store = ImageStore.open(photographs(tmp_path / "photos"), 64, tmp_path / "pixels")
    cache = tmp_path / "cache"
    with pytest.raises(DataError) as caught, small_files(20_000):
        extract(Tiny(), store, cache, crop=64)
    one_line(caught.value, str(cache), "free some space")
    assert not list(cache.glob("*.npy"))
    assert extract(Tiny(), store, cache, crop=64).eval.shape == (2, 3, 4000)


def test_a_full_disk_while_the_picturebook_is_drawn(tmp_path):
    from imtext.data import load_dataset

    sizes = {"train": 3, "val": 1, "test": 1, "size": 64}
    with pytest.raises(DataError) as caught, small_files(2000):
        load_dataset("picturebook", tmp_path, **sizes)
    one_line(caught.value, str(tmp_path), "free some space")
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]
    assert load_dataset("picturebook", tmp_path, **sizes).n_images == 5


def test_runs_below_a_file_are_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        attempt(tmp_path / "file" / "runs")
    one_line(caught.value, str(tmp_path), "another folder")


TMPFS = textwrap.dedent(
    """
    import os, subprocess, sys
    from pathlib import Path
    import numpy as np
    from imtext.errors import RunError
    from imtext.runs import RunStore

    root = Path(sys.argv[1])
    store = RunStore(root / "runs")

    def attempt(seed, count):
        if store.get("s", "row", {"seed": seed}):
            return "was there"
        try:
            with store.open("s", "row", {"seed": seed}) as run:
                run.save_arrays("x.npz", x=np.ones(count))
                run.save_json("metrics.json", {"seed": seed})
            return "finished"
        except RunError as error:
            return str(error)

    print(attempt(0, 100))
    print(attempt(1, 200_000))
    # Fill the disk to its last byte: not even a stamp fits.
    with open(root / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    print(attempt(2, 10))
    print(store.get("s", "row", {"seed": 2}))
    os.unlink(root / "filler")
    print(attempt(2, 10))
    print(attempt(1, 10))
    subprocess.run(["mount", "-o", "remount,ro", str(root)], check=True)
    print(store.get("s", "row", {"seed": 0}).metrics)
    print(attempt(0, 100))
    print(attempt(3, 100))
    """
)


def test_a_real_small_disk_full_and_then_read_only(tmp_path):
    """A file system of one megabyte, in a name space of its own that ends with the process."""
    disk = tmp_path / "disk"
    disk.mkdir()
    inside = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    share = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    try:
        subprocess.run([*share, "mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine lets no process mount a file system ({error})")
    done = subprocess.run(
        [*share, "sh", "-c", inside, "sh", str(disk), sys.executable, TMPFS],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    full = [f"{disk}/runs/s/row-", "No space left on device", "free some space"]
    assert lines[0] == "finished"
    assert all(word in lines[1] for word in full), lines[1]
    assert f"{disk}/runs" in lines[2] and "No space left on device" in lines[2]
    assert lines[3:6] == ["None", "finished", "finished"]
    assert lines[6:8] == ["{'seed': 0}", "was there"]
    assert "Read-only file system" in lines[8]
    assert len(lines) == 9
