"""The two-branch network as a diagram, with its sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from imtext.errors import ConfigError
from imtext.report.style import BOOK_WIDTH, DASHES, INK, PALETTE, house_style, new_figure

# All in inches.
HEIGHT, TALL, LOW = 2.5, 0.62, 0.44
LANES = (1.83, 0.36)
LOSS_WIDTH, EDGE = 1.2, 0.03


@dataclass(frozen=True)
class _Step:
    """One box of a branch: what it is, a second line beneath, its width; `weights` marks what is learned."""

    name: str
    size: str = ""
    width: float = 0.46
    weights: bool = False


def _number(value: float) -> str:
    """A number as the paper writes it.

    >>> _number(4096), _number(0.5), _number(2)
    ('4,096', '.5', '2')
    """
    return f"{value:,}" if value >= 1 or not value else f"{value:g}".lstrip("0")


def _steps(letter: str, inputs: int, hidden: int | None, dim: int, dropout: float) -> list[_Step]:
    """The boxes of one branch, from its feature to unit vectors."""
    feature = _Step("feature", f"{_number(inputs)}-d", 0.7)
    length = _Step("L2", "length 1", 0.62)
    if hidden is None:
        return [feature, _Step(f"${letter}_1$", f"{_number(inputs)} × {_number(dim)}", 1.0, True), length]
    return [
        feature,
        _Step(f"${letter}_1$", f"{_number(inputs)} × {_number(hidden)}", 0.98, True),
        _Step("ReLU"),
        _Step("dropout", _number(dropout), 0.64),
        _Step(f"${letter}_2$", f"{_number(hidden)} × {_number(dim)}", 0.98, True),
        _Step("BN", width=0.36),
        length,
    ]


def _box(axes: Axes, left: float, middle: float, width: float, height: float, **look: object) -> None:
    shape = f"round,pad=0,rounding_size={0.05}"
    axes.add_patch(FancyBboxPatch((left, middle - height / 2), width, height, boxstyle=shape, **look))


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    look = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.0, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops={**look, "mutation_scale": 8, "linestyle": "-"})


def _branch(axes: Axes, title: str, steps: Sequence[_Step], number: int, right: float) -> None:
    """The boxes of one branch between the left edge and `right`, evenly spaced."""
    middle, colour = LANES[number], PALETTE[number]
    gap = (right - EDGE - sum(step.width for step in steps)) / len(steps)
    axes.text(EDGE, middle + TALL / 2 + 0.08, title, fontweight="bold", va="bottom", ha="left", fontsize=9)
    x = EDGE
    for place, step in enumerate(steps):
        tall = TALL if step.weights or not place else LOW
        look = {
            "edgecolor": colour if step.weights else INK,
            "linestyle": DASHES[number] if step.weights else "-",
        }
        look |= {"linewidth": 1.6 if step.weights else 0.9, "facecolor": "none"}
        _box(axes, x, middle, step.width, tall, gid=f"step {number}", **look)
        up = 0.1 if step.size else 0.0
        bold = "bold" if step.weights else "normal"
        centre = x + step.width / 2
        look = {"ha": "center", "va": "center", "fontsize": 9, "fontweight": bold}
        axes.text(centre, middle + up, step.name, parse_math=True, **look)
        if step.size:
            axes.text(centre, middle - 0.1, step.size, ha="center", va="center", fontsize=7.5)
        x += step.width
        _arrow(axes, (x + 0.02, middle), (x + gap - 0.02, middle))
        x += gap


def branches(
    image_dim: int = 4096,
    text_dim: int = 6000,
    hidden: int | None = 2048,
    dim: int = 512,
    dropout: float = 0.5,
    lambdas: tuple[float, float, float] = (2, 0, 0.2),
    names: tuple[str, str] = ("Images X", "Captions Y"),
) -> Figure:
    """The two-branch network: what each branch does to a feature, with the sizes given, up to the loss.

    `image_dim`, `text_dim`: length of the features; `hidden`: of the layer between, None for the linear
    model, which keeps only the first layer; `dim`: of the embedding. What is learned has a coloured frame.
    The numbers in the box of the loss are the weights of its terms (Eq. 5), `lambdas` after a 1. Raises
    ConfigError for a size below 1 or a dropout outside 0 to 1. Source: structure-preserving embeddings,
    Figure 1.
    """
    if min(image_dim, text_dim, dim, 1 if hidden is None else hidden) < 1 or not 0 <= dropout < 1:
        raise ConfigError(
            "branches takes image_dim, text_dim, dim and hidden from 1 and dropout from 0 to below 1, "
            f"found {image_dim}, {text_dim}, {dim}, {hidden} and {dropout}"
        )
    with house_style():
        figure = new_figure(HEIGHT, BOOK_WIDTH, layout="none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, BOOK_WIDTH), ylim=(0, HEIGHT))
        axes.set_axis_off()
        left = BOOK_WIDTH - EDGE - LOSS_WIDTH
        for number, (letter, inputs) in enumerate(zip("WV", (image_dim, text_dim), strict=True)):
            steps = _steps(letter, inputs, hidden, dim, dropout)
            _branch(axes, names[number], steps, number, left)
        top, bottom = LANES[0] + TALL / 2, LANES[1] - TALL / 2
        _box(
            axes,
            left,
            (top + bottom) / 2,
            LOSS_WIDTH,
            top - bottom,
            edgecolor=INK,
            facecolor="none",
            linewidth=1.4,
        )
        _loss(axes, left + LOSS_WIDTH / 2, (top + bottom) / 2, dim, lambdas)
    return figure


def _loss(axes: Axes, centre: float, middle: float, dim: int, lambdas: tuple[float, float, float]) -> None:
    """What stands in the box of the loss: the space, then its four terms and their weights."""
    axes.text(centre, middle + 0.72, f"one {_number(dim)}-d space", ha="center", va="center", fontsize=8)
    axes.text(centre, middle + 0.46, "loss (Eq. 5)", ha="center", va="center", fontsize=9, fontweight="bold")
    terms = ("X → Y", "Y → X", "X – X", "Y – Y")
    for number, (term, weight) in enumerate(zip(terms, (1, *lambdas), strict=True)):
        height = middle + 0.1 - 0.24 * number
        label = "1" if not number else f"$\\lambda_{number}$ = {_number(weight)}"
        faint = 1.0 if weight else 0.55
        axes.text(centre - 0.5, height, term, ha="left", va="center", fontsize=8, alpha=faint, gid="term")
        look = {"ha": "right", "va": "center", "fontsize": 8, "alpha": faint, "gid": "weight"}
        axes.text(centre + 0.52, height, label, parse_math=True, **look)
