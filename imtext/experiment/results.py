"""What came out of the rows of a notebook; of a row that was not asked for, nothing: None.

Rows against each other: the recalls and R-sums that a paper's claims are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, wraps
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import comb

from imtext.data.dataset import Dataset
from imtext.data.images import open_picture
from imtext.errors import RunError
from imtext.experiment.compute import FOLDS, GALLERY, Row, before_training, has_folds, scores_of
from imtext.report import Evidence, from_scores
from imtext.report.published import NOTES, ORIGIN, Published
from imtext.runs import Run

CUTOFFS = (1, 5, 10)
SIDES = ("image", "text")
READ = {"val": "validation split", "test": "test split", "test_folds": "a fifth of the test split"}
NAMES = {"mean": "mean recall", "rsum": "R-sum", "both": "mean recall, both directions"}
NAMES |= {"text_more": "text gain minus image gain, mean recall"}
# Of the recalls that are added, which share counts.
SHARES = {"mean": len(CUTOFFS), "both": 2 * len(CUTOFFS), "text_more": len(CUTOFFS)}


class NotPublished(RunError):
    """Something of a row that `results/` does not hold."""


class PublishedSplit(SimpleNamespace):
    """Images of captions and groups of a split."""

    def __getattr__(self, name: str) -> Any:
        raise NotPublished(f"results/ holds no {name} of a row; train it here")


class Result:
    """The finished runs of one row of a notebook, one a seed.

    Attributes:
        rows: the row under each seed; runs: what came out of each; seeds: in the notebook's order.
    """

    def __init__(self, rows: list[Row], runs: list[Run]) -> None:
        self.rows, self.runs = rows, runs
        self.seeds = [row.experiment.seed for row in rows]

    @cached_property
    def origin(self) -> dict[str, Any]:
        """Where its numbers come from, in words, and what ran in the place of the paper's networks."""
        one, edition = self.rows[0], self.split().edition
        groups = f"{len(np.unique(self.split('train').group_of_image)):,} training groups"
        ran = {"backbone": one.experiment.said, "profile": one.profile, "device": one.places.device}
        return {"dataset": one.experiment.data.dataset, "groups": groups, "about": edition} | ran

    def has(self, split: str, where: str = "") -> bool:
        """Whether there are metrics of a split, and a line of a table is for such data: "coco" or "other", or
        "5K", which a gallery of 1,000 images is not."""
        kinds = ["", "coco" if self.origin["dataset"].startswith("coco") else "other"]
        kinds += ["5K"] * (self.split().n_images != GALLERY)
        return where in kinds and len(self.metrics(split)) > 0

    def split(self, name: str = "test") -> Dataset:
        """A split of the data; that of its folds is the whole."""
        return self.rows[0].inputs.source.splits[name.removesuffix("_folds")]

    def read(self, split: str) -> str:
        """A split, or the whole in the place of folds where it has none."""
        return split if has_folds(self.split(split)) else split.removesuffix("_folds")

    def gallery(self, split: str) -> str:
        """What the queries of a split search, in words."""
        split = self.read(split)
        size = self.split(split).n_images // (FOLDS if split.endswith("_folds") else 1)
        return f"{READ[split]}, {size:,} images"

    def metrics(self, split: str = "test") -> pd.DataFrame:
        """Metrics, one line a seed."""
        return pd.DataFrame([run.metrics[self.read(split)] for run in self.runs], index=self.seeds)

    def chance(self, split: str = "test") -> dict[str, float]:
        """What guessing reaches, per cent: R@1, R@5 and R@10 of both queries, and R-sum."""
        data = self.split(split)
        parts = FOLDS if self.read(split).endswith("_folds") else 1
        images, captions, found = data.group_of_image, data.group_of_caption, {}
        for side, asking, answers in (("image", images, captions), ("text", captions, images)):
            n = len(answers) // parts
            right = (answers == asking[:, None]).sum(1)
            for k in CUTOFFS:
                # Of fewer answers than k, all are among the first k.
                missed = comb(n - right, min(k, n)) / comb(n, min(k, n))
                found[f"{side}_query_r{k}"] = 100 * (1 - missed.mean())
        return found | {"rsum": sum(found.values())}

    def curves(self) -> list[pd.DataFrame]:
        """What the training reported, one line an epoch, one frame a seed."""
        return [pd.read_csv(run.dir / "curves.csv") for run in self.runs]

    def embeddings(self, split: str = "test") -> list[dict[str, np.ndarray]]:
        """``images (N, D)``, ``captions (M, D)`` and ``image_of_caption (M,)``, one dictionary a seed."""
        return [run.load_arrays(f"embeddings-{split}.npz") for run in self.runs]

    def ranks(self, side: str, split: str = "test") -> list[np.ndarray]:
        """Ranks from 1 of the queries of one side, one array a seed."""
        return [run.load_arrays(f"ranks-{self.read(split)}.npz")[f"{side}_query"] for run in self.runs]

    def found(self, side: str, queries: Sequence[int], k: int = 5) -> np.ndarray:
        """The ``k`` best answers ``(Q, k)`` to test queries of a side, under the first seed."""
        scores = scores_of(self.runs[0])
        asked = (scores if side == "image" else scores.T)[list(queries)]
        return np.argsort(-asked, axis=1, kind="stable")[:, :k]

    def untrained(self) -> list[dict[str, np.ndarray]]:
        """Test embeddings before training, one dictionary a seed."""
        return [before_training(row.experiment, row.places) for row in self.rows]

    def groups(self, split: str = "test") -> dict[str, np.ndarray]:
        """Group of each item by side, as ``embeddings`` names them."""
        data = self.split(split)
        return {"images": data.group_of_image, "captions": data.group_of_caption}

    def picture(self, image: int, split: str = "test") -> Image.Image:
        """An image of a split, as it lies on disk."""
        return open_picture(self.split(split), image)

    def similarities(self, side: str, kept: int = 20_000) -> np.ndarray:
        """Cosines of drawn pairs of test items of one side and of different groups, under the first seed."""
        rows, groups = self.embeddings()[0][side], self.groups()[side]
        first, second = np.random.default_rng(0).integers(0, len(rows), (2, kept))
        other = groups[first] != groups[second]
        return (rows[first[other]] * rows[second[other]]).sum(1)


