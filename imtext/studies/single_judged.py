"""What was judged, by people or by the scenes, beside what the models of all papers answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imtext.retrieval.agreement import Correlation, rank_correlation
from imtext.retrieval.judged import FirstWrong, false_matches
from imtext.studies.all_models import scores_of

if TYPE_CHECKING:
    from imtext.studies.single_network import SingleStudy

PAIRS = 20000  # of judged pairs at most, for the correlations


def first_wrong(study: SingleStudy, model: str, judged_only: bool = False) -> dict[str, FirstWrong]:
    """First answers of a model that recall counts as wrong, per direction, with their judgement.

    ``judged_only``: each query's first wrong answer that was judged.
    """
    test, judged = study.prepared.splits["test"], study.meaning.judged
    return false_matches(
        scores_of(study.model_runs[model]),
        test.image_of_sentence,
        judged["image"],
        judged["sentence"],
        judged["value"],
        judged_only=judged_only,
        group_of_image=test.group_of_image,
    )


def wrong_answers(study: SingleStudy, model: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """First answers of a model that recall counts as wrong, of those that were judged.

    On Flickr8k, where few pairs were judged, each query's first wrong answer that was.

    Returns:
        ``image_query`` and ``text_query``: whether right in meaning ``(Q,)``, and the image that the query
        belongs to ``(Q,)``.
    """
    test, least = study.prepared.splits["test"], study.meaning.judged["right_from"]
    images = {"image_query": np.arange(test.n_images), "text_query": test.image_of_sentence}
    out = {}
    for side, one in first_wrong(study, model, study.parameters.dataset == "flickr8k").items():
        known = ~np.isnan(one.value)
        out[side] = (one.value[known] >= least, images[side][known])
    return out


def other_pairs(study: SingleStudy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Judged pairs ``(P,)`` that are not of one group: image, sentence, judgement."""
    test, judged = study.prepared.splits["test"], study.meaning.judged
    other = test.group_of_image[judged["image"]] != test.group_of_sentence[judged["sentence"]]
    image, sentence, value = (judged[key][other] for key in ("image", "sentence", "value"))
    return image, sentence, value


def share_of_pairs(study: SingleStudy) -> float:
    """Per cent of the judged pairs that are not of one group and are right in meaning."""
    return 100 * float((other_pairs(study)[2] >= study.meaning.judged["right_from"]).mean())


def follows(study: SingleStudy, model: str, n: int = 200) -> Correlation:
    """Rank correlation of a model's similarity with the judgement, over pairs that are not of one group.

    At most 20,000 pairs, drawn; ``n`` draws of images for the intervals.
    """
    image, sentence, value = other_pairs(study)
    if len(image) > PAIRS:
        chosen = np.random.default_rng(0).choice(len(image), PAIRS, replace=False)
        image, sentence, value = image[chosen], sentence[chosen], value[chosen]
    return rank_correlation(scores_of(study.model_runs[model])[image, sentence], value, clusters=image, n=n)


def agreement(study: SingleStudy) -> pd.DataFrame:
    """Of every model: first wrong answers that are right in meaning, per cent, and rank correlations.

    Without columns where no pair was judged wrong.
    """
    if not study.meaning.wrong_too:
        return pd.DataFrame(index=list(study.graded))
    lines = {}
    for model in study.graded:
        wrong, found = wrong_answers(study, model), follows(study, model, n=20)
        shares = {
            f"{side.split('_')[0]} query": 100 * float(right.mean()) if len(right) else float("nan")
            for side, (right, _) in wrong.items()
        }
        named = {f"wrong but right, {side}": share for side, share in shares.items()}
        lines[model] = named | {"Spearman's ρ": found.spearman, "Kendall's τ-b": found.kendall}
    return pd.DataFrame.from_dict(lines, orient="index")


__all__ = ["agreement", "first_wrong", "follows", "other_pairs", "share_of_pairs", "wrong_answers"]
