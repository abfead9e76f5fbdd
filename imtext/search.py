"""Single queries against the test gallery of a trained model, shown as text, web page or picture."""

from __future__ import annotations

import html
import os
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imtext.check import whole
from imtext.errors import ConfigError, DataError
from imtext.files import atomic

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
COLUMNS = 5  # pictures beside each other in a picture

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 2rem auto; padding: 0 1rem; max-width: 68rem; font: 16px/1.5 system-ui, sans-serif; }}
</style>
<h1>{title}</h1>
<p>{about}</p>
{pictures}
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

    def title(self) -> str:
        """What stands above the pictures."""
        return f"Captions for {self.picture.name}" if self.picture else f"“{self.query}”"

    def cells(self) -> list[tuple[Any, list[str]]]:
        """A picture and the lines beneath, of the query where it is an image, then of each answer."""
        shown = [] if self.picture is None else [(_read(self.picture), ["the query"])]
        for one in self.hits:
            about = f"{one.rank} · {self.measure} {one.score:.3f} · {one.image.name}"
            shown.append((_read(one.image), [about, *one.captions]))
        return shown


def search(encoder: Any, query: str, top: int = 5) -> Answer:
    """Find the test images that answer a caption, or the test captions that answer an image file.

    ``encoder``: what `imtext.load` gives. ``query``: a caption, or the path of an
    image; what ends like an image file is taken as one. ``top``: how many answers, best first, ties by index.

    Raises `DataError` for an empty query or a picture that is missing or unreadable, `ConfigError` for a
    ``top`` below 1.
    """
    whole("top", top)
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
    with atomic(path, ConfigError) as temporary:
        if path.suffix.lower() == ".html":
            temporary.write_text(_html(answer), encoding="utf-8")
        else:
            _draw(answer).savefig(temporary, format="png", dpi=120)
    return path


def _as_picture(query: str) -> Path | None:
    """The query as an image file, or None where it is a caption."""
    if not query.strip():
        raise DataError("the query is empty; give a caption or the path of an image")
    path = Path(query)
    there = os.path.isfile(query)  # also of a caption that is longer than a file name may be
    if path.suffix.lower() in IMAGE_SUFFIXES and not there:
        raise DataError(f"{path}: no such image; give an existing file, or a caption")
    return path if there else None


def _read(path: Path) -> Any:
    """A small copy of a picture, turned as its EXIF data say."""
    from imtext.data.images import read_picture

    try:
        picture = read_picture(path)
    except DataError as error:
        raise DataError(f"{path}: not a readable image ({error}); replace the file") from None
    picture.thumbnail((320, 320))
    return picture


def _html(answer: Answer) -> str:
    from imtext.report.gallery import Gallery

    about = f"The {len(answer.hits)} best of {answer.gallery}, by {answer.measure}."
    pictures = Gallery([answer.cells()])._repr_html_()
    return _PAGE.format(title=html.escape(answer.title()), about=html.escape(about), pictures=pictures)


def _draw(answer: Answer) -> Any:
    """Rows of pictures, each beneath its score and its first caption."""
    from matplotlib.figure import Figure

    from imtext.report.style import text_as_written

    cells = answer.cells()
    rows = -(-len(cells) // COLUMNS)
    figure = Figure((2.6 * COLUMNS, 3.6 * rows + 0.5), facecolor="white", layout="constrained")
    with text_as_written():
        figure.suptitle(textwrap.shorten(answer.title(), 200, placeholder=" …"), fontsize=13)
        for place, (picture, lines) in enumerate(cells, start=1):
            axis = figure.add_subplot(rows, COLUMNS, place)
            axis.imshow(picture)
            axis.axis("off")
            above = [textwrap.fill(line, 32, max_lines=4, placeholder=" …") for line in lines[:2]]
            axis.set_title("\n".join(above), fontsize=9)
    return figure
