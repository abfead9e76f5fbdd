"""Is the data in a folder what it should be? One report on counts, captions, pictures and duplicates."""

from __future__ import annotations

import hashlib
import html
import os
import re
import textwrap
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import ftfy
import imagehash
import numpy as np
from PIL import Image

from imtext.check import whole
from imtext.data import GENERATED, Dataset, load_dataset, options_of
from imtext.data.assemble import EDITIONS, Edition
from imtext.data.dataset import SPLITS
from imtext.data.decoding import in_threads, open_image, upright_rgb
from imtext.errors import ConfigError, DataError, one_line
from imtext.progress import progress

__all__ = ["Finding", "Report", "check_arrays", "check_dataset"]

BLOCK = 1 << 22  # numbers or pairs looked at together
_SIZES = ("train", "val", "test", "size", "seed")
_FOLDER = re.compile(r"(?:pedestrians-)?v\d+-" + "-".join(rf"{size}(?P<{size}>\d+)" for size in _SIZES))
LEVELS = ("error", "warning", "remark")
SHOWN = 10
_WIDTH = 96
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
_MOST = 100_000


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        level: ``"error"`` (the data is not what it should be), ``"warning"`` (it can be used, but look at it)
            or ``"remark"`` (good to know).
        code: a word that scripts can rely on, such as ``"missing"``.
        message: one line.
        examples: the files, captions or pairs it is about, all of them.
        todo: what to do about it, empty where there is nothing to do.
    """

    level: str
    code: str
    message: str
    examples: tuple[str, ...] = ()
    todo: str = ""


@dataclass
class Report:
    """The outcome of a check.

    Attributes:
        name: of the dataset.
        root: the folder or file that was checked.
        findings: in the order in which they were found.
        seen: titles and the lines below them, for a person.
        counts: images, captions and groups by split, and what is published of them.

    >>> report = Report("pets", "data/pets")
    >>> report.see("Captions", "5 per image")
    >>> report.ok, report.verdict()
    (True, 'right')
    >>> print(report)
    pets at data/pets: right
    <BLANKLINE>
    Captions
      5 per image
    <BLANKLINE>
    To do: nothing.
    """

    name: str
    root: str
    findings: list[Finding] = field(default_factory=list)
    seen: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not self.of("error")

    def of(self, level: str) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def see(self, title: str, *lines: str) -> None:
        """Take in what was seen of one matter."""
        self.seen.setdefault(title, []).extend(lines)

    def find(self, level: str, code: str, text: str, examples: Sequence[str], todo: str = "") -> None:
        """Take in a finding, if there are examples of it; see :class:`Finding`."""
        if examples:
            self.findings.append(Finding(level, code, text, tuple(examples), todo))

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe: all of it, and whether it is ``ok``."""
        return asdict(self) | {"ok": self.ok}

    def verdict(self) -> str:
        """The first line of the report, without name and root."""
        counts = [plural(len(self.of(level)), level) for level in LEVELS if self.of(level)]
        return ", ".join([*(["right"] if self.ok else []), *counts])

    def __str__(self) -> str:
        lines = [one_line(f"{self.name} at {self.root}: {self.verdict()}")]
        for title, seen in self.seen.items():
            lines += ["", title, *(line for text in seen for line in _wrap(text, "  ", "    "))]
        for level in LEVELS:
            if self.of(level):
                lines += ["", f"{level.capitalize()}s"]
            for finding in self.of(level):
                lines += _wrap(f"[{finding.code}] {finding.message}", "  ", "      ")
                lines += [f"      {shorten(example)}" for example in finding.examples[:SHOWN]]
                more = len(finding.examples) - SHOWN
                lines += [f"      ... and {more:,} more; --json lists them"] if more > 0 else []
        return "\n".join([*lines, "", *_wrap(f"To do: {self._todo()}", "", "       ")])

    def _todo(self) -> str:
        for level in ("error", "warning"):
            steps = list(dict.fromkeys(one.todo for one in self.of(level) if one.todo))
            if steps:
                return "; ".join(steps) + ("; then check again." if level == "error" else ".")
        return "nothing." if self.ok else "see the errors above; then check again."


def _wrap(text: str, first: str, others: str) -> list[str]:
    how = {"break_on_hyphens": False, "break_long_words": False}
    return textwrap.wrap(one_line(text), _WIDTH, initial_indent=first, subsequent_indent=others, **how)


def shorten(text: str, width: int = _WIDTH - 6) -> str:
    """``text`` on one line of a terminal.

    >>> shorten("a very long name", 10)
    'a very ...'
    """
    shown = one_line(text)
    return shown if len(shown) <= width else shown[: width - 3] + "..."


