"""Word ablation: how much each word of a caption carries (Zheng et al., section 6.4 and Fig. 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from imtext.errors import DataError
from imtext.progress import progress
from imtext.text.function_words import is_function_word

BLOCK = 2048  # captions embedded at a time


def word_ablation(
    words: Sequence[str], image: np.ndarray, embed: Callable[[list[str]], np.ndarray]
) -> np.ndarray:
    """Drop in cosine similarity to the image when one word at a time is left out.

    Args:
        words: the caption's words in the dictionary, in order.
        image: ``(D,)``, the embedding of its image, kept fixed.
        embed: from captions to embeddings ``(M, D)``.

    Returns:
        ``(len(words),)``; positive where the word supports the match.

    >>> words = ["black", "dog"]
    >>> embed = lambda captions: np.array([[float("dog" in c), 1.0] for c in captions])
    >>> word_ablation(words, np.array([1.0, 0.0]), embed).round(3).tolist()
    [0.0, 0.707]
    """
    captions = [" ".join(words)] + [" ".join([*words[:i], *words[i + 1 :]]) for i in range(len(words))]
    similarity = _cosines(embed(captions), np.broadcast_to(image, (len(captions), len(image))))
    return similarity[0] - similarity[1:]


def split_ablation(
    codes: np.ndarray,
    lengths: np.ndarray,
    image_of_caption: np.ndarray,
    images: np.ndarray,
    embed: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """:func:`word_ablation` of every word of every caption of a split.

    Captions of fewer than two known words are left out: nothing would be left of them. Memory is that of
    2,048 embeddings at a time, whatever the number of captions.

    Args:
        codes: ``(M, L)`` word codes, left-aligned, 0 after the end, and lengths: ``(M,)``, as
            :meth:`imtext.text.vocabulary.Vocabulary.encode` gives them.
        image_of_caption: ``(M,)``, the row of ``images (N, D)`` that a caption belongs to.
        images: ``(N, D)`` embeddings, kept fixed.
        embed: from codes ``(K, L)`` to embeddings ``(K, D)``.

    Returns:
        caption: ``(T,)`` and position: ``(T,)`` of the word left out, int64; drop: ``(T,)``, float64, what
        the cosine falls by, positive where the word supports the match.

    >>> embed = lambda codes: np.stack([(codes == 2).any(1), np.ones(len(codes))], axis=1)
    >>> images, codes = np.array([[1.0, 0.0]]), np.array([[1, 2, 0], [1, 0, 0]])
    >>> caption, position, drop = split_ablation(codes, np.array([2, 1]), np.array([0, 0]), images, embed)
    >>> caption.tolist(), position.tolist(), drop.round(3).tolist()
    ([0, 0], [0, 1], [0.0, 0.707])
    """

    def cosines(of: np.ndarray, codes: np.ndarray) -> np.ndarray:
        parts = [slice(begin, begin + BLOCK) for begin in range(0, len(of), BLOCK)]
        found = [
            _cosines(embed(codes[part]), images[image_of_caption[of[part]]])
            for part in progress(parts, "captions less one word")
        ]
        return np.concatenate([np.zeros(0), *found])

    whole = np.flatnonzero(lengths >= 2)
    words = lengths[whole]
    caption = np.repeat(whole, words)
    position = np.arange(len(caption)) - np.repeat(np.cumsum(words) - words, words)
    full = np.repeat(cosines(whole, codes[whole]), words)
    return caption, position, full - cosines(caption, _without(codes[caption], position))


def _without(codes: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Codes ``(K, L)``, each less the word at its position, the rest moved up."""
    place = np.arange(codes.shape[1] - 1)
    kept = np.take_along_axis(codes, place + (place >= position[:, None]), axis=1)
    return np.pad(kept, ((0, 0), (0, 1)))


