"""One row of Table 3 of the Structure-Preserving paper: phrases look for their boxes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import sparse

from imtext.errors import ConfigError
from imtext.models import TwoBranch, choose_cca
from imtext.progress import announce
from imtext.retrieval.boxes import paired_iou, pairs
from imtext.retrieval.localisation import Localisation, localise, phrase_scores
from imtext.runs import Run, provenance
from imtext.studies.preparation import SPLITS, DataSpec, prepare
from imtext.studies.region_data import Boxes, Mentions, RegionData, RegionSpec, UnitRows, hard_negatives
from imtext.studies.structure_experiment import STUDY, train_sides
from imtext.studies.trained import MODEL, in_blocks
from imtext.training import NeighbourBatches, Recipe, StructureObjective, make_fabric

MODELS = ("nonlinear", "cca")
BI = (2.0, 0.0, 0.0)


@dataclass(frozen=True)
class RegionExperiment:
    """One row of Table 3 for one seed.

    Attributes:
        slug: short name, the beginning of the run's folder.
        data: the data and the image CNN, which stays fixed.
        recipe: how the network is trained; not used by CCA.
        regions: where boxes and features come from.
        model: ``"nonlinear"`` or ``"cca"``.
        lambdas: of Eq. 5.
        start: the experiment whose network is fine-tuned with hard negatives, or None. Then only the
            bi-directional terms count, whatever ``lambdas`` says (section 3.3).
        dim, hidden, dropout: of the network (paper: 4,096, 8,192, .5).
        margin, top_k, reduction: of the loss.
        negatives: hard negatives drawn for a phrase (paper: 50); images: in which they are looked for;
            negatives_each: added to each batch for each of its phrases.
        etas, powers: of CCA, chosen on validation by recall at 1.
        profile, device, seed: how it is run.
    """

    slug: str
    data: DataSpec
    recipe: Recipe
    regions: RegionSpec = field(default_factory=RegionSpec)
    model: str = "nonlinear"
    lambdas: tuple[float, float, float] = (2.0, 0.1, 0.1)
    start: RegionExperiment | None = None
    dim: int = 4096
    hidden: int = 8192
    dropout: float = 0.5
    margin: float = 0.1
    top_k: int = 50
    reduction: str = "sum"
    negatives: int = 50
    images: int = 10
    negatives_each: int = 5
    etas: tuple[float, ...] = (1e-4, 1e-3)
    powers: tuple[float, ...] = (0.0, 1.0, 4.0)
    profile: str = "quick"
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS or (self.model == "cca" and self.start is not None):
            raise ConfigError(
                f"{self.slug}: model={self.model!r}: expected one of {MODELS}, and CCA without a start"
            )

    @property
    def study(self) -> str:
        """Folder of the study's runs."""
        return STUDY

    @property
    def effort(self) -> tuple[bool, float]:
        """Rows that take longer are larger."""
        return (self.model != "cca", self.lambdas[1] + self.lambdas[2])

    def config(self) -> dict[str, Any]:
        """Everything that determines the numbers, as plain values."""
        values = asdict(self) | {"data": prepare(self.data, self.device).identity(("views", "length"))}
        return values | {"start": None if self.start is None else self.start.config()}

    def warm(self) -> None:
        """Fill the caches that rows share."""
        data = self._data()
        data.texts("train")
        data.regions("train")
        for split in SPLITS if self.start is not None else SPLITS[1:]:
            data.proposals(split)

    def _data(self) -> RegionData:
        return region_data(self.data, self.regions, self.device)

    def compute(self, run: Run, start: Run | None) -> None:
        """Train or solve, localise, and write everything down; metrics come last."""
        began = time.perf_counter()
        data = self._data()
        counts: dict[str, int] = {}
        embed = self._solve if self.model == "cca" else self._train
        region_side, phrase_side = embed(data, run, start, counts)
        run.save_json("source.json", asdict(self.data))
        announce(f"{self.slug}, seed {self.seed}: evaluating")
        metrics = {}
        for split in ("val", "test"):
            mentions, proposals = data.mentions(split), data.proposals(split)
            sides = phrase_side(data.texts(split)), region_side(proposals.features)
            found, best = _localise(mentions, proposals, *sides)
            arrays = {"ranks": found.ranks, "image": mentions.image[found.query], "ap": 100 * found.ap}
            run.save_arrays(f"ranks-{split}.npz", best=best, **arrays)
            metrics[split] = _row(found, mentions)
        run.save_json("counts.json", counts)
        about = {"dataset": self.data.dataset, "profile": self.profile, "seed": self.seed}
        run.save_json("provenance.json", provenance(self.device, time.perf_counter() - began, **about))
        run.save_json("metrics.json", metrics)
        (run.dir / "checkpoint.pt").unlink(missing_ok=True)

    def _solve(
        self, data: RegionData, run: Run, start: Run | None, counts: dict[str, int]
    ) -> tuple[Any, Any]:
        """CCA on the training pairs; its two numbers are chosen by recall at 1 on validation."""
        mentions, proposals = data.mentions("val"), data.proposals("val")
        train = data.pairs(self.seed)
        counts |= _pair_counts(train)
        score = _first_is_right(mentions, proposals)
        best, tried = choose_cca(
            data.regions("train").features[:],
            data.texts("train"),
            train,
            proposals.features[:],
            data.texts("val"),
            None,
            etas=self.etas,
            powers=self.powers,
            dims=(self.dim,),
            score=lambda regions, phrases, _: score(phrases, regions),
        )
        run.save_table("tried.csv", tried)
        best.save(run.dir / MODEL)
        return lambda rows: best.embed_images(rows[:]), best.embed_captions

    def _train(
        self, data: RegionData, run: Run, start: Run | None, counts: dict[str, int]
    ) -> tuple[Any, Any]:
        """The two-branch network, from the beginning or with hard negatives from another row's."""
        regions, texts, train = data.regions("train").features, data.texts("train"), data.pairs(self.seed)
        counts |= _pair_counts(train)
        # Here and not before: reading features may build an image CNN, which draws its weights first.
        torch.manual_seed(self.seed)
        net = TwoBranch(regions.shape[1], texts.shape[1], self.dim, self.hidden, self.dropout)
        fabric = make_fabric(self.device)
        lambdas, negatives = self.lambdas, None
        if start is not None:
            net.load_state_dict(load_file(start.dir / MODEL))
            lambdas = BI
            negatives, regions = self._mine(data, train, net.to(fabric.device).eval(), fabric)
            counts |= {"negatives": negatives.nnz, "phrases_with_negatives": _filled(negatives)}
        objective = StructureObjective(net, self.margin, self.top_k, lambdas, self.reduction)
        batches = NeighbourBatches(
            regions,
            texts,
            train,
            self.recipe.batch_size,
            more_captions=lambdas[2] > 0,
            more_images=lambdas[1] > 0,
            seed=self.seed,
            negatives=negatives,
            negatives_each=self.negatives_each,
        )
        return train_sides(self, objective, batches, fabric, run)

    def _mine(
        self, data: RegionData, train: np.ndarray, net: TwoBranch, fabric: Any
    ) -> tuple[sparse.csr_array, UnitRows]:
        """Hard negatives of each phrase, and features of the true regions followed by the proposals."""
        announce(f"{self.slug}, seed {self.seed}: looking for hard negatives")
        regions, proposals = data.regions("train").features, data.proposals("train")
        found = hard_negatives(
            data.mentions("train"),
            train,
            proposals,
            in_blocks(net.embed_images, regions, fabric),
            in_blocks(net.embed_images, proposals.features, fabric),
            in_blocks(net.embed_captions, data.texts("train"), fabric),
            self.negatives,
            self.images,
            seed=self.seed,
        )
        shape = (found.shape[0], len(regions) + len(proposals.features))
        moved = sparse.csr_array((found.data, len(regions) + found.indices, found.indptr), shape=shape)
        return moved, regions + proposals.features


