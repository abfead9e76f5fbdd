"""A finished run as an encoder of new pictures and new captions, rebuilt from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from imtext import experiment as parts
from imtext.data.dataset import Dataset
from imtext.errors import ConfigError, RunError
from imtext.experiment.compute import MODEL, Inputs, faster, in_blocks, load_weights, pair_scores
from imtext.experiment.experiment import Experiment, rebuilt
from imtext.experiment.source import Places
from imtext.models import CCA
from imtext.runs import Run
from imtext.training import make_fabric
from imtext.vision.reading import unit


class Encoder:
    """Network, vocabulary and test gallery of a finished run.

    SCAN has no embeddings; `scores_for_captions` and `scores_for_images` serve every kind of row.

    Attributes:
        experiment: what was trained.
        images: ``(N, D)`` embeddings of the test images; captions: ``(M, D)`` of the test captions; of SCAN
            None; image_of_caption: ``(M,)``.
        test: the test split, for pictures and captions; read when it is asked for.
        measure: what the scores are.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        if not run.finished:
            raise RunError(f"{run.dir}: not a finished run (it has no metrics.json); give the folder of one")
        run.check()
        kind = run.config.get("image", {}).get("kind")
        if not hasattr(parts, str(kind)):
            raise RunError(f"{run.dir}: nothing to search with, its images are {kind}; take another row")
        one = rebuilt({name: run.config[name] for name in ("kind", *Experiment.__annotations__)})
        if one.start and not hasattr(one.network, "build"):
            raise RunError(f"{run.dir}: a row without a network of its own; search a row it starts from")
        self.experiment = one
        places = Places(**run.load_json("source.json") | {"device": device})
        self.inputs = Inputs(one.data, one.image, one.text, "32", places)
        self.inputs.text = one.text.build(self.inputs.source, run)
        self.fabric = make_fabric(device)
        if isinstance(one.network, parts.Cca):
            self.net = CCA.load(run.dir / MODEL)
        else:
            self.net = one.network.build(self.inputs)
            load_weights(nn.ModuleDict({"net": self.net}), run.dir / MODEL)
            self.net = self.fabric.to_device(faster(self.net.eval()))
        self.pairwise = isinstance(one.network, parts.Scan)
        self.measure = "SCAN score" if self.pairwise else "cosine"
        kept = run.load_arrays(f"{'scores' if self.pairwise else 'embeddings'}-test.npz")
        self.images, self.captions = kept.get("images"), kept.get("captions")
        self.image_of_caption = kept["image_of_caption"]

    @property
    def test(self) -> Dataset:
        """The test split."""
        return self.inputs.source.splits["test"]

    def embed_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """Embeddings ``(P, D)`` of files, pictures of Pillow, or uint8 tensors ``(3, H, W)``.

        Raises:
            ConfigError: no list, or SCAN.
            DataError: a file that is missing or no image.
            RunError: the run was trained on features that come with its dataset.
        """
        return self._embedded("images", self._read(pictures))

    def embed_captions(self, captions: Sequence[str]) -> np.ndarray:
        """Embeddings ``(C, D)`` of captions.

        Raises:
            ConfigError: no list, or SCAN.
            DataError: a caption without a single word of the vocabulary.
        """
        return self._embedded("captions", self._codes(captions))

    def scores_for_captions(self, captions: Sequence[str]) -> np.ndarray:
        """Scores ``(N, C)`` of all test images with captions; errors as for `embed_captions`."""
        if not self.pairwise:
            return unit(self.images) @ unit(self.embed_captions(captions)).T
        return pair_scores(self.net, self.inputs.image.test("test"), self._codes(captions), self.fabric)

    def scores_for_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """Scores ``(P, M)`` of pictures with all test captions; errors as for `embed_images`."""
        if not self.pairwise:
            return unit(self.embed_images(pictures)) @ unit(self.captions).T
        return pair_scores(self.net, self._read(pictures), self.inputs.text.test("test"), self.fabric)

    def _read(self, pictures: Sequence[Any]) -> np.ndarray:
        _listed(pictures, "[path]")
        blocks = [pictures[begin : begin + 512] for begin in range(0, len(pictures), 512)]
        return np.concatenate([self.inputs.image.read(block) for block in blocks])

    def _codes(self, captions: Sequence[str]) -> np.ndarray:
        _listed(captions, "[caption]")
        return self.inputs.text.read(captions)

    def _embedded(self, side: str, rows: Any) -> np.ndarray:
        if self.pairwise:
            raise ConfigError("SCAN scores pairs and has no embeddings: only its test split can be searched")
        embed = getattr(self.net, f"embed_{side}")
        return embed(rows) if isinstance(self.net, CCA) else in_blocks(embed, rows, self.fabric, 32)


def load(run: str | Path, device: str = "cpu") -> Encoder:
    """The finished run in a folder, as an encoder.

    Raises:
        RunError: a folder that holds no finished run, a damaged one, or one of another kind.
    """
    return Encoder(Run(Path(run)), device)


def _listed(given: Any, example: str) -> None:
    if isinstance(given, str | Path) or not len(given):
        raise ConfigError(f"expected a list that is not empty, found {given!r}; write {example}")
