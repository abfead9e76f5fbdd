"""One network for both (Nawaz et al.): its batches of photographs and drawn texts, and what it minimises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from imtext.data.transforms import mirror, normalise
from imtext.errors import ConfigError, DataError
from imtext.losses.centre import RATE, CentreLoss
from imtext.losses.instance import InstanceLoss

# Forms of an image and of a caption in an epoch.
CONFIGS = {"standard": (1, 1), "2": (2, 2)}


class TextSource(Protocol):
    """What draws the texts of a batch, such as ``TextImage.lazy`` returns."""

    def take(self, indices: np.ndarray, offsets: np.ndarray | None = None) -> Tensor:
        """Pictures ``(B, 3, S, S)`` of the captions; ``offsets (B, 2)``, top and left of each crop."""


class SingleObjective(nn.Module):
    """Softmax cross-entropy and centre loss of one network that takes photographs and drawn texts alike.

    ``loss = softmax + weight * centre``, both means over the batch (Wen et al., Eq. 5). The paper prints the
    centre loss alone (Eq. 1): ``softmax=False``. Nothing then keeps classes apart, and all embeddings fall
    onto one line and, where the last batch norm has a learned scale, shrink to one point: ``directions`` and
    ``spread`` of what :meth:`forward` reports show it. Adam takes about 1 / lr steps for it.

    Args:
        net: pictures ``(B, 3, S, S)`` to embeddings ``(B, D)``, with an attribute ``dim``.
        classes: number of classes C: one per image with its captions, or per identity.
        weight: lambda, of the centre loss beside the softmax (Wen et al. settle on 0.003).
        softmax: whether the cross-entropy is there.
        rate: of the centres, see :class:`imtext.losses.centre.CentreLoss`.
        mean, std: three numbers each, with which uint8 pictures are normalised, on the network's device.

    Raises:
        ConfigError: a negative weight, or too few classes.

    >>> from imtext.models.inception_resnet import InceptionResNetV1
    >>> net = InceptionResNetV1(dim=8, width=0.125, blocks=(0, 0, 0))
    >>> objective = SingleObjective(net, classes=2)
    >>> batch = {"inputs": torch.zeros(2, 3, 75, 75, dtype=torch.uint8), "classes": torch.arange(2)}
    >>> sorted(objective(batch))
    ['centre', 'directions', 'error', 'loss', 'softmax', 'spread']
    """

    def __init__(
        self,
        net: nn.Module,
        classes: int,
        weight: float = 0.003,
        softmax: bool = True,
        rate: float = RATE,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> None:
        super().__init__()
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"weight of the centre loss is a number >= 0, found {weight}")
        self.net, self.weight = net, weight
        self.mean, self.std = tuple(mean), tuple(std)
        self.centre = CentreLoss(classes, net.dim, rate)
        # The instance loss is this softmax; its dropout stands in the network here, before the bottleneck.
        self.softmax = InstanceLoss(net.dim, classes, dropout=0.0) if softmax else None
        self.epoch = 0

    def embed(self, pictures: Tensor, is_text: Tensor | None = None) -> Tensor:
        """Embeddings ``(B, D)`` of ``pictures (B, 3, S, S)``: uint8, or float that is normalised already.

        ``is_text (B,)`` goes to a network that says by ``by_modality`` that it asks for it.
        """
        if pictures.dtype == torch.uint8:
            pictures = normalise(pictures, self.mean, self.std)
        return self.net(pictures, is_text) if getattr(self.net, "by_modality", False) else self.net(pictures)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The loss of a batch; in training mode the centres then follow.

        ``batch``: ``inputs (B, 3, S, S)`` and ``classes (B,)``, as :class:`MixedBatches` makes them.

        Returns:
            Scalars: ``loss``, ``centre``, ``spread`` (root mean square distance of the batch's embeddings
            from their mean), ``directions`` (in how many they differ, 1 to D: the participation ratio of
            their variances, 0 where they are equal), and with the softmax ``softmax`` and ``error``, the
            share put into a wrong class.
        """
        classes = batch["classes"]
        features = self.embed(batch["inputs"], batch.get("is_text"))
        centre = self.centre(features, classes)
        spread, directions = _spread(features.detach().to(centre.dtype))
        if self.softmax is None:
            out = {"loss": centre}
        else:
            logits = self.softmax.logits(features)
            softmax = F.cross_entropy(logits.to(centre.dtype), classes)
            error = (logits.detach().argmax(1) != classes).float().mean()
            out = {"loss": softmax + self.weight * centre, "softmax": softmax, "error": error}
        if self.training:
            self.centre.update(features.detach(), classes)
        return {**out, "centre": centre, "spread": spread, "directions": directions}


