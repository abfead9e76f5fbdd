"""Single queries against the test gallery of a trained model, shown as text, web page or picture."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import ConfigError, DataError
from imtext.files import atomic

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_SIDE = 320  # longest side, in pixels, of a picture on a page

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --paper: #fcfcfa; --card: #fff; --ink: #1d2129; --soft: #5d6673; --line: #dde1e6; --mark: #0b5cad; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --paper: #14171c; --card: #1d2229; --ink: #e8eaed; --soft: #a5aeba; --line: #343b45;
    --mark: #7fb8f2; }}
}}
body {{ margin: 0 auto; padding: 2rem 1.25rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }}
p.about {{ margin: 0 0 1.5rem; color: var(--soft); }}
ol {{ list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); }}
li, figure {{ margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  overflow: hidden; }}
img {{ display: block; width: 100%; height: 11.5rem; object-fit: contain; background: var(--line); }}
figure {{ max-width: 20rem; margin-bottom: 1.5rem; }}
.text {{ padding: .6rem .9rem .8rem; overflow-wrap: anywhere; }}
.text p {{ margin: .35rem 0 0; }}
.soft {{ color: var(--soft); font-size: .85rem; }}
.rank {{ color: var(--mark); font-weight: 700; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="about">{about}</p>
{query}<ol>
{hits}
</ol>
</body>
</html>
"""


