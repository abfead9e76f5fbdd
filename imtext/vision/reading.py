"""What a network reads when it asks: images of a training batch, rows of files on disk, new pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imtext.data.decoding import as_square
from imtext.data.images import ImageStore, decode
from imtext.data.transforms import augment, normalise
from imtext.vision.features import numbered

IN_MEMORY = 4 * 2**30


class CachedFeatures:
    """Backbone features computed once: a random one of several augmented views per image and step.

    ``views (V, N, D)``, usually memory-mapped; ``device``: a GPU keeps them, where they fit.
    """

    def __init__(self, views: np.ndarray, device: str = "cpu") -> None:
        # Random rows of a memory map are slow where the system keeps few pages of it.
        self.views = np.array(views) if views.nbytes < IN_MEMORY else views
        self.device = numbered(device)

    @cached_property
    def resident(self) -> Tensor | None:
        """The views in the memory of a GPU, where they take less than half of what is free."""
        if self.device.type != "cuda" or 2 * self.views.nbytes > torch.cuda.mem_get_info(self.device)[0]:
            return None
        return torch.tensor(self.views, device=self.device)

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Features ``(B, D)``."""
        view = torch.randint(len(self.views), (len(indices),), generator=generator)
        if self.resident is not None:
            return self.resident[view.to(self.device), torch.from_numpy(indices).to(self.device)]
        return torch.from_numpy(np.ascontiguousarray(self.views[view.numpy(), indices]))


class Pixels:
    """Pixels from the image store, cropped, mirrored and normalised: for a backbone that is trained.

    All of that happens on ``device``, to which stored pixels go as they are, uint8. ``cnn`` is the backbone,
    of which ``mean`` and ``std`` are asked.
    """

    def __init__(self, store: ImageStore, crop: int, cnn: Any, device: str = "cpu") -> None:
        self.store, self.crop, self.cnn, self.device = store, crop, cnn, numbered(device)

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Pixels ``(B, 3, crop, crop)``, float32, channels last."""
        images = self.store.batch(indices)
        if self.device.type == "cuda":  # from pinned memory nobody has to wait for
            images = images.pin_memory().to(self.device, non_blocking=True)
        images = augment(images, self.crop, generator)
        return normalise(images, self.cnn.mean, self.cnn.std).contiguous(memory_format=torch.channels_last)


class Lazy:
    """Images or captions that are made as they are asked for.

    Args:
        make: from indices ``(B,)`` to a tensor ``(B, ...)``; count: how many there are.
    """

    def __init__(self, make: Callable[[np.ndarray], Tensor], count: int) -> None:
        self.make, self.shape = make, (count,)

    def take(self, indices: np.ndarray, generator: torch.Generator) -> Tensor:
        """Those of a training batch."""
        return self.make(indices)

    def __getitem__(self, part: slice) -> np.ndarray:
        """A block of them."""
        return self.make(np.arange(*part.indices(self.shape[0]))).numpy()


class UnitRows:
    """Rows of files on disk, one after the other, of length 1; read when asked for, never all at once.

    The proposals of Flickr30k's training images would fill 48 GB.

    Args:
        parts: arrays ``(n, D)``, which may be memory-mapped.
        places: columns at the end that keep their own scale.

    >>> rows = UnitRows([np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])])
    >>> rows.shape, (10 * rows[[1, 0]]).round().tolist()
    ((2, 2), [[0.0, 10.0], [6.0, 8.0]])
    """

    def __init__(self, parts: list[np.ndarray], places: int = 0) -> None:
        self.parts, self.width = parts, parts[0].shape[1] - places
        self.shape = (sum(map(len, parts)), parts[0].shape[1])

    def __getitem__(self, which: Any) -> np.ndarray:
        """Rows by a slice or by indices from 0, float32."""
        rows = np.arange(self.shape[0])[which]
        out, first = np.empty((len(rows), self.shape[1]), np.float32), 0
        for part in self.parts:
            here = (rows >= first) & (rows < first + len(part))
            out[here] = part[rows[here] - first]
            first += len(part)
        out[:, : self.width] = unit(out[:, : self.width])
        return out


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1; zeros stay zeros."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def square(picture: Any, size: int, fit: str = "cover") -> np.ndarray:
    """A picture ``(3, size, size)``, uint8: of a file, of one of Pillow, or of a uint8 tensor ``(3, H, W)``.

    ``fit``: how it becomes square, as for :func:`imtext.data.images.decode`.
    """
    if isinstance(picture, torch.Tensor):
        picture = Image.fromarray(picture.permute(1, 2, 0).contiguous().cpu().numpy())
    if isinstance(picture, Image.Image):
        return as_square(picture.convert("RGB"), size, fit)
    return decode(picture, size, fit)
