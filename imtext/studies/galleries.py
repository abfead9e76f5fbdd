"""Retrieval galleries: what a trained model finds for a few queries, in the form that the figures take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imtext.data.images import read_picture
from imtext.data.schema import Dataset
from imtext.experiment.results import drawn
from imtext.retrieval import top_k
from imtext.text.tokens import tokenize

PIXELS = 224


def picture(path: str | Path, size: int = PIXELS) -> np.ndarray:
    """A picture for a figure: uint8 ``(H, W, 3)``, whole, its longer side at most ``size`` pixels."""
    image = read_picture(path)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    return np.asarray(image)


def images_for_captions(
    dataset: Dataset, images: np.ndarray, captions: np.ndarray, queries: Sequence[int], k: int = 5
) -> dict[str, list[Any]]:
    """The ``k`` images nearest to each query caption, for :func:`imtext.report.figures.image_search`.

    Args:
        dataset: the split that was embedded; images: ``(N, D)``; captions: ``(M, D)``.
        queries: indices of captions. An image is right where its group is that of the caption.

    Returns:
        ``queries`` (captions), ``results`` (lists of uint8 pictures) and ``correct`` (lists of booleans).
    """
    _, found = top_k(captions[list(queries)], images, k)
    groups = dataset.group_of_image
    return {
        "queries": [dataset.captions[query] for query in queries],
        "results": [[picture(dataset.image_path(int(i))) for i in row] for row in found],
        "correct": [
            (groups[row] == dataset.group_of_caption[query]).tolist()
            for query, row in zip(queries, found, strict=True)
        ],
    }


def captions_for_images(
    dataset: Dataset, images: np.ndarray, captions: np.ndarray, queries: Sequence[int], k: int = 5
) -> dict[str, list[Any]]:
    """The ``k`` captions nearest to each query image, for :func:`imtext.report.figures.caption_search`.

    Arguments as for :func:`images_for_captions`, with ``queries`` indices of images. Returns ``images``
    (uint8 pictures), ``results`` (lists of captions) and ``correct`` (lists of booleans).
    """
    _, found = top_k(images[list(queries)], captions, k)
    groups = dataset.group_of_caption
    return {
        "images": [picture(dataset.image_path(int(query))) for query in queries],
        "results": [[dataset.captions[int(j)] for j in row] for row in found],
        "correct": [
            (groups[row] == dataset.group_of_image[query]).tolist()
            for query, row in zip(queries, found, strict=True)
        ],
    }


def images_with_word(dataset: Dataset, word: str, count: int, least: int = 3) -> list[int]:
    """The first ``count`` images of which at least ``least`` captions hold ``word``; filled up with others.

    Queries are taken by what they show, never by what a model finds for them.
    """
    having = np.array([word in tokenize(caption) for caption in dataset.captions])
    often = np.bincount(dataset.image_of_caption[having], minlength=dataset.n_images) >= least
    order = np.argsort(~often, kind="stable")
    return [int(i) for i in order[:count]]


__all__ = ["drawn", "images_for_captions", "images_with_word", "picture", "captions_for_images"]
