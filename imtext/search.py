"""Single queries to a trained model, over its test split or a gallery: shown as text, web page or picture."""

from __future__ import annotations

import html
import os
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any
from zlib import crc32

import numpy as np
from PIL import ImageOps

from imtext.check import whole
from imtext.data import Dataset, ImageFeatures
from imtext.data.files import Files, bare
from imtext.data.images import read_picture
from imtext.data.pack import opened
from imtext.errors import ConfigError, DataError
from imtext.experiment.compute import unit
from imtext.files import atomic, told
from imtext.retrieval.index import candidates
from imtext.vision.gallery import embed_gallery

COLUMNS, SIDE = 5, 320  # pictures beside each other in a picture, and pixels of each
GALLERIES = "galleries"  # of the cache, the folder


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
        shown = [] if self.picture is None else [(self.picture, ["the query"])]
        for one in self.hits:
            about = f"{one.rank} · {self.measure} {one.score:.3f} · {one.image.name}"
            shown.append((one.image, [about, *one.captions]))
        return [(ImageOps.contain(read_picture(path), (SIDE, SIDE)), lines) for path, lines in shown]


def search(encoder: Any, query: str, top: int = 5, gallery: str | os.PathLike[str] | None = None) -> Answer:
    """Find the images that answer a caption, or the test captions that answer an image file.

    ``encoder``: what `imtext.load` gives. ``query``: a caption, or the path of an
    image; what ends like an image file is taken as one. ``top``: how many answers, best first, ties by index.

    ``gallery``: where a caption finds images: a folder of pictures, in any depth; a pack of pictures; or an
    ``.npz`` file with ``images (N, D)`` that this run has embedded and ``files (N,)``, their paths from the
    folder of that file. None: the test split, in which an image always finds captions. Embeddings of pictures
    are kept in the run's cache, in blocks of about 128: a call that was broken off goes on, and one picture
    more costs one block. Pictures that cannot be read are left out, and named in the answer.

    Raises `DataError` for an empty query, a picture that is missing or unreadable, and a gallery without
    pictures or of another kind; `ConfigError` for a ``top`` below 1 and a gallery for SCAN; `RunError` for a
    gallery of pictures where the run was trained on features that these do not have.
    """
    whole("top", top)
    picture = _as_picture(query)
    if picture is None and gallery is not None:
        asked = unit(encoder.embed_captions([query]))[0]
        shown = _gallery(encoder, Path(gallery))
        index = encoder.inputs.source.cache / GALLERIES / f"{shown.fingerprint()}.faiss"
        rows = candidates(shown.features, asked, 10 * top + 100, index)
        scores = shown.features[rows] @ asked
        about = "; ".join((f"the {shown.n_images:,} images of {shown.name}", *shown.notes))
    else:
        shown, kind = encoder.test, "images" if picture is None else "captions"
        ask = encoder.scores_for_captions if picture is None else encoder.scores_for_images
        scores = np.ravel(ask([picture or query]))
        rows = np.arange(len(scores))
        about = f"the {len(scores):,} {kind} of the test split of {shown.name}"
    hits, best = [], np.argsort(-scores, kind="stable")[:top]
    for rank, (found, score) in enumerate(zip(rows[best], scores[best], strict=True), start=1):
        image = int(found if picture is None else shown.image_of_caption[found])
        path = Path(shown.image_path(image))
        captions = shown.captions_of(image) if picture is None else [found]
        said = tuple(shown.captions[j] for j in captions) or (str(path.parent),)
        hits.append(Hit(rank, float(score), path, said))
    return Answer(query.strip(), picture, about, tuple(hits), encoder.measure)


def _gallery(encoder: Any, place: Path) -> Dataset:
    """The images of a gallery; their ``features (N, D)`` are embeddings, of length 1."""
    if place.suffix == ".npz" and place.is_file():
        return _stored(place, encoder.images.shape[1])
    if place.is_file():
        opened(place).pictures()
        gallery = replace(opened(place).dataset, name=place.name, notes=())
    else:
        named = Files(place).named.values() if place.is_dir() else ()
        gallery = _unlabelled(place, sorted(name for one in named for name in one if bare(name) != name))
    model = f"{crc32(np.ascontiguousarray(encoder.images)):08x}"
    cache, dim = encoder.inputs.source.cache / GALLERIES / model, encoder.images.shape[1]
    return embed_gallery(gallery, lambda paths: unit(encoder.embed_images(paths)), dim, cache)


def _stored(path: Path, dim: int) -> Dataset:
    form = f"images (N, {dim}), embedded by this run, and files (N,), their paths"
    # A damaged archive can raise almost anything.
    with told(path, DataError, Exception, f"expected the arrays {form}; found {{}}"):
        with np.load(path, allow_pickle=False) as stored:
            images, names = np.asarray(stored["images"], "f4"), stored["files"].tolist()
        if images.shape[1:] != (dim,) or not np.isfinite(images).all():
            raise ValueError(f"images {images.shape}, or NaN or infinity among them")
    return replace(_unlabelled(path, names), features=ImageFeatures((unit(images),), range(len(images))))


def _unlabelled(place: Path, names: list[str]) -> Dataset:
    """Images without captions, in a folder or beside a file."""
    if not names:
        raise DataError(f"{place}: expected a folder of pictures, a pack or an .npz file, found none")
    root = place.parent if place.is_file() else place
    tests = ["test"] * len(names)
    return Dataset(place.resolve().name, root, names, names, (), [], tests, range(len(names)))


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
    if os.path.isfile(query):  # also asked of a caption that is longer than a file name may be
        return Path(query)
    if bare(query) != query:
        raise DataError(f"{query}: no such image; give an existing file, or a caption")
    return None


def _html(answer: Answer) -> str:
    from imtext.report.gallery import Gallery

    about = f"The {len(answer.hits)} best by {answer.measure} of {answer.gallery}."
    pictures = Gallery([answer.cells()])._repr_html_()
    page = Template(Path(__file__).with_suffix(".html").read_text("utf-8"))
    return page.substitute(title=html.escape(answer.title()), about=html.escape(about), pictures=pictures)


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
