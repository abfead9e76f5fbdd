"""Learning Image-Text Embeddings with Instance Loss (Zheng et al.): its runs and tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from imtext.errors import ConfigError
from imtext.report import Verdict
from imtext.studies import instance_rows as rows
from imtext.studies.experiment import STUDY, Experiment
from imtext.studies.instance_claims import verdicts
from imtext.studies.instance_figures import FigureData
from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.studies.scales import PERSONS, scale
from imtext.studies.study import PaperStudy
from imtext.training import Recipe

PERSON_TABLE = "7"


class InstanceLossStudy(FigureData, PaperStudy):
    """Runs, tables and figures of the paper for the notebook's parameters.

    Takes the parameters of :func:`imtext.experiment.parameters.check_parameters`. Nothing is computed before
    it is asked for; finished runs are taken from the run store. ``tables`` are the tables asked for, of those
    that the dataset can fill; ``slugs`` the rows behind them.

    Raises:
        ConfigError: for a parameter that does not fit.

    >>> InstanceLossStudy(profile="smoke", tables="6").slugs
    ('instance-1', 'left-alignment')
    """

    name = STUDY

    @staticmethod
    def known_tables(parameters: dict[str, Any]) -> tuple[str, ...]:
        """Numbers of the tables that parameters, not checked yet, allow."""
        return _known(parameters.get("dataset", "picturebook"), parameters.get("tables", "all"))

    def rows(self, table: str | int) -> dict[str, rows.Line]:
        """Rows of a table that the profile trains, and what stands behind each."""
        found = rows.rows_of(str(table), self.dataset)
        left_out = scale(self.parameters.profile, self.dataset).without
        return {row: line for row, line in found.items() if line.slug not in left_out}

    @property
    def dataset(self) -> str:
        """Name of the dataset of images with captions, or of persons where that is all there is."""
        return self.parameters.dataset

    @property
    def person_dataset(self) -> str | None:
        """Name of the dataset of persons (Table 7), None where there is none."""
        if self.dataset == "picturebook":
            return "picturebook_pedestrians"
        return self.dataset if self.dataset in PERSONS else None

    def spec(self, dataset: str | None = None) -> DataSpec:
        """The data that all rows on a dataset share, but for the image CNN: that of ResNet-50's rows."""
        sizes = scale(self.parameters.profile, dataset or self.dataset)
        return self.data_spec(
            dataset=dataset or self.dataset, backbone=sizes.backbones["resnet50"], **sizes.data
        )

    @property
    def prepared(self) -> Prepared:
        """Splits, dictionary, pixels and features."""
        return prepare(self.spec(), self.parameters.device)

    @property
    def persons(self) -> Prepared:
        """The same of the persons.

        Raises:
            ConfigError: the dataset has no persons.
        """
        if self.person_dataset is None:
            raise ConfigError(f"dataset={self.dataset!r} has no persons; Table 7 needs dataset='cuhk_pedes'")
        return prepare(self.spec(self.person_dataset), self.parameters.device)

    def experiments(self, seed: int) -> dict[str, Experiment]:
        """Every row of the paper's tables that the dataset can fill, by slug."""
        profile, found = self.parameters.profile, {}
        common = {"profile": profile, "device": self.parameters.device, "seed": seed}
        if self.dataset not in PERSONS:
            found |= rows.experiments(self.spec(), scale(profile, self.dataset), common)
        if self.person_dataset:
            sizes = scale(profile, self.person_dataset)
            found |= rows.person_experiments(self.spec(self.person_dataset), sizes, common)
        return found

    @property
    def jobs(self) -> int:
        """Rows side by side."""
        return scale(self.parameters.profile, self.dataset).jobs

    def describe_row(self, experiment: Experiment) -> str:
        """Which image CNN and which text CNN stand behind a row."""
        return rows.describe(experiment)

    def extra_labels(self, number: str | int) -> dict[str, str]:
        """Labels of the rows of a table that are ours, as :func:`imtext.report.side_by_side` takes them."""
        return {row: rows.EXTRA_LABELS[row] for row in rows.EXTRA.get(str(number), {})}

    def data_of(self, table: str | int) -> Prepared:
        """The data behind a table: Table 7 is about persons."""
        return self.persons if str(table) == PERSON_TABLE else self.prepared

    def describe(self) -> pd.DataFrame:
        """Sizes of what is run here, beside the paper's, as a table."""
        prepared, sizes = self.prepared, scale(self.parameters.profile, self.dataset)
        groups = [len(np.unique(prepared.splits[s].group_of_image)) for s in ("train", "val", "test")]
        network, spec = sizes.network, prepared.spec
        paper = "11,003 / 1,000 / 1,000" if self.dataset in PERSONS else "29,783 / 1,000 / 1,000"
        words = "7,263" if self.dataset in PERSONS else "20,074"
        released = f"{scale('paper', self.dataset).stage1.epochs} (released code)"
        table = [
            ("Groups: train / validation / test", paper, " / ".join(f"{n:,}" for n in groups)),
            ("Dictionary, words", words, f"{len(prepared.vocabulary):,}"),
            ("Image CNN", "ResNet-50, 224 × 224", f"{spec.backbone}, {spec.crop} × {spec.crop}"),
            ("Text CNN width, embedding length", "1, 2,048", f"{network['width']:g}, {network['dim']:,}"),
            ("Stage I, passes over the images", released, _passes(sizes.stage1, prepared)),
            ("Stage II, passes over the images", "not printed", _passes(sizes.stage2, prepared)),
        ]
        header = "paper (CUHK-PEDES)" if self.dataset in PERSONS else "paper (Flickr30k)"
        return pd.DataFrame(table, columns=["", header, "here"]).set_index("")

    def verdicts(self) -> list[Verdict]:
        """What the runs say about the paper's claims."""
        return verdicts(self)


def _passes(recipe: Recipe, prepared: Prepared) -> str:
    """How often a stage sees each image: an epoch may take one caption of a group, some, or all."""
    _, captions = np.unique(prepared.groups, return_counts=True)
    most = recipe.captions_per_group or captions.max()
    pairs = recipe.epochs * np.minimum(captions, most).sum()
    return f"{pairs / prepared.splits['train'].n_images:.3g}"


def _known(dataset: Any, tables: Any) -> tuple[str, ...]:
    """The tables a dataset can fill; a ConfigError that says why where Table 7 was asked of another."""
    known = rows.tables_of(str(dataset))
    if str(tables).strip(" []'\"") == PERSON_TABLE and PERSON_TABLE not in known:
        raise ConfigError(
            f"parameter tables: Table 7 searches persons, and dataset={dataset!r} has none; "
            f"use dataset='cuhk_pedes' or 'picturebook', or tables among {', '.join(known)}"
        )
    return known


__all__ = ["STUDY", "InstanceLossStudy"]
