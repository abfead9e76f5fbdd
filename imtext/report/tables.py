"""A paper's numbers beside ours: of each row of a table a line as printed and a line of what came out here.

The HTML is the same byte for byte for the same input, so that notebooks can be compared strictly. An empty
cell is an em dash: the paper does not print the number, or it was not computed here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from imtext.report.claims import SIGNS, Verdict
from imtext.report.markup import plain, signed, size, styled
from imtext.report.paper import EM_DASH, Paper, PaperTable, Row

# What stands in a line about where numbers come from, in its order.
FACTS = ("dataset", "about", "profile", "groups", "gallery", "seeds", "device")
FACTS += ("hardware", "commit", "date", "note")
# How a paper computes from its numbers, and the words for what comes out beside what it says.
HOW = {"−": lambda a, b: a - b, "%": lambda a, b: 100 * (a / b - 1), "÷": lambda a, b: a / b}
HOW |= {"+": lambda *terms: sum(terms), "×": lambda *terms: math.prod(terms)}
AGREES, ON_AVERAGE, DIFFERS = "✓ agrees", "≈ on average", "≠ differs"


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over seeds, one line per row id, in the order of first appearance.

    `runs` has one line per (row, seed) and numeric metric columns. The result has, for each metric, its
    mean, `<metric>_sd` (n − 1 in the denominator; NaN for one seed) and `n_seeds`.

    >>> runs = pd.DataFrame({"row": ["a", "a"], "seed": [0, 1], "image_query_r1": [10.0, 14.0]})
    >>> over_seeds(runs).round(2).to_dict("records")
    [{'image_query_r1': 12.0, 'image_query_r1_sd': 2.83, 'n_seeds': 2}]
    """
    groups = runs.groupby("row", sort=False)
    metrics = groups[list(runs.columns.drop(["row", "seed"]))]
    return metrics.mean().join(metrics.std().add_suffix("_sd")).assign(n_seeds=groups["seed"].nunique())


def describe(provenance: Mapping[str, Any]) -> str:
    """One line that says where numbers come from: dataset, profile, seeds, device, and what else is known.

    >>> describe({"dataset": "picturebook", "profile": "smoke", "seeds": [0, 1], "device": "cpu"})
    'picturebook · profile smoke · seeds 0, 1 · cpu'
    """
    seeds, said = provenance["seeds"], {**provenance, "profile": f"profile {provenance['profile']}"}
    said["seeds"] = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    # An edition that names the dataset stands for it.
    said["dataset"] *= not (said.get("about") or "").casefold().startswith(said["dataset"])
    if said.get("commit"):
        said["commit"] = f"commit {said['commit']}"
    return " · ".join(filter(None, map(said.get, FACTS)))


def side_by_side(
    table: PaperTable, ours: pd.DataFrame, provenance: Mapping[str, Any], ran: Mapping[str, str] = {}
) -> Styler:
    """The paper's table with ours beside it: of each row a line as printed, and one of what came out here.

    Where rows of the table name the row that they are to be compared with, a last column holds the gain over
    that row, in R-sum or in the first metric: the paper's in its own line, ours in ours.

    Args:
        ours: keyed by row ids, with metric columns (`image_query_r1` …), optionally `<metric>_sd` and
            `n_seeds`, as :func:`over_seeds` makes it. Rows that the table does not have stand at the foot.
        provenance: what :func:`describe` takes.
        ran: row id → what ran here in the place of what the paper names: a column of its own or, where it is
            the same in every row, a part of the caption.

    The paper's numbers stand with the digits it prints, ours with as many, and at least two.
    """
    rows = {name: Row(name, name) for name in ours.index}
    shown = [row for row in table.lines if rows.pop(row.id, None)] + [*rows.values()]
    kinds = {ran.get(row.id, "") for row in shown}
    several = len(kinds) > 1
    heads = [(one.group, one.label + " ↓" * (one.better == "low")) for one in table.columns]
    if table.gain_in:
        heads.append(("Gain", table.gain_in.label))
    starts = [" group" * (one != before) for before, one in pairwise([None, *(group for group, _ in heads)])]
    cells, marks, keys = [], [], []
    for row in shown:
        first = " first"
        for part, line in (("paper", _cells(table, row, table.cells)), ("here", _cells(table, row, ours, 2))):
            # A row that the paper has without numbers says so.
            if set(line) != {EM_DASH} or (part == "paper" and row.id in table.cells.index):
                cells.append([part, *line])
                looks = zip(cells[-1], [" part", *starts], strict=True)
                marks.append([part + first + look + " none" * (cell == EM_DASH) for cell, look in looks])
                keys.append((row.block, row.label, ran.get(row.id, "") or EM_DASH, part))
                first = ""
    blocks = any(row.block for row in shown)
    unused = [level for level, used in ((0, blocks), (2, several)) if not used]
    index = pd.MultiIndex.from_tuples(keys).droplevel(unused)
    names = [None, "ran here" if several else None]
    header = pd.MultiIndex.from_tuples([("", ""), *heads], names=names)
    here = [describe(provenance), *([] if several else kinds)]
    seeds = ours.get("n_seeds", pd.Series([1])).agg(["min", "max"]).astype(int).unique()
    spread = f" · mean ± sd over {' to '.join(map(str, seeds))} seeds" * bool(max(seeds) > 1)
    low = " ↓ lower is better." if any(column.better == "low" for column in table.columns) else ""
    caption = (
        f"<strong>Table {table.number}</strong>: {html.escape(table.caption)}. "
        f"Paper: {html.escape(table.dataset)} ({html.escape(table.split)}). "
        f"Here: {html.escape(' · '.join(filter(None, here)))}{spread}.{low}"
    )
    frame = pd.DataFrame(cells, index=index, columns=header)
    styler = styled(frame, table.id, caption, "side_by_side", marks)
    # The part is in the index to keep it unique, and in a column to be read.
    return styler.hide(axis=0, level=index.nlevels - 1)


