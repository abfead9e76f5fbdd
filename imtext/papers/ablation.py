"""Word ablation: how much each word of a caption carries (Zheng et al., section 6.4 and Fig. 11)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pandas as pd

from imtext.errors import ConfigError, DataError
from imtext.progress import progress
from imtext.text.function_words import is_function_word

BLOCK = 2048  # shortened captions embedded at a time
_WEIGHTS = 1 << 22  # bootstrap weights held at a time
KINDS = ("content", "function")


def word_ablation(
    words: Sequence[str],
    image: np.ndarray,
    embed: Callable[[list[str]], np.ndarray],
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
    words = list(words)
    captions = [" ".join(words)] + [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    rows = np.asarray(embed(captions), dtype=np.float64)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(image)
    similarity = rows @ np.asarray(image, dtype=np.float64) / np.maximum(norms, 1e-12)
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
        embed: from codes ``(K, L)`` to embeddings ``(K, D)``, such as
            ``lambda codes: embed_codes(net, codes, fabric)``.

    Returns:
        caption: ``(T,)`` and position: ``(T,)`` of the word left out, int64; drop: ``(T,)``, float64, what
        the cosine falls by, positive where the word supports the match.

    Raises:
        DataError: arrays that do not fit one another, or embeddings of another shape.

    >>> embed = lambda codes: np.stack([(codes == 2).any(1), np.ones(len(codes))], axis=1)
    >>> images, codes = np.array([[1.0, 0.0]]), np.array([[1, 2, 0], [1, 0, 0]])
    >>> caption, position, drop = split_ablation(codes, np.array([2, 1]), np.array([0, 0]), images, embed)
    >>> caption.tolist(), position.tolist(), drop.round(3).tolist()
    ([0, 0], [0, 1], [0.0, 0.707])
    """
    codes, lengths, owners = (np.asarray(array) for array in (codes, lengths, image_of_caption))
    images = np.asarray(images)
    _check(codes, lengths, owners, images)
    whole = np.flatnonzero(lengths >= 2)
    caption = np.repeat(whole, lengths[whole])
    ends = np.cumsum(lengths[whole])
    position = np.arange(len(caption)) - np.repeat(ends - lengths[whole], lengths[whole])

    def cosines(count: int, rows: Callable[[slice], np.ndarray], of: np.ndarray, desc: str) -> np.ndarray:
        parts = [slice(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK)]
        found = [_cosines(embed(rows(part)), images, owners[of[part]]) for part in progress(parts, desc)]
        return np.concatenate(found) if found else np.zeros(0)

    full = np.zeros(len(codes))
    full[whole] = cosines(len(whole), lambda part: codes[whole[part]], whole, "whole captions")
    shortened = cosines(
        len(caption),
        lambda part: _without(codes[caption[part]], position[part]),
        caption,
        "captions less one word",
    )
    return caption.astype(np.int64), position.astype(np.int64), full[caption] - shortened


