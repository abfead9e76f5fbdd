"""The structure-preserving loss against the matrix products that it needs.

``python benchmarks/losses.py [--pairs 1500] [--dim 512] [--top-k 50]``: forward and backward of the loss on
one batch of pairs with one more caption an image, beside the products of the same shapes alone (images with
captions and captions with captions, forward and backward), in turn in one process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from imtext.losses.structure import structure_preserving_loss


def products(images: Tensor, captions: Tensor) -> None:
    """What no exact form can avoid: two products forward; backward one for each factor."""
    across, within = images @ captions.T, captions @ captions.T
    _ = across @ captions, across.T @ images, within @ captions


def loss(images: Tensor, captions: Tensor, match: Tensor, top_k: int) -> None:
    images, captions = images.detach().requires_grad_(), captions.detach().requires_grad_()
    structure_preserving_loss(images, captions, match, top_k=top_k).backward()


def seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def main() -> None:
    """Print medians of several rounds and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--top-k", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=15)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    pairs = chosen.pairs
    for name, owners in (
        ("pairs alone", torch.arange(pairs)),
        ("one more caption each", torch.arange(pairs).repeat(2)),
    ):
        centres = torch.randn(pairs, chosen.dim)
        images = centres + torch.randn(pairs, chosen.dim)
        captions = centres[owners] + torch.randn(len(owners), chosen.dim)
        match = owners[None, :] == torch.arange(pairs)[:, None]
        ours, limit = [], []
        for _ in range(chosen.rounds + 1):  # in turn, so that both see the same machine
            limit.append(seconds(partial(products, images, captions)))
            ours.append(seconds(partial(loss, images, captions, match, chosen.top_k)))
        limit, ours = limit[1:], ours[1:]
        ratios = sorted(a / b for a, b in zip(ours, limit, strict=True))
        print(f"{name}: {pairs:,} images, {len(owners):,} captions, D = {chosen.dim}, K = {chosen.top_k}")
        print(f"  matrix products     {1e3 * statistics.median(limit):7.0f} ms")
        print(f"  forward + backward  {1e3 * statistics.median(ours):7.0f} ms")
        print(f"  ratio               {statistics.median(ratios):7.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
