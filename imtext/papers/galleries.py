"""What trained models find for a few queries, as galleries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imtext.experiment import Result, none_of_absent
from imtext.experiment.results import drawn
from imtext.report import Gallery
from imtext.text.tokens import tokenize


@none_of_absent
def found_captions(result: Result, count: int = 5, k: int = 5, queries: Sequence[int] = ()) -> Gallery:
    """The first ``k`` captions for test images: those of ``queries``, or ``count`` that are drawn."""
    data = result.split()
    chosen = list(queries) or drawn(data.n_images, count)
    rows = []
    for query, items in zip(chosen, result.found("image", chosen, k), strict=True):
        right = data.group_of_caption[items] == data.group_of_image[query]
        lines = [(data.captions[j], bool(own)) for j, own in zip(items, right, strict=True)]
        rows.append([(result.picture(query), []), (None, lines)])
    return Gallery([*rows, [(None, [told(result)])]])


@none_of_absent
def found_images(result: Result, count: int = 3, k: int = 3) -> Gallery:
    """The first ``k`` images for ``count`` test captions that are drawn."""
    data = result.split()
    queries = drawn(data.n_captions, count, seed=1)
    rows = []
    for query, items in zip(queries, result.found("text", queries, k), strict=True):
        right = data.group_of_image[items] == data.group_of_caption[query]
        found = zip(items, right.tolist(), strict=True)
        cells = [(result.picture(i), [("right" if own else "another", own)]) for i, own in found]
        rows.append([(None, [f"“{data.captions[query]}”"]), *cells])
    return Gallery([*rows, [(None, [told(result)])]])


def told(result: Result) -> str:
    """What a gallery is of: dataset, profile, model, and its test R-sum beside that of guessing."""
    about, rsum = result.origin, result.metrics()["rsum"].iloc[0]
    model = f"{about['dataset']} · profile {about['profile']} · {result.rows[0].slug}: {about['backbone']}"
    return f"{model} · R-sum {rsum:.0f}, by chance {result.chance()['rsum']:.0f}"


@none_of_absent
def with_word(result: Result, word: str, count: int, least: int = 3) -> list[int]:
    """The first ``count`` test images of which at least ``least`` captions hold a word; then others.

    Queries are taken by what they show, never by what a model finds for them.
    """
    data = result.split()
    having = np.array([word in tokenize(caption) for caption in data.captions])
    often = np.bincount(data.image_of_caption[having], minlength=data.n_images) >= least
    return [int(i) for i in np.argsort(~often, kind="stable")[:count]]


@none_of_absent
def missed(result: Result, count: int = 2, k: int = 5) -> list[int]:
    """Some of the test images, drawn among those without a right caption among the first ``k``."""
    ranks = result.ranks("image")[0]
    among = np.flatnonzero(ranks > k) if (ranks > k).any() else np.arange(len(ranks))
    return [int(among[place]) for place in drawn(len(among), count)]
