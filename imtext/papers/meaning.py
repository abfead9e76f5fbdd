"""What is right in meaning on a test split: scenes that a caption is true of, or what people said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from imtext.data import GENERATED
from imtext.data.coco_ids import coco_caption_ids
from imtext.data.judgements import load_judgements
from imtext.data.picturebook.relevance import scene_relevance
from imtext.data.schema import Dataset
from imtext.errors import DataError
from imtext.retrieval import Graded, graded
from imtext.retrieval.agreement import Correlation, rank_correlation
from imtext.retrieval.extended import extended_pairs
from imtext.retrieval.judged import FirstWrong, false_matches, pair_matrix

# Experts: 1 says unrelated, 4 says describes without any error; the crowd: the share who said yes.
EXPERT_RIGHT, CROWD_RIGHT = 3.0, 0.5
MOST = 20000  # judged pairs, for the correlations


@dataclass(frozen=True, eq=False)
class Meaning:
    """Pairs of the test split that are right in meaning.

    Attributes:
        relevance: ``(N, M)`` in [0, 1], array or sparse; 1 is right.
        image, caption, value: ``(P,)`` each, pairs that somebody, or the scene, has an answer for;
            right_from: the value from which a pair is right.
        source: where it comes from, said: of one answer that is right, by its value.
        wrong_too: whether pairs are judged wrong as well; else those that are right are listed, and nothing
            is known of the others.
        first_judged: whether so few pairs are judged that a query's first judged answer counts.
    """

    relevance: Any
    image: np.ndarray
    caption: np.ndarray
    value: np.ndarray
    right_from: float
    source: str
    said: str
    wrong_too: bool = True
    first_judged: bool = False


def meaning_of(dataset: str, data_root: str | None, test: Dataset) -> Meaning:
    """What is right in meaning on the test split of a dataset.

    Raises:
        DataError: nothing is known; ConfigError: a package is needed.
    """
    if dataset in GENERATED and getattr(test, "scenes", None):
        relevance = scene_relevance(test)
        image, caption = (axis.ravel() for axis in np.indices(relevance.shape))
        source = "scenes of which all that the caption says is true"
        said = "all that it says is true of the scene"
        return Meaning(relevance, image, caption, relevance.ravel(), 1.0, source, said)
    if dataset == "flickr8k" and data_root:
        found, shape = load_judgements(data_root, test), (test.n_images, test.n_captions)
        right = sparse.csr_matrix(shape, dtype=np.float32)
        for one, least in ((found.expert, EXPERT_RIGHT), (found.crowd, CROWD_RIGHT)):
            kept = one.right(least)
            right = right.maximum(pair_matrix(one.image[kept], one.caption[kept], np.ones(kept.sum()), shape))
        one, source = found.expert, "pairs that experts or the crowd call right"
        said = "experts: {:.2f} of 4 on average"
        return Meaning(
            right, one.image, one.caption, one.value, EXPERT_RIGHT, source, said, first_judged=True
        )
    if dataset == "coco" and data_root:
        ids = np.array([int(image) for image in test.image_ids]), coco_caption_ids(data_root, test)
        right = extended_pairs("cxc", *ids).maximum(extended_pairs("eccv", *ids))
        pairs, source = right.tocoo(), "pairs that CxC or ECCV-Caption lists"
        said = "CxC or ECCV-Caption lists it"
        return Meaning(right, pairs.row, pairs.col, pairs.data, 1.0, source, said, wrong_too=False)
    raise DataError(f"{dataset} has no judgements of pairs; flickr8k, coco and picturebook have")


class Judged:
    """Models on one test split, measured by recall and by meaning.

    Args:
        scores: ``(N, M)`` of each model, by name; test: the split; meaning: what is right in it.
    """

    def __init__(self, scores: Mapping[str, np.ndarray], test: Dataset, meaning: Meaning) -> None:
        self.scores, self.test, self.meaning = dict(scores), test, meaning

    @cached_property
    def graded(self) -> dict[str, Graded]:
        """Measures of every model."""
        test = self.test
        given = test.image_of_caption, self.meaning.relevance, 1.0, test.group_of_image
        return {name: graded(scores, *given) for name, scores in self.scores.items()}

    def measures(self, digits: int = 1) -> pd.DataFrame:
        """R-sum, semantic R-sum, nDCG@10 and mAP@R of every model, per cent."""
        names = {
            "R-sum": "rsum",
            "semantic R-sum": "semantic_rsum",
            "nDCG@10": "ndcg@10",
            "mAP@R": "map_at_r",
        }
        found = {model: [one.value(name) for name in names.values()] for model, one in self.graded.items()}
        return pd.DataFrame.from_dict(found, orient="index", columns=list(names)).round(digits)

    def first_wrong(self, model: str, judged_only: bool) -> dict[str, FirstWrong]:
        """First answers that recall counts as wrong, per direction, or the first of them that was judged."""
        one, groups = self.meaning, self.test.group_of_image
        given = one.image, one.caption, one.value, judged_only, groups
        return false_matches(self.scores[model], self.test.image_of_caption, *given)

    def wrong_answers(self, model: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of the first answers that recall counts as wrong and that were judged, by direction: whether right
        in meaning ``(Q,)``, and the image that the query belongs to ``(Q,)``.
        """
        images = np.arange(self.test.n_images), self.test.image_of_caption
        found = self.first_wrong(model, self.meaning.first_judged)
        out = {}
        for own, (side, one) in zip(images, found.items(), strict=True):
            known = ~np.isnan(one.value)
            out[side] = (one.value[known] >= self.meaning.right_from, own[known])
        return out

    def other_pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Judged pairs ``(P,)`` that are not of one group: image, caption, judgement."""
        one = self.meaning
        other = self.test.group_of_image[one.image] != self.test.group_of_caption[one.caption]
        return one.image[other], one.caption[other], one.value[other]

    def share_of_pairs(self) -> float:
        """Per cent of these pairs that are right in meaning."""
        return 100 * float((self.other_pairs()[2] >= self.meaning.right_from).mean())

    def follows(self, model: str, n: int = 200) -> Correlation:
        """Rank correlation of a model's similarity with the judgement, over at most 20,000 of these pairs;
        ``n`` draws of images for the intervals.
        """
        image, caption, value = self.other_pairs()
        kept = slice(None)
        if len(image) > MOST:
            kept = np.random.default_rng(0).choice(len(image), MOST, replace=False)
        scores = self.scores[model][image[kept], caption[kept]]
        return rank_correlation(scores, value[kept], clusters=image[kept], n=n)

    def agreement(self, digits: int = 2) -> pd.DataFrame:
        """Of every model: first wrong answers that are right in meaning, per cent, and rank correlations.

        Without columns where no pair was judged wrong.
        """
        if not self.meaning.wrong_too:
            return pd.DataFrame(index=list(self.scores))
        lines = {}
        for model in self.scores:
            found, wrong = self.follows(model, n=20), self.wrong_answers(model)
            lines[model] = {
                f"wrong but right, {side.split('_')[0]} query": 100 * float(right.mean())
                for side, (right, _) in wrong.items()
                if len(right)
            }
            lines[model] |= {"Spearman's ρ": found.spearman, "Kendall's τ-b": found.kendall}
        return pd.DataFrame.from_dict(lines, orient="index").round(digits)
