"""What leaving out words does to one caption, a caption at a time: the naive twin of ``split_ablation``."""

import numpy as np


def word_ablation(words, image, embed):
    """Fall of the cosine to an image ``(D,)`` without each word; ``embed``: captions to ``(M, D)``."""

    def cosine(left):
        (caption,) = embed([" ".join(left)]).astype(np.float64)
        return caption @ image / (np.linalg.norm(caption) * np.linalg.norm(image))

    return np.array([cosine(words) - cosine(words[:i] + words[i + 1 :]) for i in range(len(words))])
