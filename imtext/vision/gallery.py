"""Pictures without captions, embedded once: the cache lets a broken-off call go on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from imtext.data import Dataset, ImageFeatures
from imtext.data.decoding import without
from imtext.data.pack import source_fingerprint
from imtext.errors import DataError
from imtext.files import cached_array
from imtext.progress import progress

_BLOCK = 128  # images that are embedded at a time, on average


def embed_gallery(
    gallery: Dataset, embed: Callable[[Sequence[Any]], np.ndarray], dim: int, cache: Path
) -> Dataset:
    """The gallery with embeddings ``(N, dim)`` as its ``features``, without what cannot be read.

    Embeddings are kept in blocks of about 128, which begin where the name of a file says so: one picture more
    costs one block.

    Args:
        embed: from paths of pictures to their embeddings ``(n, dim)``; raises DataError where one cannot be
            read.
        cache: folder of the embeddings of this model.
    """

    def rows(paths: Sequence[Any]) -> np.ndarray:
        try:
            return embed(paths)
        except DataError:
            if len(paths) == 1:
                return np.full((1, dim), np.nan)
            return np.concatenate([rows([path]) for path in paths])

    def block(part: Dataset) -> np.ndarray:
        paths, shape = [part.image_path(i) for i in range(part.n_images)], (part.n_images, dim)
        path = cache / f"{source_fingerprint(part, 0, '')}.npy"
        return cached_array(path, shape, "<f4", [part.n_images * dim], lambda _: [rows(paths)])

    starts = [i for i, name in enumerate(gallery.image_files) if i and crc32(os.fsencode(name)) % _BLOCK == 0]
    blocks = np.split(np.arange(gallery.n_images), starts)
    parts = [block(gallery.take(some)) for some in progress(blocks, f"embedding {gallery.name}")]
    unread = np.flatnonzero(np.isnan(np.concatenate([part[:, 0] for part in parts])))
    features = ImageFeatures(tuple(parts), range(gallery.n_images))
    return without(replace(gallery, features=features), [gallery.image_files[i] for i in unread])
