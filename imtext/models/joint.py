"""Images and captions into one space: the dual-path network, VSE++ and the two-branch network.

All three are one :class:`Joint`; they differ in their heads, and in what counts of several views.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from imtext.check import number, one_of, whole
from imtext.errors import ConfigError
from imtext.models.text_encoders import Lengths
from imtext.unit import unit_rows

BLOCK = 1024  # captions, each at one position, embedded at a time


class Joint(nn.Module):
    """A head on image features and a head on what a text network makes of captions.

    ``embed_images`` and ``embed_captions`` give the embeddings that a search compares. The call gives those
    that the losses read: the same ones, but after ``last``, and of each caption where it stands.
    :func:`dual_path`, :func:`vse` and :func:`two_branch` build the papers' networks.

    Args:
        image_dim, dim: lengths of an image feature and of an embedding.
        image_head: features ``(B, image_dim)`` to ``(B, dim)``.
        text: captions to features; text_head: these to ``(B, dim)``.
        backbone: module from normalised pixels ``(B, 3, H, W)`` to ``(B, image_dim)``, or None: then images
            come as features.
        mean_of: of several views of an image: ``"embeddings"``, ``"features"``, or ``"unit features"``,
            which scales the features of pixels to length 1, as those of a frozen CNN are cached.
        last: what stands before the losses alone; None for nothing.
        all_positions: whether ``embed_captions`` adds up the embeddings of a caption at every position that
            it can take.
        dropout: share of the numbers of an image feature that training drops.
    """

    def __init__(
        self,
        image_dim: int,
        dim: int,
        image_head: nn.Module,
        text: nn.Module,
        text_head: nn.Module,
        backbone: nn.Module | None = None,
        mean_of: str = "features",
        last: nn.Module | None = None,
        all_positions: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        # Their order is that of the weights in optimiser and clipping.
        self.backbone = backbone
        self.image_head = image_head
        self.text = text
        self.text_head = text_head
        self.last = last or nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.image_dim, self.dim = image_dim, dim
        self.mean_of, self.all_positions = mean_of, all_positions

    def embed_images(self, images: Tensor) -> Tensor:
        """Features ``(B, image_dim)`` or, with a backbone, pixels ``(B, 3, H, W)``, to ``(B, dim)``.

        Pixels also of several views, ``(B, V, 3, H, W)``; features, ``(B, V, image_dim)``, where the mean
        embedding counts. Raises ConfigError for pixels without a backbone and features of another length.
        """
        if self.mean_of == "embeddings" and images.dim() in (3, 5):
            return _over_views(self.embed_images, images)
        if images.dim() > 3:
            images = self._features(images)
        if images.dim() != 2 or images.shape[1] != self.image_dim:
            raise ConfigError(f"images: expected features (B, {self.image_dim}), found {tuple(images.shape)}")
        return self.image_head(self.dropout(images))

    def _features(self, pixels: Tensor) -> Tensor:
        """Features of pixels, of several views the mean."""
        if self.backbone is None:
            raise ConfigError(f"no backbone here: give features (B, {self.image_dim}) in place of pixels")
        features = _over_views(self.backbone, pixels) if pixels.dim() == 5 else self.backbone(pixels)
        return unit_rows(features) if self.mean_of == "unit features" else features

    def embed_captions(self, captions: Tensor) -> Tensor:
        """Captions as the text network takes them, codes ``(B, L)`` or features, to ``(B, dim)``.

        Codes are left-aligned where all positions are to be added up.
        """
        if not self.all_positions:
            return self.text_head(self.text(captions))
        from imtext.text.shift import shift_all

        shifted, row = shift_all(captions, (captions != 0).sum(1))
        rows = torch.cat([self.text_head(self.text(part)) for part in shifted.split(BLOCK)])
        return rows.new_zeros(len(captions), self.dim).index_add_(0, row, rows)

    def forward(self, images: Tensor, captions: Tensor, lengths: Lengths = None) -> tuple[Tensor, Tensor]:
        """Both sides at once, as the losses read them: images ``(B, dim)`` and captions ``(M, dim)``.

        ``lengths``: words of each caption, at least 1, for a recurrent text network; spares asking a GPU.
        """
        text = self.text(captions) if lengths is None else self.text(captions, lengths)
        return self.last(self.embed_images(images)), self.last(self.text_head(text))


def _over_views(embed: Callable[[Tensor], Tensor], views: Tensor) -> Tensor:
    """The mean ``(B, D)`` of what ``embed`` makes of each of the views ``(B, V, ...)`` of a picture."""
    return embed(views.flatten(0, 1)).unflatten(0, views.shape[:2]).mean(1)


def started(*layers: nn.Module) -> nn.Sequential:
    """Layers in a row; those that are linear start as Glorot and Bengio have it, their biases at zero."""
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def dual_path(
    text: nn.Module,
    image_dim: int,
    dim: int = 2048,
    backbone: nn.Module | None = None,
    head: str = "paper",
    all_positions: bool = False,
    dropout: float = 0.0,
) -> Joint:
    """Two paths, one space: ``f_img`` and ``f_text`` of Zheng et al., section 3, Eqs. 1 and 3, and Fig. 2.

    ``head="paper"`` is fc, batch norm, ReLU, fc on both sides (Fig. 2). ``head="released"`` is that of the
    authors' public code, for images fc, batch norm, ReLU, fc, batch norm, for captions fc, batch norm; its
    last ReLU stands before the losses alone. Of several views the mean embedding counts. Embeddings are not
    normalised.

    Args:
        text: a :class:`~imtext.models.text_cnn.TextCNN`, or any module with ``dim`` that maps codes to
            ``(B, dim)``.
        image_dim: length of a backbone feature.
        dim: length of an embedding (paper: 2,048).
        backbone: image CNN, or None for its features, as in Stage I, where it does not change.
        head: ``"paper"`` or ``"released"``.
        all_positions: whether ``embed_captions`` adds up a caption at every position that it can take, as the
            released code does when it tests; the paper says nothing of it.
        dropout: share of the numbers of an image feature that training drops (papers: none).

    Raises:
        ConfigError: another head.

    >>> from imtext.models import TextCNN
    >>> net = dual_path(TextCNN(words=5, word_dim=4, width=0.125), image_dim=6, dim=16)
    >>> net(torch.randn(2, 6), torch.ones(2, 32, dtype=torch.long))[1].shape
    torch.Size([2, 16])
    """
    released = one_of("head", head, ("paper", "released")) == "released"

    def path(inputs: int, second: bool) -> nn.Sequential:
        layers = [nn.Linear(inputs, dim), nn.BatchNorm1d(dim)]
        if second:
            layers += [nn.ReLU(inplace=True), nn.Linear(dim, dim)]
        if second and released:
            layers += [nn.BatchNorm1d(dim)]
        return started(*layers)

    last = nn.ReLU() if released else None
    heads = path(image_dim, True), text, path(text.dim, not released)
    return Joint(image_dim, dim, *heads, backbone, "embeddings", last, all_positions, dropout)


class UnitRows(nn.Module):
    """Rows scaled to length 1, see :func:`imtext.unit.unit_rows`."""

    def forward(self, rows: Tensor) -> Tensor:
        """Rows ``(B, D)`` of any scale to rows of length 1, float32 at least."""
        return unit_rows(rows)


class UnitHead(nn.Module):
    """L2, fc, L2: from a feature of any scale to a row of length 1 (VSE++, public code); zeros stay zeros.

    The fc starts uniform in ±√6 / √(inputs + dim), its bias at zero.

    >>> UnitHead(6, 4)(torch.randn(3, 6)).norm(dim=1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        (self.fc,) = started(nn.Linear(inputs, dim))

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, inputs)`` to ``(B, dim)``, float32 at least."""
        rows = unit_rows(self.fc(unit_rows(features)))
        return rows.masked_fill(~features.any(1, keepdim=True), 0.0)


def vse(
    text: nn.Module,
    image_dim: int,
    dim: int = 1024,
    backbone: nn.Module | None = None,
    dropout: float = 0.0,
    text_fc: bool = False,
) -> Joint:
    """VSE++: images and captions to unit vectors of one space; their product is the cosine.

    The image side is L2, fc, L2 on a feature of any length, so a rich image representation (Fu et al., Eq. 2)
    is only another ``image_dim``. On the text side VSE++ has no fc: the GRU's state is the embedding. Fu et
    al. "add the fully connected layer after the text and image representation" (section IV-B), which pooled
    words need anyway (1,324 to 1,024): so there is L2, fc, L2 where ``text.dim`` is not ``dim``. A caption
    without any word gives zeros, similarity 0 with every image. Of several views the mean feature counts.

    Args:
        text: :class:`~imtext.models.text_encoders.GRUText`,
            :class:`~imtext.models.text_encoders.LSTMText`, or any module with ``dim`` that maps codes to
            ``(B, text.dim)``, zeros for a caption without words; in training it is also given the lengths of
            captions, where a batch has them.
        image_dim: length of an image feature (2,048 for the mean of ResNet's C4, 5,888 for the paper's RIR).
        dim: length of an embedding (papers: 1,024).
        backbone: image CNN, or None for its features.
        dropout: share of the numbers of an image feature that training drops (papers: none).
        text_fc: whether the fc on the text side is there wherever it could be left out.

    >>> from imtext.models import GRUText
    >>> net = vse(GRUText(words=5, word_dim=4, dim=8, pooled_words="mean"), image_dim=6, dim=8)
    >>> images, captions = net(torch.randn(2, 6), torch.ones(3, 7, dtype=torch.long))
    >>> images.shape, captions.shape
    (torch.Size([2, 8]), torch.Size([3, 8]))
    """
    image_head = UnitHead(image_dim, dim)
    text_head = UnitHead(text.dim, dim) if text_fc or text.dim != dim else UnitRows()
    return Joint(image_dim, dim, image_head, text, text_head, backbone, dropout=dropout)


def two_branch(
    image_dim: int,
    text_dim: int,
    dim: int = 512,
    hidden: int | None = 2048,
    dropout: float = 0.5,
    backbone: nn.Module | None = None,
    norm: bool = True,
) -> Joint:
    """Two branches on features of images and of captions (Wang et al., CVPR 2016, section 2.1 and Fig. 1).

    Nonlinear: fc, ReLU, dropout, fc, batch norm, L2 (batch norm "right after the last linear layer", dropout
    "after ReLU", section 3.1). Linear (``hidden=None``): the first layer alone, "immediately followed by L2
    normalization" (section 3.2). With a backbone the mean feature of the views, at length 1, goes on.

    Args:
        image_dim: length of an image feature (paper: 4,096, VGG-19).
        text_dim: length of a text feature (paper: 6,000 for Fisher vectors after PCA).
        dim: length of an embedding (paper: 512; 256 for mean word vectors; 4,096 for regions).
        hidden: length of the layer between (paper: 2,048, 1,024, 8,192); None: the linear model.
        dropout: after the ReLU (paper: 0.5).
        backbone: image CNN, or None for its features.
        norm: whether the batch norm is there.

    Raises:
        ConfigError: a size is out of range.

    >>> images, captions = two_branch(6, 5, dim=4, hidden=8)(torch.randn(2, 6), torch.randn(3, 5))
    >>> images.shape, captions.shape
    (torch.Size([2, 4]), torch.Size([3, 4]))
    """
    whole("dim", dim)

    def branch(inputs: int) -> nn.Sequential:
        if hidden is None:
            return started(nn.Linear(inputs, dim), UnitRows())
        layers = [nn.Linear(inputs, whole("hidden", hidden)), nn.ReLU(inplace=True)]
        layers += [nn.Dropout(number("dropout", dropout, most=0.99))]
        return started(*layers, nn.Linear(hidden, dim), *[nn.BatchNorm1d(dim)] * norm, UnitRows())

    heads = branch(image_dim), nn.Identity(), branch(text_dim)
    return Joint(image_dim, dim, *heads, backbone, "unit features")