@lru_cache(maxsize=4)
def region_data(data: DataSpec, regions: RegionSpec, device: str = "cpu") -> RegionData:
    """The regions and phrases of a spec, one copy per process."""
    return RegionData(prepare(data, device), regions)


def _localise(
    mentions: Mentions, proposals: Boxes, phrases: np.ndarray, regions: np.ndarray
) -> tuple[Localisation, np.ndarray]:
    """Every mention on the proposals of its image, and the best proposal of each, ``(Q,)``, -1 for none."""
    scores = phrase_scores(phrases[mentions.phrase], regions, mentions.image, proposals.image)
    found = localise(
        scores,
        mentions.truth,
        mentions.image,
        proposals.boxes,
        proposals.image,
        mentions.words,
        protocol="mentions",
    )
    query, box = pairs(mentions.image, proposals.image)
    best = np.full(len(mentions.phrase), -1)
    first = _first(query, scores)
    best[query[first]] = box[first]
    return found, best


def _first(query: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of the flat pairs, the one with the highest score of each query; of equal ones the first."""
    ranked = np.lexsort((np.arange(len(query)), -scores, query))
    return ranked[np.searchsorted(query, np.unique(query))]


def _first_is_right(mentions: Mentions, proposals: Boxes) -> Any:
    """Recall at 1 in per cent as a function of phrase and region embeddings; the overlaps are kept."""
    query, box = pairs(mentions.image, proposals.image)
    right = paired_iou(proposals.boxes[box], mentions.truth[query]) >= 0.5

    def score(phrases: np.ndarray, regions: np.ndarray) -> float:
        values = phrase_scores(phrases[mentions.phrase], regions, mentions.image, proposals.image)
        return 100 * float(right[_first(query, values)].sum() / len(mentions.phrase))

    return score


def _row(found: Localisation, mentions: Mentions) -> dict[str, float]:
    """Per cent, as the paper's Table 3, with the upper bound and counts."""
    cells = found.row() | {"without_box": mentions.without_box}
    return {"r100" if name == "upper_bound" else name: value for name, value in cells.items()}


def _pair_counts(train: np.ndarray) -> dict[str, int]:
    return {"pairs": len(train), "unique_pairs": len(np.unique(train, axis=0))}


def _filled(rows: sparse.csr_array) -> int:
    return int((np.diff(rows.indptr) > 0).sum())