class PublishedResult(Result):
    """What `results/` holds of a row under its seeds: metrics, ranks and curves, but no embeddings."""

    def __init__(self, kept: Published, key: str) -> None:
        self.kept, self.key, self.lines = kept, key, kept.lines.loc[key]
        self.seeds = sorted(self.lines.index.unique("seed"))
        # Several values where seeds differ.
        self.origin = {name: ", ".join(self.lines[name].unique()) for name in ORIGIN} | {"about": kept.about}

    __getattr__ = PublishedSplit.__getattr__  # `rows` and `runs` are what everything else is asked of

    def split(self, name: str = "test") -> Any:
        """Images of captions and groups of a split."""
        begin = f"{self.origin['dataset']}/{name.removesuffix('_folds')}"
        images, groups = (self._array(f"{begin}/{what}") for what in ("image_of_caption", "group_of_image"))
        owners = {"image_of_caption": images, "group_of_image": groups, "group_of_caption": groups[images]}
        return PublishedSplit(**owners, n_images=len(groups), n_captions=len(images))

    def metrics(self, split: str = "test") -> pd.DataFrame:
        """Metrics, one line a seed; none where the split is not published."""
        own = self.lines[self.lines.index.isin([self.read(split)], level="split")].droplevel("split")
        return own.drop(columns=NOTES, errors="ignore").dropna(axis=1, how="all")

    def ranks(self, side: str, split: str = "test") -> list[np.ndarray]:
        """Ranks from 1 of the queries of one side, one array a seed."""
        return [self._array(f"{self.key}/{seed}/{self.read(split)}/{side}") for seed in self.seeds]

    def curves(self) -> list[pd.DataFrame]:
        """What the training reported, one frame a seed that has it."""
        every = self.kept.curves
        own = every[every.index.isin([self.key], level="row")].dropna(axis=1, how="all")
        return [one.droplevel(["row", "seed"]).reset_index() for _, one in own.groupby(level="seed")]

    def _array(self, name: str) -> np.ndarray:
        found = self.kept.ranks
        return found[name].astype(np.int64) if name in found else self.__getattr__(name)


def drawn(total: int, count: int, seed: int = 0) -> list[int]:
    """``count`` of ``total`` things, drawn with a seed, in rising order.

    >>> drawn(10, 3) == drawn(10, 3)
    True
    """
    return sorted(np.random.default_rng(seed).choice(total, min(count, total), replace=False).tolist())


class Absent:
    """A row that was not asked for: whatever is asked of it is None."""

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *given, **named: None


class Results(dict[str, Any]):
    """The results of all rows of a notebook by key, those that were not asked for as :class:`Absent`.

    ``kept``: what they are of, where they are published ones.
    """

    def __init__(self, rows: Mapping[str, Any] = {}, kept: Published | None = None) -> None:
        super().__init__(rows)
        self.kept = kept

    @classmethod
    def of(cls, kept: Published, names: Iterable[str]) -> Results:
        """What is published, by row; of other names absent rows."""
        found = {key: PublishedResult(kept, key) for key in kept.lines.index.unique("row")}
        return cls(dict.fromkeys(names, Absent()) | found, kept)

    @property
    def present(self) -> dict[str, Result]:
        """Those that were asked for."""
        return {key: one for key, one in self.items() if one}

    def summary(self) -> pd.DataFrame:
        """Runs and validation R-sum of each row, or R@1 where phrases look for boxes."""
        lines = {}
        for key, one in self.present.items():
            metrics = one.metrics("val")
            name, said = ("rsum", "R-sum") if "rsum" in metrics else ("r1", "R@1")
            lines[key] = {"runs": len(one.runs), f"validation {said}": metrics[name].mean()}
        return pd.DataFrame.from_dict(lines, orient="index").round(1)

    def has(self, *keys: str) -> bool:
        """Whether all these rows were asked for."""
        return all(self.get(key) for key in keys)


