"""How many negatives of a batch violate the constraints of a positive pair (Wang et al., section 2.2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from imtext.precision import working_precision
from imtext.runs import Run
from imtext.studies.experiment import load_weights
from imtext.studies.preparation import prepare
from imtext.studies.structure_experiment import StructureExperiment, image_features
from imtext.studies.trained import MODEL
from imtext.training import make_fabric

SIDES = ("image", "text")


def violations(
    images: Tensor, captions: Tensor, match: Tensor, margin: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Violated constraints of each positive pair, both directions of Eq. 5, uncut.

    Args:
        images: ``(N, D)`` and captions: ``(M, D)``, unit vectors; match: ``(N, M)`` bool.
        margin: m.

    Returns:
        Two ``(P,)`` integers, the pairs in the order of ``match.nonzero()``: how many captions of other
        images are not farther from the image than its own caption by the margin, and how many other images
        are not from the caption.

    >>> first, second = violations(torch.eye(2), torch.eye(2).flip(0), torch.eye(2).bool())
    >>> first.tolist(), second.tolist()
    ([1, 1], [1, 1])
    """
    distances = (2 - 2 * images @ captions.T).clamp_min(0).sqrt()
    by_caption = _nearer(distances.T.contiguous(), match.T, margin).T
    return _nearer(distances, match, margin)[match], by_caption[match]


def _nearer(distances: Tensor, match: Tensor, margin: float) -> Tensor:
    """For each entry how many negatives of its row are nearer than it and a margin, ``(A, B)``."""
    # A search in the sorted row instead of a comparison of every triplet.
    negatives = distances.masked_fill(match, torch.inf).sort(1).values
    return torch.searchsorted(negatives, distances + margin)


@torch.no_grad()
def few_violations(row: StructureExperiment, run: Run, epoch: int = 0) -> dict[str, np.ndarray]:
    """Which training pairs have fewer than ``top_k`` violations in the batches of an epoch after training.

    Batches and dropout are those of training, where the pairs are chosen; the weights stay as they are.

    Args:
        row: a two-branch row; run: its finished run.
        epoch: its batches are taken.

    Returns:
        For image and text as the target, ``(P,)`` float64, one number a training pair: 1 where it has fewer,
        0 where it has not, and the mean where the pair is in several batches.

    Raises:
        RunError: the run's weights are missing or of another network.
    """
    # What is trained after this draws as it would have.
    with torch.random.fork_rng(), working_precision(row.data.precision):
        return _few_violations(row, run, epoch)


def _few_violations(row: StructureExperiment, run: Run, epoch: int) -> dict[str, np.ndarray]:
    prepared = prepare(row.data, row.device)
    images, texts = image_features(prepared, "train", row.crops), row.texts(prepared)["train"]
    batches = row.batches(prepared, images, texts, row.recipe)
    few, times = {side: np.zeros(len(batches.pairs)) for side in SIDES}, np.zeros(len(batches.pairs))
    fabric = make_fabric(row.device)
    net = row.network(images.shape[1], texts.shape[1])
    load_weights(net, run.dir / MODEL)
    net = fabric.setup_module(net).train()
    for batch in map(fabric.to_device, batches(epoch)):
        counts = violations(*net(batch["images"], batch["texts"]), batch["match"], row.margin)
        # A caption belongs to one image here, so it names its pair.
        pair = batch["captions"][batch["match"].nonzero()[:, 1]].cpu().numpy()
        times[pair] += 1
        for side, count in zip(SIDES, counts, strict=True):
            few[side][pair] += (count < row.top_k).cpu().numpy()
    return {side: values / times for side, values in few.items()}
