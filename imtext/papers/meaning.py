"""What is right in meaning on a test split: scenes that a caption is true of, or what people said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from imtext.data import GENERATED
from imtext.data.coco_ids import coco_caption_ids
from imtext.data.judgements import load_judgements
from imtext.data.picturebook.relevance import scene_relevance
from imtext.data.schema import Dataset
from imtext.errors import DataError
from imtext.retrieval.extended import extended_pairs
from imtext.retrieval.judged import pair_matrix

# Experts: 1 says unrelated, 4 says describes without any error; the crowd: the share who said yes.
EXPERT_RIGHT, CROWD_RIGHT = 3.0, 0.5


@dataclass(frozen=True, eq=False)
class Meaning:
    """Pairs of the test split that are right in meaning.

    Attributes:
        relevance: ``(N, M)`` in [0, 1], array or sparse; 1 is right.
        image, caption, value: ``(P,)`` each, pairs that somebody, or the scene, has an answer for.
        source: where it comes from; said: of one answer that is right, by its value.
        right_from: the value from which a pair is right.
        wrong_too: whether pairs are judged wrong as well; else those that are right are listed, and nothing
            is known of the others.
        first_judged: whether so few pairs are judged that a query's first judged answer counts.
    """

    relevance: Any
    image: np.ndarray
    caption: np.ndarray
    value: np.ndarray
    source: str
    said: str
    right_from: float = 1.0
    wrong_too: bool = True
    first_judged: bool = False


def meaning_of(dataset: str, data_root: str | None, test: Dataset) -> Meaning:
    """What is right in meaning on the test split of a dataset.

    Raises:
        DataError: nothing is known; ConfigError: a package is needed.
    """
    if dataset in GENERATED and test.scenes:
        relevance = scene_relevance(test)
        image, caption = (axis.ravel() for axis in np.indices(relevance.shape))
        source = "scenes of which all that the caption says is true"
        said = "all that it says is true of the scene"
        return Meaning(relevance, image, caption, relevance.ravel(), source, said)
    if dataset == "flickr8k" and data_root:
        found, shape = load_judgements(data_root, test), (test.n_images, test.n_captions)
        right = sparse.csr_matrix(shape, dtype=np.float32)
        for one, least in ((found.expert, EXPERT_RIGHT), (found.crowd, CROWD_RIGHT)):
            kept = one.right(least)
            right = right.maximum(pair_matrix(one.image[kept], one.caption[kept], np.ones(kept.sum()), shape))
        one, source = found.expert, "pairs that experts or the crowd call right"
        said, pairs = "experts: {:.2f} of 4 on average", (one.image, one.caption, one.value)
        return Meaning(right, *pairs, source, said, EXPERT_RIGHT, first_judged=True)
    if dataset == "coco" and data_root:
        ids = np.array([int(image) for image in test.image_ids]), coco_caption_ids(data_root, test)
        right = extended_pairs("cxc", *ids).maximum(extended_pairs("eccv", *ids))
        pairs, source = right.tocoo(), "pairs that CxC or ECCV-Caption lists"
        said = "CxC or ECCV-Caption lists it"
        return Meaning(right, pairs.row, pairs.col, pairs.data, source, said, wrong_too=False)
    raise DataError(f"{dataset} has no judgements of pairs; flickr8k, coco and picturebook have")
