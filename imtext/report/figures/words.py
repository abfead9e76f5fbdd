"""Which words the similarity hangs on, over a whole test set."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imtext.errors import DataError
from imtext.report.style import BOOK_WIDTH, INK, PALETTE, house_style, new_figure

KINDS = ("content", "function")
NAMES = {"content": "content words", "function": "function words"}
COLOURS = dict(zip(KINDS, PALETTE, strict=False))
N_WORDS = 12


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in ("word", "kind", "drop", "count") if name not in frame.columns]
    if missing:
        raise DataError(
            f"word_classes: column {missing[0]!r} is missing; found {', '.join(map(str, frame.columns))}"
        )
    frame = frame[["word", "kind", "drop", "count"]].reset_index(drop=True)
    odd = sorted(set(map(str, frame["kind"])) - set(KINDS))
    if odd:
        raise DataError(f"word_classes: kind should be 'content' or 'function', found {odd[0]!r}")
    for kind in KINDS:
        if not (frame["kind"] == kind).any():
            raise DataError(f"word_classes: no {kind} word; give words of both kinds")
    if frame["word"].duplicated().any():
        word = frame.loc[frame["word"].duplicated(), "word"].iloc[0]
        raise DataError(f"word_classes: word {word!r} stands there twice; give each word one line")
    numbers = frame[["drop", "count"]].to_numpy(dtype=float)
    if not np.isfinite(numbers).all() or (numbers[:, 1] < 1).any():
        raise DataError("word_classes: drop should be finite and count at least 1; leave other words out")
    return frame


def mean_fall(
    drop: np.ndarray, count: np.ndarray, n: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """(mean, low, high) of the falls `drop` (W,) over all places where the words stand, `count` (W,) times.

    The 95 % interval is that of a bootstrap over words.

    >>> mean_fall(np.array([0.2, 0.1]), np.array([1, 3]), n=10)[0]
    0.125
    """
    drawn = np.random.default_rng(seed).integers(0, len(drop), (n, len(drop)))
    samples = (drop * count)[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.percentile(samples, [2.5, 97.5])
    return float((drop * count).sum() / count.sum()), float(low), float(high)


def _distribution(axes: Axes, frame: pd.DataFrame) -> None:
    """One band per kind: a mark a word, a box for the middle half of the words, the mean over all places."""
    random = np.random.default_rng(0)
    texts = []
    for base, kind in zip((1, 0), KINDS, strict=True):
        part = frame[frame["kind"] == kind]
        drop, count = part["drop"].to_numpy(dtype=float), part["count"].to_numpy(dtype=float)
        colour, hollow = COLOURS[kind], kind == "function"
        heights = base - 0.16 + random.uniform(-0.13, 0.13, len(part))
        face, alpha = ("none", 0.8) if hollow else (colour, 0.35)
        marker = "s" if hollow else "o"
        dots = {"s": 11, "marker": marker, "facecolors": face, "edgecolors": colour, "linewidths": 0.7}
        axes.scatter(drop, heights, alpha=alpha, gid=f"words {kind}", **dots)
        ink = {"color": INK, "linewidth": 1.0}
        axes.boxplot(
            drop,
            positions=[base + 0.1],
            widths=0.13,
            orientation="horizontal",
            showfliers=False,
            manage_ticks=False,
            boxprops=ink,
            whiskerprops=ink,
            capprops=ink,
            medianprops={"color": INK, "linewidth": 1.8},
        )
        mean, low, high = mean_fall(drop, count)
        error = [[max(0.0, mean - low)], [max(0.0, high - mean)]]
        axes.errorbar(
            mean,
            base + 0.27,
            xerr=error,
            fmt="D",
            color=colour,
            markersize=6,
            markerfacecolor=face,
            capsize=3,
            gid=f"mean {kind}",
        )
        text = f"{NAMES[kind]} ({len(part):,})\nmean fall {mean:.3f} [{low:.3f}, {high:.3f}]"
        texts.append((base + 0.37, text))
    for height, text in texts:
        axes.text(0.02, height, text, transform=axes.get_yaxis_transform(), va="bottom", fontsize=8)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    axes.set(ylim=(-0.38, 1.72), yticks=[], xlabel="fall of the cosine")
    axes.spines["left"].set_visible(False)
    axes.set_title("(a) all words:\neach, middle half, mean")


def _number(value: float) -> str:
    """A fall with three digits and a true minus.

    >>> _number(0.0312), _number(-0.004), _number(-0.0001)
    ('0.031', '−0.004', '0.000')
    """
    text = f"{value:.3f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def _bars(axes: Axes, part: pd.DataFrame, title: str) -> None:
    places = np.arange(len(part))
    for place, (_, line) in zip(places, part.iterrows(), strict=True):
        hollow = line["kind"] == "function"
        colour = COLOURS[line["kind"]]
        axes.barh(
            place,
            line["drop"],
            height=0.66,
            facecolor="none" if hollow else colour,
            edgecolor=colour,
            linewidth=1.0,
            gid=f"bar {line['kind']}",
        )
        end = max(float(line["drop"]), 0.0)
        axes.annotate(
            _number(line["drop"]),
            (end, place),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
        )
    labels = [f"{word} ({count:,})" for word, count in zip(part["word"], part["count"], strict=True)]
    axes.set_yticks(places, labels, fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.spines["left"].set_visible(False)
    axes.set_title(title)
    axes.set_xlabel("fall of the cosine")
    axes.locator_params(axis="x", nbins=4)


def word_classes(frame: pd.DataFrame, least: int = 5) -> Figure:
    """How far the cosine to the image falls when a word is taken out, for content and function words.

    `frame` has one line per word: word, kind ('content' or 'function'), drop (mean fall of the cosine over
    the captions that hold the word) and count (how many do). Left: every word as a dot, the middle half of
    the words as a box, and the mean over all places with a 95 % interval from a bootstrap over words. Middle:
    the twelve words with the largest fall among those seen at least `least` times (of all, where there are
    fewer than twelve). Right: the twelve most frequent function words. Solid is content, hollow is function.

    Raises DataError for a missing column, another kind, a word twice, or numbers that are not finite. Source:
    instance loss, Figure 11, whose four examples it extends to the whole test set.
    """
    words = _checked(frame)
    seen = words[words["count"] >= least]
    enough = len(seen) >= N_WORDS
    largest = (seen if enough else words).sort_values(["drop", "word"], ascending=[False, True])[:N_WORDS]
    frequent = words[words["kind"] == "function"]
    frequent = frequent.sort_values(["count", "word"], ascending=[False, True])[:N_WORDS]
    with house_style():
        figure = new_figure(3.9, BOOK_WIDTH)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
        _distribution(left, words)
        _bars(middle, largest, "(b) largest falls" + (f",\nseen ≥ {least} times" if enough else "\n"))
        _bars(right, frequent, "(c) most frequent\nfunction words")
        shown = pd.concat([largest["drop"], frequent["drop"]])
        span = (min(0.0, 1.1 * shown.min()), max(1.3 * shown.max(), 1e-6))
        middle.set_xlim(span)
        right.set_xlim(span)
        note = "in brackets: how often the word stands there; solid: content words, hollow: function words"
        figure.supxlabel(note, fontsize=8)
    return figure
