"""Images as matplotlib takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from imtext.errors import DataError


def as_picture(image: Any, name: str = "image") -> np.ndarray:
    """A uint8 picture (H, W, 3) from (H, W, 3) or (3, H, W), a NumPy array or a tensor.

    >>> as_picture(np.zeros((3, 8, 9), np.uint8)).shape
    (8, 9, 3)
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise DataError(
            f"{name}: expected uint8 of shape (H, W, 3) or (3, H, W), found {array.dtype} {array.shape}"
        )
    return array


def show_picture(axes: Axes, image: Any, frame: str | None = None, width: float = 3.0) -> None:
    """Draw an image without ticks, with a coloured frame if asked."""
    axes.imshow(as_picture(image))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(frame is not None)
    if frame is not None:
        axes.spines[:].set(color=frame, linewidth=width)
