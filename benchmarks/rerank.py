"""Speed and memory of `imtext.retrieval.rerank` against the dense NumPy form of the released code.

    python benchmarks/rerank.py --memory            # 2,000 and 6,000 nodes, both forms, peaks as well
    python benchmarks/rerank.py --alone 30000       # and 30,000 nodes, ours alone
    python benchmarks/rerank.py --sizes 2000        # less
    python benchmarks/rerank.py --busy              # beside other programs: processor time, one thread

A sixth of the nodes are images, the rest captions, five to an image. The dense form holds the distances of
all pairs of nodes, sorts every row whole, and goes through the nodes in a loop; it is written here after the
method (Zhong et al., CVPR 2017), with the same similarities, so both must give the same scores. The limits:
at 6,000 nodes at least 5 times as fast; 30,000 nodes within 2 GB and 10 minutes on 2 cores. Both are timed
in turn in one run; the peak of memory is that of a process of its own, embeddings and libraries included.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from imtext.retrieval import rerank

K1, K2, WEIGHT, SCALE = 20, 6, 0.3, "none"


def main() -> None:
    """Time both forms and print one line for each size."""
    options = _options()
    if options.busy:
        options.threads = 1
    clock = time.process_time if options.busy else time.perf_counter
    kind = "processor time" if options.busy else "wall time"
    _limit_threads(options.threads)
    print(f"torch {torch.__version__}, NumPy {np.__version__}, threads: {options.threads}, {kind}")
    print(f"k1 {K1}, k2 {K2}, {options.dimensions:,} dimensions, float32, scale {SCALE}")
    rerank(*embeddings(600, 64), scale=SCALE)
    for nodes in options.sizes:
        gap, slow, fast = 0.0, [], []
        images, captions = embeddings(nodes, options.dimensions)
        for _ in range(options.rounds):
            start = clock()
            ours = rerank(images, captions, K1, K2, WEIGHT, SCALE)
            middle = clock()
            expected = dense(images, captions)
            slow.append(clock() - middle)
            fast.append(middle - start)
            gap = max(gap, float(np.abs(ours - expected).max()))
        ratio = np.median([b / a for a, b in zip(fast, slow, strict=True)])
        limit = "   (limit 5.0)" if nodes >= 6000 else ""
        times = f"ours {min(fast):7.2f} s   dense {min(slow):7.2f} s   ratio {ratio:5.1f}"
        print(f"{nodes:7,} nodes: {times}{limit}   largest difference of scores {gap:.1e}")
        if options.memory:
            mine, full = (_alone(nodes, options, slow)[1] for slow in (False, True))
            print(f"{'':15}peak of a process: ours {mine:5.0f} MB   dense {full:5.0f} MB")
    if options.alone:
        spent, peak = _alone(options.alone, options)
        print(
            f"{options.alone:7,} nodes: ours {spent:7.2f} s (limit 600)   peak {peak:5.0f} MB (limit 2,000)"
        )


def embeddings(nodes: int, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Random embeddings with topics, so that neighbours within a modality mean something."""
    torch.manual_seed(0)
    n = nodes // 6
    normal = torch.nn.functional.normalize
    topics = normal(torch.randn(max(1, n // 20), dimensions))
    images = normal(topics[torch.randint(len(topics), (n,))] + 0.8 * normal(torch.randn(n, dimensions)))
    owners = torch.arange(n).repeat_interleave(5)
    noise = normal(torch.randn(len(owners), dimensions))
    offset = normal(torch.randn(1, dimensions))
    captions = normal(0.5 * images[owners] + noise + 0.3 * offset)
    return images.numpy(), captions.numpy()


def dense(images: np.ndarray, captions: np.ndarray, kind: type = np.float16) -> np.ndarray:
    """The same scores with full matrices and a loop over nodes, the way of the released code.

    The released code keeps the encoded nodes in half precision; ``kind`` tells.
    """
    n = len(images)
    distance, original = distances(images, captions)
    ranking = np.argsort(distance, axis=1).astype(np.int32)
    total, half = len(distance), int(np.around(K1 / 2))
    weights = np.zeros(distance.shape, dtype=kind)
    for node in range(total):
        forward = ranking[node, : K1 + 1]
        own = forward[np.where(ranking[forward, : K1 + 1] == node)[0]]
        members = own
        for candidate in own:
            ahead = ranking[candidate, : half + 1]
            theirs = ahead[np.where(ranking[ahead, : half + 1] == candidate)[0]]
            if 3 * len(np.intersect1d(theirs, own)) > 2 * len(theirs):
                members = np.append(members, theirs)
        members = np.unique(members)
        weight = np.exp(-np.maximum(distance[node, members], 0.0))
        weights[node, members] = weight / weight.sum()
    if K2 > 1:
        averaged = np.zeros_like(weights)
        for node in range(total):
            averaged[node] = weights[ranking[node, :K2]].mean(0)
        weights = averaged
    holders = [np.where(weights[:, node] != 0)[0] for node in range(total)]
    overlap = np.zeros((n, total), dtype=np.float32)
    for node in range(n):
        common = np.zeros(total, dtype=np.float32)
        for member in np.where(weights[node] != 0)[0]:
            others = holders[member]
            common[others] += np.minimum(weights[node, member], weights[others, member])
        overlap[node] = common / (2.0 - common)
    bonus = (1 - WEIGHT) / WEIGHT * (original.max() - original.min())
    return original + np.float32(bonus) * overlap[:, n:]


def distances(images: np.ndarray, captions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all pairs of nodes (n, n), -1 on the diagonal, and the cosines of images × captions."""
    nodes, n = np.concatenate([images, captions]), len(images)
    whole = nodes @ nodes.T
    original = whole[:n, n:].copy()
    bottom = whole.min()
    np.fill_diagonal(whole, bottom)
    top = whole.max()
    whole -= top
    whole /= bottom - top
    np.fill_diagonal(whole, -1.0)
    return whole, original


def _alone(nodes: int, options: argparse.Namespace, slow: bool = False) -> tuple[float, float]:
    """Seconds, and megabytes at the peak, of a fresh process that re-ranks this many nodes."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(there, nodes, options, slow))
    process.start()
    result = here.recv()
    process.join()
    return result


def _measure(answer: Connection, nodes: int, options: argparse.Namespace, slow: bool) -> None:
    _limit_threads(options.threads)
    images, captions = embeddings(nodes, options.dimensions)
    clock = time.process_time if options.busy else time.perf_counter
    start = clock()
    if slow:
        dense(images, captions)
    else:
        rerank(images, captions, K1, K2, WEIGHT, SCALE)
    answer.send((clock() - start, _peak()))


def _limit_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def _peak() -> float:
    """Megabytes at the peak of this process; nan where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((float(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), float("nan"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[2000, 6000], help="nodes, both forms")
    parser.add_argument("--alone", type=int, default=0, help="nodes, ours alone (such as 30000)")
    parser.add_argument("--dimensions", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--busy", action="store_true", help="processor time of one thread, not wall time")
    parser.add_argument("--memory", action="store_true", help="also the peaks of memory, in fresh processes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
