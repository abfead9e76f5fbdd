"""SCAN's scores against the one matrix product of all words and regions, and against attended vectors.

``python benchmarks/attention.py [--images 1000] [--captions 5000] [--naive 60]``: random regions and words,
captions of about 12 words. Product, ours and attended vectors in turn, in one process. The attended vectors,
a batched product for each caption with all images, are formed on ``--naive`` captions only and compared
with ours on the same ones. ``--training 128`` times a batch of so many pairs, forward and backward.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from imtext.models.scan import DIRECTIONS, POOLINGS, SHARP, SMOOTH, scan_scores

ROWS = 1024  # words in one product


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def product(regions: Tensor, words: Tensor) -> None:
    """All regions ``(N * R, D)`` with all words ``(T, D)``, block after block into one buffer."""
    buffer = torch.empty(len(regions) * min(ROWS, len(words)))
    for block in words.split(ROWS):
        torch.mm(regions, block.T, out=buffer[: len(regions) * len(block)].view(len(regions), len(block)))


def attended(regions: Tensor, words: Tensor, counts: Tensor, direction: str, pooling: str) -> Tensor:
    """The usual form, with an attended vector for every word and image (or region and caption)."""
    columns = []
    for caption, count in zip(words, counts.tolist(), strict=True):
        caption = caption[:count].expand(len(regions), -1, -1)
        context, queries = (regions, caption) if direction == "t-i" else (caption, regions)
        x = F.leaky_relu(context @ queries.mT, 0.1)
        x = x / (x.square().sum(2, keepdim=True).sqrt() + 1e-8)
        vectors = (SMOOTH[direction] * x).softmax(1).mT @ context
        relevance = F.cosine_similarity(queries, vectors, dim=2)
        sharp = SHARP[direction]
        column = relevance.mean(1) if pooling == "avg" else (sharp * relevance).logsumexp(1) / sharp
        columns.append(column)
    return torch.stack(columns, dim=1)


def data(chosen: argparse.Namespace) -> tuple[Tensor, Tensor, Tensor]:
    regions = F.normalize(torch.randn(chosen.images, chosen.regions, chosen.dim), dim=2)
    counts = 3 + torch.poisson(torch.full((chosen.captions,), chosen.words - 3.0)).long()
    words = torch.zeros(chosen.captions, int(counts.max()), chosen.dim)
    for row, count in zip(words, counts.tolist(), strict=True):
        row[:count] = F.normalize(torch.randn(count, chosen.dim), dim=1)
    return regions, words, counts


def measure(chosen: argparse.Namespace, direction: str, pooling: str) -> None:
    regions, words, counts = data(chosen)
    flat = torch.cat([row[:count] for row, count in zip(words, counts.tolist(), strict=True)])
    few, few_counts = words[: chosen.naive], counts[: chosen.naive]
    settings = {"direction": direction, "pooling": pooling}
    settings |= {"smooth": SMOOTH[direction], "sharp": SHARP[direction]}
    limit, ours, form, part = [], [], [], []
    for turn in range(chosen.rounds + (chosen.rounds > 1)):  # in turn, so that all see the same machine
        times = [
            seconds(lambda: product(regions.flatten(0, 1), flat)),
            seconds(lambda: scan_scores(regions, words, None, counts, **settings)),
            seconds(lambda: attended(regions, few, few_counts, direction, pooling)),
            seconds(lambda: scan_scores(regions, few, None, few_counts, **settings)),
        ]
        if turn or chosen.rounds == 1:  # the first of several warms up
            for kept, time_ in zip((limit, ours, form, part), times, strict=True):
                kept.append(time_)
    apart = attended(regions, few, few_counts, direction, pooling)
    apart = (apart - scan_scores(regions, few, None, few_counts, **settings)).abs().max()
    print(f"{direction} {pooling}: {len(flat):,} words")
    print(f"  matrix product     {statistics.median(limit):8.2f} s")
    print(f"  ours               {statistics.median(ours):8.2f} s, {ratio(ours, limit)} times the product")
    each = [spent * len(words) / len(few) for spent in form]  # the form is a loop over captions
    print(f"  attended vectors   {statistics.median(form):8.2f} s for {len(few):,} captions,", end="")
    print(f" for each {ratio(each, ours)} times ours; ours on those alone {statistics.median(part):.2f} s")
    print(f"  largest difference {apart:8.1e}")


def training(chosen: argparse.Namespace, direction: str, pooling: str) -> None:
    """One batch, forward and backward, beside its products: one forward, one back for each factor."""
    regions, words, counts = (part[: chosen.training] for part in data(chosen))
    regions, words = regions.requires_grad_(), words.requires_grad_()
    a = regions.detach().flatten(0, 1)
    b = torch.cat([row[:count] for row, count in zip(words.detach(), counts.tolist(), strict=True)])

    def step() -> None:
        settings = {"direction": direction, "pooling": pooling}
        scan_scores(regions, words, None, counts, **settings).sum().backward()

    def products() -> None:
        across = a @ b.T
        _ = across @ b, across.T @ a

    times = [(seconds(products), seconds(step)) for _ in range(chosen.rounds + 1)][1:]
    limit, ours = ([pair[k] for pair in times] for k in (0, 1))
    print(f"  a batch of {len(regions)}: {statistics.median(ours):.2f} s with backward,", end="")
    print(f" {ratio(ours, limit)} times its products")


def ratio(a: list[float], b: list[float]) -> str:
    """The median of the ratios and their range."""
    ratios = sorted(x / y for x, y in zip(a, b, strict=True))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Print what each form takes and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--regions", type=int, default=36)
    parser.add_argument("--captions", type=int, default=5000)
    parser.add_argument("--words", type=float, default=12)
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--naive", type=int, default=60, help="captions for the attended vectors")
    parser.add_argument("--training", type=int, default=0, help="pairs in a batch with gradients; 0: none")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--direction", choices=DIRECTIONS, nargs="*", default=list(DIRECTIONS))
    parser.add_argument("--pooling", choices=POOLINGS, nargs="*", default=["avg"])
    chosen = parser.parse_args()
    torch.manual_seed(0)
    print(f"{torch.get_num_threads()} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{chosen.images:,} images of {chosen.regions} regions, ", end="")
    print(f"{chosen.captions:,} captions, D = {chosen.dim}")
    for direction in chosen.direction:
        for pooling in chosen.pooling:
            with torch.no_grad():
                measure(chosen, direction, pooling)
            if chosen.training:
                training(chosen, direction, pooling)
    print(f"peak memory of the process {peak():.2f} GB")


if __name__ == "__main__":
    main()
