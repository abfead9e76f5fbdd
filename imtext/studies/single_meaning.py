"""What is right in meaning on a test split: scenes that a caption is true of, or what people said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from imtext.data import GENERATED
from imtext.data.judgements import Judged, Judgements, load_judgements
from imtext.data.picturebook.relevance import scene_relevance
from imtext.errors import DataError
from imtext.retrieval.judged import pair_matrix
from imtext.studies.parameters import Parameters
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
    """

    relevance: Any
    threshold: float
    judged: dict[str, Any]
    source: str


def meaning_of(parameters: Parameters, prepared: Prepared) -> Meaning | None:
    """What is right in meaning on the test split of a dataset, None where nothing is known."""
    test = prepared.splits["test"]
    if parameters.dataset in GENERATED and getattr(test, "scenes", None):
        relevance = scene_relevance(test)
        image, sentence = (axis.ravel() for axis in np.indices(relevance.shape))
        judged = {"image": image, "sentence": sentence, "value": relevance.ravel(), "right_from": 1.0}
        return Meaning(relevance, 1.0, judged, "scenes of which all that the caption says is true")
    if parameters.dataset == "flickr8k" and parameters.data_root:
        try:
            found = load_judgements(parameters.data_root, test)
        except DataError:
            return None
        return _judged(found, (test.n_images, test.n_sentences))
    return None


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
