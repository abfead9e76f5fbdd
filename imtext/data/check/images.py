"""Every picture decoded once, in threads: missing, empty and corrupt files, sizes, modes, and what duplicates
are found by: a hash of the bytes, a perceptual hash and a small grey thumbnail."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import imagehash
import numpy as np
from PIL import Image

from imtext.data.check.report import Finding, Section, plural
from imtext.data.dataset import Dataset
from imtext.data.decoding import in_threads, open_image, upright_rgb

THUMB = 16
TINY = 32
"""A picture whose shorter side has fewer pixels is remarked upon."""
LONG = 5.0
"""And so is one whose longer side is more than this many times the shorter one."""


@dataclass(frozen=True)
class Picture:
    """What one file turned out to be.

    ``state`` is ``ok``, ``missing``, ``empty`` or ``corrupt`` (then ``reason`` says why). Where hashes are
    asked for, ``phash`` holds the 64 bits of imagehash.phash and ``thumb`` ``(THUMB * THUMB,)`` grey values.
    """

    state: str
    reason: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    digest: bytes = b""
    phash: int = 0
    thumb: np.ndarray | None = None


def look_at(path: Path, hashes: bool = True) -> Picture:
    """Decode one file from its first to its last byte.

    >>> look_at(Path("no/such/picture.jpg"))
    Picture(state='missing', ...)
    """
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            return Picture("corrupt", "not a file")
        if not about.st_size:
            return Picture("empty", "0 bytes")
        with open(path, "rb") as file:
            return _decode(file, hashes)
    except (FileNotFoundError, NotADirectoryError):
        return Picture("missing", "no file")
    except MemoryError:
        return Picture("corrupt", "it needs more memory than there is")
    except Exception as error:  # Pillow's plugins raise almost anything on a broken file
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{error}"
        return Picture("corrupt", reason.replace(str(path), path.name) or type(error).__name__)


def _decode(file: BinaryIO, hashes: bool) -> Picture:
    digest = hashlib.file_digest(file, "sha256").digest() if hashes else b""
    file.seek(0)
    with open_image(file) as image:
        (width, height), mode = image.size, image.mode
        # A smaller draft saves the inverse transform, not the reading: a cut file is still noticed.
        image.draft(None, (64, 64))
        picture = upright_rgb(image)
    if not hashes:
        return Picture("ok", "", width, height, mode)
    grey = picture.convert("L")
    bits = np.packbits(imagehash.phash(grey).hash)
    thumb = np.asarray(grey.resize((THUMB, THUMB), Image.Resampling.BOX)).reshape(-1)
    return Picture("ok", "", width, height, mode, digest, int.from_bytes(bits.tobytes()), thumb)


def look_at_all(dataset: Dataset, hashes: bool, n_jobs: int | None) -> list[Picture]:
    """All pictures of a dataset, in order. Pillow decodes without the GIL, so threads are enough."""

    def look(i: int) -> Picture:
        return look_at(dataset.image_path(i), hashes)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd palettes, EXIF and sizes; what matters is found below
        return list(in_threads(look, dataset.n_images, n_jobs, f"checking {dataset.name}"))


def picture_section(dataset: Dataset, pictures: list[Picture]) -> Section:
    """Counts, sizes and modes, with a finding for each kind of trouble."""
    states = Counter(picture.state for picture in pictures)
    good = [picture for picture in pictures if picture.state == "ok"]
    modes = Counter(picture.mode for picture in good)
    lines = [f"{len(good):,} of {len(pictures):,} files decoded"]
    facts = {state: states[state] for state in ("ok", "missing", "empty", "corrupt")}
    facts |= {"modes": dict(modes.most_common())}
    if good:
        widths, heights = [p.width for p in good], [p.height for p in good]
        facts |= {"width": [min(widths), max(widths)], "height": [min(heights), max(heights)]}
        lines.append(f"{_range(widths)} pixels wide, {_range(heights)} high")
        lines.append("modes: " + ", ".join(f"{mode} {count:,}" for mode, count in modes.most_common()))
    findings = (*_broken(dataset, pictures), *_odd_shapes(dataset, pictures))
    return Section("pictures", "Pictures", tuple(lines), facts, findings)


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _broken(dataset: Dataset, pictures: list[Picture]) -> list[Finding]:
    def named(*states: str) -> tuple[str, ...]:
        return tuple(
            file if picture.state == "missing" else f"{file}: {picture.reason}"
            for file, picture in zip(dataset.image_files, pictures, strict=True)
            if picture.state in states
        )

    findings = []
    missing, empty, corrupt = named("missing"), named("empty"), named("corrupt")
    if missing:
        text = f"{len(missing):,} of {plural(len(pictures), 'image')} have no file in {dataset.image_root}"
        todo = f"fetch {plural(len(missing), 'missing image')}"
        if len(missing) == len(pictures):
            todo = "fetch the images, or check the captions alone (--no-pictures)"
        findings.append(Finding("error", "missing", text, missing, todo))
    if empty:
        text = f"{plural(len(empty), 'image file')} of 0 bytes"
        todo = f"fetch {plural(len(empty), 'empty image file')} again"
        findings.append(Finding("error", "empty", text, empty, todo))
    if corrupt:
        text = f"{plural(len(corrupt), 'image file')} cannot be decoded to the end"
        todo = f"replace {plural(len(corrupt), 'corrupt image file')}"
        findings.append(Finding("error", "corrupt", text, corrupt, todo))
    return findings


def _odd_shapes(dataset: Dataset, pictures: list[Picture]) -> list[Finding]:
    tiny, long = [], []
    for file, picture in zip(dataset.image_files, pictures, strict=True):
        short = min(picture.width, picture.height)
        if picture.state != "ok":
            continue
        shown = f"{file}: {picture.width} x {picture.height}"
        if short < TINY:
            tiny.append(shown)
        if max(picture.width, picture.height) > LONG * short:
            long.append(shown)
    findings = []
    if tiny:
        text = f"{plural(len(tiny), 'picture')} with a side of fewer than {TINY} pixels"
        findings.append(Finding("remark", "tiny", text, tuple(tiny)))
    if long:
        text = f"{plural(len(long), 'picture')} more than {LONG:g} times as long as wide"
        findings.append(Finding("remark", "elongated", text, tuple(long)))
    return findings
