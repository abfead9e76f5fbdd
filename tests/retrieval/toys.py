"""Small embeddings, and the cosine of two vectors by hand."""

from __future__ import annotations

import numpy as np


def toy(n=11, m=29, dimensions=5, strength=1.0, seed=0, dtype=np.float64):
    """Embeddings with a ragged number of captions per image, in no order."""
    generator = np.random.default_rng(seed)
    owners = np.concatenate([np.arange(n), generator.integers(0, n, m - n)])
    generator.shuffle(owners)
    images = generator.normal(size=(n, dimensions))
    captions = generator.normal(size=(m, dimensions)) + strength * images[owners] + 0.4
    return images.astype(dtype), captions.astype(dtype), owners


def cosine(a, b):
    scale = np.linalg.norm(a) * np.linalg.norm(b)
    return float(np.dot(a, b) / scale) if scale else 0.0