@dataclass(frozen=True)
class Hit:
    """One answer: its 1-based ``rank``, ``score``, image file, and the captions to show with it."""

    rank: int
    score: float
    image: Path
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The answers to one query; ``picture``: the query where it is an image; ``gallery``: what was asked.

    ``measure``: what the scores are.
    """

    query: str
    picture: Path | None
    gallery: str
    hits: tuple[Hit, ...]
    measure: str = "cosine"

    def __str__(self) -> str:
        """One line per answer: rank, score, image file, caption."""
        lines = [f"{one.rank:>3}  {one.score:6.3f}  {one.image.name}  {one.captions[0]}" for one in self.hits]
        return "\n".join([f"{self.query}  ({self.gallery})", *lines])


def search(encoder: Any, query: str, top: int = 5) -> Answer:
    """Find the test images that answer a caption, or the test captions that answer an image file.

    ``encoder``: what `imtext.load` gives. ``query``: a caption, or the path of an
    image; what ends like an image file is taken as one. ``top``: how many answers, best first, ties by index.

    Raises `DataError` for an empty query or a picture that is missing or unreadable, `ConfigError` for a
    ``top`` below 1.
    """
    if top < 1:
        raise ConfigError(f"top: expected at least 1, found {top}")
    picture, test = _as_picture(query), encoder.test
    if picture is None:
        scores, kind = encoder.scores_for_captions([query])[:, 0], "images"
    else:
        scores, kind = encoder.scores_for_images([picture])[0], "captions"
    hits = []
    for rank, found in enumerate(np.argsort(-scores, kind="stable")[:top].tolist(), start=1):
        image = found if picture is None else int(test.image_of_caption[found])
        captions = test.captions_of(image) if picture is None else [found]
        shown = tuple(test.captions[j] for j in captions)
        hits.append(Hit(rank, float(scores[found]), Path(test.image_path(image)), shown))
    gallery = f"the {len(scores):,} {kind} of the test split of {test.name}"
    return Answer(query.strip(), picture, gallery, tuple(hits), encoder.measure)


def check_out(out: str | os.PathLike[str]) -> Path:
    """Refuse, before any work, a page that `write_answer` could not write.

    Raises `ConfigError` for a suffix other than .html or .png, or a folder that does not exist.

    >>> check_out("page.pdf")
    Traceback (most recent call last):
    imtext.errors.ConfigError: --out page.pdf: expected a name that ends in .html or .png
    """
    path = Path(out)
    if path.suffix.lower() not in (".html", ".png"):
        raise ConfigError(f"--out {path}: expected a name that ends in .html or .png")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--out {path}: the folder {path.parent} does not exist; make it first")
    return path


def write_answer(answer: Answer, out: str | os.PathLike[str]) -> Path:
    """Write an answer as a self-contained web page (.html) or a picture (.png), whole or not at all.

    Raises `ConfigError` for another suffix or a place that cannot be written to, `DataError` for a picture
    that cannot be read.
    """
    path = check_out(out)
    content = _html(answer).encode() if path.suffix.lower() == ".html" else _png(answer)
    with atomic(path, ConfigError) as temporary:
        temporary.write_bytes(content)
    return path


def _as_picture(query: str) -> Path | None:
    """The query as an image file, or None where it is a caption."""
    if not query.strip():
        raise DataError("the query is empty; give a caption or the path of an image")
    path = Path(query)
    named = path.suffix.lower() in IMAGE_SUFFIXES
    try:
        there = path.is_file()
    except OSError:  # a caption longer than a file name may be
        there = False
    if named and not there:
        raise DataError(f"{path}: no such image; give an existing file, or a caption")
    return path if there else None


def _read(path: Path) -> Any:
    """A small RGB copy of a picture, turned as its EXIF data say."""
    from imtext.data.images import read_picture

    try:
        picture = read_picture(path)
    except DataError as error:
        raise DataError(f"{path}: not a readable picture ({error}); replace the file") from None
    picture.thumbnail((_SIDE, _SIDE))
    return picture


def _data_uri(path: Path) -> str:
    memory = io.BytesIO()
    _read(path).save(memory, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(memory.getvalue()).decode()


def _html(answer: Answer) -> str:
    def card(hit: Hit) -> str:
        captions = "".join(f"<p>{html.escape(caption)}</p>" for caption in hit.captions)
        return (
            f'<li><img src="{_data_uri(hit.image)}" alt="{html.escape(hit.captions[0])}"><div class="text">'
            f'<span class="rank">{hit.rank}</span> <span class="soft">{answer.measure} {hit.score:.3f} · '
            f"{html.escape(hit.image.name)}</span>{captions}</div></li>"
        )

    if answer.picture is None:
        title, query = f"“{answer.query}”", ""
    else:
        title = f"Captions for {answer.picture.name}"
        query = f'<figure><img src="{_data_uri(answer.picture)}" alt="the query"></figure>\n'
    return _PAGE.format(
        title=html.escape(title),
        about=html.escape(f"The {len(answer.hits)} best of {answer.gallery}, by {answer.measure}."),
        query=query,
        hits="\n".join(card(hit) for hit in answer.hits),
    )


def _png(answer: Answer) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from imtext.report.style import text_as_written

    draw: Callable[[Figure, Answer], None] = _draw_images if answer.picture is None else _draw_captions
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    with text_as_written():
        draw(figure, answer)
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=120)
    return memory.getvalue()


def _wrap(text: str, width: int, lines: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder=" …"))


def _draw_images(figure: Any, answer: Answer) -> None:
    """Rows of up to five pictures, each over its first caption."""
    columns = min(5, len(answer.hits))
    rows = -(-len(answer.hits) // columns)
    width = max(2.6 * columns, 6.0)
    figure.set_size_inches(width, 3.4 * rows + 0.7)
    figure.suptitle(_wrap(f"“{answer.query}”", int(width * 9), 2), fontsize=13)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for axis, hit in zip(axes.ravel(), answer.hits, strict=False):
        axis.imshow(_read(hit.image))
        axis.set_title(f"{hit.rank} · {answer.measure} {hit.score:.3f}", fontsize=10)
        look = {"transform": axis.transAxes, "ha": "center", "va": "top", "fontsize": 9}
        axis.text(0.5, -0.04, _wrap(hit.captions[0], 32, 4), **look)
    figure.subplots_adjust(0.02, 0.16 / rows + 0.03, 0.98, 1 - 0.95 / figure.get_figheight(), 0.08, 0.42)


def _draw_captions(figure: Any, answer: Answer) -> None:
    """The query picture on the left, its captions in a list on the right."""
    height = max(3.2, 0.55 * len(answer.hits) + 0.6)
    figure.set_size_inches(11, height)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.imshow(_read(answer.picture))
    left.set_title(_wrap(answer.picture.name, 40, 1), fontsize=10)
    for axis in (left, right):
        axis.axis("off")
    for place, hit in enumerate(answer.hits):
        line = f"{hit.rank}.  {hit.score:.3f}   {_wrap(hit.captions[0], 78, 2)}"
        right.text(0, 1 - (place + 0.5) / len(answer.hits), line, va="center", fontsize=10.5)
    figure.subplots_adjust(0.02, 0.05, 0.99, 1 - 0.4 / height, 0.04)
