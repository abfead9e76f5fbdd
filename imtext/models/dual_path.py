"""The dual-path network: image path and text path into one space (Zheng et al., section 3 and Fig. 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models.text_cnn import TextCNN
from imtext.models.views import over_views
from imtext.text.shift import shift_all

HEADS = ("paper", "released")
BLOCK = 1024  # captions, each at one position, embedded at a time


class EmbeddingHead(nn.Module):
    """From a pooled feature to the shared space.

    ``kind="paper"`` is fc, batch norm, ReLU, fc on both sides (Zheng et al., Fig. 2). ``kind="released"`` is
    that of the authors' public code without its last ReLU and dropout, which stand before the losses alone:
    for images (``deep``) fc, batch norm, ReLU, fc, batch norm; for captions fc, batch norm.

    Raises:
        ConfigError: an unknown kind.

    >>> import torch
    >>> EmbeddingHead(6, 4)(torch.randn(3, 6)).shape
    torch.Size([3, 4])
    """

    def __init__(self, inputs: int, dim: int, kind: str = "paper", deep: bool = True) -> None:
        super().__init__()
        if kind not in HEADS:
            raise ConfigError(f"EmbeddingHead takes kind in {HEADS}, found {kind!r}")
        layers: list[nn.Module] = [nn.Linear(inputs, dim), nn.BatchNorm1d(dim)]
        if kind == "paper" or deep:
            layers += [nn.ReLU(inplace=True), nn.Linear(dim, dim)]
        if kind == "released" and deep:
            layers += [nn.BatchNorm1d(dim)]
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``(B, inputs)`` to embeddings ``(B, dim)``, not normalised."""
        return self.layers(x)


class DualPath(nn.Module):
    """Two paths, one space: ``f_img`` and ``f_text`` of Eqs. 1 and 3 of Zheng et al.

    The backbone may be None: then images come as cached backbone features, as in Stage I, where the
    image CNN is fixed.

    ``embed_images`` and ``embed_captions`` give the features that a search compares. The call gives those
    that the losses read: the same ones, but for ``head="released"`` after a last ReLU, and of each caption
    where it stands.

    Args:
        text: a :class:`~imtext.models.TextCNN`, or any module with ``dim`` that maps codes to ``(B, dim)``.
        image_dim: length of a backbone feature.
        dim: length of an embedding (paper: 2,048).
        backbone: module from normalised pixels ``(B, 3, H, W)`` to ``(B, image_dim)``, or None.
        head: ``"paper"`` or ``"released"``, see :class:`EmbeddingHead`.
        all_positions: whether ``embed_captions`` adds up the features of a caption at every position that
            it can take, as the released code does when it tests; the paper says nothing of it.

    >>> import torch
    >>> net = DualPath(TextCNN(words=5, word_dim=4, width=0.125), image_dim=6, dim=16)
    >>> net(torch.randn(2, 6), torch.ones(2, 32, dtype=torch.long))[1].shape
    torch.Size([2, 16])
    """

    def __init__(
        self,
        text: TextCNN,
        image_dim: int,
        dim: int = 2048,
        backbone: nn.Module | None = None,
        head: str = "paper",
        all_positions: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.image_head = EmbeddingHead(image_dim, dim, head)
        self.text = text
        self.text_head = EmbeddingHead(text.dim, dim, head, deep=False)
        self.last = nn.ReLU() if head == "released" else nn.Identity()
        self.dim, self.all_positions = dim, all_positions

    def embed_images(self, images: Tensor) -> Tensor:
        """Features ``(B, image_dim)`` or, with a backbone, pixels ``(B, 3, H, W)``, to ``(B, dim)``.

        Of several views, ``(B, V, image_dim)`` or ``(B, V, 3, H, W)``, the mean embedding counts.
        """
        if images.dim() in (3, 5):
            return over_views(self.embed_images, images)
        if images.dim() == 4:
            if self.backbone is None:
                raise ConfigError(
                    "this DualPath has no backbone: give it features (B, image_dim), not pixels"
                )
            images = self.backbone(images)
        return self.image_head(images)

    def embed_captions(self, codes: Tensor) -> Tensor:
        """Word codes ``(B, L)``, left-aligned where all positions are to be added up, to ``(B, dim)``."""
        if not self.all_positions:
            return self._in_place(codes)
        shifted, row = shift_all(codes, (codes != 0).sum(1))
        features = torch.cat([self._in_place(part) for part in shifted.split(BLOCK)])
        return features.new_zeros(len(codes), self.dim).index_add_(0, row, features)

    def _in_place(self, codes: Tensor) -> Tensor:
        """Word codes ``(B, L)`` to ``(B, dim)``, each caption where it stands."""
        return self.text_head(self.text(codes))

    def forward(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Both paths at once, as the losses read them: images ``(B, dim)`` and captions ``(M, dim)``."""
        return self.last(self.embed_images(images)), self.last(self._in_place(codes))
