"""A finished run as an encoder of new pictures and new captions, rebuilt from its folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imtext import experiment as parts
from imtext.data.schema import Dataset
from imtext.errors import ConfigError, RunError
from imtext.experiment.compute import BLOCK, MODEL, Inputs, in_blocks
from imtext.experiment.experiment import Experiment
from imtext.experiment.source import Places
from imtext.runs import Run
from imtext.training import make_fabric


class Encoder:
    """Network, vocabulary and test gallery of a finished run.

    Attributes:
        experiment: what was trained.
        images: ``(N, D)`` embeddings of the test images; captions: ``(M, D)`` of the test captions;
            image_of_caption: ``(M,)``.
        test: the test split, for pictures and captions; read when it is asked for.
    """

    measure = "cosine"

    def __init__(self, run: Run, device: str = "cpu") -> None:
        if not run.finished:
            raise RunError(f"{run.dir}: not a finished run (it has no metrics.json); give the folder of one")
        run.check()
        self.experiment = rebuilt({name: run.config[name] for name in ("kind", *Experiment.__annotations__)})
        places = Places(**run.load_json("source.json") | {"device": device})
        one = self.experiment
        self.inputs = Inputs(one.data, one.image, one.text, "32", places)
        self.inputs.text = one.text.build(self.inputs.source, run)
        self.fabric = make_fabric(device)
        self.net = one.network.build(self.inputs)
        load_weights(self.net, run.dir / MODEL)
        self.net = self.fabric.to_device(self.net).eval()
        kept = run.load_arrays("embeddings-test.npz")
        self.images, self.captions = kept["images"], kept["captions"]
        self.image_of_caption = kept["image_of_caption"]

    @property
    def test(self) -> Dataset:
        """The test split."""
        return self.inputs.splits["test"]

    def embed_images(self, pictures: Sequence[Any]) -> np.ndarray:
        """Embeddings ``(P, D)`` of files, pictures of Pillow, or uint8 tensors ``(3, H, W)``.

        Raises:
            ConfigError: no list.
            DataError: a file that is missing or no image.
            RunError: the run was trained on features that come with its dataset.
        """
        _listed(pictures, "[path]")
        blocks = [pictures[begin : begin + 32] for begin in range(0, len(pictures), 32)]
        rows = np.concatenate([self.inputs.image.read(block) for block in blocks])
        return in_blocks(self.net.embed_images, rows, self.fabric, BLOCK)

    def embed_captions(self, captions: Sequence[str]) -> np.ndarray:
        """Embeddings ``(C, D)`` of captions.

        Raises:
            ConfigError: no list.
            DataError: a caption without a single word of the vocabulary.
        """
        _listed(captions, "[caption]")
        return in_blocks(self.net.embed_captions, self.inputs.text.read(captions), self.fabric, BLOCK)


def load(run: str | Path, device: str = "cpu") -> Encoder:
    """The finished run in a folder, as an encoder.

    Raises:
        RunError: a folder that holds no finished run, a damaged one, or one of another kind.
    """
    return Encoder(Run(Path(run)), device)


def rebuilt(value: Any) -> Any:
    """What `imtext.experiment.experiment.plain` wrote, as parts again.

    >>> from imtext.experiment.experiment import plain
    >>> rebuilt(plain(parts.Hinges(margin=0.1))) == parts.Hinges(margin=0.1)
    True
    """
    if isinstance(value, dict):
        kind = getattr(parts, value["kind"])
        return kind(**{name: rebuilt(one) for name, one in value.items() if name != "kind"})
    return tuple(map(rebuilt, value)) if isinstance(value, list) else value


def load_weights(net: torch.nn.Module, path: Path) -> None:
    """Load the weights that a run has written; RunError for a missing or foreign file."""
    from safetensors.torch import load_file

    try:
        net.load_state_dict(load_file(path))
    except Exception as error:  # safetensors and torch raise almost anything
        raise RunError(f"{path}: expected the weights of a run, found {error}; train it again") from None


def _listed(given: Any, example: str) -> None:
    if isinstance(given, str | Path) or not len(given):
        raise ConfigError(f"expected a list that is not empty, found {given!r}; write {example}")
