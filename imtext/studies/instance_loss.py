"""Learning Image-Text Embeddings with Instance Loss (Zheng et al.): its tables and figures as data."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imtext.data.images import decode
from imtext.report import Verdict, write_published
from imtext.retrieval import Separation, mean_off_diagonal, pearson_map, separation
from imtext.runs import Run
from imtext.studies.ablation import word_ablation
from imtext.studies.encoder import TrainedEncoder
from imtext.studies.experiment import STUDY, Experiment, run_all
from imtext.studies.instance_claims import verdicts
from imtext.studies.parameters import check_parameters
from imtext.studies.preparation import DataSpec, Prepared, prepare
from imtext.studies.scales import scale
from imtext.text.tokens import tokenize

RANK, INSTANCE, FULL = (1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (1.0, 1.0, 1.0)
# Row of the paper's table -> experiment; rows that are the same network share one run.
TABLES: dict[str, dict[str, str]] = {
    "2": {
        "ranking_stage1": "ranking-1",
        "instance_stage1": "instance-1",
        "instance_stage2": "instance-2",
        "ranking_stage2": "ranking-2",
        "full_stage2": "full-2",
    },
    "5": {"random_init": "random-init", "word2vec_init": "instance-1"},
    "6": {"left_alignment": "left-alignment", "position_shift": "instance-1"},
}
# Rows that the paper does not have.
EXTRA = {"2": {"small_margin_stage1": "small-margin", "small_margin_stage2": "full-small-margin"}}
EXTRA_LABELS = {
    "small_margin_stage1": "Ours: only ranking loss, margin .2, Stage I",
    "small_margin_stage2": "Ours: full model, margin .2, Stage II",
}
# The sum over all negatives: with a margin of .2 most of them cost nothing.
SMALL_MARGIN = {"margin": 0.2, "negatives": "all"}
CURVES = {
    "instance-1": "word vectors, position shift",
    "random-init": "random word layer",
    "left-alignment": "left alignment",
}
SEPARATED = {"ranking-2": "Ranking loss alone", "instance-2": "Instance loss alone", "full-2": "Full model"}


def rows_of(table: str) -> dict[str, str]:
    """Rows of a table, the paper's and then ours, and the experiment behind each.

    >>> rows_of("6")
    {'left_alignment': 'left-alignment', 'position_shift': 'instance-1'}
    """
    return TABLES[table] | EXTRA.get(table, {})


class InstanceLossStudy:
    """Runs, tables and figures of the paper for the notebook's parameters.

    Takes the parameters of :func:`imtext.studies.parameters.check_parameters`. Nothing is computed before
    it is asked for; finished runs are taken from the run store.

    Raises:
        ConfigError: for a parameter that does not fit.

    >>> InstanceLossStudy(profile="smoke", tables="6").slugs
    ('instance-1', 'left-alignment')
    """

    def __init__(self, **parameters: Any) -> None:
        self.parameters = check_parameters(tuple(TABLES), **parameters)
        self.scale = scale(self.parameters.profile, self.parameters.dataset)
        rows = {slug for table in self.parameters.tables for slug in rows_of(table).values()}
        self.slugs = tuple(slug for slug in self._experiments(0) if slug in rows)

    @cached_property
    def spec(self) -> DataSpec:
        """The data all rows share."""
        root = self.parameters.data_root
        return DataSpec(
            dataset=self.parameters.dataset,
            # Absolute, so that a finished run can be searched from any folder.
            data_root=str(Path(root).resolve()) if root else None,
            cache=str((self.parameters.runs_dir / "cache").resolve()),
            **self.scale.data,
        )

    @property
    def prepared(self) -> Prepared:
        """Splits, dictionary, pixels and features."""
        return prepare(self.spec, self.parameters.device)

    def _experiments(self, seed: int) -> dict[str, Experiment]:
        """Every row of the paper's tables, by slug."""
        common = {
            "data": self.spec,
            "profile": self.parameters.profile,
            "device": self.parameters.device,
            "seed": seed,
            **self.scale.network,
        }
        one = Experiment(slug="instance-1", recipe=self.scale.stage1, weights=INSTANCE, **common)
        rank = replace(one, slug="ranking-1", weights=RANK, **self.scale.ranking1)
        two = {"stage": 2, "recipe": self.scale.stage2, **self.scale.ranking2}
        rows = [
            rank,
            one,
            replace(one, slug="instance-2", start=one, **two),
            replace(rank, slug="ranking-2", start=rank, **two),
            replace(one, slug="full-2", start=one, weights=FULL, **two),
            replace(one, slug="random-init", init="random"),
            replace(one, slug="left-alignment", shift=False),
            replace(rank, slug="small-margin", **SMALL_MARGIN),
            replace(one, slug="full-small-margin", start=one, weights=FULL, **(two | SMALL_MARGIN)),
        ]
        return {row.slug: row for row in rows}

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """Finished runs per row, one a seed; trains what is missing."""
        experiments = [self._experiments(seed)[slug] for slug in self.slugs for seed in self.parameters.seeds]
        jobs = min(self.scale.jobs, os.cpu_count() or 1) if self.parameters.device == "cpu" else 1
        # One thread a row: the same digits on every machine, and rows side by side use the cores better.
        runs = run_all(experiments, self.parameters.runs_dir, jobs, threads=1)
        by_slug: dict[str, list[Run]] = {slug: [] for slug in self.slugs}
        for experiment, run in zip(experiments, runs, strict=True):
            by_slug[experiment.slug].append(run)
        return by_slug

    def metrics(self, slug: str, split: str = "val") -> pd.DataFrame:
        """Metrics of a row, one line a seed."""
        return pd.DataFrame(
            [run.metrics[split] for run in self.runs[slug]], index=list(self.parameters.seeds)
        )

    def table(self, number: str, split: str = "val") -> pd.DataFrame:
        """Our side of a table by the paper's row ids: mean over seeds and, with several, deviation."""
        lines = {}
        for row, slug in rows_of(str(number)).items():
            seeds = self.metrics(slug, split)
            line = seeds.mean().to_dict() | {"n_seeds": len(seeds)}
            if len(seeds) > 1:
                line |= {f"{name}_sd": value for name, value in seeds.std().items()}
            lines[row] = line
        return pd.DataFrame.from_dict(lines, orient="index")

    def extra_labels(self, number: str) -> dict[str, str]:
        """Labels of the rows of a table that are ours, as :func:`imtext.report.side_by_side` takes them."""
        return {row: EXTRA_LABELS[row] for row in EXTRA.get(str(number), {})}

    def provenance(self) -> dict[str, Any]:
        """What every table of this study says of where it comes from."""
        train = self.prepared.splits["train"]
        return {
            "dataset": self.parameters.dataset,
            "profile": self.parameters.profile,
            "seeds": list(self.parameters.seeds),
            "device": self.parameters.device,
            "groups": train.n_images,
        }

    def publish(self, path: str | Path) -> Path:
        """Add nothing, hide nothing: every row and seed of the tables, on the validation split, as CSV."""
        lines = []
        for table in self.parameters.tables:
            for row, slug in rows_of(table).items():
                for seed, run in zip(self.parameters.seeds, self.runs[slug], strict=True):
                    where = run.load_json("provenance.json")
                    line = {
                        name: where[name] for name in ("dataset", "profile", "device", "hardware", "commit")
                    }
                    line |= {"date": where["when"], "minutes": round(where["seconds"] / 60, 1)}
                    metrics = {name: round(value, 2) for name, value in run.metrics["val"].items()}
                    lines.append({"table": table, "row": row, "seed": seed, **line, **metrics})
        return write_published(path, pd.DataFrame(lines))

    def describe(self) -> pd.DataFrame:
        """Sizes of what is run here, beside the paper's, as a table."""
        prepared, network = self.prepared, self.scale.network
        sizes = {split: prepared.splits[split].n_images for split in ("train", "val", "test")}
        rows = [
            (
                "Groups: train / validation / test",
                "29,783 / 1,000 / 1,000",
                " / ".join(f"{n:,}" for n in sizes.values()),
            ),
            ("Dictionary, words", "20,074", f"{len(prepared.vocabulary):,}"),
            (
                "Image CNN",
                "ResNet-50, 224 × 224",
                f"{self.spec.backbone}, {self.spec.crop} × {self.spec.crop}",
            ),
            ("Text CNN width, embedding length", "1, 2,048", f"{network['width']:g}, {network['dim']:,}"),
            ("Stage I epochs", "240", str(self.scale.stage1.epochs)),
            ("Stage II epochs", "not printed", str(self.scale.stage2.epochs)),
        ]
        return pd.DataFrame(rows, columns=["", "paper (Flickr30k)", "here"]).set_index("")

    def embeddings(self, slug: str, split: str = "val") -> dict[str, np.ndarray]:
        """``images (N, D)``, ``sentences (M, D)``, ``image_of_sentence (M,)`` of a row's first seed."""
        return self.runs[slug][0].load_arrays(f"embeddings-{split}.npz")

    def verdicts(self) -> list[Verdict]:
        """What the runs say about the paper's claims."""
        return verdicts(self)

    def separations(self) -> list[tuple[str, Separation]]:
        """Figure 5: similarities of matching and of other pairs on the validation split, three models."""
        return [(title, separation(**self.embeddings(slug))) for slug, title in SEPARATED.items()]

    def correlations(self, count: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """Figure 4: Pearson maps ``(count, count)`` of validation images before and after Stage I."""
        before = self.prepared.features("val").eval.mean(0)
        after = self.embeddings("instance-1")["images"]
        chosen = np.sort(np.random.default_rng(0).choice(len(after), min(count, len(after)), replace=False))
        return pearson_map(before[chosen]), pearson_map(after[chosen])

    def correlation_means(self) -> tuple[float, float]:
        """Mean off-diagonal correlation before and after Stage I."""
        before, after = self.correlations()
        return mean_off_diagonal(before), mean_off_diagonal(after)

    def curves(self) -> pd.DataFrame:
        """Figure 8: classification error per epoch of Stage I, of images and of sentences, first seed."""
        frames = []
        for slug, label in CURVES.items():
            if slug in self.runs:
                frame = pd.read_csv(self.runs[slug][0].dir / "curves.csv")
                frames.append(frame.assign(run=label))
        return pd.concat(frames, ignore_index=True)

    def ablations(self, slug: str = "full-2", count: int = 4) -> list[dict[str, Any]]:
        """Figure 11: drop of the match when one word is left out, for captions of the test split.

        The captions are those best matched to their image among the first 200 test images, one an image:
        a drop says something only where there is a match to lose.
        """
        encoder = TrainedEncoder(self.runs[slug][0], "cpu")
        test = self.prepared.splits["test"]
        known = set(encoder.vocabulary.words)
        found = []
        for image in range(min(200, test.n_images)):
            for sentence in test.sentences_of(image):
                words = [word for word in tokenize(test.captions[sentence]) if word in known]
                if 6 <= len(words) <= 14:
                    found.append((self._cosine(encoder, image, sentence), image, words))
                    break
        found = sorted(found, key=lambda item: -item[0])[:count]
        return [
            {
                "words": words,
                "drops": word_ablation(words, encoder.images[image], encoder.embed_sentences),
                "image": decode(test.image_path(image), self.spec.size).transpose(1, 2, 0),
                "similarity": similarity,
            }
            for similarity, image, words in found
        ]

    @staticmethod
    def _cosine(encoder: TrainedEncoder, image: int, sentence: int) -> float:
        a, b = encoder.images[image], encoder.sentences[sentence]
        return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


__all__ = ["EXTRA_LABELS", "STUDY", "TABLES", "InstanceLossStudy", "rows_of"]
