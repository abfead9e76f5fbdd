"""Random pixels with the face of an ImageStore."""

from __future__ import annotations

import numpy as np
import torch


class Store:
    def __init__(self, count: int, size: int, fit: str = "squash", fingerprint: str = "f") -> None:
        rng = np.random.default_rng(0)
        self.pixels = rng.integers(0, 256, (count, 3, size, size), dtype=np.uint8)
        self.size, self.fit, self.fingerprint = size, fit, fingerprint

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices) -> torch.Tensor:
        return torch.from_numpy(self.pixels[np.asarray(indices)])
