"""Word ablation: how much each word of a caption carries (Zheng et al., section 6.4 and Fig. 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


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
    sentences = np.asarray(embed(captions), dtype=np.float64)
    norms = np.linalg.norm(sentences, axis=1) * np.linalg.norm(image)
    similarity = sentences @ np.asarray(image, dtype=np.float64) / np.maximum(norms, 1e-12)
    return similarity[0] - similarity[1:]
