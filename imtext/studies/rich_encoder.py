"""A finished row of the Rich Features study, asked for one caption or one picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imtext.data.images import decode
from imtext.data.schema import Dataset
from imtext.data.transforms import centre, normalise
from imtext.errors import ConfigError, DataError, RunError
from imtext.models import SCAN, VSE, GRUText
from imtext.runs import Run
from imtext.studies.encoder import finished
from imtext.studies.experiment import load_weights
from imtext.studies.hinge_row import BATCH
from imtext.studies.preparation import DataSpec, prepare
from imtext.studies.rich_data import RichData, RichSpec
from imtext.studies.rich_experiment import TEXTS, score_places
from imtext.studies.trained import MODEL, in_blocks
from imtext.text.vocabulary import Vocabulary
from imtext.training import make_fabric
from imtext.vision.backbones import load_backbone
from imtext.vision.grid_features import grid_cells
from imtext.vision.stage_features import pool_stages, rich_image_features, variant_dim

SEARCHABLE = "what can be searched are rows with VSE++ or SCAN that were trained on pictures"
_FILES = 32  # pictures in memory at a time


class TrainedRich:
    """Network, vocabulary and test gallery of a finished VSE++ or SCAN row of the study.

    VSE++ has an embedding for each picture and each caption, also where its image CNN was trained too; SCAN
    scores pairs. `scores_for_captions` and `scores_for_images` serve both.

    Attributes:
        attention: whether it is SCAN.
        images: ``(N, D)`` embeddings of the test images; captions: ``(M, D)`` of the test captions; both
            None for SCAN.
        image_of_caption: ``(M,)`` owner of each test caption.
        test: the test split, for pictures and captions.
        measure: what the scores are, in a word or two.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        finished(run)
        self.run, self.config = run, run.config
        self.row = _row(run, self.config)
        self.attention = "direction" in self.row
        self.measure = "SCAN score" if self.attention else "cosine"
        source = run.load_json("source.json")
        self.inputs = RichSpec(**self.row["inputs"])
        self.rich = RichData(prepare(DataSpec(**source), device), self.inputs)
        self.test: Dataset = self.rich.prepared.splits["test"]
        if self.rich.precomputed:
            raise RunError(
                f"{run.dir}: was trained on the precomputed features of {self.test.name}, which new pictures "
                f"do not have; {SEARCHABLE}"
            )
        self.fabric = make_fabric(device)
        self.vocabulary = self._vocabulary()
        self.backbone = load_backbone(self.row["data"]["backbone"], source["weights"])
        self.net = self.fabric.to_device(self._network()).eval()
        self.images = self.captions = None
        self.image_of_caption = self.test.image_of_caption
        if not self.attention:
            arrays = run.load_arrays("embeddings-test.npz")
            self.images, self.captions = arrays["images"], arrays["captions"]

    @classmethod
    def load(cls, run_dir: str | Path, device: str = "cpu") -> TrainedRich:
        """The row whose run is in a folder.

        Raises:
            RunError: a folder that holds no finished run, a damaged one, or one that has no network for new
                pictures: an ensemble, a re-ranked row, a dataset of precomputed features.
        """
        return cls(Run(Path(run_dir)), device)

    def embed_captions(self, captions: Sequence[str]) -> np.ndarray:
        """Captions to embeddings ``(C, D)``.

        Raises:
            ConfigError: of SCAN, or for captions that are no list.
            DataError: a caption without a single word of the vocabulary.
        """
        self._needs_embeddings("scores_for_captions")
        return in_blocks(self.net.embed_captions, self._codes(captions), self.fabric, BATCH)

    def embed_images(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Image files to embeddings ``(P, D)``, of their centre crops.

        Raises:
            ConfigError: of SCAN, or for paths that are no list.
            DataError: a file that is missing or no image.
        """
        self._needs_embeddings("scores_for_images")
        return in_blocks(self.net.embed_images, self._read(paths), self.fabric, BATCH)

    def scores_for_captions(self, captions: Sequence[str]) -> np.ndarray:
        """Scores ``(N, C)`` of all test images with captions, the cosine for VSE++.

        Raises:
            ConfigError: captions that are no list.
            DataError: a caption without a single word of the vocabulary.
        """
        if not self.attention:
            return self.images @ self.embed_captions(captions).T
        return score_places(self.net, self._places, self._codes(captions), self.fabric)

    def scores_for_images(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Scores ``(P, M)`` of image files with all test captions, the cosine for VSE++.

        Raises:
            ConfigError: paths that are no list.
            DataError: a file that is missing or no image.
        """
        if not self.attention:
            return self.embed_images(paths) @ self.captions.T
        places = in_blocks(self.net.embed_regions, self._read(paths), self.fabric, BATCH)
        codes, _ = self.vocabulary.encode(self.test.captions, self.inputs.length)
        return score_places(self.net, places, codes, self.fabric)

    def _vocabulary(self) -> Vocabulary:
        """The run's vocabulary; a row with a trained CNN has that of the training captions, as its start."""
        path = self.run.dir / "vocabulary.json"
        if self.row is self.config or path.is_file():
            return Vocabulary.load(path)
        dataset = self.rich.prepared.dataset
        if dataset.fingerprint() != self.row["data"]["fingerprint"]:
            raise RunError(
                f"{self.run.dir}: expected the captions it was trained on, found others in {dataset.name}; "
                "search the run that it starts from, or train again"
            )
        return self.rich.vocabulary

    def _network(self) -> VSE | SCAN:
        """The network with the run's weights; those of a CNN that was trained too go to ``backbone``."""
        row, path = self.row, self.run.dir / MODEL
        words, sizes = len(self.vocabulary), self.backbone.stage_dims
        if self.attention:
            how = {name: row[name] for name in ("direction", "pooling", "sharp", "project")}
            how["rich"] = row["rich_words"]
            net = SCAN(words, row["word_dim"], row["dim"], sizes[self.inputs.stage], **how)
        else:
            text = GRUText(words, row["word_dim"], row["dim"], *TEXTS[row["text"]])
            tuned = self.backbone if self.row is not self.config else None
            net = VSE(text, variant_dim(row["image"], sizes), row["dim"], tuned)
        load_weights(net, path)
        return net

    def _codes(self, captions: Sequence[str]) -> np.ndarray:
        """Codes ``(C, L)`` of captions that say something to the model."""
        for caption, known in zip(captions, self.vocabulary.known(captions), strict=True):
            if known == 0:
                raise DataError(f"the model knows no word of {caption!r}; try other words")
        return self.vocabulary.encode(captions, self.inputs.length)[0]

    @torch.no_grad()
    def _read(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Image features ``(P, D)`` or regions ``(P, R, D)`` of files, the numbers that the cache has."""
        if isinstance(paths, str | Path) or not len(paths):
            raise ConfigError(f"paths: expected a list of image files, found {paths!r}; write [path]")
        data, parts = self.row["data"], []
        for begin in range(0, len(paths), _FILES):
            some = paths[begin : begin + _FILES]
            pixels = torch.stack([torch.as_tensor(decode(path, data["size"], data["fit"])) for path in some])
            pixels = normalise(centre(pixels, data["crop"]), self.backbone.mean, self.backbone.std)
            parts.append(self._features(self._stages.stages(self.fabric.to_device(pixels))).cpu())
        return torch.cat(parts).numpy()

    def _features(self, maps: dict[str, Tensor]) -> Tensor:
        if self.attention:
            return grid_cells(maps[self.inputs.stage].float(), self.inputs.grid)
        return rich_image_features(pool_stages(maps), self.row["image"], self.backbone.stage_dims)

    @cached_property
    def _stages(self) -> Any:
        """The image CNN as the cache was filled with it: batch norms folded into the convolutions."""
        return self.fabric.to_device(self.backbone.fused())

    @cached_property
    def _places(self) -> np.ndarray:
        """Embedded regions of the test images ``(N, R, D)``, from the cache of the study."""
        return in_blocks(self.net.embed_regions, self.rich.regions("test"), self.fabric, BATCH)

    def _needs_embeddings(self, instead: str) -> None:
        if self.attention:
            raise ConfigError(
                f"{self.run.dir}: SCAN scores pairs and has no embedding of one side; use {instead}"
            )


def _row(run: Run, config: dict[str, Any]) -> dict[str, Any]:
    """Configuration of the row that has the network: the run's own, or that of the row it trained on from."""
    starts = config.get("start")
    if starts is None and "inputs" in config and {"text", "direction"} & set(config):
        return config
    if not isinstance(starts, list | tuple):
        raise RunError(f"{run.dir}: expected a run of the study rich_features; {SEARCHABLE}")
    if "recipe" in config:
        return starts[0]
    names = ", ".join(str(start["slug"]) for start in starts)
    what = "a re-ranked row" if "k1" in config else f"an ensemble of {len(starts)} models"
    raise RunError(
        f"{run.dir}: {what} has no network of its own, so search the run of one that it starts from "
        f"({names}); {SEARCHABLE}"
    )