def plural(count: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "image"), plural(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def check_dataset(
    name: str,
    root: str | os.PathLike[str],
    pictures: bool = True,
    duplicates: bool = True,
    n_jobs: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Examine a dataset and report everything at once; nothing is written.

    Args:
        name: as for :func:`imtext.data.load_dataset`.
        root: its folder, or the file of a pack.
        pictures: decode every image file. Without, the files need not be there.
        duplicates: look for pictures that are there twice; needs ``pictures``.
        n_jobs: decoding threads; default: the cores of this process.
        options: passed to the loader, such as ``{"year": "2017"}`` for COCO.

    What the reader refuses is an error of the report, not of this function; it is then asked again to be
    lenient, so that the report holds the rest too. Precomputed features have their numbers checked in place
    of pictures.

    Raises:
        ConfigError: the name, an option or ``n_jobs`` is not one that is known.
        DataError: there is nothing at ``root``.

    >>> check_dataset("flickr8k", "no/such/folder")
    Traceback (most recent call last):
    imtext.errors.DataError: root=no/such/folder: expected the folder of flickr8k, found nothing; ...
    """
    if n_jobs is not None:
        whole("n_jobs", n_jobs)
    root, options = Path(root).expanduser(), dict(options or {})
    report = Report(name, str(root))
    dataset = _read(report, root, pictures, options)
    if dataset is None:
        return report
    known = next((one for one in EDITIONS.values() if one.name == dataset.edition), None)
    see_counts(report, dataset, known, bool(options.get("subset")))
    see_captions(report, dataset)
    why = "as asked"
    if dataset.features is not None:
        _see_rows(report, "features", dataset.features, dataset.image_ids)
        why = "the dataset is published as features"
    elif dataset.image_root.is_file():
        why = "they lie in a pack, which carries its own checksums"
    elif pictures:
        see_pictures(report, dataset, duplicates, n_jobs)
        return report
    report.findings.append(Finding("remark", "pictures-skipped", f"images were not looked at: {why}"))
    return report


def _read(report: Report, root: Path, pictures: bool, options: dict[str, Any]) -> Dataset | None:
    """The dataset; what its reader refuses becomes an error in ``report``, and None is all that fails.

    A reader stops at the first trouble. It is asked again to accept other counts, skip empty captions and do
    without the image files, so that the rest can be examined too.
    """
    # A pack is checked by what it holds: it takes none of the options that make a reader lenient.
    taken = set() if root.is_file() else set(options_of(report.name))
    if not root.exists():
        raise DataError(f"root={root}: expected the folder of {report.name}, found nothing; correct the root")
    if report.name in GENERATED and root.is_dir():
        options = options | _sizes(report.name, root, options)
    lenient = {"subset": True, "on_empty": "skip", "check_files": False}
    for wish in ({} if pictures else {"check_files": False}, lenient):
        more = {key: value for key, value in wish.items() if key in taken}
        try:
            dataset = load_dataset(report.name, root, **options | more)
        except DataError as error:
            refused = Finding("error", "reader", f"the reader refuses it: {error}")
            report.findings = report.findings or [refused]
            continue
        except (TypeError, AttributeError) as error:
            raise ConfigError(f"options {options}: one has a value of the wrong type ({error})") from None
        report.findings += [Finding("remark", "note", note) for note in dataset.notes]
        return dataset
    return None


def _sizes(name: str, root: Path, options: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of the one generated folder that fits: a check reads what is there and generates nothing."""
    kind = "pedestrians-" if name.endswith("pedestrians") else ""
    matches = [_FOLDER.fullmatch(path.name) for path in root.glob(f"{kind}v*")]
    found = [{size: int(n) for size, n in match.groupdict().items()} for match in matches if match]
    fitting = [one for one in found if all(options.get(size, n) == n for size, n in one.items())]
    if len(fitting) != 1:
        hint = "generate it first, or choose one by options such as train=600"
        raise DataError(f"{root}: expected one generated {name}, found {len(fitting)}; {hint}")
    return fitting[0]


def check_arrays(
    root: str, images: np.ndarray, captions: np.ndarray, image_of_caption: np.ndarray
) -> Report:
    """The report on embeddings ``images (N, D)``, ``captions (M, D)`` and ``image_of_caption (M,)``.

    >>> two = np.eye(2)
    >>> check_arrays("x.npz", two, two, np.array([0, 1])).ok
    True
    """
    report, owner = Report("embeddings", root), image_of_caption
    numbers = all(array.ndim == 2 and array.dtype.kind in "fiu" for array in (images, captions))
    fits = numbers and images.shape[1] == captions.shape[1] and owner.shape == captions.shape[:1]
    if not fits or owner.dtype.kind not in "iu" or not np.isin(owner, np.arange(len(images))).all():
        found = f"found images {images.shape}, captions {captions.shape}, image_of_caption {owner.shape}"
        text = f"{found}: expected numbers (N, D) and (M, D) and integers (M,) from 0 to N - 1"
        report.findings.append(Finding("error", "shape", text, (), "write the arrays again"))
        return report
    _see_rows(report, "images", images)
    _see_rows(report, "captions", captions)
    lonely = [f"row {i}" for i in np.setdiff1d(np.arange(len(images)), owner)]
    text = f"{plural(len(lonely), 'image')} without any caption: their queries have no answer"
    report.find("warning", "no-caption", text, lonely, "leave out the images without captions")
    return report


def _see_rows(report: Report, what: str, rows: Any, names: Sequence[str] | None = None) -> None:
    """Rows of features or embeddings, in blocks of bounded memory; ``names`` call them, else numbers do."""
    named = names or [f"row {i}" for i in range(len(rows))]
    bad, zero, equal, first = [], [], [], {}
    width = int(np.prod(rows.shape[1:], dtype=np.int64))
    step = max(1, BLOCK // max(1, width))
    for start in progress(range(0, len(rows), step), f"checking {what}"):
        block = np.asarray(rows[np.arange(start, min(start + step, len(rows)))]).reshape(-1, width)
        for i, row in enumerate(block, start):
            head = first.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i)
            equal += [f"{named[i]} = {named[head]}"] if head != i else []
        bad += [named[i + start] for i in np.flatnonzero(~np.isfinite(block).all(axis=1))]
        zero += [named[i + start] for i in np.flatnonzero(~block.any(axis=1))]
    report.see(what.capitalize(), " x ".join(f"{side:,}" for side in rows.shape))
    for level, code, found, text, todo in (
        ("error", "not-finite", bad, "with NaN or infinity", f"compute the {what} again"),
        ("warning", "zeros", zero, "of zeros only, which have no cosine", f"see why {what} are zeros"),
        ("remark", "equal-rows", equal, "the same as an earlier one: they tie in every ranking", ""),
    ):
        report.find(level, code, f"{plural(len(found), 'row')} of {what} {text}", found, todo)


def see_counts(report: Report, dataset: Dataset, known: Edition | None, subset: bool) -> None:
    """Counts of each split beside the published ones of the edition ``known``, or None.

    Another count is an error, or a warning where a ``subset`` was asked for.
    """
    todo = "fetch the split files and annotations again, or read with subset=True if they were cut on purpose"
    of_caption = dataset.split_of_image[dataset.image_of_caption]
    for split in SPLITS:
        images = np.flatnonzero(dataset.split_of_image == split)
        groups, captions = len(np.unique(dataset.group_of_image[images])), int((of_caption == split).sum())
        here = {"images": len(images), "captions": captions, "groups": groups}
        told = {kind: count for kind in here if (count := getattr(known, kind, {}).get(split))}
        if told and not len(images):
            text = f"split {split} is not here; published: {told['images']:,} images"
            report.findings.append(Finding("warning", "split-absent", text))
        if len(images):
            report.counts[split] = here | {"published": told}
            # Groups say something only where several images make one.
            kinds = [kind for kind in here if kind != "groups" or groups < len(images)]
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
    report.see("Images", f"{len(good):,} of {len(looks):,} files decoded")
    if good:
        (left, low), (right, high) = np.min(good, axis=0), np.max(good, axis=0)
        report.see("Images", f"{left:,} to {right:,} pixels wide, {low:,} to {high:,} high")
    if duplicates:
        _see_pairs(report, dataset, identical_pairs(looks), "identical", "with the same bytes")
        _see_pairs(report, dataset, near_pairs(looks), "similar", "that look the same")


def _see_pairs(report: Report, dataset: Dataset, pairs: list[tuple[int, int]], key: str, what: str) -> None:
    """Pairs across splits are warnings, pairs within one split a remark; pairs of one group are neither."""
    splits, groups, files = dataset.split_of_image.tolist(), dataset.group_of_image, dataset.image_files
    for level, where, todo in (
        ("warning", "across", "look at the images that two splits share: results on them measure memory"),
        ("remark", "within", ""),
    ):
        found = [(a, b) for a, b in pairs if (splits[a] != splits[b]) == (where == "across")]
        found = [(a, b) for a, b in found if groups[a] != groups[b]]
        kinds = Counter("/".join(dict.fromkeys((splits[a], splits[b]))) for a, b in found)
        shown = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()) or "none"
        text = f"{plural(len(found), 'pair')} of images {what} {where} splits ({shown})"
        report.see("Duplicate images", text)
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
    step = max(1, BLOCK // max(1, len(chosen)))
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
