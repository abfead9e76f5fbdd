"""Models of all papers on one test split, by recall and by what is right in meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import sparse

from imtext.data import GENERATED
from imtext.data.coco import coco_caption_ids
from imtext.data.dataset import Dataset
from imtext.data.generated import scene_relevance
from imtext.data.judgements import load_judgements
from imtext.errors import ConfigError, DataError
from imtext.experiment import Absent, Experiment, Result, Results, Study
from imtext.experiment.compute import Row, finished, jobs_here, scores_of
from imtext.experiment.results import SIDES, drawn
from imtext.experiment.study import Measures
from imtext.report import Evidence, Gallery, from_samples, from_scores, read_paper
from imtext.report.figures import panels
from imtext.report.style import PALETTE, house_style
from imtext.retrieval import Graded, graded, modality_mixing, order_of_models
from imtext.retrieval.meaning import FirstWrong, extended_pairs, false_matches, pair_matrix
from imtext.retrieval.uncertainty import Correlation, rank_correlation
from imtext.runs import Run

# Rows of the single network.
OWN = {"One network, standard": "standard", "One network, config-2": "config-2"}
BEST, STRUCTURE = "One network, config-2", "Structure-preserving"
MEASURES = {"R-sum": "rsum", "semantic R-sum": "semantic_rsum", "nDCG@10": "ndcg@10", "mAP@R": "map_at_r"}
# Claims that need pairs which were judged wrong.
JUDGED = ("false_matches_are_right", "false_matches_beat_others", "similarity_follows_people")
MOST = 20_000  # judged pairs, for the correlations
# Experts: 1 says unrelated, 4 says describes without any error; the crowd: the share who said yes.
EXPERT_RIGHT, CROWD_RIGHT = 3.0, 0.5


class Meaning(NamedTuple):
    """Pairs of the test split that are right in meaning.

    Attributes:
        relevance: ``(N, M)`` in [0, 1], array or sparse; 1 is right.
        pairs: that somebody, or the scene, has an answer for: images, captions and answers, ``(P,)`` each.
        source: where it comes from; said: of one answer that is right, by its value.
        right_from: the value from which a pair is right.
        wrong_too: whether pairs are judged wrong as well; else those that are right are listed, and nothing
            is known of the others.
    """

    relevance: Any
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
    source: str
    said: str
    right_from: float = 1.0
    wrong_too: bool = True


@lru_cache(maxsize=2)
def meaning_of(dataset: str, data_root: str | None, test: Dataset) -> Meaning:
    """What is right in meaning on the test split of a dataset.

    Raises:
        DataError: nothing is known; ConfigError: a package is needed.
    """
    if dataset in GENERATED and test.scenes:
        relevance = scene_relevance(test)
        pairs = *np.indices(relevance.shape).reshape(2, -1), relevance.ravel()
        source = "scenes for which the whole caption is true"
        said = "the whole caption is true of the scene"
        return Meaning(relevance, pairs, source, said)
    if dataset == "flickr8k" and data_root:
        found, shape = load_judgements(data_root, test), (test.n_images, test.n_captions)
        both = ((found.expert, EXPERT_RIGHT), (found.crowd, CROWD_RIGHT))
        expert, crowd = (pair_matrix(one.image, one.caption, one.right(least), shape) for one, least in both)
        one, source, right = found.expert, "pairs that experts or the crowd call right", expert.maximum(crowd)
        said, pairs = "experts: {:.2f} of 4 on average", (one.image, one.caption, one.value)
        return Meaning(right, pairs, source, said, EXPERT_RIGHT)
    if dataset == "coco" and data_root:
        ids = np.array([int(image) for image in test.image_ids]), coco_caption_ids(data_root, test)
        right = extended_pairs("cxc", *ids).maximum(extended_pairs("eccv", *ids))
        one, source = right.tocoo(), "pairs that CxC or ECCV-Caption lists"
        said = "CxC or ECCV-Caption lists it"
        return Meaning(right, (one.row, one.col, one.data), source, said, wrong_too=False)
    raise DataError(f"{dataset} has no judgements of pairs; flickr8k, coco and picturebook have")


def models(
    study: Study, results: Results, others: Mapping[str, tuple[str, str, Experiment]]
) -> Models | Absent:
    """Models of all papers on the test split; absent without the rows of Table 3, or where nothing is known
    of meaning. ``others``: by name, the paper of each other model, its row's key there, and what it is.
    """
    given = study.parameters
    if "3" not in given.tables or not results.has(*OWN.values()):
        return Absent()
    test = results["config-2"].split()
    try:
        meaning = meaning_of(given.dataset, given.data_root, test)
    except (ConfigError, DataError) as error:
        print(f"right in meaning: {error}")
        return Absent()
    print(f"right in meaning: {meaning.source}")
    rows = []
    for paper, key, one in others.values():
        rows.append(Row(paper, key, replace(one, seed=given.seeds[0]), study.places, given.profile))
    runs = dict(finished(rows, given.runs_dir, jobs_here(given.jobs, given.profile, given.device)))
    own = {name: results[key].runs[0] for name, key in OWN.items()}
    return Models({**dict(zip(others, map(runs.get, rows), strict=True)), **own}, test, meaning)


class Models:
    """Trained models on one test split, measured by recall and by meaning.

    Args:
        runs: one a model, by name; test: the split; meaning: what is right in it.
    """

    def __init__(self, runs: Mapping[str, Run], test: Dataset, meaning: Meaning) -> None:
        self.runs, self.test, self.meaning = dict(runs), test, meaning
        self.scores = {name: scores_of(run) for name, run in runs.items()}

    @cached_property
    def graded(self) -> dict[str, Graded]:
        """Measures of every model."""
        given = self.test.image_of_caption, self.meaning.relevance, 1.0, self.test.group_of_image
        return {name: graded(scores, *given) for name, scores in self.scores.items()}

    def measures(self, digits: int = 1) -> pd.DataFrame:
        """R-sum, semantic R-sum, nDCG@10 and mAP@R of every model, per cent."""
        lines = [[one.value(measure) for measure in MEASURES.values()] for one in self.graded.values()]
        return pd.DataFrame(lines, list(self.graded), list(MEASURES)).round(digits)

    def sampled(self, measure: str, n: int = 2000, **side: str) -> pd.DataFrame:
        """A measure of every model: in line 0 as it is, in ``n`` further ones for other draws of images."""
        found = {}
        for name, one in self.graded.items():
            found[name] = [one.value(measure, **side), *one.samples(measure, n=n, **side)]
        return pd.DataFrame(found)

    @house_style()
    def order(self) -> Figure:
        """Every model by Recall@K and by semantic recall, with intervals, in the order of the former."""
        figure, grid = panels(2, 0.32 * len(self.runs) + 0.7, sharey=True)
        ordered = self.measures(9).sort_values("R-sum", kind="stable").index
        for axes, name in zip(grid, ("R-sum", "semantic R-sum"), strict=True):
            samples = self.sampled(MEASURES[name])[ordered]
            values, ends = samples.loc[0], samples[1:].quantile([0.025, 0.975])
            reach, place = abs(ends - values), len(values) + 1 - values.rank(method="first")
            axes.errorbar(values, range(len(values)), xerr=reach, fmt="o", color=PALETTE[0], elinewidth=1.2)
            for y, (x, rank) in enumerate(zip(ends.loc[0.975], place, strict=True)):
                axes.annotate(f"{rank:.0f}", (x, y), xytext=(5, 0), textcoords="offset points", va="center")
            axes.set_title(f"{name}, with places")
        grid[0].set_yticks(range(len(ordered)), ordered)
        return figure

    def swaps(self) -> None:
        """Say how far the two orders agree, and which models change places."""
        change = order_of_models(self.graded)
        print(f"Kendall's tau {change.tau:.2f} ({change.low:.2f} to {change.high:.2f})")
        for swap in change.swaps:
            print(f"{swap.other} overtakes {swap.better}", "(certain)" * swap.certain)

    def missed(self, result: Result, count: int = 4) -> Gallery:
        """First answers that are right, and that recall counts as wrong, each caption once, of the model with
        the highest R-sum on the validation split.
        """
        strongest = max(self.runs, key=lambda name: self.runs[name].metrics["val"]["rsum"])
        found = pd.DataFrame(vars(self.first_wrong(strongest, judged_only=False)["image_query"]))
        right = found.query("rank == 1 and value >= @self.meaning.right_from").drop_duplicates("item")
        test, rows = self.test, []
        for one in right.iloc[drawn(len(right), count)].itertuples():
            lines = [f"“{test.captions[one.item]}”", ("Recall@K: wrong, written for another image", False)]
            lines.append((self.meaning.said.format(one.value), True))
            own = result.picture(int(test.image_of_caption[one.item]))
            rows.append([(result.picture(one.Index), []), (None, lines), (own, ["written for this"])])
        print("answers of:", strongest)
        return Gallery(rows)

    def first_wrong(self, model: str, judged_only: bool) -> dict[str, FirstWrong]:
        """First answers that recall counts as wrong, per direction, or the first of them that was judged."""
        given = *self.meaning.pairs, judged_only, self.test.group_of_image
        return false_matches(self.scores[model], self.test.image_of_caption, *given)

    def other_pairs(self) -> list[np.ndarray]:
        """Judged pairs ``(P,)`` that are not of one group: image, caption, judgement."""
        image, caption, _ = self.meaning.pairs
        other = self.test.group_of_image[image] != self.test.group_of_caption[caption]
        return [one[other] for one in self.meaning.pairs]

    def follows(self, model: str, n: int = 200) -> Correlation:
        """Rank correlation of a model's similarity with the judgement, over at most 20,000 of these pairs;
        ``n`` draws of images for the intervals.
        """
        image, caption, value = (one[drawn(len(one), MOST)] for one in self.other_pairs())
        return rank_correlation(self.scores[model][image, caption], value, clusters=image, n=n)

    def agreement(self, digits: int = 2) -> pd.DataFrame:
        """Of every model: first wrong answers that are right in meaning, per cent, and rank correlations.

        Without columns where no pair was judged wrong.
        """
        lines = {model: {} for model in self.runs}
        for model in self.runs if self.meaning.wrong_too else ():
            for side, one in self.first_wrong(model, judged_only=True).items():
                share, _ = one.share_right(self.meaning.right_from)
                lines[model][f"wrong but right, {side.split('_')[0]} query"] = share
            found = self.follows(model, n=20)
            lines[model] |= {"Spearman's ρ": found.spearman, "Kendall's τ-b": found.kendall}
        return pd.DataFrame.from_dict(lines, orient="index").round(digits)

    # Claims

    def claims(self) -> Measures:
        """What measures the claims about models, by claim: a method of the claim's name."""
        names = [one.id for one in read_paper("single_network").claims.values() if one.table == "3"]
        left_out = () if self.meaning.wrong_too else JUDGED
        return {name: getattr(self, name) for name in names if name not in left_out}

    @property
    def best_other(self) -> str:
        """The model of another paper with the highest R-sum on the test split."""
        return self.measures(9)["R-sum"].drop(list(OWN)).idxmax()

    def one_network_comparable(self, results: Results) -> list[Evidence]:
        """Mean recall of config-2 minus that of the best other model, both directions together."""
        sums = self.sampled("rsum")
        return [_evidence("mean recall, both directions", (sums[BEST] - sums[self.best_other]) / 6)]

    def recall_is_low(self, results: Results) -> list[Evidence]:
        """R@1 of the structure-preserving model minus that of config-2."""
        recalls = {side: self.sampled("recall@1", side=f"{side}_query") for side in SIDES}
        return [_evidence(f"{side} query R@1", one[STRUCTURE] - one[BEST]) for side, one in recalls.items()]

    def alike_captions_lie_near(self, results: Results) -> list[Evidence]:
        """How much nearer captions of one meaning lie than others, relative; the same minus that of drawings.

        Two captions of different groups are of one meaning where each is right of the other's scene, or where
        people call one right of the other's image. Less than 15 % of their words are common, and of those of
        the others, which are drawn at random: Figure 1 is about different words.
        """
        one, known = results["config-2"], self.meaning.relevance
        right, text = sparse.csr_array(known >= 1)[self.test.image_of_caption], one.rows[0].inputs.text
        right = right.multiply(right.T) if isinstance(known, np.ndarray) else right
        pictures, rows = text.drawing.lazy(text.codes("test")), one.embeddings()[0]["captions"]
        by_chance = np.random.default_rng(0).integers(0, len(rows), (2, MOST))
        alike, others = (self._unlike_words(pairs) for pairs in (right.nonzero(), by_chance))
        if not len(alike):
            return []
        gains = []
        for point in (rows.__getitem__, lambda pair: pictures.take(pair).numpy().astype(float)):
            near, far = ([np.linalg.norm(np.subtract(*point(p))) for p in pairs] for pairs in (alike, others))
            gains.append(1 - np.array(near) / np.mean(far))
        named = {"relative nearness": gains[0], "more than of the drawings": gains[0] - gains[1]}
        given = {"clusters": self.test.image_of_caption[alike[:, 0]], "scale": 1, "unit": "", "digits": 3}
        return [from_scores(name, own, 0, **given) for name, own in named.items()]

    def _unlike_words(self, pairs: Any) -> np.ndarray:
        """Some of the pairs of captions ``(2, A)``: of different groups and words, ``(P, 2)``."""
        groups = self.test.group_of_caption
        words = [set(caption.casefold().strip(" .").split()) for caption in self.test.captions]
        other = np.transpose(pairs)[groups[pairs[0]] != groups[pairs[1]]]
        some = np.random.default_rng(0).permutation(other)[:MOST]
        kept = [len(words[a] & words[b]) < 0.15 * len(words[a] | words[b]) for a, b in some]
        return some[np.array(kept, dtype=bool)][:2000]

    def semantic_recall_closes_gap(self, results: Results) -> list[Evidence]:
        """Relative gap to the best other model by recall minus by each measure of meaning.

        A caption that says little is right of many images: it lifts semantic recall, but hardly the others.
        """
        sums = {name: self.sampled(measure) for name, measure in MEASURES.items()}
        gaps = {name: 100 * (1 - one[BEST] / one[self.best_other]) for name, one in sums.items()}
        return [_evidence(f"gap closed by {name}", gaps["R-sum"] - gaps[name]) for name in list(MEASURES)[1:]]

    def false_matches_are_right(self, results: Results) -> list[Evidence]:
        """Share of the first wrong answers that are right in meaning, minus 50 per cent."""
        return self._right_share(0.5)

    def false_matches_beat_others(self, results: Results) -> list[Evidence]:
        """The same minus the share among all judged pairs that are no true pairs."""
        return self._right_share((self.other_pairs()[2] >= self.meaning.right_from).mean())

    def _right_share(self, against: float) -> list[Evidence]:
        found, owners = [], (np.arange(self.test.n_images), self.test.image_of_caption)
        wrong = self.first_wrong(BEST, judged_only=True).values()
        for side, one, images in zip(SIDES, wrong, owners, strict=True):
            if (known := ~np.isnan(one.value)).any():
                right = one.value[known] >= self.meaning.right_from
                found.append(from_scores(f"{side} query, share right", right, against, images[known]))
        return found

    def order_changes(self, results: Results) -> list[Evidence]:
        """0.9 minus Kendall's tau between the orders of close models by recall and by semantic recall.

        Close are those within 15 points of R-sum of one of them, of which most are; three at least.
        """
        sums = self.measures(9)["R-sum"]
        near = max((sums.index[abs(sums - one) <= 15] for one in sums), key=len)
        if len(near) < 3:
            return []
        plain, semantic = (self.sampled(measure, n=200)[near] for measure in ("rsum", "semantic_rsum"))
        taus = plain.corrwith(semantic, axis=1, method="kendall")
        return [_evidence(f"0.9 − τ of the orders of {len(near)}", 0.9 - taus, "", 3)]

    def similarity_follows_people(self, results: Results) -> list[Evidence]:
        """Kendall's tau-b of similarity and judgement, over judged pairs that are no true pairs."""
        found = self.follows(BEST)
        tau, ends = found.kendall, (found.kendall_low, found.kendall_high)
        return [Evidence("Kendall's τ-b", tau, *ends, (tau,), unit="", digits=3)]

    def mixing_tells_good_systems(self, results: Results) -> list[Evidence]:
        """Kendall's tau between the orders of the models by modality mixing and by semantic recall."""
        mixed = {}
        for name, run in self.runs.items():
            if (run.dir / "embeddings-test.npz").is_file():
                arrays = run.load_arrays("embeddings-test.npz")
                mixed[name] = modality_mixing(arrays["images"], arrays["captions"], n=20).value
        sums = self.sampled("semantic_rsum", n=200)[list(mixed)]
        taus = sums.corrwith(pd.Series(mixed), axis=1, method="kendall")
        return [_evidence("Kendall's τ, mixing and meaning", taus, "", 3)]


def _evidence(name: str, values: Any, unit: str = "points", digits: int = 2) -> Evidence:
    """Of a number and what it is for other draws, in one array."""
    value, *samples = np.asarray(values, dtype=float)
    finite = [one for one in samples if np.isfinite(one)]  # few images may hold nothing right
    return from_samples(name, float(value), finite, unit, digits)