def as_printed(table: PaperTable) -> Styler:
    """The paper's own table. A small p marks a number from its running text, a small r one that another paper
    repeats from it.
    """
    mixed = len({row.own for row in table.rows}) == 2
    told = [name for name in ("visual", "textual") if any(getattr(row, name) for row in table.rows)]
    frame = pd.DataFrame({one.id: table.cells[one.id].map(one.show) for one in table.columns})
    for item in table.prose:
        frame.at[item["row"], item["column"]] += f"<sup>{'r' if 'by' in item else 'p'}</sup>"
    for place, name in enumerate(told):
        frame.insert(place, name, [html.escape(getattr(row, name)) for row in table.rows])
    labels = [f"this paper: {row.label}" if mixed and row.own else row.label for row in table.rows]
    blocks = [row.block for row in table.rows]
    frame.index = pd.MultiIndex.from_arrays([blocks, labels]) if any(blocks) else pd.Index(labels)
    heads = [("", name.capitalize()) for name in told] + [(one.group, one.label) for one in table.columns]
    frame.columns = pd.MultiIndex.from_tuples(heads)
    caption = f"<strong>Table {table.number}</strong> as printed: {html.escape(table.caption)}."
    return styled(frame, f"{table.id}-printed", caption)


def other_numbers(paper: Paper, **here: Any) -> Styler:
    """The numbers of a paper's figures and running text, beside ours.

    Args:
        here: what the paper's file names where it says how ours is read, such as ``{base.loss.margin}``; of
            what is not given, or None, or has no such part, the cell stays empty.
    """

    def ours(said: str) -> str:
        try:
            return html.escape(said.format(**here))
        except (LookupError, AttributeError, TypeError):
            return EM_DASH

    lines = {}
    for group in paper.values.values():
        for one in group["numbers"].values():
            cells = plain(one["value"]), ours(one.get("here", EM_DASH)), html.escape(group["section"])
            lines[group["caption"], one["what"]] = cells
    frame = pd.DataFrame(lines, ["Paper", "Here", "Section"]).T
    return styled(frame, f"{paper.name}-numbers", "<strong>The paper's other numbers</strong>.")


def arithmetic(paper: Paper) -> Styler:
    """What a paper computes from its numbers, computed again from the cells of its tables.

    Of several cells the mean stands there, with the smallest and the largest. It *agrees* where each is as
    the paper says, to the digits that it prints; *on average* where only the mean is.
    """
    lines = []
    for one in paper.arithmetic:
        said, (shown, terms) = one["claimed"], _terms(paper, one)
        found = [HOW[one.get("how", "−")](*own) for own in terms]
        half = 0 if isinstance(said, list) else 0.5 * 10.0 ** Decimal(str(said)).as_tuple().exponent
        low, high = said if isinstance(said, list) else (said - half, said + half)
        right = [low - 1e-9 <= value <= high + 1e-9 for value in (*found, sum(found) / len(found))]
        ends = plain(min(found)), plain(max(found))
        lines.append([
            f"{html.escape(one['said'])} <small>({html.escape(one['section'])})</small>",
            size(*said) if isinstance(said, list) else plain(said),
            f"<small>{'<br>'.join(map(html.escape, shown))}</small>",
            plain(sum(found) / len(found)) + f"<br><small>{' to '.join(ends)}</small>" * (len({*ends}) > 1),
            AGREES if all(right) else ON_AVERAGE if right[-1] else DIFFERS,
        ])  # fmt: skip
    frame = pd.DataFrame(lines, range(1, len(lines) + 1), ["Paper", "Claimed", "From", "Computed", "Verdict"])
    return styled(frame, f"{paper.name}-arithmetic", "<strong>The paper's arithmetic</strong>.", "claims")


