"""How far the separation of two densities moves when other images are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from imtext.retrieval.similarity import as_owners, as_pair, slices


def separation_samples(
    images: Any, captions: Any, image_of_caption: Any, n: int = 500, bins: int = 200, seed: int = 0
) -> dict[str, np.ndarray]:
    """Bootstrap over images of :func:`imtext.retrieval.separation` (Zheng et al., Eq. 10 and Fig. 5).

    An image is drawn with its row of similarities, so the same ``n`` and ``seed`` draw the same images for
    every model of one dataset, and samples of two models can be subtracted.

    Args:
        images: ``(N, D)``; captions: ``(M, D)``; image_of_caption: ``(M,)``.
        n: resamples; bins: equal bins of [-1, 1].

    Returns:
        ``S (n,)`` and ``gap (n,)``, the mean cosine of matching pairs minus that of the others.

    Raises:
        DataError: arrays that do not fit.

    >>> samples = separation_samples(np.eye(4), np.eye(4), np.arange(4), n=3)
    >>> samples["S"].tolist(), samples["gap"].tolist()
    ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
    """
    image_rows, caption_rows = as_pair(images, captions, ("images", "captions"), None)
    owners = as_owners(image_of_caption, len(image_rows), len(caption_rows)).numpy()
    count = len(image_rows)
    own, every = np.zeros((count, bins)), np.zeros((count, bins))
    own_sum, every_sum = np.zeros(count), np.zeros(count)
    unit = caption_rows.unit(slice(0, len(caption_rows))).T
    for rows in slices(count, 256):
        scores = (image_rows.unit(rows) @ unit).clamp_(-1, 1).numpy()
        place = np.minimum(((scores + 1) * (bins / 2)).astype(np.int64), bins - 1)
        flat = place + np.arange(len(scores))[:, None] * bins
        mine = owners[None, :] == np.arange(rows.start, rows.stop)[:, None]
        size = len(scores) * bins
        every[rows] = np.bincount(flat.ravel(), minlength=size).reshape(-1, bins)
        own[rows] = np.bincount(flat[mine], minlength=size).reshape(-1, bins)
        every_sum[rows], own_sum[rows] = scores.sum(1), (scores * mine).sum(1)
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=n).astype(float)
    other, other_sum = every - own, every_sum - own_sum
    positives, negatives = weights @ own, weights @ other
    n_positive, n_negative = positives.sum(1), negatives.sum(1)
    shared = np.minimum(positives / n_positive[:, None], negatives / n_negative[:, None]).sum(1)
    gap = (weights @ own_sum) / n_positive - (weights @ other_sum) / n_negative
    return {"S": shared, "gap": gap}
