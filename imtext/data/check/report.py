"""What a check found: findings by level, one section a matter, as text for a terminal and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

    def to_dict(self) -> dict[str, Any]:
        """JSON-safe."""
        return {
            "level": self.level,
            "code": self.code,
            "message": self.message,
            "examples": list(self.examples),
            "todo": self.todo,
        }


@dataclass(frozen=True)
class Section:
    """One matter of the report: ``lines`` for a person, ``facts`` (JSON-safe) for a script."""

    key: str
    title: str
    lines: tuple[str, ...]
    facts: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()


@dataclass
class Report:
    """The outcome of a check.

    Attributes:
        name: of the dataset.
        root: the folder or file that was checked.
        findings: in the order in which they were found.
        sections: counts, captions, pictures and so on, as far as they could be examined.

    >>> report = Report("pets", "data/pets")
    >>> report.add(Section("captions", "Captions", ("5 per image",), {"per_image": 5}))
    >>> report.ok, report.to_dict()["captions"]
    (True, {'per_image': 5})
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
    sections: list[Section] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not self.of("error")

    def of(self, level: str) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def add(self, section: Section) -> None:
        """Take in a section with its findings."""
        self.sections.append(section)
        self.findings.extend(section.findings)

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-safe: ``name``, ``root``, ``ok``, the numbers of findings by level, ``findings``,
        and the facts of each section under its key."""
        return {
            "name": self.name,
            "root": self.root,
            "ok": self.ok,
            **{f"{level}s": len(self.of(level)) for level in LEVELS},
            "findings": [finding.to_dict() for finding in self.findings],
            **{section.key: dict(section.facts) for section in self.sections},
        }

    def verdict(self) -> str:
        """The first line of the report, without name and root.

        >>> Report("pets", ".", [Finding("warning", "x", "odd")]).verdict()
        'right, 1 warning'
        """
        counts = [(level, len(self.of(level))) for level in LEVELS]
        parts = [f"{count:,} {level}{'s' if count > 1 else ''}" for level, count in counts if count]
        return ", ".join([*(["right"] if self.ok else []), *parts])

    def __str__(self) -> str:
        lines = [visible(f"{self.name} at {self.root}: {self.verdict()}")]
        for section in self.sections:
            lines += ["", section.title]
            for line in section.lines:
                lines += _line(line)
        for level in LEVELS:
            found = self.of(level)
            if found:
                lines += ["", f"{level.capitalize()}s", *(line for each in found for line in _told(each))]
        return "\n".join([*lines, "", *_wrap(f"To do: {self._todo()}", "", "       ")])

    def _todo(self) -> str:
        for level in ("error", "warning"):
            steps = list(dict.fromkeys(each.todo for each in self.of(level) if each.todo))
            if steps:
                again = "; then check again" if level == "error" else ""
                return visible("; ".join(steps)) + again + "."
        return "nothing." if self.ok else "see the errors above; then check again."


def _line(text: str) -> list[str]:
    """A line of a section; only a long one is wrapped, since wrapping closes up the columns of a table."""
    shown = f"  {visible(text)}".rstrip()
    return [shown] if len(shown) <= _WIDTH else _wrap(shown.strip(), "  ", "    ")


def _told(finding: Finding) -> Iterable[str]:
    yield from _wrap(f"[{finding.code}] {visible(finding.message)}", "  ", "      ")
    for example in finding.examples[:SHOWN]:
        yield f"      {shorten(example)}"
    more = len(finding.examples) - SHOWN
    if more > 0:
        yield f"      ... and {more:,} more; --json lists them"


def _wrap(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def shorten(text: str, width: int = _WIDTH - 6) -> str:
    """``text`` on one line of a terminal.

    >>> shorten("a very long name", 10)
    'a very ...'
    """
    shown = visible(text)
    return shown if len(shown) <= width else shown[: width - 3] + "..."


def visible(text: str) -> str:
    r"""``text`` with everything escaped that a terminal would obey rather than show.

    >>> visible("a\x1b[2Jb\u200b")
    'a\\x1b[2Jb\\u200b'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Lines of a table; the first column to the left, the others to the right.

    >>> table(("split", "images"), [("train", "6,000")])
    ('split  images', 'train   6,000')
    """
    cells = [tuple(header), *map(tuple, rows)]
    widths = [max(len(row[k]) for row in cells) for k in range(len(header))]
    return tuple(
        "  ".join(
            text.rjust(width) if k else text.ljust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def plural(count: int, noun: str, nouns: str = "") -> str:
    """A number with its noun.

    >>> plural(1, "image"), plural(1200, "image"), plural(2, "copy", "copies")
    ('1 image', '1,200 images', '2 copies')
    """
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
