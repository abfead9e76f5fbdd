"""Kill a small study at random moments, start it again, and compare with one that was never killed.

``python tests/kill_study.py`` prints where it was killed and what was found. Half of the kills come at random
times, half at random writes (a file opened for writing, a rename, a removal), since writing takes so little
time that a random moment hardly ever meets it. After each kill everything that lies under a final name must
be a file of the study that was never killed, byte for byte; after the restart the table must be the same.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROWS = ("one", "left", "two", "fixed")
SPLITS = ("val", "test")
# Differs between two runs that are otherwise the same: when, how long, from where.
TIMED = ("provenance.json", "source.json", "run.json", "manifest.json")
CACHE_KEY = re.compile(r"(?<=-)[0-9a-f]{16,}")


def study(folder: Path) -> None:
    """Generate, cache, train, evaluate, and write the table."""
    folder.mkdir(exist_ok=True)
    os.environ |= {"CI": "true", "IMTEXT_DATA": str(folder / "data"), "IMTEXT_PROGRESS": str(folder / "news")}
    runs = [found.runs[0] for found in trained(folder)]
    table = {
        f"{row} {split}": {
            **run.metrics[split],
            "embeddings": _digest(run.load_arrays(f"embeddings-{split}.npz")),
        }
        for row, run in zip(ROWS, runs, strict=True)
        for split in SPLITS
    }
    unfinished = folder / "table.json.partial"
    unfinished.write_text(json.dumps(table, indent=1))
    os.replace(unfinished, folder / "table.json")


def trained(folder: Path) -> list:
    """The results of rows on pooled features, of two stages, and of features that are fitted."""
    from imtext import experiment as parts
    from imtext.papers import instance_loss
    from imtext.training import loop

    loop.KEEP_EVERY = 0.0
    lite = {"backbone": "efficientnet_lite0", "size": 64, "crop": 64}
    data, recipe = parts.Data(24, 12, 12), parts.Recipe(8, 2e-3, 12)
    text, net = parts.KnownWords(), parts.Dual(width=0.125, dim=32)
    one = parts.Experiment(data, parts.Mirrored(**lite, views=1), text, net, parts.Instance(), recipe)
    two = parts.Experiment(data, parts.Crops(**lite), text, net, parts.Instance(), parts.Recipe(1, 1e-4, 12))
    words = parts.TfIdf(50)
    fixed = parts.Experiment(
        data, parts.Averaged(**lite, crops=1), words, parts.Branches(16, 32), parts.Structure(), recipe
    )
    made = instance_loss.study("picturebook", None, "smoke", [0], "all", "cpu", 1, str(folder / "runs"))
    rows = {"one": one, "left": one.but(loss={"shift": False}), "two": two.but(start=(one,)), "fixed": fixed}
    return [made.run(rows)[key] for key in ROWS]


def _digest(arrays: dict) -> str:
    return hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest()[:16]


class Events:
    """Counts what changes files; at a chosen number the process dies, at once or a moment later."""

    def __init__(self, die_at: int = 0, after: float = 0.0) -> None:
        self.count, self.die_at, self.after = 0, die_at, after
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple) -> None:
        if event == "open":
            flags = arguments[2]
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in ("os.rename", "os.remove", "os.mkdir"):
            return
        if str(arguments[0]).endswith("news") or str(arguments[0]).startswith("/dev"):
            return
        self.count += 1
        if self.count != self.die_at:
            return
        if self.after:  # an alarm that nobody handles ends a process as SIGKILL does
            signal.setitimer(signal.ITIMER_REAL, self.after)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def run_in_child(folder: Path, die_at: int = 0, after: float = 0.0, seconds: float | None = None) -> int:
    """Run the study in a process of its own; kill it after some seconds, or let it die at a write."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setsid()
            events = Events(die_at, after)
            study(folder)
            (folder / "events").write_text(str(events.count))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if seconds is not None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def final_files(folder: Path) -> dict[str, str]:
    """Digest of each file under a final name: nothing hidden, partial or locked on its path.

    Caches are named, and stores described, by when the pictures were written: the name goes without that key.
    """
    from imtext.data.pack import Pack

    found = {}
    for path in sorted(folder.rglob("*")):
        names = path.relative_to(folder).parts
        unfinished = any(part.startswith(".") or part.endswith((".partial", ".lock")) for part in names)
        if path.is_file() and not unfinished and names[-1] not in (*TIMED, "news", "events"):
            # A store also holds when its pictures were written.
            data = Pack.open(path).main.tobytes() if "pixels" in names else path.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            found[f"{CACHE_KEY.sub('*', '/'.join(names))} {digest}"] = digest
    return found


