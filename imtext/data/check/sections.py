"""What a check looks at: counts, captions, pictures and pictures that are there twice."""

from __future__ import annotations

import hashlib
import html
import re
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import ftfy
import imagehash
import numpy as np
from PIL import Image

from imtext.data import Dataset
from imtext.data.check.report import Finding, Report, plural, shorten
from imtext.data.dataset import SPLITS
from imtext.data.decoding import in_threads, open_image, upright_rgb
from imtext.data.editions import Edition

# Only these characters can be trouble, so that 600,000 plain captions pass at once.
_SUSPECT = re.compile(r"[^\x20-\x7e]|&#?\w+;")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
# Two pictures look the same where their 64-bit DCT hashes (imagehash.phash) differ in at most so many bits
# and their grey thumbnails of 16 x 16 correlate so much; not compared is a thumbnail of so small a deviation,
# which has no layout. The thresholds come from Flickr8k. Among the 32 million pairs of its photographs the
# nearest two that are not copies differ in 8 bits, and pairs at 8 to 12 bits show different things but for a
# few shots of one series. Of 300 photographs that were saved again at JPEG quality 30, at half size,
# stretched to 640 x 480, in grey or without 1 % on each side, all are found; 30 % brighter 98 %; without 2, 3
# and 5 % on each side 92, 47 and 3 %; mirrored none.
DISTANCE, CORRELATION, FLAT = 6, 0.95, 4.0
_BLOCK = 2_000_000
_MOST = 100_000


def see_counts(report: Report, dataset: Dataset, known: Edition | None, subset: bool) -> None:
    """Counts of each split beside the published ones of the edition ``known``, or None.

    Another count is an error, or a warning where a ``subset`` was asked for.
    """
    todo = "fetch the split files and annotations again, or read with subset=True if they were cut on purpose"
    of_caption = dataset.split_of_image[dataset.image_of_caption]
    for split in SPLITS:
        images = np.flatnonzero(dataset.split_of_image == split)
        groups, captions = np.unique(dataset.group_of_image[images]), int((of_caption == split).sum())
        here = {"images": len(images), "captions": captions, "groups": len(groups)}
        told = {kind: count for kind in here if (count := getattr(known, kind, {}).get(split))}
        if told and not len(images):
            text = f"split {split} is not here; published: {told['images']:,} images"
            report.findings.append(Finding("warning", "split-absent", text))
        if len(images):
            report.counts[split] = here | {"published": told}
            # Groups say something only where several images make one.
            kinds = [kind for kind in here if kind != "groups" or len(groups) < len(images)]
            beside = {kind: f" (published {count:,})" for kind, count in told.items()}
            counts = ", ".join(f"{here[kind]:,} {kind}{beside.get(kind, '')}" for kind in kinds)
            report.see("Counts", f"{split}: {counts}")
            for kind in (kind for kind in told if here[kind] != told[kind]):
                by = f"{abs(here[kind] - told[kind]):,} {'more' if here[kind] > told[kind] else 'fewer'}"
                text = f"split {split}: {here[kind]:,} {kind}, published {told[kind]:,} ({by})"
                report.findings.append(Finding("warning" if subset else "error", "counts", text, (), todo))
    report.see("Counts", f"published: {known.name}" if known else "no published counts to compare with")


def see_captions(report: Report, dataset: Dataset) -> None:
    """How many and how long, broken characters, captions that images share."""
    per_image = np.bincount(dataset.image_of_caption, minlength=dataset.n_images)
    many = ", ".join(f"{k} for {plural(n, 'image')}" for k, n in Counter(per_image.tolist()).most_common(6))
    report.see("Captions", f"per image: mean {per_image.mean():.2f} ({many})")
    broken: list[str] = []
    splits_of: dict[str, set[str]] = defaultdict(set)
    for caption, image in zip(dataset.captions, dataset.image_of_caption.tolist(), strict=True):
        if _SUSPECT.search(caption) and is_broken(caption):
            broken.append(f"{shorten(caption, 300)} -> {shorten(repaired(caption), 300)}")
        splits_of[" ".join(caption.lower().split()).rstrip(" .")].add(str(dataset.split_of_image[image]))
    text = f"{plural(len(broken), 'caption')} with broken characters, HTML entities or invisible ones"
    report.find("remark", "broken-text", text, broken)
    across = sorted(caption for caption, splits in splits_of.items() if len(splits) > 1)
    text = f"{plural(len(across), 'caption')} shared by images of different splits"
    report.find("remark", "shared-captions", text, across)


def is_broken(caption: str) -> bool:
    """Whether a caption was decoded wrongly, or holds HTML entities or characters that nobody sees.

    >>> is_broken("a man\u00e2\u20ac\u2122s dog"), is_broken("AT&T"), is_broken("plain")
    (True, False, False)
    """
    return "\ufffd" in caption or repaired(caption) != " ".join(caption.split())


def repaired(caption: str) -> str:
    """The caption as it was probably meant, by ftfy; what is lost stays lost.

    >>> repaired("a man\u00e2\u20ac\u2122s dog &lt;3")
    'a man’s dog <3'
    """
    return " ".join(_CONTROL.sub("", html.unescape(ftfy.fix_encoding(caption))).split())


@dataclass(frozen=True)
class Picture:
    """What one file turned out to be.

    ``state`` is ``ok``, ``missing``, ``empty`` or ``corrupt`` (then ``reason`` says why); ``phash`` holds the
    64 bits of imagehash.phash and ``thumb (256,)`` grey values.
    """

    state: str
    reason: str = ""
    sides: tuple[int, int] = (0, 0)
    digest: bytes = b""
    phash: int = 0
    thumb: np.ndarray | None = None


