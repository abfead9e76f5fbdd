"""What came out of the rows of a notebook; of a row that was not asked for, nothing: None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import comb

from imtext.data.images import read_picture
from imtext.data.schema import Dataset
from imtext.experiment.compute import FOLDS, Row, before_training, has_folds, scores_of
from imtext.runs import Run

CUTOFFS = (1, 5, 10)


class Result:
    """The finished runs of one row of a notebook, one a seed.

    Attributes:
        rows: the row under each seed; runs: what came out of each; seeds: in the notebook's order.
    """

    def __init__(self, rows: list[Row], runs: list[Run]) -> None:
        self.rows, self.runs = rows, runs
        self.seeds = [row.experiment.seed for row in rows]

    def split(self, name: str = "test") -> Dataset:
        """A split of the data; that of its folds is the whole."""
        return self.rows[0].inputs.splits[name.removesuffix("_folds")]

    def metrics(self, split: str = "test") -> pd.DataFrame:
        """Metrics, one line a seed."""
        return pd.DataFrame([run.metrics[split] for run in self.runs], index=self.seeds)

    def rsum(self, split: str = "test") -> pd.Series:
        """R-sum by seed."""
        return self.metrics(split)["rsum"]

    def chance(self, split: str = "test") -> dict[str, float]:
        """What guessing reaches, per cent: R@1, R@5 and R@10 of both queries, and R-sum."""
        data = self.split(split)
        parts = FOLDS if split.endswith("_folds") and has_folds(data) else 1
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
        return [run.load_arrays(f"ranks-{split}.npz")[f"{side}_query"] for run in self.runs]

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
        return read_picture(self.split(split).image_path(image))

    def similarities(self, side: str, kept: int = 20_000) -> np.ndarray:
        """Cosines of drawn pairs of test items of one side and of different groups, under the first seed."""
        rows, groups = self.embeddings()[0][side], self.groups()[side]
        first, second = np.random.default_rng(0).integers(0, len(rows), (2, kept))
        other = groups[first] != groups[second]
        return (rows[first[other]] * rows[second[other]]).sum(1)


def drawn(total: int, count: int, seed: int = 0) -> list[int]:
    """``count`` of ``total`` things, drawn with a seed, in rising order.

    >>> drawn(10, 3) == drawn(10, 3)
    True
    """
    random = np.random.default_rng(seed)
    return sorted(int(i) for i in random.choice(total, min(count, total), replace=False))


class Absent:
    """A row that was not asked for: whatever is asked of it is None."""

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *given, **named: None


class Results(dict[str, Any]):
    """The results of all rows of a notebook by key, those that were not asked for as :class:`Absent`."""

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