def leftovers(folder: Path) -> list[str]:
    """Unfinished names that are still there; locks are no results and may stay."""
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if (".partial" in path.name or path.name.endswith(".tmp")) and path.name != "news"
    ]


def stage(folder: Path) -> str:
    """What the study was doing, from its last announcement."""
    news = folder / "news"
    line = news.read_text().splitlines()[-1] if news.is_file() and news.read_text() else ""
    if (folder / "table.json").is_file():
        return "finished"
    for word, name in (
        ("drawing", "generation"),
        ("decoding", "pixels"),
        ("features", "feature cache"),
        ("evaluating", "evaluation and writing"),
        ("ranks", "evaluation and writing"),
        ("epoch", "training"),
    ):
        if word in line:
            return name
    return "beginning"


def trial(
    folder: Path, reference: dict[str, str], table: str, kill: Callable[[Path], int]
) -> tuple[str, list]:
    """One kill and one restart; the stage it was killed in, and everything that is wrong."""
    wrong = []
    code = kill(folder)
    where = stage(folder) if code else "not killed"
    if code not in (0, -signal.SIGKILL, -signal.SIGALRM):
        wrong.append(f"ended with code {code} instead of being killed")
    for name, digest in final_files(folder).items():
        if reference.get(name) != digest:
            wrong.append(f"after the kill {name} is not that of the study never killed")
    if run_in_child(folder):
        wrong.append("the restart failed")
    elif (folder / "table.json").read_text() != table:
        wrong.append("the table differs")
    elif final_files(folder) != reference:
        wrong.append("after the restart the files differ")
    wrong += [f"left over: {name}" for name in leftovers(folder)]
    return where, wrong


def main(times: int, writes: int, seed: int) -> int:
    """Print one line a kill and the sums; 0 where nothing was wrong."""
    import imtext.papers.instance_loss  # noqa: F401  (one import for all processes)

    base = Path(tempfile.mkdtemp(prefix="kill-study-"))
    chance = random.Random(seed)
    try:
        began = time.monotonic()
        if run_in_child(base / "whole"):
            print("the study fails by itself")
            return 1
        seconds = time.monotonic() - began
        reference, table = final_files(base / "whole"), (base / "whole" / "table.json").read_text()
        events = int((base / "whole" / "events").read_text())
        print(f"never killed: {seconds:.1f} s, {events} writes, {len(reference)} files", flush=True)
        plans = [None] * times + sorted(chance.sample(range(1, events + 1), min(writes, events)))
        stages, faults = collections.Counter(), 0
        for k, number in enumerate(plans, start=1):
            while True:
                folder = base / "trial"
                folder.mkdir()
                if number is None:
                    moment = chance.uniform(0, seconds)
                    name, plan = f"at {moment:5.2f} s", {"seconds": moment}
                else:
                    after = chance.choice((0.0, chance.uniform(1e-5, 3e-3)))
                    name = f"at write {number}, {1e3 * after:.2f} ms later"
                    plan = {"die_at": number, "after": after}
                where, wrong = trial(folder, reference, table, partial(run_in_child, **plan))
                shutil.rmtree(folder)
                if where != "not killed" or number is not None:
                    break
                seconds = moment  # it was done by then: the machine is faster now; another moment
            stages[where] += 1
            faults += bool(wrong)
            print(
                f"{k:3} of {len(plans)}  {name:32} {where:24} {'; '.join(wrong) or 'same table'}", flush=True
            )
    finally:
        shutil.rmtree(base, ignore_errors=True)
    counted = ", ".join(f"{name} {count}" for name, count in stages.most_common())
    print(
        f"{len(plans)} kills ({counted}): {len(plans) - faults} ended with the same table, {faults} did not"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=30, help="kills at random times (default: 30)")
    parser.add_argument("--writes", type=int, default=30, help="kills at random writes (default: 30)")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    sys.exit(main(chosen.times, chosen.writes, chosen.seed))
