"""Fisher vectors: seconds and memory of EM, captions a second, and the products that limit both.

``python benchmarks/fisher.py [--words 20000] [--dim 300] [--components 30] [--pca 6000]``. EM runs on the
distinct words of so many captions, each with a weight, as ``FisherVectors.fit`` hands them over. Captions
have words drawn by Zipf's law and random vectors; PCA is a random matrix of the size asked for, because only
its speed counts here. ``--part em`` or ``--part encode`` runs one of the two.
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
from imtext.text.bags import known_words
from imtext.text.fisher import FisherVectors, _contributions, encode
from imtext.text.mixture import HybridMixture


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
    samples = points(chosen.words, chosen.dim, chosen.components)
    weights = np.ceil(chosen.words / np.arange(1, chosen.words + 1))
    before = peak()
    spent, mixture = seconds(lambda: HybridMixture(chosen.components, 10).fit(samples, weights))
    print(f"EM: {chosen.words:,} x {chosen.dim} distinct words, {chosen.components} components, 10 steps")
    print(f"  time           {spent:8.1f} s")
    print(f"  peak memory    {peak():8.2f} GB, of which {before:.2f} GB before it began")
    print(f"  mean log-likelihood {mixture.likelihoods_[0]:.2f} to {mixture.likelihoods_[-1]:.2f}, ", end="")
    print(f"{100 * mixture.laplace_.mean():.0f} % of dimensions Laplacian")


def captions_a_second(chosen: argparse.Namespace) -> None:
    random = np.random.default_rng(1)
    words = [f"w{i}x" for i in range(chosen.words)]
    vectors = WordVectors(words, points(chosen.words, chosen.dim, chosen.components))
    share = 1 / np.arange(1, chosen.words + 1)
    drawn = random.choice(chosen.words, (chosen.captions, 11), p=share / share.sum())
    lengths = random.integers(5, 12, chosen.captions)
    captions = [" ".join(words[i] for i in row[:stop]) for row, stop in zip(drawn, lengths, strict=True)]
    fisher = FisherVectors(vectors, chosen.components, iterations=3, ica=False, pca=None).fit(captions)

    def through() -> None:
        counts, known = known_words(captions, vectors)
        for _ in encode(counts, fisher.points(known), fisher.mixture_):
            pass

    through()  # pages and caches
    plain = min(seconds(through)[0] for _ in range(3))
    counts, known = known_words(captions, vectors)
    limit = min(seconds(lambda: products(fisher, counts, known))[0] for _ in range(3))
    claims = len(_contributions(fisher.points(known), fisher.mixture_)[0]) / len(known)
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
    """The sums over words alone, by one sparse product a block, without tokens, roots and lengths."""
    words, parts, added = _contributions(fisher.points(known), fisher.mixture_)
    pairs, components = len(words), len(fisher.mixture_.priors_)
    claims = sp.csr_array((np.ones(pairs, np.float32), (words, np.arange(pairs))), (len(known), pairs))
    for start in range(0, counts.shape[0], 64):
        entries = (counts[start : start + 64].astype(np.float32) @ claims).tocoo()
        place = entries.row * components + parts[entries.col]
        spread = sp.csr_array((entries.data, (place, entries.col)), (64 * components, pairs))
        spread @ added


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print what each part takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
        captions_a_second(chosen)


if __name__ == "__main__":
    main()
