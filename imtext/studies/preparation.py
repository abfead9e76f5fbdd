"""From a dataset's name to what training needs: splits, word codes, pixels, cached features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imtext.data import GENERATED, is_pack, load_dataset
from imtext.data.images import ImageStore
from imtext.data.precomp import needs_pictures
from imtext.data.schema import Dataset
from imtext.experiment.source import SPLITS, cut
from imtext.experiment.texts import words_note
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors
from imtext.text.vocabulary import Vocabulary
from imtext.vision.backbones import Backbone, load_backbone
from imtext.vision.features import Features, extract_features

NOT_CONTENT = ("data_root", "cache", "weights", "pictures")
OF_PICTURES = ("size", "crop", "fit", "backbone", "views")


@dataclass(frozen=True)
class DataSpec:
    """What determines the data of a run.

    Attributes:
        dataset, data_root: as for :func:`imtext.data.load_dataset`.
        train, val, test: number of groups; None takes all there are.
        size: side of the stored pixels; crop: side of what the backbone sees.
        fit: how a picture becomes square, as for :meth:`imtext.data.images.ImageStore.open`.
        backbone, weights: as for :func:`imtext.vision.backbones.load_backbone`.
        views: cached augmented views per training image (Stage I).
        vectors: word vectors, as for :func:`imtext.text.vectors.load_word_vectors`.
        length: words per caption (paper: 32).
        seed: of the generated dataset, the choice of groups and the augmented views.
        precision: ``"32"``, or ``"64"`` to compute features and train in float64, whose outcome is the same
            on every processor.
        cache: folder of stored pixels and features.
        pictures: whether the dataset must hold pictures, or may bring features in their place.
    """

    dataset: str = "picturebook"
    data_root: str | None = None
    train: int | None = None
    val: int | None = None
    test: int | None = None
    size: int = 128
    crop: int = 112
    fit: str = "cover"
    backbone: str = "efficientnet_lite0"
    weights: str | None = "imagenet"
    views: int = 4
    vectors: str = "glove"
    length: int = 32
    seed: int = 0
    precision: str = "32"
    cache: str = "cache"
    pictures: bool = True

    @property
    def precomputed(self) -> bool:
        """Whether the dataset, by its name, is one of features in the place of pictures.

        >>> DataSpec("f30k_precomp").precomputed, DataSpec("flickr30k").precomputed
        (True, False)
        """
        return self.dataset.endswith("precomp")

    @property
    def cnn(self) -> str:
        """The image CNN, for people.

        >>> DataSpec(backbone="efficientnet_lite1").cnn, DataSpec(backbone="vgg19").cnn
        ('EfficientNet-Lite1', 'VGG-19')
        """
        shown = {"efficientnet_lite": "EfficientNet-Lite", "resnet": "ResNet-", "vgg": "VGG-"}
        name = self.backbone
        for key, people in shown.items():
            name = name.replace(key, people)
        return name

    @property
    def fixed_features(self) -> str:
        """Where image features come from that are not trained, for people.

        >>> DataSpec(backbone="resnet152").fixed_features, DataSpec("coco_precomp").fixed_features
        ('ResNet-152, frozen', 'features of the dataset')
        """
        return "features of the dataset" if self.precomputed else f"{self.cnn}, frozen"


class Prepared:
    """The data of a study, made when first asked for and cached on disk where it is dear."""

    def __init__(self, spec: DataSpec, device: str = "cpu") -> None:
        self.spec, self.device = spec, device
        self._features: dict[str, Features] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """All splits, cut to the sizes asked for."""
        spec = self.spec
        if spec.dataset in GENERATED and not is_pack(spec.data_root):
            sizes = {split: getattr(spec, split) for split in SPLITS if getattr(spec, split) is not None}
            return load_dataset(spec.dataset, spec.data_root, size=spec.size, seed=spec.seed, **sizes)
        dataset = load_dataset(spec.dataset, spec.data_root)
        sizes = {split: getattr(spec, split) for split in SPLITS}
        return cut(needs_pictures(dataset) if spec.pictures else dataset, sizes, spec.seed)

    @cached_property
    def splits(self) -> dict[str, Dataset]:
        """The splits by name."""
        return {split: self.dataset.split(split) for split in SPLITS}

    @cached_property
    def groups(self) -> np.ndarray:
        """Group of each training caption ``(M,)``, numbered from 0: the classes of the instance loss."""
        return np.unique(self.splits["train"].group_of_caption, return_inverse=True)[1].astype(np.int64)

    def pseudo_classes(self, share: float) -> np.ndarray:
        """Class of each training caption ``(M,)``: the k-means cluster of its image (Zheng et al., Table 4).

        Args:
            share: number of clusters, as a share of the number of groups; at least two clusters.
        """
        from sklearn.cluster import MiniBatchKMeans
        from threadpoolctl import threadpool_limits

        features = self.features("train").train.mean(0)
        clusters = max(2, round(share * (int(self.groups.max()) + 1)))
        kmeans = MiniBatchKMeans(clusters, random_state=self.spec.seed, n_init=3, batch_size=4096)
        with threadpool_limits(1):  # sums of several threads differ in their last digits
            found = kmeans.fit_predict(features)
        # Clusters that nothing fell into are no classes.
        labels = np.unique(found, return_inverse=True)[1].astype(np.int64)
        return labels[self.splits["train"].image_of_caption]

    @cached_property
    def vectors(self) -> WordVectors:
        """Word vectors of the training words, nothing more in memory."""
        words = {word for caption in self.splits["train"].captions for word in tokenize(caption)}
        return load_word_vectors(self.spec.vectors, only=words)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Training words that the word vectors know (Zheng et al., section 3.2)."""
        return Vocabulary.build(self.splits["train"].captions, self.vectors)

    def words_note(self, vectors: bool) -> str:
        """One line where most words of the training captions occur once or have no vector, else empty.

        Args:
            vectors: whether anything is made of word vectors; DataError where they know no word at all.
        """
        known = self.vectors if vectors else None
        return words_note(self.splits["train"].captions, known, self.spec.vectors)

    def word_matrix(self) -> np.ndarray:
        """Word vectors of the vocabulary, ``(d + 1, dim)``."""
        return self.vocabulary.matrix(self.vectors)

    def codes(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Word codes ``(M, L)`` and lengths ``(M,)`` of a split."""
        return self.vocabulary.encode(self.splits[split].captions, self.spec.length)

    def store(self, split: str) -> ImageStore:
        """Pixels of a split."""
        cache = Path(self.spec.cache) / "pixels"
        return ImageStore.open(self.splits[split], self.spec.size, cache, fit=self.spec.fit)

    def backbone(self) -> Backbone:
        """A fresh copy of the image CNN."""
        return load_backbone(self.spec.backbone, self.spec.weights)

    def features(self, split: str) -> Features:
        """Cached features of the fixed backbone."""
        if split not in self._features:
            self._features[split] = self._extract(split)
        return self._features[split]

    def _extract(self, split: str) -> Features:
        return extract_features(
            self.backbone(),
            self.store(split),
            Path(self.spec.cache) / "features",
            crop=self.spec.crop,
            views=self.spec.views if split == "train" else 0,
            seed=self.spec.seed,
            device=self.device,
            precision=self.spec.precision,
            evaluation=split != "train",
        )

    def identity(self, unread: Iterable[str] = ()) -> dict[str, Any]:
        """What goes into a run's hash: content, not paths, and nothing that the run does not read.

        Args:
            unread: fields of the spec that a row leaves aside. Where the dataset brings features of its own,
                those of pictures are left out, too.
        """
        left_out = {*NOT_CONTENT, *unread, *(() if self.dataset.features is None else OF_PICTURES)}
        found = {name: value for name, value in asdict(self.spec).items() if name not in left_out}
        found["fingerprint"] = self.dataset.fingerprint()
        return found if "backbone" in left_out else {**found, "weights": self.backbone_digest}

    @cached_property
    def backbone_digest(self) -> str:
        """Digest of the backbone's weights."""
        return str(self.backbone().weights_digest)


@lru_cache(maxsize=16)
def prepare(spec: DataSpec, device: str = "cpu") -> Prepared:
    """The prepared data of a spec, one copy per process."""
    return Prepared(spec, device)
