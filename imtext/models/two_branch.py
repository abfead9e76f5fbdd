"""The two-branch network on precomputed features (Wang et al., CVPR 2016, section 2.1 and Fig. 1)."""

from __future__ import annotations

from torch import Tensor, nn

from imtext.errors import ConfigError
from imtext.models.views import over_views
from imtext.unit import unit_rows


class Branch(nn.Module):
    """From features of one view to unit vectors of the shared space.

    Nonlinear: fc, ReLU, dropout, fc, batch norm, L2 (batch norm "right after the last linear layer", dropout
    "after ReLU", section 3.1). Linear (``hidden=None``): the first layer alone, "immediately followed by L2
    normalization" (section 3.2).

    >>> import torch
    >>> branch = Branch(6, dim=4, hidden=8)
    >>> branch(torch.randn(3, 6)).norm(dim=1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, inputs: int, dim: int, hidden: int | None, dropout: float = 0.5) -> None:
        super().__init__()
        if min(inputs, dim, 1 if hidden is None else hidden) < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "a branch needs inputs, dim and hidden >= 1 and 0 <= dropout < 1, "
                f"found {inputs}, {dim}, {hidden} and {dropout}"
            )
        if hidden is None:
            layers: list[nn.Module] = [nn.Linear(inputs, dim)]
        else:
            layers = [nn.Linear(inputs, hidden), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            layers += [nn.Linear(hidden, dim), nn.BatchNorm1d(dim)]
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, inputs)`` to ``(B, dim)`` of length 1; zeros stay zeros."""
        return unit_rows(self.layers(features))


class TwoBranch(nn.Module):
    """Two branches, one space.

    Args:
        image_dim: length of an image feature (paper: 4,096, VGG-19).
        text_dim: length of a text feature (paper: 6,000 for Fisher vectors after PCA).
        dim: length of an embedding (paper: 512; 256 for mean word vectors; 4,096 for regions).
        hidden: length of the layer between (paper: 2,048, 1,024, 8,192); None: the linear model.
        dropout: after the ReLU (paper: 0.5).
        backbone: module from normalised pixels ``(B, 3, H, W)`` to ``(B, image_dim)``, or None for features.

    Raises:
        ConfigError: a size is out of range.

    >>> import torch
    >>> images, captions = TwoBranch(6, 5, dim=4, hidden=8)(torch.randn(2, 6), torch.randn(3, 5))
    >>> images.shape, captions.shape
    (torch.Size([2, 4]), torch.Size([3, 4]))
    """

    def __init__(
        self,
        image_dim: int,
        text_dim: int,
        dim: int = 512,
        hidden: int | None = 2048,
        dropout: float = 0.5,
        backbone: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.image_branch = Branch(image_dim, dim, hidden, dropout)
        self.text_branch = Branch(text_dim, dim, hidden, dropout)
        self.dim = dim

    def embed_images(self, features: Tensor) -> Tensor:
        """Image features ``(N, image_dim)`` to ``(N, dim)``, unit length.

        With a backbone also pixels ``(N, 3, H, W)``, or of several views ``(N, V, 3, H, W)``, whose mean
        feature of length 1 goes on, as the cached features of a frozen CNN have it.
        """
        if features.dim() >= 4:
            several = features.dim() == 5
            features = unit_rows(over_views(self.backbone, features) if several else self.backbone(features))
        return self.image_branch(features)

    def embed_captions(self, features: Tensor) -> Tensor:
        """Text features ``(M, text_dim)`` to ``(M, dim)``, unit length."""
        return self.text_branch(features)

    def forward(self, images: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Both branches at once."""
        return self.embed_images(images), self.embed_captions(captions)
