"""Reading a dataset that is to be checked: strictly first, then as leniently as its reader allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imtext.data import GENERATED, load_dataset, options_of
from imtext.data.check.report import Finding, Report
from imtext.data.dataset import Dataset
from imtext.errors import ConfigError, DataError

_SIZES = ("train", "val", "test", "size", "seed")
_GENERATED = re.compile(r"(?:pedestrians-)?v\d+-" + "-".join(rf"{size}(?P<{size}>\d+)" for size in _SIZES))


def read(report: Report, root: Path, pictures: bool, options: Mapping[str, Any]) -> Dataset | None:
    """The dataset; what its reader refuses becomes an error in ``report``, and None is all that fails.

    A reader stops at the first trouble. It is asked again to accept other counts, skip empty captions and do
    without the image files, so that the rest can be examined too.

    Raises:
        ConfigError: the name or an option is unknown.
        DataError: there is nothing at ``root``.
    """
    taken = set(options_of(report.name))
    if not root.exists():
        raise DataError(f"root={root}: expected the folder of {report.name}, found nothing; correct the root")
    given = ", ".join(options)
    options = dict(options)
    if report.name in GENERATED and root.is_dir():
        options = _generated(report.name, root, options)
    # A pack is checked by what it holds: it takes none of the options that make a reader lenient.
    taken = set() if root.is_file() else taken
    if not pictures and "check_files" in taken:
        options.setdefault("check_files", False)
    for step, wish in enumerate(({}, {"subset": True, "on_empty": "skip", "check_files": False})):
        more = {key: value for key, value in wish.items() if key in taken}
        if step and not more:
            continue
        options |= more
        try:
            dataset = load_dataset(report.name, root, **options)
        except DataError as error:
            if not step:
                report.findings.append(Finding("error", "reader", f"the reader refuses it: {error}"))
            continue
        except (TypeError, AttributeError) as error:
            if not given:
                raise
            raise ConfigError(f"options {given}: one has a value of the wrong type ({error})") from None
        report.findings += [Finding("remark", "note", note) for note in dataset.notes]
        return dataset
    return None


def _generated(name: str, root: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The sizes of the one generated folder that fits: a check reads what is there and generates nothing."""
    fitting = []
    for folder in sorted(root.iterdir()):
        match = _GENERATED.fullmatch(folder.name)
        own = folder.name.startswith("pedestrians-") == name.endswith("pedestrians")
        if match is not None and own and folder.is_dir():
            sizes = {size: int(value) for size, value in match.groupdict().items()}
            if all(options.get(size, sizes[size]) == sizes[size] for size in _SIZES):
                fitting.append((folder.name, sizes))
    if len(fitting) != 1:
        found = ", ".join(folder for folder, _ in fitting[:5]) or "none"
        hint = "choose one by options such as train=600" if fitting else "generate it first"
        raise DataError(f"{root}: expected one generated {name}, found {found}; {hint}")
    return {**options, **fitting[0][1]}
