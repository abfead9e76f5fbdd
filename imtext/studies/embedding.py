"""Embeddings of a split by a trained dual-path network, and their evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from imtext.data.transforms import centre, mirror, normalise
from imtext.experiment.compute import FOLDS, evaluate_split
from imtext.models import DualPath
from imtext.runs import Run
from imtext.studies.preparation import Prepared
from imtext.training.device import Fabric

BATCH = 256


def embed_split(
    net: DualPath, prepared: Prepared, split: str, run: Run, fabric: Fabric
) -> dict[str, dict[str, float]]:
    """Embed a split, store embeddings and per-query ranks in the run, return the metrics by split.

    Beside ``split`` itself there is ``<split>_folds``: the mean over five consecutive fifths of the images,
    as COCO's 1K protocol has it, or the whole where the images do not divide by five.
    """
    dataset = prepared.splits[split]
    net.eval()
    captions = embed_codes(net, prepared.codes(split)[0], fabric)
    if net.backbone is None:
        images = embed_features(net, prepared.features(split).eval, fabric)
    else:
        images = embed_pixels(net, prepared, prepared.store(split), fabric)
    return evaluate_split(dataset, split, images, captions, run)


@torch.no_grad()
def embed_codes(net: DualPath, codes: np.ndarray, fabric: Fabric) -> np.ndarray:
    """Word codes ``(M, L)`` to caption embeddings ``(M, D)``, float32."""
    return _in_blocks(len(codes), fabric, lambda part: net.embed_captions(_put(codes[part], fabric)))


@torch.no_grad()
def embed_features(net: DualPath, features: np.ndarray, fabric: Fabric) -> np.ndarray:
    """Features of images and of their mirrors ``(2, N, F)`` to embeddings ``(N, D)``, the mean of both."""
    return _in_blocks(
        features.shape[1],
        fabric,
        lambda part: sum(net.embed_images(_put(side[part], fabric)) for side in features) / len(features),
    )


@torch.no_grad()
def embed_pixels(net: DualPath, prepared: Prepared, store: Any, fabric: Fabric) -> np.ndarray:
    """Stored pixels to embeddings ``(N, D)``: mean of image and mirror (Zheng et al., section 6.2)."""
    # Batch norms folded into the convolutions: the same function, about twice as fast on a CPU.
    fast = net.backbone.fused().to(fabric.device, memory_format=torch.channels_last)
    return _in_blocks(
        len(store),
        fabric,
        lambda part: both_sides(
            net, fast, store.batch(np.arange(part.start, part.stop)), prepared.spec.crop, fabric
        ),
        batch=32 if fabric.device.type == "cpu" else BATCH,
    )


def both_sides(net: DualPath, backbone: Any, pixels: Tensor, crop: int, fabric: Fabric) -> Tensor:
    """Embeddings ``(B, D)`` of uint8 pixels ``(B, 3, S, S)``: the mean of those of image and mirror."""
    pixels = normalise(centre(pixels, crop), backbone.mean, backbone.std)
    pixels = fabric.to_device(pixels.contiguous(memory_format=torch.channels_last))
    return (net.image_head(backbone(pixels)) + net.image_head(backbone(mirror(pixels)))) / 2


def _put(array: np.ndarray, fabric: Fabric) -> Tensor:
    given = torch.from_numpy(np.array(array))
    return fabric.to_device(given.to(torch.get_default_dtype()) if given.is_floating_point() else given)


def _in_blocks(count: int, fabric: Fabric, embed: Any, batch: int = BATCH) -> np.ndarray:
    """Run ``embed`` on slices of ``range(count)``; the outcome is float32."""
    parts = []
    for begin in range(0, count, batch):
        parts.append(embed(slice(begin, min(begin + batch, count))).float().cpu().numpy())
    return np.concatenate(parts)


__all__ = ["FOLDS", "both_sides", "embed_codes", "embed_split", "evaluate_split"]
