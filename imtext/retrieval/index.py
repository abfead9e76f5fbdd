"""Which rows of many are near a query: all of them, or those that an index of FAISS names."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from imtext.files import atomic
from imtext.progress import progress
from imtext.retrieval.similarity import slices

EXACT = 100_000  # rows that are all compared; among more, FAISS says which
PROBED = 5  # of the sqrt(N) lists of an index, one in so many is looked through
_STEP = 1 << 16  # rows that are added to an index at a time


def candidates(rows: Any, query: np.ndarray, count: int, path: Path) -> np.ndarray:
    """Indices of rows, ascending, among which are those with the largest product with a query.

    These are all rows, up to 100,000 or where FAISS is not installed. Else they are ``count``, named by an
    inverted file of FAISS with 8 bits a number, which is built once and kept; it may miss one.

    Args:
        rows: embeddings ``(N, D)``: an array, or what gives rows for an array of indices as one does.
        query: its embedding ``(D,)``.
        path: file of the index.

    >>> candidates(np.eye(3), np.ones(3), 1, Path("unused.faiss"))
    array([0, 1, 2])
    """
    size = len(rows)
    if size <= EXACT or find_spec("faiss") is None:
        return np.arange(size)
    import faiss

    lists = int(size**0.5)
    if not path.is_file():
        index = faiss.index_factory(len(query), f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        index.train(rows[np.arange(0, size, max(1, size // (50 * lists)))])
        for part in progress(slices(size, _STEP), f"indexing {size:,} embeddings", -(-size // _STEP)):
            index.add(rows[np.arange(part.start, part.stop)])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            faiss.write_index(index, str(temporary))
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    index.nprobe = lists // PROBED
    found = index.search(query[None].astype("f4"), count)[1][0]
    return np.sort(found[found >= 0])
