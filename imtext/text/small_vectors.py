"""Word vectors of few numbers, for text that is drawn as a picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from imtext.errors import ConfigError, DataError
from imtext.text.bags import as_captions
from imtext.text.text_image import check_features
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, train_word2vec


def small_vectors(
    captions: Iterable[str],
    features: int = 12,
    source: str | WordVectors = "word2vec",
    seed: int = 0,
    epochs: int = 10,
) -> WordVectors:
    """Vectors of 12, 24 or 36 numbers for the words of the training ``captions``.

    ``source="word2vec"`` trains them on the captions (skip-gram, one worker: the same captions and ``seed``
    give the same numbers). With word vectors as ``source``, their PCA, fitted on the distinct words of the
    captions that have a vector; ``seed`` and ``epochs`` then play no part.

    Raises ConfigError for ``features`` that are no multiple of three or another ``source``, DataError where
    the captions have fewer words than that.

    >>> small_vectors(["a red dog", "a blue cat"], 3, WordVectors(["red", "dog", "cat"], np.eye(3, 4))).words
    ('red', 'dog', 'cat')
    """
    features = check_features(features)
    captions = as_captions(captions)
    if isinstance(source, str) and source == "word2vec":
        return train_word2vec(captions, features, seed, epochs)
    if not isinstance(source, WordVectors):
        found = repr(source) if isinstance(source, str) else type(source).__name__
        raise ConfigError(f"small_vectors: expected source 'word2vec' or WordVectors, found {found}")
    cut = source.cut(word for caption in captions for word in tokenize(caption))
    if features > min(cut.vectors.shape):
        raise DataError(
            f"small_vectors: expected at least {features} words with vectors of {features} numbers, found "
            f"{len(cut)} words of {cut.vector_size}; give more captions or take fewer features"
        )
    from sklearn.decomposition import PCA

    reduced = PCA(features, svd_solver="full").fit_transform(cut.vectors.astype(np.float64))
    return WordVectors(cut.words, reduced, f"{cut.name}, PCA to {features}")
