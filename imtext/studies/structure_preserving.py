"""Learning Deep Structure-Preserving Image-Text Embeddings (Wang et al.): its runs and tables."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import pandas as pd

from imtext.report import Verdict
from imtext.studies import structure_rows as rows
from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.studies.region_data import RegionData
from imtext.studies.region_experiment import RegionExperiment, region_data
from imtext.studies.structure_claims import verdicts
from imtext.studies.structure_experiment import STUDY, StructureExperiment
from imtext.studies.structure_figures import FigureData
from imtext.studies.structure_tuned import TunedExperiment
from imtext.studies.study import CatalogueStudy, Line


class StructureStudy(FigureData, CatalogueStudy):
    """Runs and tables of the paper for the notebook's parameters.

    Takes the parameters of :func:`imtext.experiment.parameters.check_parameters`. Nothing is computed before
    it is asked for; finished runs are taken from the run store.

    Raises:
        ConfigError: for a parameter that does not fit.

    >>> StructureStudy(profile="smoke", tables="2").slugs[:2]
    ('fv-nonlinear-bi', 'fv-nonlinear-bi-structure')
    """

    name, catalogue = STUDY, rows

    @staticmethod
    def known_tables(parameters: dict[str, Any]) -> tuple[str, ...]:
        """Numbers of the tables that parameters, not checked yet, allow."""
        return rows.tables_of(str(parameters.get("dataset", "picturebook")))

    def rows(self, table: str | int) -> dict[str, Line]:
        """Rows of a table and what stands behind each."""
        return rows.rows_of(str(table))

    @property
    def spec(self) -> DataSpec:
        """The data that all rows share."""
        return self.data_spec(**({"backbone": rows.STAND_IN} | self.sizes.data))

    @property
    def region_spec(self) -> DataSpec:
        """The data of Table 3."""
        return replace(self.spec, **self.sizes.localisation.data)

    @property
    def regions(self) -> RegionData:
        """Mentions, boxes and features of Table 3."""
        return region_data(self.region_spec, self.sizes.localisation.regions, self.parameters.device)

    def experiments(self, seed: int) -> dict[str, StructureExperiment | TunedExperiment | RegionExperiment]:
        """Every row of the tables that the dataset can fill, by slug."""
        found, common = super().experiments(seed), self.common(seed)
        if self.parameters.dataset in rows.WITH_REGIONS:
            found |= rows.region_experiments(self.region_spec, self.sizes.localisation, common)
        return found

    def data_of(self, table: str | int) -> Prepared:
        """The data behind a table: Table 3 has its own."""
        return prepare(self.region_spec, self.parameters.device) if str(table) == "3" else self.prepared

    def describe(self) -> pd.DataFrame:
        """Sizes of what is run here, beside the paper's, as a table."""
        sizes, spec = self.sizes, self.spec
        splits = self.prepared.splits
        groups = " / ".join(f"{splits[split].n_images:,}" for split in ("train", "val", "test"))
        fisher, network = sizes.text_options["fv"], sizes.network
        long = 2 * self.vector_size * fisher["components"]
        table = [
            ("Images: train / validation / test", "29,783 / 1,000 / 1,000", groups),
            ("Image feature", "VGG-19, 4,096 numbers", f"{spec.backbone}, {self.image_dim:,} numbers"),
            ("Crops averaged", "10", str(sizes.crops)),
            ("Word vectors", "word2vec, 300 numbers", f"{spec.vectors}, {self.vector_size} numbers"),
            ("Fisher vector, after PCA", "18,000, 6,000", f"{long:,}, {self.fisher_dim:,}"),
            ("tf-idf dictionary", "3,000", f"{sizes.text_options['tfidf']['words']:,}"),
            ("Layers [hidden, embedding]", "[2048, 512]", f"[{network['hidden']}, {network['dim']}]"),
            ("Pairs in a batch", "1,500", f"{sizes.recipe.batch_size:,}"),
            ("Epochs, optimiser", "30, SGD", f"{sizes.recipe.epochs}, {sizes.recipe.optimiser}"),
        ]
        return pd.DataFrame(table, columns=["", "paper (Flickr30k)", "here"]).set_index("")

    @cached_property
    def vector_size(self) -> int:
        """Length of a word vector."""
        return int(self.prepared.word_matrix().shape[1])

    @cached_property
    def fisher_dim(self) -> int:
        """Length of a Fisher vector, as the network takes it."""
        fisher = self.sizes.text_options["fv"]
        return int(min(2 * self.vector_size * fisher["components"], fisher["pca"]))

    @cached_property
    def image_dim(self) -> int:
        """Length of an image's feature."""
        return int(self.prepared.backbone().dim)

    def verdicts(self) -> list[Verdict]:
        """What the runs say about the paper's claims."""
        return verdicts(self)


__all__ = ["STUDY", "StructureStudy"]