def _cosines(captions: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Cosines ``(K,)`` in float64 of captions and their images; a zero vector has cosine 0."""
    captions, images = captions.astype(np.float64), images.astype(np.float64)
    norms = np.linalg.norm(captions, axis=1) * np.linalg.norm(images, axis=1)
    return np.einsum("kd,kd->k", captions, images) / np.maximum(norms, 1e-12)


def ablation_frame(
    words: Sequence[str], codes: np.ndarray, caption: np.ndarray, position: np.ndarray, drop: np.ndarray
) -> pd.DataFrame:
    """What :func:`split_ablation` found, one line per word left out.

    Args:
        words: of the dictionary; code ``c`` is ``words[c - 1]``.
        codes: ``(M, L)``; caption, position, drop: ``(T,)``.

    Returns:
        Columns ``word``, ``kind`` (``"content"`` or ``"function"``), ``caption``, ``drop``.

    >>> codes, positions = np.array([[1, 2]]), np.arange(2)
    >>> frame = ablation_frame(["a", "dog"], codes, np.zeros(2, dtype=int), positions, np.array([0.0, 0.4]))
    >>> frame["word"].tolist(), frame["kind"].tolist()
    (['a', 'dog'], ['function', 'content'])
    """
    left_out = [words[code - 1] for code in codes[caption, position]]
    kinds = {word: "function" if is_function_word(word) else "content" for word in set(left_out)}
    kind = [kinds[word] for word in left_out]
    return pd.DataFrame({"word": left_out, "kind": kind, "caption": caption, "drop": drop})


def by_word(frame: pd.DataFrame, least: int = 5) -> pd.DataFrame:
    """Mean drop of each word of an :func:`ablation_frame` that was left out at least ``least`` times.

    Returns:
        Columns ``word``, ``kind``, ``drop`` (the mean), ``count``; largest drop first, then by spelling.

    >>> frame = pd.DataFrame({"word": ["a", "dog", "dog"], "kind": ["function", "content", "content"],
    ...                       "caption": [0, 0, 1], "drop": [0.0, 0.1, 0.3]})
    >>> by_word(frame, least=2).values.tolist()
    [['dog', 'content', 0.2, 2]]
    """
    grouped = frame.groupby(["word", "kind"], as_index=False).agg(
        drop=("drop", "mean"), count=("drop", "size")
    )
    common = grouped[grouped["count"] >= least]
    return common.sort_values(["drop", "word"], ascending=[False, True], ignore_index=True)


def content_minus_function(frame: pd.DataFrame, n: int = 1000, seed: int = 0) -> tuple[float, np.ndarray]:
    """Mean drop of content words less mean drop of function words, with a bootstrap over captions.

    A caption is drawn with all its words. A draw that holds no word of one kind says nothing and is made
    again.

    Args:
        frame: an :func:`ablation_frame`.
        n: resamples; seed: of their draws.

    Returns:
        The difference, and ``samples (n,)``, as :func:`imtext.report.from_samples` takes them.

    Raises:
        DataError: no word of one of the two kinds.

    >>> frame = pd.DataFrame({"word": ["a", "dog"] * 2, "kind": ["function", "content"] * 2,
    ...                       "caption": [0, 0, 1, 1], "drop": [0.0, 0.5, 0.0, 0.5]})
    >>> difference, samples = content_minus_function(frame, n=3)
    >>> difference, samples.tolist()
    (0.5, [0.5, 0.5, 0.5])
    """
    if frame["kind"].nunique() < 2:
        raise DataError("captions with content words or function words alone: nothing to compare; give more")
    captions, place = np.unique(frame["caption"], return_inverse=True)
    content, drop = (frame["kind"] == "content").to_numpy(dtype=np.float64), frame["drop"].to_numpy()
    values = (drop * content, content, drop * (1 - content), 1 - content)
    totals = np.stack([np.bincount(place, weights=value) for value in values], axis=1)
    random, samples = np.random.default_rng(seed), np.zeros(0)
    equal = np.full(len(captions), 1 / len(captions))
    while len(samples) < n:
        sums = random.multinomial(len(captions), equal, size=n) @ totals
        samples = np.concatenate([samples, _difference(sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)])])
    return float(_difference(totals.sum(0, keepdims=True))[0]), samples[:n]


def _difference(sums: np.ndarray) -> np.ndarray:
    """Mean of the first kind less mean of the second, from rows of (sum, number, sum, number)."""
    return sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]
