"""The dual-path network: image path and text path into one space (Zheng et al., section 3 and Fig. 2)."""

from __future__ import annotations

from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models.text_cnn import TextCNN

HEADS = ("paper", "released")


class EmbeddingHead(nn.Module):
    """From a pooled feature to the shared space.

    ``kind="paper"`` is fc, batch norm, ReLU, fc (Zheng et al., Fig. 2); ``kind="released"`` is fc, batch
    norm, with the ReLU left to the classifier's side, as in the authors' public code.

    >>> import torch
    >>> EmbeddingHead(6, 4)(torch.randn(3, 6)).shape
    torch.Size([3, 4])
    """

    def __init__(self, inputs: int, dim: int, kind: str = "paper") -> None:
        super().__init__()
        if kind not in HEADS:
            raise ConfigError(f"EmbeddingHead takes kind in {HEADS}, found {kind!r}")
        layers: list[nn.Module] = [nn.Linear(inputs, dim), nn.BatchNorm1d(dim)]
        if kind == "paper":
            layers += [nn.ReLU(inplace=True), nn.Linear(dim, dim)]
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

    Args:
        text: a :class:`~imtext.models.TextCNN`, or any module with ``dim`` that maps codes to ``(B, dim)``.
        image_dim: length of a backbone feature.
        dim: length of an embedding (paper: 2,048).
        backbone: module from normalised pixels ``(B, 3, H, W)`` to ``(B, image_dim)``, or None.
        head: ``"paper"`` or ``"released"``, see :class:`EmbeddingHead`.

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
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.image_head = EmbeddingHead(image_dim, dim, head)
        self.text = text
        self.text_head = EmbeddingHead(text.dim, dim, head)
        self.dim = dim

    def embed_images(self, images: Tensor) -> Tensor:
        """Features ``(B, image_dim)`` or, with a backbone, pixels ``(B, 3, H, W)``, to ``(B, dim)``."""
        if images.dim() == 4:
            if self.backbone is None:
                raise ConfigError(
                    "this DualPath has no backbone: give it features (B, image_dim), not pixels"
                )
            images = self.backbone(images)
        return self.image_head(images)

    def embed_sentences(self, codes: Tensor) -> Tensor:
        """Word codes ``(B, L)`` to ``(B, dim)``."""
        return self.text_head(self.text(codes))

    def forward(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Both paths at once: ``(B, dim)`` of the images and ``(B, dim)`` of the sentences."""
        return self.embed_images(images), self.embed_sentences(codes)