def claims_table(verdicts: Sequence[Verdict], provenance: Mapping[str, Any], uuid: str = "claims") -> Styler:
    """The claims with the paper's numbers, ours with 95 % interval, and a verdict as sign and word.

    `provenance` as for `side_by_side`. The reason of a verdict stands beneath it.
    """
    heads = ["Claim", "Paper", "Here (difference, 95 % interval)", "Verdict"]
    frame = pd.DataFrame(map(_claim_cells, verdicts), range(1, len(verdicts) + 1), heads)
    source = html.escape(describe(provenance))
    caption = "<strong>Claims</strong>. A positive difference supports the claim, unless a size is claimed. "
    looks = [["", "", "", SIGNS[one.word][1]] for one in verdicts]
    return styled(frame, uuid, f"{caption}Here: {source}.", "claims", looks)


def not_tested(paper: Paper) -> Styler:
    """The sentences of a paper that no claim tests, and why not."""
    names = {"text": "Sentence", "section": "Section", "because": "Not tested, because"}
    frame = pd.DataFrame(paper.untested, columns=list(names)).map(html.escape).rename(columns=names)
    return styled(frame, f"{paper.name}-untested", "<strong>Not tested</strong>.", "claims").hide(axis=0)


def _terms(paper: Paper, one: Mapping[str, Any]) -> tuple[list[str], list[list[float]]]:
    """What is computed from: lines of words, and the terms of each computation."""
    how = f" {one.get('how', '−')} "
    if "numbers" in one:
        names = [name.split(".") for name in one["numbers"]]
        terms = [paper.values[group]["numbers"][name]["value"] for group, name in names]
        return [how.join(map(plain, terms))], [terms]
    table = paper.tables[one["table"]]
    columns = [column for column in table.columns if column.id in one["columns"]]
    labels = {row.id: ", ".join(filter(None, [row.block, row.label])) for row in table.rows}
    heads = ", ".join(f"{column.group} {column.label}" for column in columns)
    shown, terms = [f"Table {table.number}, {heads}"], []
    for rows in one["pairs"]:
        cells = [[table.cells.at[row, column.id].item() for row in rows] for column in columns]
        said = [how.join(map(column.show, own)) for column, own in zip(columns, cells, strict=True)]
        shown.append(f"{how.join(map(labels.get, rows))}: {', '.join(said)}")
        terms += cells
    return shown, terms


def _cells(table: PaperTable, row: Row, numbers: pd.DataFrame, digits: int | None = None) -> list[str]:
    """A row of the paper's numbers, or of ours with so many digits, and its gain over the row it names."""

    def value(name: str, column: str) -> float:
        return numbers.at[name, column] if name in numbers.index and column in numbers else math.nan

    cells = []
    for column in table.columns:
        spread = value(row.id, f"{column.id}_sd")
        after = "" if math.isnan(spread) else f"<br><small>±{spread:.2f}</small>"
        cells.append(column.show(value(row.id, column.id), digits) + after)
    if table.gain_in:
        gain = value(row.id, table.gain_in.id) - value(row.over, table.gain_in.id)
        cells.append(EM_DASH if math.isnan(gain) else signed(gain, digits or table.gain_in.digits or 0))
    return cells


def _claim_cells(verdict: Verdict) -> list[str]:
    """The line of a claim as HTML."""
    claim, sign = verdict.claim, SIGNS[verdict.word][0]
    here = [f"{html.escape(one.name)}:<br><span>{one.show()}</span>" for one in verdict.evidence]
    if claim.bounds and here:
        here.append(f"<small>claimed: {size(*claim.bounds)} {html.escape(verdict.evidence[0].unit)}</small>")
    reason = f"<br><small>{html.escape(verdict.reason)}</small>" if verdict.reason else ""
    return [
        f"{html.escape(claim.text)} <small>({html.escape(claim.section)})</small>",
        html.escape(claim.paper) or EM_DASH,
        "<br>".join(here) or EM_DASH,
        f"<strong><i>{sign}</i> {verdict.word}</strong>{reason}",
    ]
