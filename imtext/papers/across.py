"""Models of all papers on one test split, by recall and by what is right in meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imtext.data.schema import Dataset
from imtext.errors import ConfigError, DataError
from imtext.experiment import Absent, Experiment, Result, Results, Study
from imtext.experiment.claims import SIDES
from imtext.experiment.compute import Row, scores_of
from imtext.experiment.results import drawn
from imtext.experiment.running import jobs_here, run_all
from imtext.experiment.study import Measures, place_of
from imtext.papers.meaning import Judged, Meaning, meaning_of
from imtext.report import Evidence, from_samples, read_published, results_folder
from imtext.report.figures import panels
from imtext.report.gallery import Gallery
from imtext.report.style import PALETTE, house_style
from imtext.retrieval import Graded, cluster_bootstrap, modality_mixing, order_of_models
from imtext.retrieval.agreement import compare_orders
from imtext.runs import Run

# Rows of the single network.
OWN = {"One network, standard": "standard", "One network, config-2": "config-2"}
BEST, STRUCTURE = "One network, config-2", "Structure-preserving"
DRAWS = 2000


def models(
    study: Study, results: Results, others: Mapping[str, tuple[str, str, Experiment]]
) -> Models | Absent:
    """Models of all papers on the test split; absent where Table 3 was not asked for, or nothing is known of
    meaning. ``others``: by name, the paper of each other model, the key of its row there, and what it is.
    """
    given = study.parameters
    if "3" not in given.tables:
        return Absent()
    test = results["config-2"].split()
    try:
        meaning = meaning_of(given.dataset, given.data_root, test)
    except (ConfigError, DataError) as error:
        print(f"right in meaning: {error}")
        return Absent()
    print(f"right in meaning: {meaning.source}")
    rows = [
        Row(paper, key, replace(one, seed=given.seeds[0]), study.places, given.profile)
        for paper, key, one in others.values()
    ]
    runs = run_all(rows, given.runs_dir, jobs_here(given.jobs, given.profile, given.device))
    own = {name: results[key].runs[0] for name, key in OWN.items()}
    return Models({**dict(zip(others, runs, strict=True)), **own}, test, meaning)


class Models(Judged):
    """Trained models on one test split, measured by recall and by meaning; ``runs``: one a model, by name."""

    def __init__(self, runs: Mapping[str, Run], test: Dataset, meaning: Meaning) -> None:
        super().__init__({name: scores_of(run) for name, run in runs.items()}, test, meaning)
        self.runs = dict(runs)

    @house_style()
    def order(self) -> Figure:
        """Every model by Recall@K and by semantic recall, with intervals, in the order of the former."""
        figure, grid = panels(2, 0.32 * len(self.graded) + 0.7, sharey=True)
        ordered = sorted(self.graded, key=lambda name: self.graded[name].value("rsum"))
        for axes, measure in zip(grid, ("rsum", "semantic_rsum"), strict=True):
            values = np.array([self.graded[name].value(measure) for name in ordered])
            samples = [self.graded[name].samples(measure) for name in ordered]
            ends = np.percentile(samples, [2.5, 97.5], axis=1)
            place = len(values) - np.argsort(np.argsort(values))
            reach = np.abs(ends - values)
            axes.errorbar(values, range(len(values)), xerr=reach, fmt="o", color=PALETTE[0], elinewidth=1.2)
            for y, (x, rank) in enumerate(zip(ends[1], place, strict=True)):
                axes.annotate(f"{rank}", (x, y), xytext=(5, 0), textcoords="offset points", va="center")
            axes.set_title({"rsum": "R-sum", "semantic_rsum": "semantic R-sum"}[measure] + ", with places")
        grid[0].set_yticks(range(len(ordered)), ordered)
        return figure

    def swaps(self) -> None:
        """Say how far the two orders agree, and which models change places."""
        change = order_of_models(self.graded)
        print(f"Kendall's tau {change.tau:.2f} ({change.low:.2f} to {change.high:.2f})")
        for swap in change.swaps:
            print(f"{swap.other} overtakes {swap.better}", "(certain)" * swap.certain)

    def strongest(self) -> str:
        """The model with the highest R-sum on the validation split."""
        return max(self.runs, key=lambda name: self.runs[name].metrics["val"]["rsum"])

    def missed(self, result: Result, count: int = 4) -> Gallery:
        """First answers of the strongest model that are right, and that recall counts as wrong."""
        test, rows = self.test, []
        for query, item, value in self.right_but_wrong(count):
            lines = [f"“{test.captions[item]}”", ("Recall@K: wrong, written for another image", False)]
            lines.append((self.meaning.said.format(value), True))
            own = result.picture(int(test.image_of_caption[item]))
            rows.append([(result.picture(query), []), (None, lines), (own, ["written for this"])])
        print("answers of:", self.strongest())
        return Gallery(rows)

    def right_but_wrong(self, count: int) -> list[tuple[int, int, float]]:
        """Some of these answers, each caption once: image, caption, judgement."""
        found = self.first_wrong(self.strongest(), False)["image_query"]
        chosen = np.flatnonzero((found.rank == 1) & (found.value >= self.meaning.right_from))
        chosen = chosen[np.sort(np.unique(found.item[chosen], return_index=True)[1])]
        chosen = [chosen[place] for place in drawn(len(chosen), count)]
        return [(int(query), int(found.item[query]), float(found.value[query])) for query in chosen]

    def lines(self, seed: int) -> list[dict[str, Any]]:
        """A published line a model, as table ``meaning``."""
        found, lines = self.measures(3).join(self.agreement(3)), []
        for model, run in self.runs.items():
            slug = f"{run.dir.parent.name}: {run.dir.name.rpartition('-')[0]}"
            cells = {"table": "meaning", "row": model, "seed": seed, **place_of(run), "backbone": slug}
            lines.append(cells | found.loc[model].to_dict())
        return lines

    # Claims

    def claims(self) -> Measures:
        """What measures the claims about models, by claim."""
        measures = [
            self.one_network_comparable,
            self.recall_is_low,
            self.semantic_recall_closes_gap,
            self.order_changes,
            self.mixing_tells_good_systems,
        ]
        if self.meaning.wrong_too:
            measures += [
                self.false_matches_are_right,
                self.false_matches_beat_others,
                self.similarity_follows_people,
            ]
        return {one.__name__: lambda _, measured=one: measured() for one in measures}

    @property
    def best_other(self) -> str:
        """The model of another paper with the highest R-sum on the test split."""
        others = [name for name in self.runs if name not in OWN]
        return max(others, key=lambda name: self.graded[name].value("rsum"))

    def _difference(self, name: str, better: str, worse: str, measure: str, **given: Any) -> Evidence:
        """A measure of one model minus that of another, with the same draws for both."""
        scale = given.pop("scale", 1)
        pair = self.graded[better], self.graded[worse]
        value = np.subtract(*(one.value(measure, **given) for one in pair)) / scale
        samples = np.subtract(*(one.samples(measure, n=DRAWS, **given) for one in pair)) / scale
        return from_samples(name, float(value), samples, "points", 2)

    def one_network_comparable(self) -> list[Evidence]:
        """Mean recall of config-2 minus that of the best other model, both directions together."""
        return [self._difference("mean recall, both directions", BEST, self.best_other, "rsum", scale=6)]

    def recall_is_low(self) -> list[Evidence]:
        """R@1 of the structure-preserving model minus that of config-2."""
        return [
            self._difference(f"{side} query R@1", STRUCTURE, BEST, "recall@1", side=f"{side}_query")
            for side in SIDES
        ]

    def _right_share(self, against: float) -> list[Evidence]:
        found = []
        for side, (right, images) in self.wrong_answers(BEST).items():
            if len(right):
                samples = 100 * cluster_bootstrap(right.astype(float), images, DRAWS) - against
                name, value = f"{side.split('_')[0]} query, share right", 100 * right.mean() - against
                found.append(from_samples(name, float(value), samples, "points", 2))
        return found

    def false_matches_are_right(self) -> list[Evidence]:
        """Share of the first wrong answers that are right in meaning, minus 50 per cent."""
        return self._right_share(50.0)

    def false_matches_beat_others(self) -> list[Evidence]:
        """The same minus the share among all judged pairs that are no true pairs."""
        return self._right_share(self.share_of_pairs())

    def semantic_recall_closes_gap(self) -> list[Evidence]:
        """Relative gap to the best other model by recall minus by semantic recall."""
        best, own = self.graded[self.best_other], self.graded[BEST]

        def closed(get: Callable[[Graded, str], Any]) -> Any:
            plain, semantic = (1 - get(own, name) / get(best, name) for name in ("rsum", "semantic_rsum"))
            return 100 * (plain - semantic)

        value = float(closed(lambda one, name: one.value(name)))
        samples = closed(lambda one, name: one.samples(name, n=DRAWS))
        return [from_samples("relative gap closed", value, samples, "points", 2)]

    def order_changes(self) -> list[Evidence]:
        """0.9 minus Kendall's tau between the orders of the models by recall and by semantic recall."""
        both = ("rsum", "semantic_rsum")
        orders = [{name: one.value(by) for name, one in self.graded.items()} for by in both]
        samples = [self._samples(by) for by in both]
        taus = np.array([compare_orders(*pair).tau for pair in zip(*samples, strict=True)])
        return [from_samples("0.9 − τ of the orders", float(0.9 - compare_orders(*orders).tau), 0.9 - taus)]

    def similarity_follows_people(self) -> list[Evidence]:
        """Kendall's tau-b of similarity and judgement, over judged pairs that are no true pairs."""
        found = self.follows(BEST)
        tau, ends = found.kendall, (found.kendall_low, found.kendall_high)
        return [Evidence("Kendall's τ-b", tau, *ends, (tau,), unit="", digits=3)]

    def mixing_tells_good_systems(self) -> list[Evidence]:
        """Kendall's tau between the orders of the models by modality mixing and by semantic recall."""
        mixed = {}
        for name, run in self.runs.items():
            if (run.dir / "embeddings-test.npz").is_file():
                arrays = run.load_arrays("embeddings-test.npz")
                mixed[name] = float(modality_mixing(arrays["images"], arrays["captions"], n=20, shuffles=20))
        kept = [{name: one[name] for name in mixed} for one in self._samples("semantic_rsum")]
        taus = np.array([compare_orders(mixed, one).tau for one in kept])
        tau = compare_orders(mixed, {name: self.graded[name].value("semantic_rsum") for name in mixed}).tau
        return [from_samples("Kendall's τ, mixing and meaning", float(tau), taus)]

    def _samples(self, measure: str, n: int = 200) -> list[dict[str, float]]:
        """A measure of every model, for each draw of images."""
        samples = {name: one.samples(measure, n=n) for name, one in self.graded.items()}
        return [{name: float(part[i]) for name, part in samples.items()} for i in range(n)]


def published() -> pd.DataFrame | None:
    """What the published models of all papers do on Flickr8k, best first."""
    path = results_folder() / "flickr8k" / "single_network.csv"
    if not path.is_file():
        return None
    found = read_published(path).table("meaning")[0].dropna(axis=1).drop(columns="n_seeds")
    return found.rename_axis(None).sort_values("R-sum", ascending=False).round(2)
