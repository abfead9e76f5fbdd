"""VSE++ and its rich text representation: a recurrent text network and one layer per side.

Faghri et al., "VSE++: Improving Visual-Semantic Embeddings with Hard Negatives", BMVC 2018, with their public
code; Fu et al., "Rich Features Embedding for Cross-Modal Retrieval", section III.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from imtext.errors import ConfigError
from imtext.models.views import over_views
from imtext.unit import unit_rows

POOLED = (None, "mean", "max")


def word_layer(words: int, word_dim: int) -> nn.Embedding:
    """A vector for each of the codes 1 to ``words``, uniform in ±0.1; zeros for code 0, which is padding."""
    layer = nn.Embedding(words + 1, word_dim, padding_idx=0)
    nn.init.uniform_(layer.weight, -0.1, 0.1)
    with torch.no_grad():
        layer.weight[0] = 0
    return layer


def pack_words(layer: nn.Embedding, codes: Tensor) -> tuple[Tensor, PackedSequence, Tensor]:
    """Captions for a recurrent layer, which is to read words alone and takes no empty caption.

    Args:
        layer: a :func:`word_layer`.
        codes: ``(B, L)`` integers, neither B nor L 0; 0 is padding wherever it stands.

    Returns:
        Word vectors ``(B, L, word_dim)``, words first and in their order; the same packed, where a caption
        without any word is one word of zeros; the numbers of words ``(B,)``, 0 for such a caption.

    >>> words, packed, counts = pack_words(word_layer(5, 2), torch.tensor([[0, 3, 0, 1], [0, 0, 0, 0]]))
    >>> words.shape, packed.batch_sizes.tolist(), counts.tolist()
    (torch.Size([2, 4, 2]), [2, 1], [2, 0])
    """
    padding = codes == 0
    counts = (~padding).sum(1)
    words = layer(codes.gather(1, padding.byte().argsort(dim=1, stable=True)))
    lengths = counts.clamp_min(1).cpu()
    return words, pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False), counts


class GRUText(nn.Module):
    """Captions to features: word layer, one GRU layer, its state after the last word (VSE++, public code).

    ``bidirectional`` adds the backward GRU's state after the first word to the forward one's after the last:
    the sum of Fu et al., Eq. 6 (their introduction says average, the same after L2). ``pooled_words`` appends
    the mean (Eq. 6) or the maximum (Table VI, "emb-max") of the word vectors themselves. Each of the parts
    has length 1, as Eq. 6 has it; the prose beside it divides the whole by its length once more, a constant
    that is left out.

    Words start uniform in ±0.1, the GRU as torch has it (public code). Codes of 0 are padding wherever they
    stand, so a position shift changes nothing; padding reaches neither the GRU nor the pooling. A caption
    without any word gives zeros.

    Args:
        words: dictionary size d; codes run from 1 to d, 0 is padding.
        word_dim: width of the word layer (papers: 300).
        dim: width of the GRU's state (papers: 1,024).
        bidirectional: forward and backward GRU.
        pooled_words: None, ``"mean"`` or ``"max"``.

    Attributes:
        dim: length of a feature, ``dim`` or, with pooled words, ``dim + word_dim`` (paper: 1,324).

    Raises:
        ConfigError: a size below 1, or another pooling.

    >>> net = GRUText(words=10, word_dim=4, dim=6, bidirectional=True, pooled_words="mean")
    >>> net(torch.tensor([[3, 1, 0], [0, 0, 0]])).square().sum(1).round().tolist(), net.dim
    ([2.0, 0.0], 10)
    """

    def __init__(
        self,
        words: int,
        word_dim: int = 300,
        dim: int = 1024,
        bidirectional: bool = False,
        pooled_words: str | None = None,
    ) -> None:
        super().__init__()
        if min(words, word_dim, dim) < 1 or pooled_words not in POOLED:
            raise ConfigError(
                f"GRUText takes words, word_dim and dim >= 1 and pooled_words in {POOLED}, "
                f"found {words}, {word_dim}, {dim} and {pooled_words!r}"
            )
        self.pooled_words = pooled_words
        self.dim = dim + (word_dim if pooled_words else 0)
        self.word = word_layer(words, word_dim)
        self.rnn = nn.GRU(word_dim, dim, batch_first=True, bidirectional=bidirectional)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes ``(B, L)``, integers with 0 as padding, to features ``(B, dim)``, float32 at least."""
        if not codes.numel():
            return self.word.weight.new_zeros(len(codes), self.dim)
        words, packed, counts = pack_words(self.word, codes)
        parts = [unit_rows(self.rnn(packed)[1].sum(0))]
        if self.pooled_words:
            # An empty caption is one word of zeros here too, and zeros again below.
            inside = torch.arange(codes.shape[1], device=codes.device) < counts.clamp_min(1)[:, None]
            parts.append(unit_rows(self._pool(words, inside[:, :, None])))
        return torch.cat(parts, dim=1).masked_fill((counts == 0)[:, None], 0.0)

    def _pool(self, words: Tensor, inside: Tensor) -> Tensor:
        """Mean, but for its length, or maximum of the words ``(B, L, word_dim)`` that are ``inside``."""
        if self.pooled_words == "max":
            return words.masked_fill(~inside, float("-inf")).amax(1)
        return (words * inside).sum(1)


