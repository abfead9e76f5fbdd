"""Fixed text features of a dataset: fitted on its training captions, computed once, kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from scipy import sparse

from imtext.errors import ConfigError, DataError
from imtext.progress import announce
from imtext.studies.preparation import SPLITS, Prepared
from imtext.text.fisher import FisherVectors
from imtext.text.mean_vector import MeanVector
from imtext.text.tfidf import TfIdf
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors

_VERSION = 2
KINDS: dict[str, Callable[..., Any]] = {
    "fv": lambda vectors, **options: FisherVectors(vectors, mixture="hglmm", **options),
    "fv_gmm": lambda vectors, **options: FisherVectors(vectors, mixture="gmm", **options),
    "mean": lambda vectors, **options: MeanVector(vectors, **options),
    "tfidf": lambda vectors, **options: TfIdf(**options),
}


class TextFeatures:
    """Features of the captions of the three splits, or of lists of texts in their place.

    Attributes:
        train, val, test: ``(M, D)`` float32, memory-mapped or sparse, one row a caption.
        unknown: captions without a known word, by split; their rows are zero.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unknown: dict[str, int] = json.loads((folder / "unknown.json").read_text())
        self.train, self.val, self.test = (_load(folder / split) for split in SPLITS)

    def split(self, name: str) -> Any:
        """Features of a split."""
        return getattr(self, name)


def text_features(
    prepared: Prepared,
    kind: str,
    options: Mapping[str, Any] | None = None,
    texts: Mapping[str, tuple[str, ...]] | None = None,
) -> TextFeatures:
    """The features of a kind, from the cache where it has them.

    Args:
        prepared: the data; its captions are encoded, and its training captions fit the features.
        kind: ``"fv"`` (HGLMM Fisher vectors), ``"fv_gmm"``, ``"mean"`` or ``"tfidf"``.
        options: of the transformer, such as ``{"pca": 1000}``.
        texts: by split, other texts than the captions, such as phrases.

    Raises:
        ConfigError: an unknown kind. DataError: the cache cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"text features {kind!r}: expected one of {', '.join(KINDS)}")
    options = dict(options or {})
    captions = {split: tuple(prepared.splits[split].captions) for split in SPLITS} if texts is None else texts
    spec = prepared.spec
    digest = hashlib.sha256(
        json.dumps([_VERSION, kind, options, spec.vectors, spec.seed], sort_keys=True).encode()
    )
    for split in SPLITS:
        digest.update("\0".join(captions[split]).encode("utf-8", "surrogatepass"))
    folder = Path(spec.cache) / "text" / f"{kind}-{digest.hexdigest()[:24]}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                _fill(folder, prepared, kind, options, captions)
    except OSError as error:
        raise DataError(
            f"{folder.parent}: cannot write text features ({error.strerror or error}); free space or choose "
            "another runs_dir"
        ) from None
    return TextFeatures(folder)


def _fill(
    folder: Path, prepared: Prepared, kind: str, options: dict[str, Any], captions: Mapping[str, Any]
) -> None:
    announce(f"text features: {kind}")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    seeded = {"seed": prepared.spec.seed} if kind.startswith("fv") else {}
    transformer = KINDS[kind](_vectors(prepared.spec.vectors, captions), **seeded, **options)
    transformer.fit(captions["train"])
    unknown = {}
    for split in SPLITS:
        rows = transformer.transform(captions[split])
        unknown[split] = int(transformer.unknown_)
        if sparse.issparse(rows):
            sparse.save_npz(partial / f"{split}.npz", sparse.csr_array(rows), compressed=False)
        else:
            np.save(partial / f"{split}.npy", rows)
    (partial / "unknown.json").write_text(json.dumps(unknown))
    os.replace(partial, folder)


def _vectors(name: str, captions: Mapping[str, Any]) -> WordVectors:
    """Vectors of all words that occur, no more: those of test words are known beforehand, not learned."""
    words = {word for texts in captions.values() for text in texts for word in tokenize(text)}
    return load_word_vectors(name, only=words)


def _load(stem: Path) -> Any:
    if stem.with_suffix(".npz").is_file():
        return sparse.csr_array(sparse.load_npz(stem.with_suffix(".npz")))
    return np.load(stem.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
