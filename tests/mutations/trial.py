"""One mutation and what came of it: a good end, a refusal, or a fault."""

from __future__ import annotations

import faulthandler
import resource
import shutil
import signal
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from unittest import mock

from mutate import break_file, remove
from targets import Target

from imtext.data.dataset import Dataset
from imtext.data.files import relative
from imtext.errors import ImtextError

LONGEST_MESSAGE = 600
SECONDS = 20
MEMORY = 1 << 30  # bytes beyond those in use: a reader that believes a lying header fails


class Hang(BaseException):
    """The reader did not come back in time. No reader that catches Exception can swallow it."""


@dataclass(frozen=True)
class Outcome:
    """What one mutation led to: ``fault`` is empty where all is well."""

    what: str
    fault: str


class Bench:
    """A whole example of a format in a temporary folder; each trial breaks one file and puts it back."""

    def __init__(self, target: Target, folder: Path) -> None:
        self.target, self.folder = target, folder
        self.example = folder / "example"
        self.example.mkdir()
        target.make(self.example)
        # Folders before what they hold; None for a folder.
        self.whole = {
            path: None if path.is_dir() else path.read_bytes() for path in sorted(self.example.rglob("*"))
        }
        patterns = [sorted(self.example.glob(pattern)) for pattern in target.breaks]
        self.files = [[path for path in paths if self.whole[path] is not None] for paths in patterns]
        assert all(self.files), f"{target.name}: nothing to break for one of {target.breaks}"
        check(target.load(self.example), self.example)
        self._restore(self.example)

    def trial(self, seed: object, steps: int = 3) -> Outcome:
        """Break a file as the seed says, read, restore."""
        rng = Random(f"{self.target.name} {seed}")
        path = rng.choice(rng.choice(self.files))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            what = break_file(rng, path, self.whole[path], steps, self.target.displaced)
            try:
                # Nothing here has to outlive a power cut, and asking the disk is slow.
                with limited(SECONDS), mock.patch("os.fsync", lambda descriptor: None):
                    fault = self._read()
            except Hang:
                fault = f"did not end within {SECONDS} s"
        self._restore(path)
        return Outcome(what, fault)

    def _read(self) -> str:
        try:
            check(self.target.load(self.example), self.example)
        except ImtextError as error:
            return complaint(str(error), self.example, [path.name for path in self.whole])
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            inside = [frame for frame in frames if "/imtext/" in frame.filename] or frames
            place = (
                f"{Path(inside[-1].filename).name}:{inside[-1].lineno} (in {Path(frames[-1].filename).name})"
            )
            return f"{type(error).__name__} at {place}: {str(error)[:200]!r}"
        return ""

    def _restore(self, broken: Path) -> None:
        for path in sorted(self.example.rglob("*"), reverse=True):
            if path not in self.whole:
                remove(path)
        for path, content in self.whole.items():
            if content is None:
                path.mkdir(exist_ok=True)
            elif path == broken or path.is_symlink() or not path.is_file() or self.target.writes:
                remove(path)
                path.write_bytes(content)


@contextmanager
def bench(target: Target) -> Iterator[Bench]:
    """A bench in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="imtext-mutations-")).resolve()
    try:
        yield Bench(target, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check(result: object, root: Path) -> None:
    """What is read well must still hold: a Dataset checks itself, and here that it stays in its folder."""
    if isinstance(result, Dataset):
        for i, file in enumerate(result.image_files):
            relative(file, "the dataset")
            assert result.image_path(i).is_relative_to(root), file
        assert len(result.fingerprint()) == 32
        for text in (
            result.summary(),
            *result.image_files,
            *result.image_ids,
            *result.captions,
            *result.notes,
        ):
            assert "\n" not in text, text
            text.encode()  # what cannot be encoded cannot be printed or written either


def complaint(message: str, root: Path, names: list[str]) -> str:
    """What is wrong with a message, or an empty string."""
    if not message.isprintable():
        return f"message with characters that are no text: {message[:200]!r}"
    if len(message) >= LONGEST_MESSAGE:
        return f"message of {len(message)} characters: {message[:200]!r}"
    if str(root) not in message and not any(name in message for name in names):
        return f"message that names no file: {message!r}"
    return ""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Hang is raised in the body after so long; where not even that helps, all stops with a traceback.

    Memory is limited too.
    """

    def late(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    space = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, space[1]))
    faulthandler.dump_traceback_later(3 * seconds, exit=True)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, space)
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