class UnitHead(nn.Module):
    """L2, fc, L2: from a feature of any scale to a row of length 1 (VSE++, public code).

    The fc starts uniform in ±√6 / √(inputs + dim), its bias at zero.

    >>> UnitHead(6, 4)(torch.randn(3, 6)).norm(dim=1).round(decimals=4).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, dim)
        nn.init.xavier_uniform_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Features ``(B, inputs)`` to ``(B, dim)``, float32 at least."""
        return unit_rows(self.fc(unit_rows(features)))


class VSE(nn.Module):
    """Images and captions to unit vectors of one space; their product is the cosine.

    The image side is L2, fc, L2 on a feature of any length, so a rich image representation (Fu et al., Eq. 2)
    is only another ``image_dim``. On the text side VSE++ has no fc: the GRU's state is the embedding. Fu et
    al. "add the fully connected layer after the text and image representation" (section IV-B), which pooled
    words need anyway (1,324 to 1,024) and which a row such as "avg-4-BiGRU" may or may not have had.

    Args:
        text: a :class:`GRUText`, or any module with ``dim`` that maps codes to ``(B, text.dim)``.
        image_dim: length of an image feature (2,048 for the mean of ResNet's C4, 5,888 for the paper's RIR).
        dim: length of an embedding (papers: 1,024).
        backbone: module from normalised pixels ``(B, 3, H, W)`` to ``(B, image_dim)``, or None for features.
        text_fc: whether the text side has L2, fc, L2 too; None gives it one where ``text.dim`` is not
            ``dim``.

    Raises:
        ConfigError: ``text_fc=False`` and a text feature of another length than ``dim``.

    >>> net = VSE(GRUText(words=5, word_dim=4, dim=8, pooled_words="mean"), image_dim=6, dim=8)
    >>> images, captions = net(torch.randn(2, 6), torch.ones(3, 7, dtype=torch.long))
    >>> images.shape, captions.shape
    (torch.Size([2, 8]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        text: GRUText,
        image_dim: int,
        dim: int = 1024,
        backbone: nn.Module | None = None,
        text_fc: bool | None = None,
    ) -> None:
        super().__init__()
        if text_fc is False and text.dim != dim:
            raise ConfigError(
                f"VSE without a text fc needs a text feature of length dim={dim}, found {text.dim}; "
                "let text_fc be None"
            )
        self.backbone = backbone
        self.image_head = UnitHead(image_dim, dim)
        self.text = text
        self.text_head = UnitHead(text.dim, dim) if text_fc or text.dim != dim else None
        self.dim, self.image_dim = dim, image_dim

    def embed_images(self, images: Tensor) -> Tensor:
        """Features ``(B, image_dim)`` or, with a backbone, pixels ``(B, 3, H, W)``, to ``(B, dim)``.

        Of pixels of several views ``(B, V, 3, H, W)`` the mean feature counts.
        Rows have length 1. Raises ConfigError for pixels without a backbone and features of another length.
        """
        if images.dim() >= 4:
            if self.backbone is None:
                raise ConfigError("this VSE has no backbone: give it features (B, image_dim), not pixels")
            several = images.dim() == 5
            images = over_views(self.backbone, images) if several else self.backbone(images)
        if images.dim() != 2 or images.shape[1] != self.image_dim:
            raise ConfigError(
                f"this VSE takes image features (B, {self.image_dim}), found {tuple(images.shape)}; "
                "give it those of the variant it was built for"
            )
        return self.image_head(images)

    def embed_captions(self, codes: Tensor) -> Tensor:
        """Word codes ``(B, L)`` to ``(B, dim)``.

        Rows have length 1; a caption without any word gives zeros, similarity 0 with every image.
        """
        features = self.text(codes)
        rows = unit_rows(features) if self.text_head is None else self.text_head(features)
        return rows.masked_fill((codes == 0).all(1, keepdim=True), 0.0)

    def forward(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides at once: ``(B, dim)`` of the images and ``(B, dim)`` of the captions."""
        return self.embed_images(images), self.embed_captions(codes)
