"""Intra-Modal Constraint Loss for Image-Text Retrieval (Chen et al.): its runs, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd

from imtext.report import Verdict, paper_table
from imtext.studies import intra_rows as rows
from imtext.studies.intra_claims import verdicts
from imtext.studies.intra_experiment import STUDY
from imtext.studies.intra_figures import FigureData
from imtext.studies.preparation import DataSpec
from imtext.studies.rich_data import RichData, rich_data
from imtext.studies.study import CatalogueStudy, Line


class IntraStudy(FigureData, CatalogueStudy):
    """Runs, tables and figures of the paper for the notebook's parameters.

    Takes the parameters of :func:`imtext.studies.parameters.check_parameters`. Nothing is computed before it
    is asked for; finished runs are taken from the run store. The gains that the paper prints are small, so
    several seeds belong to every row.

    Raises:
        ConfigError: for a parameter that does not fit.

    >>> IntraStudy(profile="smoke", tables="2").slugs
    ('l1', 'vse')
    """

    name, catalogue = STUDY, rows

    def rows(self, table: str | int) -> dict[str, Line]:
        """Rows of a table and what stands behind each."""
        return rows.rows_of(str(table), self.sizes.early is not None)

    @property
    def spec(self) -> DataSpec:
        """The data that all rows share."""
        return self.data_spec(pictures=False, **({"backbone": rows.STAND_IN} | self.sizes.data))

    @property
    def rich(self) -> RichData:
        """Codes and image features."""
        return rich_data(self.spec, self.sizes.inputs, self.parameters.device)

    def describe(self) -> pd.DataFrame:
        """Sizes of what is run here, beside the paper's, as a table."""
        sizes, spec, rich = self.sizes, self.spec, self.rich
        splits = self.prepared.splits
        images = " / ".join(f"{splits[split].n_images:,}" for split in ("train", "val", "test"))
        precomputed = rich.precomputed
        cnn = (
            "features of the dataset" if precomputed else f"{spec.backbone}, {spec.crop} × {spec.crop}, fixed"
        )
        table = [
            ("Images: train / validation / test", "29,000 / 1,000 / 1,000", images),
            ("Image CNN", "ResNet-152, 224 × 224; fixed in the released run", cnn),
            ("Word vectors", "GloVe; 300 numbers in the released code", self._vectors()),
            ("Shared space", "1,024", f"{sizes.network['dim']:,}"),
            ("Pairs in a batch", "128", f"{sizes.recipe.batch_size}"),
            ("Epochs", "30", f"{sizes.recipe.epochs}"),
            ("Seeds", "not said", f"{len(self.parameters.seeds)}"),
        ]
        return pd.DataFrame(table, columns=["", "paper (Flickr30k)", "here"]).set_index("")

    def _vectors(self) -> str:
        known = np.isfinite(self.rich.vocabulary.matrix(self.prepared.vectors, missing=np.nan)[1:, 0])
        size = self.prepared.vectors.vector_size
        return f"{self.spec.vectors}, {size} numbers; {known.sum():,} of {len(known):,} words found"

    def labels(self) -> dict[str, str]:
        """How the rows of Table 3 are called in a reader's words, the paper's and ours."""
        return {row.id: row.label for row in paper_table(self.name, "3").rows} | rows.EXTRA_LABELS

    def gains(self) -> pd.DataFrame:
        """R-sum of every row of Table 3 less that of the hinges alone, over the seeds.

        Rows "from early on" are compared with the hinges alone from early on, these with the hinges alone.

        The same seed starts both from the same weights and shows them the same batches, so the differences
        are paired. ``sd`` is the deviation of the gain, ``up`` the seeds that gain, ``spread`` the deviation
        between seeds of the hinges that a row is compared with; with one seed both deviations are unknown.
        """
        lines = {}
        for row, line in self.rows("3").items():
            if line.slug != "hinges":
                # Rows that meet the hardest negatives early are compared with their own hinges.
                early = line.slug in rows.EARLY and line.slug != "hinges-early"
                plain = self._rsums("hinges-early" if early else "hinges")
                gain = self._rsums(line.slug) - plain
                lines[row] = {
                    "gain": gain.mean(),
                    "sd": _deviation(gain),
                    "up": f"{int((gain > 0).sum())} of {len(gain)}",
                    "spread": _deviation(plain),
                }
        return pd.DataFrame.from_dict(lines, orient="index")

    def orderings(self) -> pd.DataFrame:
        """R-sum of the hinges alone and of the four distances: the paper's, and ours for either reading.

        ``agree``: of the pairs that the paper's R-sums put in an order, the share that stands in the same
        order here, in percent; chance gives 50. ``largest gain`` is over the hinges alone, ``spread`` their
        deviation between seeds.
        """
        printed = paper_table(self.name, "3").cells
        columns = {"lambda_0": "hinges"} | {name: name for name in rows.READINGS}
        lines = {"paper": {row: float(printed[row, "rsum"] or np.nan) for row in columns}}
        lines["as released"] = {row: self._rsums(slug).mean() for row, slug in columns.items()}
        lines["as printed"] = lines["as released"] | {
            name: self._rsums(f"printed-{name}").mean() for name in rows.READINGS
        }
        for line in lines.values():
            values = list(line.values())
            line["agree"] = 100 * same_order(list(lines["paper"].values())[:5], values)
            line["largest gain"] = max(values[1:]) - values[0]
            line["spread"] = np.nan if line is lines["paper"] else _deviation(self._rsums("hinges"))
        return pd.DataFrame.from_dict(lines, orient="index")

    def conclusion(self) -> str:
        """What `orderings` says, in words."""
        found, names = self.orderings(), {"lambda_0": "none", **rows.NAMES}
        said = []
        for reading in ("as released", "as printed"):
            line = found.loc[reading]
            order = line[list(names)].astype(float).sort_values(ascending=False, kind="stable")
            said.append(
                f"Eq. 4 {reading}: {' > '.join(f'{names[row]} {rsum:.1f}' for row, rsum in order.items())}; "
                f"{line['agree']:.0f} % of the pairs stand in the paper's order; the largest gain is "
                f"{line['largest gain']:+.1f} points of R-sum."
            )
        spread, gains = float(found.loc["as released", "spread"]), found["largest gain"].iloc[1:]
        if not np.isfinite(spread):
            return "\n".join([*said, "With one seed nothing can be said about noise; give several seeds."])
        above = [reading for reading in gains.index if gains[reading] > spread]
        text = f"Seeds alone move the R-sum of the hinges by {spread:.1f} points (standard deviation): "
        if not above:
            return "\n".join([*said, text + "no gain is larger than that."])
        return "\n".join([*said, text + f"the largest gain is larger than that {' and '.join(above)}."])

    def _rsums(self, slug: str) -> pd.Series:
        return self.metrics(slug, "test")["rsum"]

    def verdicts(self) -> list[Verdict]:
        """What the runs say about the paper's claims."""
        return self._verdicts

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return verdicts(self)


def _deviation(values: pd.Series) -> float:
    """Standard deviation between seeds, unknown of one."""
    return float(values.std()) if len(values) > 1 else float("nan")


def same_order(first: Sequence[float], second: Sequence[float]) -> float:
    """Of the pairs that ``first`` puts in an order, the share that ``second`` puts in the same.

    >>> same_order([1, 2, 2, 3], [10, 30, 20, 25])
    0.8
    """
    pairs = [(a, b) for a, b in combinations(range(len(first)), 2) if first[a] != first[b]]
    same = [np.sign(first[a] - first[b]) == np.sign(second[a] - second[b]) for a, b in pairs]
    return float(np.mean(same))


__all__ = ["STUDY", "IntraStudy"]
