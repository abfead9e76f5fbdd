"""Word ablation: how much each word of a caption carries (Zheng et al., section 6.4 and Fig. 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from imtext.errors import DataError
from imtext.progress import progress
from imtext.text.function_words import is_function_word

BLOCK = 2048  # captions embedded at a time


def split_ablation(
    words: Sequence[str],
    codes: np.ndarray,
    lengths: np.ndarray,
    image_of_caption: np.ndarray,
    images: np.ndarray,
    embed: Callable[[np.ndarray], np.ndarray],
) -> pd.DataFrame:
    """Drop in cosine similarity to the image when one word of a caption at a time is left out.

    Captions of fewer than two known words are left out: nothing would be left of them. Memory is that of
    2,048 embeddings at a time, whatever the number of captions.

    Args:
        words: of the dictionary; code ``c`` is ``words[c - 1]``.
        codes: ``(M, L)`` word codes, left-aligned, 0 after the end, and lengths: ``(M,)``, as
            :meth:`imtext.text.vocabulary.Vocabulary.encode` gives them.
        image_of_caption: ``(M,)``, the row of ``images (N, D)`` that a caption belongs to.
        images: ``(N, D)`` embeddings, kept fixed.
        embed: from codes ``(K, L)`` to embeddings ``(K, D)``.

    Returns:
        one line per word left out, in the order of the captions: ``word``, ``kind`` (``"content"`` or
        ``"function"``), ``caption``, and ``drop``, what the cosine falls by, positive where the word supports
        the match.

    >>> embed = lambda codes: np.stack([(codes == 2).any(1), np.ones(len(codes))], axis=1)
    >>> images, codes, lengths = np.array([[1.0, 0.0]]), np.array([[1, 2, 0], [1, 0, 0]]), np.array([2, 1])
    >>> frame = split_ablation(["a", "dog"], codes, lengths, np.array([0, 0]), images, embed)
    >>> frame.round(3).values.tolist()
    [['a', 'function', 0, 0.0], ['dog', 'content', 0, 0.707]]
    """

    def cosines(of: np.ndarray, codes: np.ndarray) -> np.ndarray:
        found = np.zeros(len(of))
        for begin in progress(range(0, len(of), BLOCK), "captions less one word"):
            part = slice(begin, begin + BLOCK)
            found[part] = _cosines(embed(codes[part]), images[image_of_caption[of[part]]])
        return found

    whole = np.flatnonzero(lengths >= 2)
    caption = np.repeat(whole, lengths[whole])
    place = np.arange(codes.shape[1])
    position = np.nonzero(place < lengths[whole, None])[1]
    rest = codes[caption][place != position[:, None]].reshape(len(caption), len(place) - 1)
    full = np.repeat(cosines(whole, codes[whole]), lengths[whole])
    left_out = [words[code - 1] for code in codes[caption, position]]
    kind = ["function" if is_function_word(word) else "content" for word in left_out]
    drop = full - cosines(caption, np.pad(rest, ((0, 0), (0, 1))))
    return pd.DataFrame({"word": left_out, "kind": kind, "caption": caption, "drop": drop})


def _cosines(captions: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Cosines ``(K,)`` in float64 of captions and their images; a zero vector has cosine 0."""
    captions, images = captions.astype(np.float64), images.astype(np.float64)
    norms = np.linalg.norm(captions, axis=1) * np.linalg.norm(images, axis=1)
    return np.einsum("kd,kd->k", captions, images) / np.maximum(norms, 1e-12)


def by_word(frame: pd.DataFrame, least: int = 5) -> pd.DataFrame:
    """Mean drop of each word of a :func:`split_ablation` that was left out at least ``least`` times.

    Returns:
        Columns ``word``, ``kind``, ``drop`` (the mean), ``count``; largest drop first, then by spelling.

    >>> frame = pd.DataFrame({"word": ["a", "dog", "dog"], "kind": ["function", "content", "content"],
    ...                       "caption": [0, 0, 1], "drop": [0.0, 0.1, 0.3]})
    >>> by_word(frame, least=2).values.tolist()
    [['dog', 'content', 0.2, 2]]
    """
    grouped = frame.groupby(["word", "kind"])["drop"].agg(drop="mean", count="size").reset_index()
    common = grouped.query("count >= @least")
    return common.sort_values(["drop", "word"], ascending=[False, True], ignore_index=True)


def content_minus_function(frame: pd.DataFrame, n: int = 1000, seed: int = 0) -> tuple[float, np.ndarray]:
    """Mean drop of content words less mean drop of function words, with a bootstrap over captions.

    A caption is drawn with all its words. A draw that holds no word of one kind says nothing and is left
    out.

    Args:
        frame: of :func:`split_ablation`.
        n: resamples; seed: of their draws.

    Returns:
        The difference, and ``samples (n,)``, or a few less, as :func:`imtext.report.from_samples` takes them.

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
    by_caption = frame.groupby(["caption", "kind"])["drop"].agg(["sum", "size"])
    totals = by_caption.unstack(fill_value=0).to_numpy()
    equal = np.full(len(totals), 1 / len(totals))
    drawn = np.random.default_rng(seed).multinomial(len(totals), equal, size=n) @ totals
    return float(_difference(totals.sum(0))), _difference(drawn[(drawn[:, 2:] > 0).all(1)])


def _difference(totals: np.ndarray) -> np.ndarray:
    """Mean of content words less that of function words, from ``(…, 4)``: both sums, then both numbers."""
    content, function, contents, functions = totals.T
    return content / contents - function / functions