def none_of_absent(function: Callable[..., Any]) -> Callable[..., Any]:
    """A figure or table of results that is None where one of them was not asked for.

    >>> none_of_absent(lambda one: "a figure")(Absent()) is None
    True
    """

    @wraps(function)
    def made(*given: Any, **named: Any) -> Any:
        if any(isinstance(one, Absent) or one is None for one in (*given, *named.values())):
            return None
        return function(*given, **named)

    return made


def compared(
    results: Results,
    pairs: Sequence[Sequence[str]],
    k: int | str = "mean",
    sides: Sequence[str] = SIDES,
    split: str = "test",
    label: str = "",
) -> list[Evidence]:
    """Gain of the better row of each pair over the worse, in points, paired over queries.

    The captions of an image are drawn together; of several pairs the mean counts.

    Args:
        results: of the rows.
        pairs: keys of rows, better and worse.
        k: recall at ``k``, the ``"mean"`` of the recalls at 1, 5 and 10, of ``"both"`` directions, or
            ``"rsum"``, all six added; ``"text_more"``: the mean of text queries minus that of image queries.
        sides: those that query, each with a number of its own; of both directions there is one.
        split: ``"test"``, or ``"test_folds"`` for searches among a fifth of the images.
        label: put before the name of what is measured.
    """
    label, name = f"{label}, " if label else "", NAMES.get(str(k), f"R@{k}")
    data, cutoffs = results[pairs[0][0]].split(split), CUTOFFS if isinstance(k, str) else (k,)

    # On a page all rows have the same seeds; of published ones, those count that all have.
    shared = set.intersection(*(set(results[key].seeds) for key in chain(*pairs)))
    if not shared:
        raise NotPublished(f"{', '.join(chain(*pairs))}: no seed is published for all; publish one")

    def hits(key: str, side: str) -> np.ndarray:
        both = zip(results[key].seeds, results[key].ranks(side, split), strict=True)
        ranks = np.stack([own for seed, own in both if seed in shared])
        return sum((ranks <= cut).astype(np.int64) for cut in cutoffs)

    # Whole numbers (S, Q), added over pairs and cutoffs.
    gains = {side: sum(hits(better, side) - hits(worse, side) for better, worse in pairs) for side in SIDES}
    scale = 100 / (len(pairs) * SHARES.get(k, 1))
    if k in ("rsum", "both", "text_more"):
        # Hits of an image weigh M, those of its captions N: each caption counts as in the recall of all,
        # however many its image has.
        of_captions = np.zeros_like(gains["image"])
        np.add.at(of_captions, (slice(None), data.image_of_caption), gains["text"])
        sign = -1 if k == "text_more" else 1
        parts = sign * data.n_captions * gains["image"] + data.n_images * of_captions
        return [from_scores(f"{label}{name}", parts, 0, data.group_of_image, scale / data.n_captions)]
    clusters = {"image": data.group_of_image, "text": data.group_of_caption}
    return [from_scores(f"{label}{one} query {name}", gains[one], 0, clusters[one], scale) for one in sides]


def localised(
    results: Results, pairs: Sequence[Sequence[str]], k: int = 1, ap: bool = False, label: str = ""
) -> list[Evidence]:
    """Gain of phrases that look for boxes: recall at ``k``, the mentions of an image drawn together.

    With ``ap`` also that in average precision over phrases. Of several pairs the mean counts.
    """

    def kept(key: str, name: str) -> np.ndarray:
        return np.stack([run.load_arrays("ranks-test.npz")[name] for run in results[key].runs])

    label, clusters = f"{label}, " if label else "", kept(pairs[0][0], "image")[0]
    hits = sum(1.0 * (kept(better, "ranks") <= k) - (kept(worse, "ranks") <= k) for better, worse in pairs)
    found = [from_scores(f"{label}R@{k}", hits / len(pairs), 0, clusters)]
    if ap:  # in per cent already, one number a phrase
        gains = sum(kept(better, "ap") - kept(worse, "ap") for better, worse in pairs)
        found.append(from_scores(f"{label}mAP", gains / len(pairs), 0, scale=1))
    return found


def at_chance(results: Results, rows: Sequence[tuple[str, str]]) -> str:
    """The first of these rows, each with its split, that does not reach 1.5 times chance; "" for none."""
    for key, split in rows:
        if one := results.get(key):
            found = one.metrics(split).mean(numeric_only=True)
            least = one.chance(split)["rsum"] if "rsum" in found else found.get("chance", 0.0)
            value, said = found.get("rsum", found.get("r1", np.inf)), "R-sum" if "rsum" in found else "R@1"
            if value < 1.5 * least:
                return f"{key}: {said} {value:.1f}, by chance {least:.1f}"
    return ""
