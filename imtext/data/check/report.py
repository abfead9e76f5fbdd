"""What a check found: findings by level and what was seen, as text for a terminal and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from imtext.errors import one_line

LEVELS = ("error", "warning", "remark")
SHOWN = 10
_WIDTH = 96


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