def ablation_frame(
    words: Sequence[str],
    codes: np.ndarray,
    caption: np.ndarray,
    position: np.ndarray,
    drop: np.ndarray,
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
    left_out = np.asarray(codes)[caption, position]
    if len(left_out) and not 1 <= left_out.min() <= left_out.max() <= len(words):
        raise DataError(
            f"codes: expected 1 to {len(words)}, the size of the dictionary, where a word is left out, "
            f"found {left_out.min()} to {left_out.max()}; give the dictionary that made the codes"
        )
    used, place = np.unique(left_out, return_inverse=True)
    names = [words[code - 1] for code in used]
    kinds = [KINDS[int(is_function_word(name))] for name in names]
    columns = {"word": np.array(names, dtype=object)[place], "kind": np.array(kinds, dtype=object)[place]}
    return pd.DataFrame({**columns, "caption": caption, "drop": drop})


def by_word(frame: pd.DataFrame, least: int = 5) -> pd.DataFrame:
    """Mean drop of each word of an :func:`ablation_frame` that was left out at least ``least`` times.

    Returns:
        Columns ``word``, ``kind``, ``drop`` (the mean), ``count``; largest drop first, then by spelling.

    Raises:
        ConfigError: ``least`` below 1.

    >>> frame = pd.DataFrame({"word": ["a", "dog", "dog"], "kind": ["function", "content", "content"],
    ...                       "caption": [0, 0, 1], "drop": [0.0, 0.1, 0.3]})
    >>> by_word(frame, least=2).values.tolist()
    [['dog', 'content', 0.2, 2]]
    """
    if least < 1:
        raise ConfigError(f"least: expected at least 1 occurrence, found {least}")
    grouped = frame.groupby(["word", "kind"])["drop"].agg(["mean", "size"]).reset_index()
    grouped = grouped.set_axis(["word", "kind", "drop", "count"], axis=1)
    common = grouped[grouped["count"] >= least]
    return common.sort_values(["drop", "word"], ascending=[False, True], ignore_index=True)


def content_minus_function(
    frame: pd.DataFrame, n: int = 1000, seed: int = 0, function_words: Collection[str] | None = None
) -> tuple[float, np.ndarray]:
    """Mean drop of content words less mean drop of function words, with a bootstrap over captions.

    A caption is drawn with all its words. A draw that holds no word of one kind says nothing and is made
    again.

    Args:
        frame: an :func:`ablation_frame`.
        n: resamples; seed: of their draws.
        function_words: compare with these alone, such as the paper's *with, on, at, in*; None takes all.

    Returns:
        The difference, and ``samples (n,)``, as :func:`imtext.report.from_samples` takes them.

    Raises:
        ConfigError: ``n`` below 1. DataError: no word of one of the two kinds.

    >>> frame = pd.DataFrame({"word": ["a", "dog"] * 2, "kind": ["function", "content"] * 2,
    ...                       "caption": [0, 0, 1, 1], "drop": [0.0, 0.5, 0.0, 0.5]})
    >>> difference, samples = content_minus_function(frame, n=3)
    >>> difference, samples.tolist()
    (0.5, [0.5, 0.5, 0.5])
    """
    if n < 1:
        raise ConfigError(f"n: expected a positive number of resamples, found {n}")
    content = (frame["kind"] == "content").to_numpy()
    function = ~content if function_words is None else (frame["word"].isin(set(function_words))).to_numpy()
    if not content.any() or not function.any():
        raise DataError(
            f"content_minus_function compares two kinds of words, found {int(content.sum())} content and "
            f"{int(function.sum())} function words; give more captions"
        )
    totals = _totals(frame, content, function)
    random = np.random.default_rng(seed)
    equal = np.full(len(totals), 1 / len(totals))
    samples = np.zeros(0)
    while len(samples) < n:
        size = min(n, max(1, _WEIGHTS // len(totals)))
        sums = random.multinomial(len(totals), equal, size=size) @ totals
        samples = np.concatenate([samples, _difference(sums[(sums[:, 1] > 0) & (sums[:, 3] > 0)])])
    return float(_difference(totals.sum(0, keepdims=True))[0]), samples[:n]


def _totals(frame: pd.DataFrame, *kinds: np.ndarray) -> np.ndarray:
    """Sum and number of the drops of each kind of word, per caption: ``(captions, 2 * kinds)``."""
    captions, place = np.unique(frame["caption"].to_numpy(), return_inverse=True)
    drop = frame["drop"].to_numpy(dtype=np.float64)
    columns = [
        np.bincount(place, weights=value, minlength=len(captions))
        for kind in kinds
        for value in (drop * kind, kind.astype(np.float64))
    ]
    return np.stack(columns, axis=1)


def _difference(sums: np.ndarray) -> np.ndarray:
    """Mean of the first kind less mean of the second, from rows of (sum, number, sum, number)."""
    return sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3]


def _check(codes: np.ndarray, lengths: np.ndarray, owners: np.ndarray, images: np.ndarray) -> None:
    """One line for arrays that do not fit."""
    if (
        codes.ndim != 2
        or images.ndim != 2
        or lengths.shape != codes.shape[:1]
        or owners.shape != lengths.shape
    ):
        raise DataError(
            "split_ablation takes codes (M, L), lengths (M,), image_of_caption (M,) and images (N, D), "
            f"found {codes.shape}, {lengths.shape}, {owners.shape} and {images.shape}"
        )
    if not np.array_equal(codes != 0, np.arange(codes.shape[1]) < lengths[:, None]):
        raise DataError(
            "codes: expected every caption on the left and 0 after its length; "
            "give them as Vocabulary.encode makes them, without a position shift"
        )
    if len(owners) and not 0 <= owners.min() <= owners.max() < len(images):
        raise DataError(
            f"image_of_caption: expected 0 to {len(images) - 1}, the rows of images, "
            f"found {owners.min()} to {owners.max()}"
        )


def _without(codes: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Codes ``(K, L)``, each less the word at its position, the rest moved up."""
    place = np.arange(codes.shape[1] - 1)
    kept = np.take_along_axis(codes, place + (place >= position[:, None]), axis=1)
    return np.pad(kept, ((0, 0), (0, 1)))


def _cosines(captions: np.ndarray, images: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Cosines ``(K,)`` in float64 of captions and their images; a zero vector has cosine 0."""
    captions = np.asarray(captions, dtype=np.float64)
    if captions.shape != (len(owners), images.shape[1]):
        raise DataError(
            f"embed: expected embeddings {(len(owners), images.shape[1])} like the images', "
            f"found {captions.shape}"
        )
    own = images[owners].astype(np.float64)
    norms = np.linalg.norm(captions, axis=1) * np.linalg.norm(own, axis=1)
    return np.einsum("kd,kd->k", captions, own) / np.maximum(norms, 1e-12)
