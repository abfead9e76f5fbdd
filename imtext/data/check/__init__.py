"""Is the data in a folder what it should be? One report on counts, captions, pictures and duplicates."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imtext.check import whole
from imtext.data import GENERATED, Dataset, load_dataset, options_of
from imtext.data.check.report import Finding, Report, plural
from imtext.data.check.sections import see_captions, see_counts, see_pictures
from imtext.data.editions import EDITIONS
from imtext.errors import ConfigError, DataError
from imtext.progress import progress

__all__ = ["Finding", "Report", "check_arrays", "check_dataset"]

_BLOCK = 1 << 22  # numbers looked at in one go
_SIZES = ("train", "val", "test", "size", "seed")
_FOLDER = re.compile(r"(?:pedestrians-)?v\d+-" + "-".join(rf"{size}(?P<{size}>\d+)" for size in _SIZES))


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
    see_counts(report, dataset, EDITIONS.get(dataset.edition), bool(options.get("subset")))
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
    report.findings.append(Finding("remark", "pictures-skipped", f"pictures were not looked at: {why}"))
    return report


def _read(report: Report, root: Path, pictures: bool, options: dict[str, Any]) -> Dataset | None:
    """The dataset; what its reader refuses becomes an error in ``report``, and None is all that fails.

    A reader stops at the first trouble. It is asked again to accept other counts, skip empty captions and do
    without the image files, so that the rest can be examined too.
    """
    taken = set(options_of(report.name))
    if not root.exists():
        raise DataError(f"root={root}: expected the folder of {report.name}, found nothing; correct the root")
    if report.name in GENERATED and root.is_dir():
        options = options | _sizes(report.name, root, options)
    lenient = {"subset": True, "on_empty": "skip", "check_files": False}
    # A pack is checked by what it holds: it takes none of the options that make a reader lenient.
    taken = set() if root.is_file() else taken
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
    step = max(1, _BLOCK // max(1, width))
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
