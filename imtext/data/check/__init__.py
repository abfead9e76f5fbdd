"""Is the data in a folder what it should be? One report on counts, captions, pictures and duplicates."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imtext.data.check.arrays import check_arrays, feature_section
from imtext.data.check.captions import caption_section, encoding_section, shared_section, vocabulary_section
from imtext.data.check.counts import count_section
from imtext.data.check.duplicates import duplicate_section
from imtext.data.check.images import look_at_all, picture_section
from imtext.data.check.reading import read
from imtext.data.check.report import Finding, Report, Section
from imtext.data.dataset import Dataset
from imtext.errors import ConfigError

__all__ = ["Finding", "Report", "Section", "check_arrays", "check_dataset"]


def check_dataset(
    name: str,
    root: str | os.PathLike[str],
    pictures: bool = True,
    duplicates: bool = True,
    tokenize: Callable[[str], list[str]] | None = None,
    n_jobs: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Report:
    """Examine a dataset and report everything at once; nothing is written.

    Args:
        name: one of those of :func:`imtext.data.load_dataset`.
        root: its folder, or the file of a pack.
        pictures: decode every image file. Without, the files need not be there.
        duplicates: look for pictures that are there twice; needs ``pictures``.
        tokenize: words of a caption, to compare the vocabulary of the splits; None leaves that out.
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
    if n_jobs is not None and n_jobs < 1:
        raise ConfigError(f"n_jobs={n_jobs}: expected a positive number of threads")
    root, options = Path(os.path.expanduser(root)), dict(options or {})
    report = Report(name, str(root))
    dataset = read(report, root, pictures, options)
    if dataset is None:
        return report
    report.add(count_section(dataset, bool(options.get("subset"))))
    report.add(caption_section(dataset))
    report.add(encoding_section(dataset))
    report.add(shared_section(dataset))
    if tokenize is not None:
        report.add(vocabulary_section(dataset, tokenize))
    _look(report, dataset, pictures, duplicates, n_jobs)
    return report


def _look(report: Report, dataset: Dataset, pictures: bool, duplicates: bool, n_jobs: int | None) -> None:
    """Pictures or features, as far as the dataset has them; what is left out is said."""
    why = "as asked"
    if dataset.features is not None:
        report.add(feature_section(dataset))
        why = "the dataset is published as features"
    elif dataset.image_root.is_file():
        why = "they lie in a pack, which carries its own checksums"
    elif pictures:
        looks = look_at_all(dataset, duplicates, n_jobs)
        report.add(picture_section(dataset, looks))
        if duplicates and any(look.state == "ok" for look in looks):
            report.add(duplicate_section(dataset, looks))
        return
    report.findings.append(Finding("remark", "pictures-skipped", f"pictures were not looked at: {why}"))
