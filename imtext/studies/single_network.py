"""Revisiting Cross Modal Retrieval (Nawaz et al.): its runs, tables and figures, and a test of its claim."""

from __future__ import annotations

from functools import cached_property
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from imtext.errors import ConfigError, DataError
from imtext.report import Verdict
from imtext.retrieval import Graded
from imtext.runs import Run
from imtext.studies import single_rows as rows
from imtext.studies.all_models import measured, rows_of_models
from imtext.studies.comparing import CUTOFFS
from imtext.studies.preparation import DataSpec
from imtext.studies.single_claims import verdicts
from imtext.studies.single_data import SingleData, single_data
from imtext.studies.single_experiment import STUDY
from imtext.studies.single_figures import FigureData
from imtext.studies.single_judged import agreement
from imtext.studies.single_meaning import Meaning, meaning_of
from imtext.studies.study import CatalogueStudy, Line

MEANING = "meaning"  # name of the table of all models in a published file
OWN = {"One network, standard": "standard", "One network, config-2": "config-2"}


class SingleStudy(FigureData, CatalogueStudy):
    """Runs and tables of the paper for the notebook's parameters.

    Takes the parameters of :func:`imtext.experiment.parameters.check_parameters`. Nothing is computed before
    it is asked for; finished runs are taken from the run store, those of the other papers too. Table 3 asks
    for the models of all papers, since it is what the paper says of Recall@K.

    Raises:
        ConfigError: for a parameter that does not fit.

    >>> SingleStudy(profile="smoke", tables="1").slugs
    ('standard', 'config-2')
    """

    name, catalogue, reads_vectors = STUDY, rows, False

    def rows(self, table: str | int) -> dict[str, Line]:
        """Rows of a table and what stands behind each."""
        return rows.rows_of(str(table), self.sizes.ours)

    @property
    def spec(self) -> DataSpec:
        """The data that all rows share."""
        return self.data_spec(**self.sizes.data)

    @property
    def inputs(self) -> SingleData:
        """Photographs and drawn captions."""
        return single_data(self.spec, self.sizes.texts, self.parameters.device)

    def describe(self) -> pd.DataFrame:
        """Sizes of what is run here, beside the paper's, as a table."""
        sizes, drawing = self.sizes, self.inputs.drawing
        splits = self.prepared.splits
        images = " / ".join(f"{splits[split].n_images:,}" for split in ("train", "val", "test"))
        row = self.experiments(self.parameters.seeds[0])["standard"]
        blocks = ", ".join(map(str, row.blocks))
        table = [
            ("Images: train / validation / test", "30,783 / none / 1,000", images),
            ("Pictures", "256 × 256, encoded text 227 × 227", f"{drawing.side} × {drawing.side}"),
            ("Numbers of a word vector", "not printed", f"{drawing.features}"),
            ("Words that fit a picture", "not printed", f"{drawing.capacity}"),
            ("Blocks of the network", "5, 10, 5", blocks),
            ("Width of its layers", "1", f"{row.width:g}"),
            ("Embedding", "128", f"{row.dim}"),
            ("Images, or groups, in a batch", "45 images", f"{sizes.recipe.batch_size} groups"),
            ("Epochs", "not printed", f"{sizes.recipe.epochs}"),
        ]
        return pd.DataFrame(table, columns=["", "paper (Flickr30k)", "here"]).set_index("")

    @cached_property
    def model_runs(self) -> dict[str, Run]:
        """A finished run of each model of all papers, by name, the two own ones last; first seed."""
        from imtext.studies.running import run_all

        found = rows_of_models(self.parameters, self.parameters.seeds[0])
        jobs = self.jobs if self.parameters.device == "cpu" else 1
        runs = run_all(list(found.values()), self.parameters.runs_dir, jobs, threads=1)
        own = {name: self.runs[slug][0] for name, slug in OWN.items()}
        return dict(zip(found, runs, strict=True)) | own

    @cached_property
    def _meaning(self) -> Meaning | str:
        prepared = self.prepared
        try:
            return meaning_of(self.parameters, prepared)
        except (ConfigError, DataError) as error:
            return str(error)

    @property
    def meaning(self) -> Meaning | None:
        """What is right in meaning on the test split, by scenes or by people; None where it is unknown."""
        return None if isinstance(self._meaning, str) else self._meaning

    @property
    def meaning_source(self) -> str:
        """Where it comes from, or why it is unknown."""
        return self._meaning if isinstance(self._meaning, str) else self._meaning.source

    @cached_property
    def graded(self) -> dict[str, Graded]:
        """Plain, semantic and graded measures of every model, by name."""
        test, meaning = self.prepared.splits["test"], self.meaning
        if meaning is None:
            return {}
        return measured(
            self.model_runs,
            test.image_of_sentence,
            test.group_of_image,
            meaning.relevance,
            meaning.threshold,
        )

    def measures(self) -> pd.DataFrame:
        """R-sum, semantic R-sum, nDCG@10 and mAP@R of every model, per cent."""
        names = {
            "rsum": "R-sum",
            "semantic_rsum": "semantic R-sum",
            "ndcg@10": "nDCG@10",
            "map_at_r": "mAP@R",
        }
        lines = {
            model: {label: found.value(name) for name, label in names.items()}
            for model, found in self.graded.items()
        }
        return pd.DataFrame.from_dict(lines, orient="index")

    def chance(self, split: str = "test") -> dict[str, float]:
        """What drawing at random reaches, per cent: R@1, R@5 and R@10 of both queries, and R-sum."""
        found = self.prepared.splits[split]
        of_image = np.bincount(found.image_of_sentence, minlength=found.n_images)
        sides = {"image": (of_image.tolist(), found.n_sentences), "text": ([1], found.n_images)}
        cells = {
            f"{side}_query_r{k}": 100 * float(np.mean([1 - comb(n - one, k) / comb(n, k) for one in own]))
            for side, (own, n) in sides.items()
            for k in CUTOFFS
        }
        return cells | {"rsum": sum(cells.values())}

    def agreement(self) -> pd.DataFrame:
        """Of every model, how often its wrong first answers are right in meaning, and rank correlations.

        Without columns where no pair was judged wrong.
        """
        return agreement(self)

    def published_lines(self) -> list[dict[str, Any]]:
        """The tables' lines and, with Table 3, what the models of all papers do, as table ``meaning``."""
        # Table 3 has no numbers.
        lines = [line for line in super().published_lines() if line["table"] != "3"]
        if "3" not in self.tables or self.meaning is None:
            return lines
        found = self.measures().join(self.agreement()).round(3)
        for model, run in self.model_runs.items():
            cells = {"table": MEANING, "row": model, "seed": self.parameters.seeds[0]}
            slug = run.dir.name.rpartition("-")[0]
            cells |= self.where(run) | {"backbone": f"{run.dir.parent.name}: {slug}"}
            lines.append(cells | found.loc[model].to_dict())
        return lines

    def verdicts(self) -> list[Verdict]:
        """What the runs say about the paper's claims."""
        return self._verdicts

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return verdicts(self)


__all__ = ["OWN", "STUDY", "SingleStudy"]
