"""What is right in meaning on a test split: scenes that a caption is true of, or what people said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from imtext.data import GENERATED
from imtext.data.coco_ids import coco_caption_ids
from imtext.data.judgements import Judged, Judgements, load_judgements
from imtext.data.picturebook.relevance import scene_relevance
from imtext.errors import DataError
from imtext.experiment.parameters import Parameters
from imtext.retrieval.extended import extended_pairs
from imtext.retrieval.judged import pair_matrix
from imtext.studies.preparation import Prepared

# Experts: 1 says unrelated, 4 says describes without any error; the crowd: the share who said yes.
EXPERT_RIGHT, CROWD_RIGHT = 3.0, 0.5


@dataclass(frozen=True, eq=False)
class Meaning:
    """Pairs of the test split that are right in meaning.

    Attributes:
        relevance: ``(N, M)`` in [0, 1], array or sparse; threshold: from which a pair is right.
        judged: pairs that somebody, or the scene, has an answer for: ``image (P,)``, ``sentence (P,)``,
            ``value (P,)``, and ``right_from``, the value from which a pair is right.
        source: where it comes from, in a few words.
        wrong_too: whether pairs are judged wrong as well; else those that are right are listed, and nothing
            is known of the others.
    """

    relevance: Any
    threshold: float
    judged: dict[str, Any]
    source: str
    wrong_too: bool = True


def meaning_of(parameters: Parameters, prepared: Prepared) -> Meaning:
    """What is right in meaning on the test split of a dataset.

    Raises DataError where nothing is known, ConfigError where a package is needed.
    """
    test = prepared.splits["test"]
    if parameters.dataset in GENERATED and getattr(test, "scenes", None):
        relevance = scene_relevance(test)
        image, sentence = (axis.ravel() for axis in np.indices(relevance.shape))
        judged = {"image": image, "sentence": sentence, "value": relevance.ravel(), "right_from": 1.0}
        return Meaning(relevance, 1.0, judged, "scenes of which all that the caption says is true")
    if parameters.dataset == "flickr8k" and parameters.data_root:
        found = load_judgements(parameters.data_root, test)
        return _judged(found, (test.n_images, test.n_sentences))
    if parameters.dataset == "coco" and parameters.data_root:
        return _extended(test, coco_caption_ids(parameters.data_root, test))
    raise DataError(
        f"meaning: {parameters.dataset} has no judgements of pairs; flickr8k, coco and picturebook have"
    )


def _extended(test: Any, captions: np.ndarray) -> Meaning:
    images = np.array([int(image) for image in test.image_ids])
    right = extended_pairs("cxc", images, captions).maximum(extended_pairs("eccv", images, captions))
    pairs = right.tocoo()
    judged = {"image": pairs.row, "sentence": pairs.col, "value": pairs.data, "right_from": 1.0}
    return Meaning(right, 1.0, judged, "pairs that CxC or ECCV-Caption lists", wrong_too=False)


def _judged(found: Judgements, shape: tuple[int, int]) -> Meaning:
    expert, crowd = found.expert, found.crowd
    right = sparse.csr_matrix(shape, dtype=np.float32)
    for one, least in ((expert, EXPERT_RIGHT), (crowd, CROWD_RIGHT)):
        chosen = one.right(least)
        right = right.maximum(
            pair_matrix(one.image[chosen], one.sentence[chosen], np.ones(chosen.sum()), shape)
        )
    return Meaning(right, 1.0, _pairs(expert, EXPERT_RIGHT), "pairs that experts or the crowd call right")


def _pairs(one: Judged, least: float) -> dict[str, Any]:
    return {"image": one.image, "sentence": one.sentence, "value": one.value, "right_from": least}


__all__ = ["CROWD_RIGHT", "EXPERT_RIGHT", "Meaning", "meaning_of"]
