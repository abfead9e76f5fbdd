"""A finished run as an encoder of new captions and new pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imtext.data.images import decode
from imtext.data.schema import Dataset
from imtext.errors import DataError, RunError
from imtext.experiment.encoder import load
from imtext.losses import InstanceLoss
from imtext.models import DualPath, TextCNN
from imtext.runs import Run
from imtext.studies.embedding import both_sides, embed_codes
from imtext.studies.experiment import MODEL, load_weights
from imtext.studies.preparation import DataSpec, prepare
from imtext.text.vocabulary import Vocabulary
from imtext.training import DualPathObjective, make_fabric
from imtext.vision.backbones import load_backbone


def load_encoder(run_dir: str | Path, device: str = "cpu") -> Any:
    """What searches with the run in a folder: what `imtext.load` gives or, for papers that have not moved to
    `imtext.experiment`, a `TrainedEncoder` or a `TrainedRich`.

    Raises:
        RunError: a folder that holds no finished run, a damaged one, or one that cannot be searched.
    """
    run = Run(Path(run_dir))
    finished(run)
    config = run.config
    if config.get("kind") == "Experiment":
        return load(run_dir, device)
    if {"stage", "depth", "head", "bias"} <= set(config):
        return TrainedEncoder(run, device)
    # A row of several starts has them as a list; of other studies none goes on from more than one.
    if "inputs" in config or isinstance(config.get("start"), list):
        from imtext.studies.rich_encoder import TrainedRich

        return TrainedRich(run, device)
    raise RunError(
        f"{run.dir}: runs of this study ({run.dir.absolute().parent.name}) cannot be searched; give one of "
        "instance_loss, intra_modal or single_network, or a VSE++ or SCAN row of rich_features"
    )


def finished(run: Run) -> None:
    """Refuse a run that is not finished, of another version or damaged; RunError says which."""
    if not run.finished:
        raise RunError(
            f"{run.dir}: not a finished run (it has no metrics.json); give the folder of a finished one"
        )
    run.check()


class TrainedEncoder:
    """Network, dictionary and test gallery of a finished run.

    Attributes:
        images: ``(N, D)`` embeddings of the test images; captions: ``(M, D)`` of the test captions.
        test: the test split, for pictures and captions.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        finished(run)
        self.run, self.config = run, run.config
        self.fabric = make_fabric(device)
        self.vocabulary = Vocabulary.load(run.dir / "vocabulary.json")
        arrays = run.load_arrays("embeddings-test.npz")
        self.images, self.captions = arrays["images"], arrays["captions"]
        self.image_of_caption = arrays["image_of_caption"]
        self.backbone = load_backbone(
            self.config["data"]["backbone"], run.load_json("source.json")["weights"]
        )
        self.net = self.fabric.to_device(self._network())
        self.net.eval()

    @classmethod
    def load(cls, run_dir: str | Path, device: str = "cpu") -> TrainedEncoder:
        """The encoder of the run in a folder.

        Raises:
            RunError: a folder that holds no finished run, or a damaged one.
        """
        return cls(Run(Path(run_dir)), device)

    @property
    def test(self) -> Dataset:
        """The test split of the run's dataset."""
        source = self.run.load_json("source.json")
        return prepare(DataSpec(**source), "cpu").splits["test"]

    def embed_captions(self, captions: Sequence[str]) -> np.ndarray:
        """Captions to embeddings ``(M, D)``.

        Raises:
            DataError: a caption without a single word of the dictionary.
        """
        codes, lengths = self.vocabulary.encode(list(captions), self.config["data"]["length"])
        for caption, length in zip(captions, lengths, strict=True):
            if length == 0:
                raise DataError(f"the model knows no word of {caption!r}; try other words")
        return embed_codes(self.net, codes, self.fabric)

    @torch.no_grad()
    def embed_images(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Image files to embeddings ``(N, D)``, the mean over image and mirror.

        Raises:
            DataError: a file that is missing or no image.
        """
        data = self.config["data"]
        pixels = torch.stack(
            [torch.as_tensor(decode(Path(path), data["size"], data["fit"])) for path in paths]
        )
        backbone = self.fabric.to_device(self.backbone).eval()
        return both_sides(self.net, backbone, pixels, data["crop"], self.fabric).cpu().numpy()

    def _network(self) -> DualPath:
        """The network with the run's weights."""
        from safetensors import safe_open

        config: dict[str, Any] = self.config
        path = self.run.dir / MODEL
        try:
            with safe_open(path, "pt") as file:
                words, word_dim = file.get_slice("net.text.word.weight").get_shape()
                groups = file.get_slice("instance.classifier.weight").get_shape()[0]
        except Exception as error:
            raise RunError(
                f"{path}: expected a run's weights, found {error}; remove the run to train again"
            ) from None
        text = TextCNN(words - 1, word_dim, config["depth"], config["width"], pooling=config["pooling"])
        backbone = self.backbone if config["stage"] == 2 else None
        net = DualPath(
            text, self.backbone.dim, config["dim"], backbone, config["head"], config["all_positions"]
        )
        loss = InstanceLoss(config["dim"], groups, bias=config["bias"])
        objective = DualPathObjective(net, loss, (0, 1, 1))
        load_weights(objective, path)
        return net