def _spread(features: Tensor) -> tuple[Tensor, Tensor]:
    """How far features ``(B, D)`` lie from their mean, and in how many directions.

    >>> [float(number) for number in _spread(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]))]
    [3.0, 1.0]
    """
    # Autocast would make the product below bfloat16.
    with torch.autocast(features.device.type, enabled=False):
        away = features - features.mean(0)
        total, squares = away.pow(2).sum(), (away.T @ away).pow(2).sum()
    return (total / max(len(features), 1)).sqrt(), total.pow(2) / squares.clamp(min=1e-30)


class MixedBatches:
    """Batches in which every item is a photograph or a drawn caption, each with its class.

    A group is what has one class: ``"standard"``, an image and its (five) captions; ``"2"``, the image, its
    mirror image and two crops of each caption's picture, ten (Nawaz et al., section 4.1). The crops of a
    caption are two different ones, drawn anew each epoch; in ``"standard"`` it is the middle one. Batches
    are a function of (seed, epoch) alone.

    Args:
        images: has ``take(indices, generator)``, such as :class:`imtext.training.batches.Pixels`, or is an
            image store, whose whole pictures are taken as they are.
        texts: draws the captions, see :class:`TextSource`: pictures of the side and type of the images.
        class_of_image: ``(N,)`` whole numbers from 0; class_of_caption: ``(M,)``.
        batch_size: groups in a batch with everything they have (paper: 45), or items, see ``whole_groups``.
        config: ``"standard"``, ``"2"``, or how many forms of an image and of a caption, 1 or 2 each.
        seed: of order, crops and whatever ``images`` draws.
        whole_groups: False: items are shuffled one by one and ``batch_size`` counts these, as in facenet.
        slack: largest offset of a crop; None asks ``texts.how.slack``.

    Raises:
        ConfigError: an unknown configuration, a number out of range, or no room for two different crops.
        DataError: classes that are not whole numbers from 0, or nothing to train on.
    """

    def __init__(
        self,
        images: Any,
        texts: TextSource,
        class_of_image: np.ndarray,
        class_of_caption: np.ndarray,
        batch_size: int = 45,
        config: str | tuple[int, int] = "standard",
        seed: int = 0,
        whole_groups: bool = True,
        slack: int | None = None,
    ) -> None:
        forms = CONFIGS.get(config) if isinstance(config, str) else tuple(config)
        if forms is None or len(forms) != 2 or not {1, 2} >= set(forms) or batch_size < 1 or seed < 0:
            raise ConfigError(
                f"MixedBatches takes config in {tuple(CONFIGS)} or two numbers of 1 or 2, batch_size >= 1 "
                "and seed >= 0, "
                f"found {config!r}, {batch_size} and {seed}"
            )
        self.images, self.texts, self.batch_size, self.seed = images, texts, batch_size, seed
        self.forms, self.whole_groups = forms, whole_groups
        classes = [
            _checked_classes(class_of_image, "class_of_image"),
            _checked_classes(class_of_caption, "class_of_caption"),
        ]
        self.n_images, self.n_captions = map(len, classes)
        if not self.n_images + self.n_captions:
            raise DataError("MixedBatches: there is no image and no caption; give a training split")
        self.slack = self._slack(slack)
        self._list_items(np.concatenate(classes))

    def _slack(self, slack: int | None) -> int:
        """The largest offset; checked where crops are to differ."""
        if slack is None:
            slack = getattr(getattr(self.texts, "how", None), "slack", 0)
        if self.forms[1] == 2 and slack < 1:
            raise ConfigError(
                f"config '2' takes two different crops of each text, and slack={slack} leaves one; "
                "draw on a canvas larger than the side (paper: 256 for 227)"
            )
        return slack

    def _list_items(self, class_of_picture: np.ndarray) -> None:
        """The items of an epoch: image or caption, the first or second form of it, class by class."""
        forms = np.repeat(self.forms, [self.n_images, self.n_captions])
        picture = np.repeat(np.arange(len(class_of_picture)), forms)
        by_class = np.argsort(class_of_picture[picture], kind="stable")
        self.picture = picture[by_class]  # images, then captions behind them
        second = np.r_[False, picture[1:] == picture[:-1]].astype(np.int64)
        self.form = second[by_class]
        self.class_of_item = class_of_picture[self.picture]
        _, self.first = np.unique(self.class_of_item, return_index=True)
        self.n_classes = int(self.class_of_item.max()) + 1

    def rows(self, epoch: int) -> list[np.ndarray]:
        """The items of each batch of an epoch; a batch of one is left out, as batch norm needs two."""
        random = np.random.default_rng([self.seed, epoch])
        if self.whole_groups:
            groups = np.split(np.arange(len(self.picture)), self.first[1:])
        else:
            groups = list(np.arange(len(self.picture))[:, None])
        order = random.permutation(len(groups))
        parts = np.array_split(order, -(-len(order) // self.batch_size))
        batches = [np.concatenate([groups[group] for group in part]) for part in parts]
        return [batch for batch in batches if len(batch) > 1]

    def crops(self, epoch: int) -> np.ndarray | None:
        """Offsets of an epoch's crops ``(M, 2, 2)``: caption, form, top and left; None: the middle one."""
        if self.forms[1] == 1:
            return None
        random = np.random.default_rng([self.seed, epoch, 1])
        places = (self.slack + 1) ** 2
        chosen = random.integers(places, size=self.n_captions)
        other = (chosen + random.integers(1, places, size=self.n_captions)) % places
        return np.stack(np.divmod(np.stack([chosen, other], 1), self.slack + 1), -1)

    def steps(self, epoch: int = 0) -> int:
        """Number of batches of an epoch."""
        return len(self.rows(epoch))

    def __call__(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        """Batches of an epoch, made one step ahead.

        Each holds ``inputs (B, 3, S, S)``, channels last, images before texts; ``classes (B,)``;
        ``is_text (B,)`` bool; and ``captions``, the indices of the captions drawn.
        """
        crops = self.crops(epoch)
        jobs = ((epoch, step, rows, crops) for step, rows in enumerate(self.rows(epoch)))
        return _one_ahead(self._batch, jobs)

    def _batch(self, epoch: int, step: int, rows: np.ndarray, crops: np.ndarray | None) -> dict[str, Tensor]:
        is_text = self.picture[rows] >= self.n_images
        rows = np.concatenate([rows[~is_text], rows[is_text]])
        count = len(rows) - int(is_text.sum())
        picture, form = self.picture[rows], self.form[rows]
        captions = picture[count:] - self.n_images
        parts = []
        if count:
            state = np.random.SeedSequence([self.seed, epoch, step]).generate_state(1, np.uint64)[0]
            images = self._images(picture[:count], int(state >> np.uint64(1)))
            second = torch.from_numpy(form[:count] == 1)[:, None, None, None]
            parts.append(torch.where(second, mirror(images), images))
        if len(captions):
            offsets = None if crops is None else crops[captions, form[count:]]
            parts.append(self.texts.take(captions, offsets))
        if len(parts) == 2 and (parts[0].shape[1:] != parts[1].shape[1:] or parts[0].dtype != parts[1].dtype):
            raise DataError(
                f"one network takes images and texts of one size and type, found {tuple(parts[0].shape[1:])} "
                f"of {parts[0].dtype} and {tuple(parts[1].shape[1:])} of {parts[1].dtype}; "
                "decode the images at the side of the drawn texts"
            )
        return {
            "inputs": torch.cat(parts).contiguous(memory_format=torch.channels_last),
            "classes": torch.from_numpy(self.class_of_item[rows]),
            "is_text": torch.arange(len(rows)) >= count,
            "captions": torch.from_numpy(captions),
        }

    def _images(self, indices: np.ndarray, seed: int) -> Tensor:
        """Pictures of the images, from either kind of source."""
        if hasattr(self.images, "take"):
            return self.images.take(indices, torch.Generator().manual_seed(seed))
        return self.images.batch(indices)


def _checked_classes(classes: np.ndarray, name: str) -> np.ndarray:
    """Classes as int64 ``(n,)``."""
    array = np.asarray(classes)
    if array.ndim != 1 or (array.size and (array.dtype.kind not in "iu" or array.min() < 0)):
        raise DataError(
            f"{name}: expected one whole number from 0 for each, found {array.dtype} {array.shape}"
            + (f", the least {array.min()}" if array.size and array.dtype.kind in "if" else "")
        )
    return array.astype(np.int64)


def _one_ahead(work: Callable[..., Any], jobs: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
    """Results of ``work(*job)`` in order, the next one made while the last is used.

    >>> list(_one_ahead(pow, [(2, 3), (3, 2)]))
    [8, 9]
    """
    with ThreadPoolExecutor(1) as ahead:
        waiting = None
        for job in jobs:
            following = ahead.submit(work, *job)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
