"""Classification error during training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imtext.errors import DataError
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, house_style, new_figure

PANELS = (("image_error", "(a) image path"), ("text_error", "(b) text path"))


def _per_epoch(curves: pd.DataFrame) -> pd.DataFrame:
    """One line per run and epoch; epochs of a later stage follow those of the one before."""
    missing = [name for name in ("epoch", "image_error", "text_error") if name not in curves.columns]
    if missing:
        raise DataError(
            f"error_curves: column {missing[0]!r} is missing; found {', '.join(map(str, curves.columns))}"
        )
    frame = curves.copy()
    if "run" not in frame:
        frame["run"] = ""
    if "stage" not in frame:
        frame["stage"] = ""
    keys = ["run", "stage", "epoch"]
    frame = frame.groupby(keys, sort=False, as_index=False)[["image_error", "text_error"]].mean()
    parts = []
    for _, run in frame.groupby("run", sort=False):
        offset = 0.0
        for _, stage in run.groupby("stage", sort=False):
            first, last = stage["epoch"].min(), stage["epoch"].max()
            # A stage that counts on from the one before needs no shift.
            shift = 0.0 if first > offset or not parts else offset
            parts.append(stage.assign(x=stage["epoch"] + shift))
            offset = last + shift
    return pd.concat(parts, ignore_index=True)


def _lines(axes: Axes, frame: pd.DataFrame, column: str) -> None:
    for number, (run, part) in enumerate(frame.groupby("run", sort=False)):
        known = part.dropna(subset=[column])
        if known.empty:
            continue
        marker = "o" if len(known) <= 12 else None
        axes.plot(
            known["x"],
            100 * known[column],
            color=PALETTE[number % len(PALETTE)],
            linestyle=DASHES[number % len(DASHES)],
            marker=marker,
            markersize=3.2,
            label=str(run),
        )


def _stage_ends(frame: pd.DataFrame) -> list[float]:
    ends = set()
    for _, run in frame.groupby("run", sort=False):
        last = run.groupby("stage", sort=False)["x"].max().tolist()
        ends.update(last[:-1])
    return sorted(ends)


def error_curves(curves: pd.DataFrame) -> Figure:
    """Classification error of the image path and of the text path over the epochs, two panels.

    `curves` has the columns epoch, image_error and text_error (shares from 0 to 1; NaN where there is none),
    optionally `run` (a label per line) and `stage` (a dotted line marks where one ends). Several lines of one
    epoch are averaged. Raises DataError for a missing column, no number at all, or errors outside 0 to 1.
    Source: instance loss, Figure 8.
    """
    frame = _per_epoch(curves)
    values = frame[["image_error", "text_error"]].to_numpy(dtype=float)
    if np.isnan(values).all():
        raise DataError(
            "error_curves: no error in any epoch; train with the instance loss, which has classes"
        )
    if np.nanmin(values) < 0 or np.nanmax(values) > 1:
        raise DataError(
            f"error_curves: errors are shares from 0 to 1, found {np.nanmax(values):g}; divide by 100"
        )
    with house_style():
        figure = new_figure(2.9, BOOK_WIDTH)
        grid = figure.subplots(1, 2, sharex=True, sharey=True)
        for axes, (column, title) in zip(grid, PANELS, strict=True):
            _lines(axes, frame, column)
            for end in _stage_ends(frame):
                axes.axvline(end + 0.5, color=INK, linewidth=0.8, linestyle=":")
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.grid(axis="y")
            axes.set_ylim(0, 102)
            axes.xaxis.get_major_locator().set_params(integer=True)
        grid[0].set_ylabel("classification error (%)")
        if frame["run"].nunique() > 1:
            handles = {line.get_label(): line for axes in grid for line in axes.get_lines()}
            handles = {label: line for label, line in handles.items() if not str(label).startswith("_")}
            figure.legend(
                handles.values(), handles.keys(), loc="outside lower center", ncols=min(4, len(handles))
            )
    return figure
