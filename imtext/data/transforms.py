"""Batches of uint8 images in, batches out: random crops and mirrors, centre crop, normalisation.

All run where the batch lies, CPU or CUDA, and keep uint8 until :func:`normalise`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from imtext.check import whole
from imtext.errors import ConfigError, DataError

_RATIO = (3 / 4, 4 / 3)


def _check(images: torch.Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
        raise DataError(
            f"images: expected uint8 (B, 3, H, W), found {images.dtype} {tuple(images.shape)}; "
            "pass a batch of an ImageStore"
        )


def random_boxes(
    count: int, height: int, width: int, generator: torch.Generator, scale: Sequence[float] = (0.6, 1.0)
) -> torch.Tensor:
    """Boxes of random-resized crops, ``(count, 4)`` int64 on the CPU: top, left, height, width.

    The share of the area is uniform in ``scale``; the logarithm of the aspect ratio is uniform in what of
    3/4 to 4/3 fits into the image at that area, so no draw is ever rejected (torchvision tries ten times).
    In an image so long that nothing of 3/4 to 4/3 fits, the nearest ratio that fits is taken.

    >>> random_boxes(1, 64, 64, torch.Generator().manual_seed(0), scale=(1.0, 1.0)).tolist()
    [[0, 0, 64, 64]]
    """
    low, high = scale
    if not 0 < low <= high <= 1:
        raise ConfigError(f"scale={tuple(scale)}: expected two shares of the area, 0 < low <= high <= 1")
    draw = torch.rand(4, count, generator=generator, device=generator.device, dtype=torch.float64).cpu()
    area = (low + (high - low) * draw[0]) * height * width
    narrowest, widest = area / height**2, width**2 / area
    least = narrowest.clamp(min=_RATIO[0]).minimum(widest).log()
    most = widest.clamp(max=_RATIO[1]).maximum(narrowest).log()
    ratio = (least + (most - least) * draw[1]).exp()
    wide = (area * ratio).sqrt().round().clamp(1, width)
    tall = (area / ratio).sqrt().round().clamp(1, height)
    top = (draw[2] * (height - tall + 1)).floor().clamp(max=height - 1)
    left = (draw[3] * (width - wide + 1)).floor().clamp(max=width - 1)
    return torch.stack([top, left, tall, wide], 1).long()


def augment(
    images: torch.Tensor,
    crop: int,
    generator: torch.Generator,
    scale: Sequence[float] = (0.6, 1.0),
    flip: bool = True,
) -> torch.Tensor:
    """Random-resized crop and mirror, drawn for each sample alone.

    Args:
        images: uint8 ``(B, 3, H, W)``.
        crop: side of the result in pixels.
        generator: the only source of random numbers; on the CPU the result is then the same on every machine
            with the same library versions.
        scale: least and largest share of the area a crop covers.
        flip: mirror each sample with probability 1/2.

    Returns:
        uint8 ``(B, 3, crop, crop)`` on the device of ``images``, resized bilinearly with anti-aliasing.

    >>> batch = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).reshape(2, 3, 8, 8)
    >>> augment(batch, 6, torch.Generator().manual_seed(1)).shape
    torch.Size([2, 3, 6, 6])
    """
    _check(images)
    whole("crop", crop)
    count, _, height, width = images.shape
    boxes = random_boxes(count, height, width, generator, scale)
    mirrored = torch.zeros(count, dtype=torch.bool)
    if flip:
        draw = torch.rand(count, generator=generator, device=generator.device, dtype=torch.float32)
        mirrored = draw.cpu() < 0.5
    resize = _resized_crops if images.is_cuda else _resized_crops_one_by_one
    out = resize(images, boxes, crop)
    return torch.where(mirrored.to(out.device)[:, None, None, None], out.flip(-1), out)


def _resized_crops_one_by_one(images: torch.Tensor, boxes: torch.Tensor, crop: int) -> torch.Tensor:
    """Pillow, sample by sample: the same pixels on every processor, which torchvision's kernel has not."""
    out = images.new_empty(len(images), crop, crop, 3)
    for i, (top, left, tall, wide) in enumerate(boxes.tolist()):
        part = images[i, :, top : top + tall, left : left + wide].permute(1, 2, 0)
        resized = Image.fromarray(part.numpy()).resize((crop, crop), Image.Resampling.BILINEAR)
        out[i] = torch.from_numpy(np.array(resized))
    return out.permute(0, 3, 1, 2)


def _resized_crops(images: torch.Tensor, boxes: torch.Tensor, crop: int) -> torch.Tensor:
    """The same crops as two batched matrix products: on a GPU, one launch instead of one per sample."""
    top, left, tall, wide = boxes.to(images.device, torch.float32, non_blocking=True).unbind(1)
    rows = _weights(top, tall, crop, images.shape[2])
    columns = _weights(left, wide, crop, images.shape[3])
    out = torch.einsum("byh,bchw,bxw->bcyx", rows, images.float(), columns)
    return out.round_().clamp_(0, 255).to(torch.uint8)


def _weights(start: torch.Tensor, length: torch.Tensor, crop: int, full: int) -> torch.Tensor:
    """Anti-aliased bilinear weights ``(B, crop, full)``: a triangle per output pixel, rows sum to 1."""
    step = (length / crop)[:, None, None]
    target = torch.arange(crop, device=start.device, dtype=torch.float32)[None, :, None]
    centre = (target + 0.5) * step + start[:, None, None]
    source = torch.arange(full, device=start.device, dtype=torch.float32)[None, None, :] + 0.5
    weight = (1 - (source - centre).abs() / step.clamp(min=1)).clamp(min=0)
    inside = (source > start[:, None, None]) & (source < (start + length)[:, None, None])
    weight = weight * inside
    return weight / weight.sum(-1, keepdim=True)


def centre(images: torch.Tensor, crop: int) -> torch.Tensor:
    """The middle ``crop`` by ``crop`` pixels of ``images (B, 3, H, W)``.

    >>> centre(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 6).shape
    torch.Size([1, 3, 6, 6])
    """
    whole("crop", crop, most=min(images.shape[-2:]))
    return F.center_crop(images, [crop, crop])


def normalise(
    images: torch.Tensor, mean: Sequence[float], std: Sequence[float], dtype: torch.dtype | None = None
) -> torch.Tensor:
    """uint8 ``(B, 3, H, W)`` to numbers: divided by 255, minus ``mean``, divided by ``std`` (per channel).

    ``dtype`` is PyTorch's default type where None is given, float32 unless that was changed.

    >>> normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8), (0.5,) * 3, (0.25,) * 3).flatten()
    tensor([2., 2., 2.])
    """
    _check(images)
    numbers = F.to_dtype(images, dtype or torch.get_default_dtype(), scale=True)
    return F.normalize(numbers, list(mean), list(std))
