"""What the figures of the Intra-Modal Constraint paper show, taken from finished runs."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from imtext.losses.intra_modal import constraint_of_distances, in_window, pair_distances
from imtext.report.figures import ForceCurve, GroupMap, IntraSimilarities
from imtext.studies.galleries import drawn
from imtext.studies.hinge_row import BATCH
from imtext.studies.intra_rows import READINGS, WEIGHTS
from imtext.studies.trained import in_blocks
from imtext.training import make_fabric

if TYPE_CHECKING:
    from imtext.runs import Run
    from imtext.studies.intra_experiment import IntraExperiment
    from imtext.studies.parameters import Parameters
    from imtext.studies.preparation import Prepared

IMC, PLAIN = "l1", "hinges"
SIDES = ("images", "sentences")
STEPS = 200


class FigureData:
    """The part of :class:`imtext.studies.intra_modal.IntraStudy` that serves the figures."""

    parameters: Parameters
    prepared: Prepared
    runs: dict[str, list[Run]]

    def untrained(self, seed: int | None = None) -> dict[str, np.ndarray]:
        """Test embeddings of the network before training: ``images (N, D)``, ``sentences (M, D)``."""
        first = self.parameters.seeds[0] if seed is None else seed
        return _untrained(self.experiments(first)[IMC])  # type: ignore[attr-defined]

    def geometry(self, count: int = 4, slug: str = IMC) -> tuple[GroupMap, GroupMap]:
        """Figure 1, right: a few drawn test groups before training and after, for `group_geometry`.

        The two axes are the principal components of what is drawn, of either moment its own; the distances
        that are written are those of the embedding.
        """
        test = self.prepared.splits["test"]
        groups = np.unique(test.group_of_image)
        chosen = groups[drawn(len(groups), count, seed=2)]
        images = np.flatnonzero(np.isin(test.group_of_image, chosen))
        sentences = np.flatnonzero(np.isin(test.group_of_sentence, chosen))
        labels = (test.group_of_image[images], test.group_of_sentence[sentences])
        maps = []
        for title, arrays in (("Before training", self.untrained()), ("After training", self._test(slug))):
            rows = (arrays["images"][images], arrays["sentences"][sentences])
            flat = PCA(2, random_state=0).fit_transform(np.concatenate(rows))
            maps.append(GroupMap.measured(title, (flat[: len(images)], flat[len(images) :]), rows, labels))
        return maps[0], maps[1]

    def forces(self, slug: str = PLAIN, pairs: int = 128) -> list[ForceCurve]:
        """The force on one pair by its distance, for every reading and distance, for `force_curves`.

        The batch is ``pairs`` drawn test images as the row without the constraint embeds them. The distance
        of one pair, neither of which is the first item, goes from 0 to the largest of the batch; all other
        distances stay.
        """
        rows = self._test(slug)["images"]
        rows = torch.from_numpy(rows[drawn(len(rows), pairs)]).double()
        kinds = [("printed", name) for name in READINGS] + [(how, name) for name, how in READINGS.items()]
        return [force_curve(rows, reading, distance) for reading, distance in kinds]

    def histograms(self) -> tuple[IntraSimilarities, list[IntraSimilarities]]:
        """Similarities within a modality without the constraint and with it, for `intra_histograms`."""
        shown = {
            "printed-cosine": "Cosine, as printed",
            "cosine": "Cosine, as released",
            IMC: "L1, as released",
        }
        return self._similarities(PLAIN, "λ = 0"), [self._similarities(*one) for one in shown.items()]

    def network_sizes(self) -> dict[str, Any]:
        """Sizes of this run, for `network_diagram`."""
        row = self.experiments(self.parameters.seeds[0])[IMC]  # type: ignore[attr-defined]
        # The box has no room for the kind of an EfficientNet.
        name = row.data.cnn.split("-Lite")[0]
        return {
            "readout": row.readout,
            "backbone": "features" if self.rich.precomputed else name,  # type: ignore[attr-defined]
            "image_dim": self.rich.image_dim(row.image),  # type: ignore[attr-defined]
            "word_dim": self.prepared.vectors.vector_size,
            "dim": row.dim,
            "unit_features": True,
        }

    def _similarities(self, slug: str, title: str, kept: int = 20000) -> IntraSimilarities:
        """Cosines of drawn pairs of test items of different groups."""
        test, arrays = self.prepared.splits["test"], self._test(slug)
        groups = {"images": test.group_of_image, "sentences": test.group_of_sentence}
        return IntraSimilarities(title, *(_pairs(arrays[side], groups[side], kept) for side in SIDES))

    def sweep(self) -> pd.DataFrame:
        """Figure 2: R-sum on the test split by weight and seed, columns ``weight``, ``seed``, ``rsum``."""
        weights = {PLAIN: 0.0, IMC: 1.0} | WEIGHTS
        lines = []
        for slug, weight in sorted(weights.items(), key=lambda item: item[1]):
            for seed, value in self.metrics(slug, "test")["rsum"].items():  # type: ignore[attr-defined]
                lines.append({"weight": weight, "seed": seed, "rsum": value})
        return pd.DataFrame(lines)

    def _test(self, slug: str) -> dict[str, np.ndarray]:
        return self.runs[slug][0].load_arrays("embeddings-test.npz")


def force_curve(rows: torch.Tensor, reading: str, distance: str) -> ForceCurve:
    """The force on one pair of a batch ``rows (N, D)`` by its distance; both its entries move together."""
    found = pair_distances(rows, distance)
    one, two = len(rows) // 3, 2 * len(rows) // 3
    apart = found[~torch.eye(len(rows), dtype=torch.bool)]
    at = torch.linspace(0, float(apart.max()), STEPS, dtype=rows.dtype)
    force, inside = [], []
    for value in at:
        pair = value.clone().requires_grad_(True)
        changed = found.clone()
        changed[one, two] = changed[two, one] = pair
        loss = constraint_of_distances(changed, reading)
        # A term without a pair in its window does not depend on the distance.
        (slope,) = torch.autograd.grad(loss, pair) if loss.requires_grad else (torch.zeros(()),)
        force.append(-float(slope))
        inside.append(bool(in_window(changed.detach(), reading)[one, two]))
    counted = at.numpy()[inside]
    window = (float(counted[0]), float(counted[-1])) if len(counted) > 1 else None
    return ForceCurve(reading, distance, at.numpy(), np.array(force), apart.numpy(), window)


def _pairs(rows: np.ndarray, groups: np.ndarray, kept: int) -> np.ndarray:
    random = np.random.default_rng(0)
    first, second = random.integers(0, len(rows), (2, kept))
    other = groups[first] != groups[second]
    return (rows[first[other]] * rows[second[other]]).sum(1)


@lru_cache(maxsize=8)
def _untrained(row: IntraExperiment) -> dict[str, Any]:
    rich, fabric = row.rich(), make_fabric(row.device)
    net = fabric.to_device(row.network(rich)).eval()
    return {
        "images": in_blocks(net.embed_images, rich.images("test", row.image), fabric, BATCH),
        "sentences": in_blocks(net.embed_sentences, rich.codes("test")[0], fabric, BATCH),
    }


__all__ = ["FigureData", "force_curve"]
