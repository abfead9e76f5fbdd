"""Text as pictures: captions drawn a second, beside a plain copy of as many bytes.

``python benchmarks/text_image.py [--captions 8192] [--words 8000] [--side 227]``. Captions have 6 to 19
words, drawn evenly; word vectors are random. Each line is one set of sizes; ``crops`` shifts every caption by
its own offset. The copy is the limit: what merely moving finished pictures costs. It is timed on a full
block, with new memory for each, as drawing has it. The best of three rounds counts, and the last column is
the ratio of the two.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from imtext.text.text_image import TextImage, largest_superpixel

LONGEST = 19
BLOCK = 256


def seconds(run: Callable[[], object]) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - began)
    return best


def captions(count: int, words: int) -> np.ndarray:
    """Codes ``(count, 19)`` of captions of 6 to 19 words."""
    random = np.random.default_rng(0)
    codes = random.integers(1, words + 1, (count, LONGEST))
    return np.where(np.arange(LONGEST) < random.integers(6, LONGEST + 1, count)[:, None], codes, 0)


def touched(blocks: Iterable[np.ndarray]) -> None:
    """Write to each memory page: black ones are otherwise only promised, and would look free."""
    for block in blocks:
        block.reshape(-1)[::4096] |= 0


def blocks(drawer: TextImage, codes: np.ndarray, offsets: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(codes), BLOCK):
        yield drawer.encode(codes[start : start + BLOCK], offsets[start : start + BLOCK])


def main() -> None:
    """Print what each set of sizes takes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--captions", type=int, default=8192)
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--side", type=int, default=227)
    chosen = parser.parse_args()
    codes = captions(chosen.captions, chosen.words)
    picture = 3 * chosen.side**2
    block = np.full((BLOCK, picture), 7, dtype=np.uint8)
    rounds = -(-chosen.captions // BLOCK)
    copy = seconds(lambda: touched(block.copy() for _ in range(rounds))) / (rounds * BLOCK)
    print(f"one thread of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{chosen.captions:,} captions, {picture:,} bytes a picture; copy alone {1 / copy:,.0f} a second\n")
    print("numbers  super-pixel  crops  room for words   captions/s  drawing / copy")
    for features in (12, 24, 36):
        vectors = np.random.default_rng(1).standard_normal((chosen.words + 1, features))
        vectors[0] = 0
        canvas = chosen.side * 256 // 227
        for size in (3, largest_superpixel(LONGEST, features, side=chosen.side, canvas=canvas)):
            for crops in (False, True):
                drawer = TextImage.fit(
                    vectors, side=chosen.side, superpixel=size, canvas=canvas if crops else None
                )
                offsets = np.random.default_rng(2).integers(0, drawer.slack + 1, (len(codes), 2))
                spent = seconds(lambda d=drawer, o=offsets: touched(blocks(d, codes, o)))
                spent /= len(codes)
                print(
                    f"{features:7}  {size:11}  {'yes' if crops else 'no':>5}  {drawer.capacity:14}  "
                    f"{1 / spent:11,.0f}  {spent / copy:14.2f}"
                )


if __name__ == "__main__":
    main()
