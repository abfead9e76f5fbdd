"""Does the order of models hang on the measure? Models in order under two or more measures, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imtext.errors import DataError
from imtext.report.figures.gallery import wrap
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, house_style, new_figure, text_width

MOST = 3
# All in inches.
ROW, HEAD, FOOT, EDGE = 0.31, 0.46, 0.3, 0.04
MARKS = "osD^v<>P"


@dataclass(frozen=True)
class _Measure:
    """One measure: numbers (models,) with intervals, NaN for none, and the models (models,) best first."""

    name: str
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    order: np.ndarray

    def place(self, model: int) -> int:
        """The rank of a model from 0."""
        return int(np.flatnonzero(self.order == model)[0])


def _measures(table: pd.DataFrame) -> tuple[list[str], list[_Measure]]:
    missing = [name for name in ("model", "measure", "value") if name not in table.columns]
    if missing:
        raise DataError(
            f"measure_ranks: column {missing[0]!r} is missing; found {', '.join(map(str, table.columns))}"
        )
    models, names = (list(dict.fromkeys(table[name].astype(str))) for name in ("model", "measure"))
    if len(models) < 2 or not 2 <= len(names) <= MOST:
        raise DataError(
            f"measure_ranks: expected two or more models under two to {MOST} measures, found {len(models)} "
            f"under {len(names)}"
        )
    found = []
    for name in names:
        part = table[table["measure"].astype(str) == name]
        if sorted(part["model"].astype(str)) != sorted(models):
            raise DataError(f"measure_ranks: {name!r} should have each of the {len(models)} models once")
        part = part.set_index(part["model"].astype(str)).reindex(models)
        value = part["value"].to_numpy(dtype=float)
        ends = [
            part[e].to_numpy(dtype=float) if e in part else np.full(len(value), np.nan)
            for e in ("low", "high")
        ]
        if not np.isfinite(value).all() or (ends[0] > value).any() or (ends[1] < value).any():
            raise DataError(f"measure_ranks: {name!r} should have finite values within their intervals")
        # Equal values keep the order of the measure before, so that a tie is no change.
        before = found[-1].order if found else np.arange(len(models))
        order = before[np.argsort(-value[before], kind="stable")]
        found.append(_Measure(name, value, *ends, order))
    return models, found


def swapped_pairs(first: np.ndarray, last: np.ndarray) -> tuple[int, int]:
    """How many pairs of models `first` (models,) and `last` order against each other, and of how many.

    A pair with equal values under one of the two is not counted as swapped.

    >>> swapped_pairs(np.array([3.0, 2.0, 1.0]), np.array([2.0, 3.0, 1.0]))
    (1, 3)
    """
    signs = [np.sign(values[:, None] - values[None]) for values in (first, last)]
    return int((signs[0] * signs[1] < 0).sum()) // 2, len(first) * (len(first) - 1) // 2


def _number(measure: _Measure, model: int, digits: int, short: bool) -> str:
    """A value with its interval, as in '41.2 [39.0, 43.1]'."""
    text = f"{measure.value[model]:.{digits}f}"
    if np.isfinite([measure.low[model], measure.high[model]]).all() and not short:
        text += f" [{measure.low[model]:.{digits}f}, {measure.high[model]:.{digits}f}]"
    return text.replace("-", "−")


def _panel(
    axes: Axes, measure: _Measure, left: float, width: float, texts: list[str], looks: list[dict[str, object]]
) -> None:
    """One measure from `left`, `width` inches wide for its marks: mark, interval and number of each model."""
    low, high = (np.where(np.isfinite(end), end, measure.value) for end in (measure.low, measure.high))
    span = max(float(high.max() - low.min()), 1e-12)

    def across(value: float) -> float:
        return left + 0.06 + (width - 0.12) * (value - low.min()) / span

    for model, (text, look) in enumerate(zip(texts, looks, strict=True)):
        y = -measure.place(model) * ROW
        axes.plot([left, left + width], [y, y], color=INK, linewidth=0.5, alpha=0.4, linestyle="-", zorder=1)
        ends = [across(low[model]), across(high[model])]
        axes.plot(ends, [y, y], color=look["color"], linewidth=3.2, linestyle="-", alpha=0.55, gid="interval")
        mark = {"marker": look["marker"], "markersize": 4.6, "linestyle": "none", "color": look["color"]}
        axes.plot(across(measure.value[model]), y, zorder=5, gid="value", **mark)
        axes.text(left + width + 0.06, y, text, va="center", ha="left", fontsize=7.5, gid="number")


def _looks(measures: list[_Measure], count: int) -> list[dict[str, object]]:
    """Colour, dash and mark of each model; those whose place never changes are grey."""
    looks, changed = [], 0
    for model in range(count):
        if len({measure.place(model) for measure in measures}) == 1:
            looks.append({"color": INK, "linestyle": "-", "marker": "o"})
            continue
        number = changed % len(PALETTE)
        mark = MARKS[1 + changed % (len(MARKS) - 1)]
        looks.append({"color": PALETTE[number], "linestyle": DASHES[number], "marker": mark})
        changed += 1
    return looks


def _move(measures: list[_Measure], model: int) -> str:
    """How many places a model rises or falls from the first measure to the last."""
    rise = measures[0].place(model) - measures[-1].place(model)
    return "" if not rise else f"  {'▲' if rise > 0 else '▼'}{abs(rise)}"


def measure_ranks(table: pd.DataFrame, digits: int = 1) -> Figure:
    """Models from best to worst under two or three measures; lines that cross are models that change places.

    `table` has a line a model and measure: the columns model, measure and value, higher is better, and
    optionally low and high, its interval. Measures stand in the order of the table, such as Recall@10 and
    semantic recall@10, each on a scale of its own. Beside a model's last name stands how many places it has
    risen or fallen, and beneath a measure, how many pairs of models it orders against the first one. Raises
    DataError for missing columns, a model that a measure lacks or has twice, fewer than two models or
    measures, more than three measures, or a value outside its interval. Source: ours, after single network,
    section 5.3.
    """
    models, measures = _measures(table)
    looks = _looks(measures, len(models))
    names = [wrap(name, 1.35, 8.5) for name in models]
    widest = [max(text_width(line, 8.5) for name in names for line in name.split("\n")) + 0.08]
    widest.append(widest[0] + text_width("  ▲1", 8.5))
    short = len(measures) > 2
    texts = [[_number(measure, m, digits, short) for m in range(len(models))] for measure in measures]
    numbers = [max(text_width(text, 7.5) for text in column) + 0.14 for column in texts]
    gap = 0.72 if len(measures) == 2 else 0.5
    room = BOOK_WIDTH - 2 * EDGE - sum(widest) - sum(numbers) - gap * (len(measures) - 1)
    width = max(0.3, room / len(measures))
    rows = ROW * len(models)
    height = HEAD + rows + FOOT
    with house_style():
        figure = new_figure(height, BOOK_WIDTH, layout="none")
        axes = figure.add_axes(
            (0, 0, 1, 1), xlim=(0, BOOK_WIDTH), ylim=(-rows + ROW / 2 - FOOT, ROW / 2 + HEAD)
        )
        axes.set_axis_off()
        x = EDGE + widest[0]
        for number, measure in enumerate(measures):
            heading = wrap(measure.name, width + numbers[number] + 0.3, 9)
            axes.text(x, ROW / 2 + 0.04, heading, fontweight="bold", fontsize=9, va="bottom", gid="measure")
            _panel(axes, measure, x, width, texts[number], looks)
            if number:
                swaps, pairs = swapped_pairs(measures[0].value, measure.value)
                foot = f"{swaps} of {pairs} pairs {'swap' if short else 'change places'}"
                axes.text(x, -rows + ROW / 2 - 0.62 * FOOT, foot, fontsize=8, va="center", gid="swaps")
            x += width + numbers[number]
            if number + 1 < len(measures):
                _join(axes, (x, x + gap - 0.06), measure, measures[number + 1], looks)
                x += gap
        for model, name in enumerate(names):
            style = {"va": "center", "fontsize": 8.5, "linespacing": 1.05}
            y = -measures[0].place(model) * ROW
            axes.text(EDGE + widest[0] - 0.08, y, name, ha="right", gid="first", **style)
            label, y = name + _move(measures, model), -measures[-1].place(model) * ROW
            axes.text(x, y, label, ha="left", gid="last", **style)
    return figure


def _join(
    axes: Axes, ends: tuple[float, float], first: _Measure, second: _Measure, looks: list[dict[str, object]]
) -> None:
    """A line a model from its place under one measure to that under the next."""
    share = np.linspace(0, 1, 40)
    smooth = share**2 * (3 - 2 * share)
    for model, look in enumerate(looks):
        start, end = -first.place(model) * ROW, -second.place(model) * ROW
        line = {"color": look["color"], "linestyle": look["linestyle"]}
        line["linewidth"] = 0.9 if look["color"] == INK else 1.6
        axes.plot(ends[0] + (ends[1] - ends[0]) * share, start + (end - start) * smooth, gid="join", **line)
