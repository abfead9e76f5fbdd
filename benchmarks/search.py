"""Time, memory and misses of a search in many embeddings through FAISS, beside the exact product.

    python benchmarks/search.py                                       # 200,000 items, less than a minute
    python benchmarks/search.py --items 1000000 --dimensions 1024     # minutes, 10 GB of memory
    python benchmarks/search.py --busy                                # beside other programs: processor time

The index is the one that `imtext search --gallery` builds above 100,000 images. The product is one query with
all embeddings, float32, in memory. Both answer the same queries in turn and the median ratio counts, so that
other work on the machine weighs on both alike. The embeddings are random, about 100 round each of many
centres, as photographs of one thing are; without such an order (``--spread 9``) no index can know where to
look. A query is one of the embeddings with noise.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from imtext.retrieval.index import EXACT, PROBED, candidates

TOP = 10


def main() -> None:
    """Build the index, ask both, print a line for each."""
    options = _options()
    clock = time.process_time if options.busy else time.perf_counter
    random = np.random.default_rng(0)
    items = embeddings(options, random)
    queries = items[random.integers(len(items), size=options.queries)]
    queries = unit(queries + options.noise * unit(random.normal(size=queries.shape)).astype("f4"))
    print(f"{len(items):,} items x {options.dimensions:,}, float32; {options.queries} queries, best {TOP}")
    with tempfile.TemporaryDirectory() as folder:
        before = _peak()
        start = clock()
        index = Path(folder) / "items.faiss"
        candidates(items, queries[0], 10 * TOP + 100, index)
        built, extra = clock() - start, _peak() - before
        share = index.stat().st_size / items.nbytes
        exact, faiss, found = [], [], []
        for query in queries:
            start = clock()
            best = np.argsort(-(items @ query), kind="stable")[:TOP]
            exact.append(clock() - start)
            start = clock()
            rows = candidates(items, query, 10 * TOP + 100, index)
            near = rows[np.argsort(-(items[rows] @ query), kind="stable")[:TOP]]
            faiss.append(clock() - start)
            found.append(len(np.intersect1d(best, near)) / TOP)
    ratios = np.array(faiss) / np.array(exact)
    print(
        f"exact product    {1e3 * np.median(exact):9.1f} ms a query, {items.nbytes / 1e6:8,.0f} MB in memory"
    )
    print(f"FAISS            {1e3 * np.median(faiss):9.1f} ms a query, {index_text(share, items)}")
    print(f"ratio of times   {np.median(ratios):9.3f}     (limit 0.5)")
    print(f"ratio of sizes   {share:9.3f}     (limit 0.3)")
    print(f"found of best {TOP} {np.mean(found):9.3f}     (limit 0.9)")
    print(
        f"building         {built / np.median(exact):9.0f}     products, {built:.1f} s, {extra:,.0f} MB, once"
    )


def embeddings(options: argparse.Namespace, random: np.random.Generator) -> np.ndarray:
    """Random embeddings ``(N, D)`` of length 1."""
    count, dim = options.items, options.dimensions
    centres = unit(random.normal(size=(max(1, count // 100), dim))).astype("f4")
    items = centres[random.integers(len(centres), size=count)]
    for begin in range(0, count, 1 << 16):
        block = items[begin : begin + (1 << 16)]
        block += options.spread * unit(random.standard_normal(block.shape, dtype=np.float32))
        block[:] = unit(block)
    return items


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def index_text(share: float, items: np.ndarray) -> str:
    """Where the index lies."""
    return f"{share * items.nbytes / 1e6:8,.0f} MB on disk, one list in {PROBED} read"


def _peak() -> float:
    """Megabytes that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Search through FAISS beside the exact product.")
    parser.add_argument("--items", type=int, default=200_000, help=f"more than {EXACT:,}")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--spread", type=float, default=1.0, help="length of the noise round a centre")
    parser.add_argument("--noise", type=float, default=0.5, help="length of the noise of a query")
    parser.add_argument("--busy", action="store_true", help="processor time, not wall time")
    return parser.parse_args()


if __name__ == "__main__":
    main()
