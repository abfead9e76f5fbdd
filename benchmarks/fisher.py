"""Fisher vectors: seconds and memory of EM, captions a second, and the products that limit both.

``python benchmarks/fisher.py [--samples 300000] [--dim 300] [--components 30] [--pca 6000]``. EM runs on
samples that are all distinct, which is its worst case: captions repeat their words, and a word is worked on
once. Captions have words drawn by Zipf's law and random vectors; PCA is a random matrix of the size asked
for, because only its speed counts here. ``--part em`` or ``--part encode`` runs one of the two.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_info

from imtext.text import WordVectors
from imtext.text.fisher import FisherVectors, HybridMixture
from imtext.text.fisher.encode import SMALLEST, Contributions
from imtext.text.fisher.mixture import workers


def seconds(run: Callable[[], object]) -> tuple[float, object]:
    began = time.perf_counter()
    found = run()
    return time.perf_counter() - began, found


def points(count: int, dim: int, components: int) -> np.ndarray:
    """Clumps with heavy tails, of length 10 as word vectors are: ``(count, dim)`` float32."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((components, dim), np.float32)
    out = np.empty((count, dim), np.float32)
    for start in range(0, count, 10_000):
        rows = out[start : start + 10_000]
        rows[:] = random.laplace(size=rows.shape) + 2 * centres[random.integers(components, size=len(rows))]
        rows *= 10 / np.linalg.norm(rows, axis=1, keepdims=True)
    return out


def em(chosen: argparse.Namespace) -> None:
    samples = points(chosen.samples, chosen.dim, chosen.components)
    before = peak()
    spent, mixture = seconds(lambda: HybridMixture(chosen.components, 10).fit(samples))
    print(f"EM: {chosen.samples:,} x {chosen.dim} distinct samples, {chosen.components} components, 10 steps")
    print(f"  time           {spent:8.1f} s")
    print(f"  peak memory    {peak():8.2f} GB, of which {before:.2f} GB before it began")
    print(f"  mean log-likelihood {mixture.likelihoods_[0]:.2f} to {mixture.likelihoods_[-1]:.2f}, ", end="")
    print(f"{100 * mixture.laplace_.mean():.0f} % of dimensions Laplacian")


def encode(chosen: argparse.Namespace) -> None:
    random = np.random.default_rng(1)
    words = [f"w{i}x" for i in range(chosen.words)]
    vectors = WordVectors(words, points(chosen.words, chosen.dim, chosen.components))
    share = 1 / np.arange(1, chosen.words + 1)
    drawn = random.choice(chosen.words, (chosen.captions, 11), p=share / share.sum())
    lengths = random.integers(5, 12, chosen.captions)
    captions = [" ".join(words[i] for i in row[:stop]) for row, stop in zip(drawn, lengths, strict=True)]
    fisher = FisherVectors(vectors, chosen.components, iterations=3, ica=False, pca=None).fit(captions)

    def through() -> None:
        for _ in fisher.blocks(captions):
            pass

    through()  # pages and caches
    plain = min(seconds(through)[0] for _ in range(3))
    counts, known = fisher._count(captions)
    limit = min(seconds(lambda: products(fisher, counts, known))[0] for _ in range(3))
    claims = (fisher.mixture_.posteriors(fisher.points(known)) >= SMALLEST).sum(axis=1).mean()
    full = fisher.dim_
    print(
        f"Fisher vectors: {chosen.captions:,} captions of 8 words, {len(known):,} words, {full:,} numbers"
    )
    print(f"  components that claim a word, on average: {claims:.1f}")
    print(f"  without PCA    {chosen.captions / plain:8,.0f} captions/s")
    print(f"  of that, sparse product of counts and contributions {limit:.2f} s; ratio {plain / limit:.2f}")
    if chosen.pca:
        count = min(chosen.pca, full)
        fisher.pca_components_ = random.standard_normal((count, full), np.float32)
        fisher.pca_mean_ = np.zeros(full, np.float32)
        block = random.standard_normal((1024, full), np.float32)
        some = captions[: 4 * 1024]
        spent = seconds(lambda: fisher.transform(some))[0]
        product = (
            min(seconds(lambda: block @ fisher.pca_components_.T)[0] for _ in range(3)) * len(some) / 1024
        )
        print(f"  with PCA to {count:,}: {len(some) / spent:,.0f} captions/s")
        print(f"  of that, the dense product {product:.2f} s of {spent:.2f} s; ratio {spent / product:.2f}")


def products(fisher: FisherVectors, counts: sp.csr_array, known: list[str]) -> None:
    """The sums over words alone, by the same sparse products, without tokens, roots and lengths."""
    where = fisher.points(known)
    with workers() as pool:
        table = Contributions(where, fisher.mixture_.posteriors(where), fisher.mixture_, pool)
        starts = range(0, counts.shape[0], 64)
        for _ in pool.map(lambda start: len(table.sums(counts[start : start + 64])), starts):
            pass


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print what each part takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--dim", type=int, default=300)
    parser.add_argument("--components", type=int, default=30)
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument("--pca", type=int, default=6000)
    parser.add_argument("--part", choices=("em", "encode", "both"), default="both")
    chosen = parser.parse_args()
    threads = max(library["num_threads"] for library in threadpool_info())
    print(f"{threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if chosen.part != "encode":
        em(chosen)
    if chosen.part != "em":
        encode(chosen)


if __name__ == "__main__":
    main()
