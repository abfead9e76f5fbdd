"""What the figures of the Structure-Preserving paper show, taken from finished runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from imtext.studies.galleries import drawn, picture
from imtext.studies.preparation import prepare
from imtext.studies.text_features import text_features
from imtext.vision.regions import image_extents

if TYPE_CHECKING:
    from imtext.experiment.parameters import Parameters
    from imtext.runs import Run
    from imtext.studies.preparation import DataSpec, Prepared
    from imtext.studies.region_data import RegionData
    from imtext.studies.structure_rows import Scale

LOCALISERS = {"CCA": "regions-cca", "Fine-tuned (d)": "regions-d-tuned"}
PIXELS = 320
TEXTS = {
    "mean": "mean word vector",
    "tfidf": "tf-idf",
    "fv": "Fisher vector, HGLMM",
    "fv_gmm": "Fisher vector, GMM",
}


class FigureData:
    """The part of :class:`imtext.studies.structure_preserving.StructureStudy` that serves the figures."""

    parameters: Parameters
    runs: dict[str, list[Run]]
    prepared: Prepared
    sizes: Scale
    region_spec: DataSpec
    regions: RegionData

    def text_table(self) -> pd.DataFrame:
        """The text features: numbers a caption, how many are not zero, test captions without a known word."""
        lines = {}
        for kind, name in TEXTS.items():
            features = text_features(self.prepared, kind, self.sizes.text_options.get(kind))
            rows = features.test
            filled = rows.nnz if sparse.issparse(rows) else np.count_nonzero(rows)
            lines[name] = {
                "numbers": f"{rows.shape[1]:,}",
                "not zero, on average": f"{filled / rows.shape[0]:,.1f}",
                "test captions without a known word": str(features.unknown["test"]),
            }
        return pd.DataFrame.from_dict(lines, orient="index")

    def localised(self, count: int = 4, phrases: int = 3, most_words: int = 16) -> dict[str, Any]:
        """Figure 3: drawn test captions with the first box of CCA and of the best model for each phrase.

        Takes captions of at most ``most_words`` words with at least ``phrases`` phrases that have a box, one
        a picture, drawn with a seed: none is chosen by what a model finds. Returns the arguments of
        :func:`imtext.report.figures.boxes`.
        """
        test = prepare(self.region_spec, self.parameters.device).splits["test"]
        mentions, proposals = self.regions.mentions("test"), self.regions.proposals("test").boxes
        of_phrase = test.phrases.caption[mentions.row]
        arrays = [self.runs[slug][0].load_arrays("ranks-test.npz") for slug in LOCALISERS.values()]
        captions, many = np.unique(of_phrase, return_counts=True)
        fit = [len(test.captions[i].split()) <= most_words for i in captions]
        captions = captions[(many >= phrases) & np.array(fit)]
        # The first such caption of each picture.
        captions = captions[np.unique(test.image_of_caption[captions], return_index=True)[1]]
        extents = image_extents(test)
        examples = []
        for caption in captions[drawn(len(captions), count)]:
            own = np.flatnonzero(of_phrase == caption)
            image = int(test.image_of_caption[caption])
            shown = picture(test.image_path(image), PIXELS)
            scale = np.array(shown.shape[1::-1]) / extents[image]
            examples.append(
                {
                    "image": shown,
                    "words": test.captions[caption].split(),
                    "spans": [(test.phrases.start[i], test.phrases.stop[i]) for i in mentions.row[own]],
                    "truth": _scaled(mentions.truth[own], scale, shown),
                    "found": [_boxes_found(proposals, found["best"][own], scale, shown) for found in arrays],
                    "hits": [(found["ranks"][own] == 1).tolist() for found in arrays],
                }
            )
        return {"examples": examples, "methods": tuple(LOCALISERS)}


def _scaled(boxes: np.ndarray, scale: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Boxes with inclusive ends ``(P, 4)`` in pixels of a smaller copy."""
    low, high = boxes[:, :2] * scale, (boxes[:, 2:] + 1) * scale - 1
    last = np.array(shown.shape[1::-1]) - 1
    return np.clip(np.concatenate([low, np.maximum(low, high)], axis=1), 0, np.tile(last, 2))


def _boxes_found(
    proposals: np.ndarray, best: np.ndarray, scale: np.ndarray, shown: np.ndarray
) -> list[np.ndarray | None]:
    """The proposals that won, in pixels of a smaller copy; None for a phrase of an image without any."""
    boxes = _scaled(proposals[np.maximum(best, 0)], scale, shown)
    return [box if number >= 0 else None for box, number in zip(boxes, best, strict=True)]