def look_at(path: Path) -> Picture:
    """Decode one file from its first to its last byte.

    >>> look_at(Path("no/such/picture.jpg"))
    Picture(state='missing', ...)
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe could wait for ever
            return Picture("corrupt", "not a file")
        raw = path.read_bytes()
        if not raw:
            return Picture("empty", "0 bytes")
        with open_image(BytesIO(raw)) as image:
            sides = image.size
            # A smaller draft saves the inverse transform, not the reading: a cut file is still noticed.
            image.draft(None, (64, 64))
            grey = upright_rgb(image).convert("L")
    except (FileNotFoundError, NotADirectoryError):
        return Picture("missing")
    except Exception as error:  # Pillow's plugins raise almost anything on a broken file
        return Picture("corrupt", f"{error}".replace(str(path), path.name) or type(error).__name__)
    bits = int.from_bytes(np.packbits(imagehash.phash(grey).hash).tobytes())
    thumb = np.asarray(grey.resize((16, 16), Image.Resampling.BOX)).reshape(-1)
    return Picture("ok", "", sides, hashlib.sha256(raw).digest(), bits, thumb)


def see_pictures(report: Report, dataset: Dataset, duplicates: bool, n_jobs: int | None) -> None:
    """Every picture decoded once: missing, empty and corrupt files, sizes, and duplicates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd palettes, EXIF and sizes; what matters is found below
        work = (lambda i: look_at(dataset.image_path(i))), dataset.n_images, n_jobs
        looks = list(in_threads(*work, f"checking {dataset.name}"))
    named: dict[str, list[str]] = defaultdict(list)
    for file, look in zip(dataset.image_files, looks, strict=True):
        named[look.state].append(f"{file}: {look.reason}" if look.reason else file)
    gone = f"of {len(looks):,} have no file in {dataset.image_root}"
    for code, text, todo in (
        ("missing", gone, "fetch the missing images, or check the captions alone (--no-pictures)"),
        ("empty", "of 0 bytes", "fetch the empty image files again"),
        ("corrupt", "cannot be decoded to the end", "replace the corrupt image files"),
    ):
        report.find("error", code, f"{plural(len(named[code]), 'image')} {text}", named[code], todo)
    good = [look.sides for look in looks if look.state == "ok"]
    report.see("Pictures", f"{len(good):,} of {len(looks):,} files decoded")
    if good:
        (left, low), (right, high) = np.min(good, axis=0), np.max(good, axis=0)
        report.see("Pictures", f"{left:,} to {right:,} pixels wide, {low:,} to {high:,} high")
    if duplicates:
        _see_pairs(report, dataset, identical_pairs(looks), "identical", "with the same bytes")
        _see_pairs(report, dataset, near_pairs(looks), "similar", "that look the same")


def _see_pairs(report: Report, dataset: Dataset, pairs: list[tuple[int, int]], key: str, what: str) -> None:
    """Pairs across splits are warnings, pairs within one split a remark; pairs of one group are neither."""
    splits, groups, files = dataset.split_of_image.tolist(), dataset.group_of_image, dataset.image_files
    for level, where, todo in (
        ("warning", "across", "look at the pictures that two splits share: results on them measure memory"),
        ("remark", "within", ""),
    ):
        found = [(a, b) for a, b in pairs if (splits[a] != splits[b]) == (where == "across")]
        found = [(a, b) for a, b in found if groups[a] != groups[b]]
        kinds = Counter("/".join(dict.fromkeys((splits[a], splits[b]))) for a, b in found)
        shown = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()) or "none"
        text = f"{plural(len(found), 'pair')} of pictures {what} {where} splits ({shown})"
        report.see("Duplicate pictures", text)
        named = [f"{files[a]} ({splits[a]}) and {files[b]} ({splits[b]})" for a, b in found]
        report.find(level, f"{key}-{where}", text, named, todo)


def identical_pairs(pictures: list[Picture]) -> list[tuple[int, int]]:
    """Files with equal bytes: each further file of a kind with the first one."""
    first: dict[bytes, int] = {}
    heads = [(first.setdefault(one.digest, i), i) for i, one in enumerate(pictures) if one.state == "ok"]
    return [(head, i) for head, i in heads if head != i]


def near_pairs(pictures: list[Picture]) -> list[tuple[int, int]]:
    """Pictures that look the same without being equal files.

    Takes n x n comparisons in blocks of bounded memory, and stops at 100,000 pairs.
    """
    chosen = [i for i, one in enumerate(pictures) if one.state == "ok" and one.thumb.std() >= FLAT]
    chosen, pairs = np.array(chosen, dtype=np.int64), []
    hashes = np.array([pictures[i].phash for i in chosen], dtype=np.uint64)
    thumbs = np.array([pictures[i].thumb for i in chosen], dtype=np.float32).reshape(-1, 256)
    thumbs -= thumbs.mean(axis=1, keepdims=True)
    thumbs /= np.linalg.norm(thumbs, axis=1, keepdims=True)
    step = max(1, _BLOCK // max(1, len(chosen)))
    for start in range(0, len(chosen), step):
        distance = np.bitwise_count(hashes[start : start + step, None] ^ hashes[None, start:])
        a, b = np.nonzero(distance <= DISTANCE)
        a, b = a[a < b] + start, b[a < b] + start
        same = np.einsum("ij,ij->i", thumbs[a], thumbs[b]) >= CORRELATION
        found = zip(chosen[a[same]].tolist(), chosen[b[same]].tolist(), strict=True)
        pairs += [(i, j) for i, j in found if pictures[i].digest != pictures[j].digest]
        if len(pairs) >= _MOST:
            break
    return pairs[:_MOST]
