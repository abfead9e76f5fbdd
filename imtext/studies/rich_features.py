"""Rich Features Embedding for Cross-Modal Retrieval (Fu et al.): its runs, tables and figures."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from imtext.errors import DataError
from imtext.report import Verdict
from imtext.studies import rich_rows as rows
from imtext.studies.preparation import DataSpec
from imtext.studies.rich_claims import TIMED_CLAIMS, verdicts
from imtext.studies.rich_data import RichData, rich_data
from imtext.studies.rich_experiment import STUDY
from imtext.studies.rich_figures import FigureData
from imtext.studies.rich_timing import timing_runs, timing_table
from imtext.studies.study import CatalogueStudy, Line
from imtext.vision.stage_features import RICH_VARIANTS


class RichStudy(FigureData, CatalogueStudy):
    """Runs, tables and figures of the paper for the notebook's parameters.

    Takes the parameters of :func:`imtext.experiment.parameters.check_parameters`. Nothing is computed before
    it is asked for; finished runs are taken from the run store. A dataset of precomputed features fills the
    rows that need no stage maps: those with attention from its regions, the others from their mean.

    Raises:
        ConfigError: for a parameter that does not fit.

    >>> RichStudy(profile="smoke", tables="10").slugs
    ('gru-emb-avg', 'rerank-small')
    """

    name, catalogue, reads_vectors = STUDY, rows, False

    @classmethod
    def known_tables(cls, parameters: dict[str, Any]) -> tuple[str, ...]:
        """Numbers of the tables that the dataset can fill: Table 9 is all of stage maps."""
        precomputed = DataSpec(str(parameters.get("dataset"))).precomputed
        return tuple(table for table in rows.TABLES if table == "5" or rows.rows_of(table, precomputed))

    def rows(self, table: str | int) -> dict[str, Line]:
        """Rows of a table and what stands behind each."""
        return rows.rows_of(str(table), self.precomputed)

    @property
    def precomputed(self) -> bool:
        """Whether the dataset is one of features without pictures."""
        return self.spec.precomputed

    @property
    def spec(self) -> DataSpec:
        """The data that all rows share."""
        return self.data_spec(pictures=False, **({"backbone": rows.STAND_IN} | self.sizes.data))

    @property
    def rich(self) -> RichData:
        """Codes, pooled features and regions."""
        return rich_data(self.spec, self.sizes.inputs, self.parameters.device)

    def describe(self) -> pd.DataFrame:
        """Sizes of what is run here, beside the paper's, as a table."""
        sizes, spec, rich = self.sizes, self.spec, self.rich
        splits = self.prepared.splits
        images = " / ".join(f"{splits[split].n_images:,}" for split in ("train", "val", "test"))
        network = sizes.network
        cnn = "features of the dataset" if self.precomputed else f"{spec.backbone}, {spec.crop} × {spec.crop}"
        rich_dim = "–" if self.precomputed else f"{rich.image_dim('avg-4-max-1234'):,}"
        pairs = f"{sizes.recipe.batch_size}; with attention {sizes.scan_recipe.batch_size}"
        table = [
            ("Images: train / validation / test", "29,783 / 1,000 / 1,000", images),
            ("Image CNN", "ResNet-152, 224 × 224", cnn),
            ("Rich image feature", "5,888", rich_dim),
            ("Words with a code of their own", "not printed", f"{len(rich.vocabulary) - 3:,}"),
            ("Word vector, state of the GRU", "300, 1,024", f"{network['word_dim']}, {network['dim']:,}"),
            ("Shared space", "1,024", f"{network['dim']:,}; with attention {self._scan_dim:,}"),
            ("Pairs in a batch", "128", pairs),
            ("Epochs", "36", f"{sizes.recipe.epochs}; with attention {sizes.scan_recipe.epochs}"),
        ]
        return pd.DataFrame(table, columns=["", "paper (Flickr30k)", "here"]).set_index("")

    def vector_sizes(self) -> dict[str, Any]:
        """Channels of the stages, length of a word vector and of the GRU's state, for Figures 1 and 2."""
        network = self.sizes.network
        channels = tuple(self.prepared.backbone().stage_dims.values())
        return {"channels": channels, "word_dim": network["word_dim"], "hidden": network["dim"]}

    @property
    def map_sides(self) -> tuple[int, ...]:
        """Sides of the stage maps C1 to C4, which lie at strides 4 to 32, for Figure 2."""
        return tuple(-(-self.spec.crop // stride) for stride in (4, 8, 16, 32))

    @property
    def variants(self) -> tuple[str, ...]:
        """Image variants that the dataset can fill."""
        return ("avg-4",) if self.precomputed else RICH_VARIANTS

    @property
    def _scan_dim(self) -> int:
        return int((self.sizes.network | self.sizes.scan_network)["dim"])

    @cached_property
    def _timing(self) -> dict[str, dict[str, np.ndarray]]:
        return timing_runs(self.experiments(self.parameters.seeds[0]), self.rich, *self.sizes.timing)

    def timing_runs(self) -> dict[str, dict[str, np.ndarray]]:
        """Seconds of each run of Table V: ``{row: {"train": (runs,), "test": (runs,)}}``.

        Raises:
            DataError: Table 5 was not asked for.
        """
        if "5" not in self.tables:
            raise DataError("timing: Table 5 was not asked for; add 5 to the parameter tables")
        return self._timing

    def table(self, number: str | int) -> pd.DataFrame:
        """A table by the paper's row ids; Table V is measured when it is asked for."""
        return self.timing() if str(number) == "5" else super().table(number)

    def timing(self) -> pd.DataFrame:
        """Table V: mean and deviation of the seconds of a training step and of scoring the test images."""
        return timing_table(self.timing_runs())

    def verdicts(self) -> list[Verdict]:
        """What the runs say about the paper's claims, those about time left out: they differ at each call."""
        return [verdict for verdict in self._verdicts if verdict.claim.id not in TIMED_CLAIMS]

    def timed_verdicts(self) -> list[Verdict]:
        """What Table V says about the paper's claims."""
        return [verdict for verdict in self._verdicts if verdict.claim.id in TIMED_CLAIMS]

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return verdicts(self)


__all__ = ["STUDY", "RichStudy"]
