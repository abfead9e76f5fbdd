"""Captions to features by a recurrent network: the GRU of VSE++ and the BiLSTM of the intra-modal constraint.

Faghri et al., "VSE++: Improving Visual-Semantic Embeddings with Hard Negatives", BMVC 2018; Fu et al., "Rich
Features Embedding for Cross-Modal Retrieval", section III; Chen et al., "Intra-Modal Constraint Loss for
Image-Text Retrieval", ICIP 2022, section 2.1; the first and the last with their public code.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from imtext.check import number, one_of, whole
from imtext.errors import ConfigError
from imtext.unit import unit_rows

Lengths = list[int] | None  # words of each caption of a batch, at least 1, where they are known


def start_words(layer: nn.Embedding, vectors: np.ndarray) -> None:
    """Start the words of a layer, codes 1 to d, from vectors ``(d, word_dim)``; a NaN leaves its number.

    Raises:
        ConfigError: vectors of another shape, or infinite ones.
    """
    rows = torch.as_tensor(vectors, dtype=layer.weight.dtype)
    expected = (layer.num_embeddings - 1, layer.embedding_dim)
    if rows.shape != expected or rows.isinf().any():
        raise ConfigError(
            f"vectors must have shape {expected} (words, word_dim), without a row for padding, and nothing "
            f"infinite, found {tuple(rows.shape)} with {int(rows.isinf().sum())} infinite numbers"
        )
    with torch.no_grad():
        layer.weight[1:] = torch.where(rows.isnan(), layer.weight[1:], rows)


def word_layer(words: int, word_dim: int, vectors: np.ndarray | None = None) -> nn.Embedding:
    """A vector for each of the codes 1 to ``words``, zeros for code 0, which is padding.

    They start uniform in ±0.1 or, as :func:`start_words` has it, from ``vectors``.
    """
    layer = nn.Embedding(whole("words", words) + 1, whole("word_dim", word_dim), padding_idx=0)
    nn.init.uniform_(layer.weight, -0.1, 0.1)
    nn.init.zeros_(layer.weight[0])
    if vectors is not None:
        start_words(layer, vectors)
    return layer


def pack_words(layer: nn.Embedding, codes: Tensor, lengths: Lengths) -> tuple[Tensor, PackedSequence, Tensor]:
    """Captions for a recurrent layer, which is to read words alone and takes no empty caption.

    Args:
        layer: a :func:`word_layer`.
        codes: ``(B, L)`` integers, neither B nor L 0; 0 is padding wherever it stands.
        lengths: words of each caption, at least 1; None counts them, for which a GPU has to be waited for.

    Returns:
        Word vectors ``(B, L, word_dim)``, words first and in their order; the same packed, where a caption
        without any word is one word of zeros; the numbers of words ``(B,)``, 0 for such a caption.

    >>> words, packed, counts = pack_words(word_layer(5, 2), torch.tensor([[0, 3, 0, 1], [0, 0, 0, 0]]), None)
    >>> words.shape, packed.batch_sizes.tolist(), counts.tolist()
    (torch.Size([2, 4, 2]), [2, 1], [2, 0])
    """
    padding = codes == 0
    counts = (~padding).sum(1)
    words = layer(codes.gather(1, padding.byte().argsort(dim=1, stable=True)))
    lengths = lengths or counts.clamp_min(1).cpu()
    return words, pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False), counts


class GRUText(nn.Module):
    """Captions to features: word layer, one GRU layer, its state after the last word (VSE++, public code).

    ``bidirectional`` adds the backward GRU's state after the first word to the forward one's after the last:
    the sum of Fu et al., Eq. 6 (their introduction says average, the same after L2). ``pooled_words`` appends
    the mean (Eq. 6) or the maximum (Table VI, "emb-max") of the word vectors themselves. Each of the parts
    has length 1, as Eq. 6 has it; the prose beside it divides the whole by its length once more, a constant
    that is left out. ``readout="mean"`` is ours: the mean over all words of both states side by side,
    ``dim / 2`` units each.

    Words start uniform in ±0.1 or from ``vectors``, the GRU as torch has it (public code). Codes of 0 are
    padding wherever they stand, so a position shift changes nothing; padding reaches neither the GRU nor the
    pooling. A caption without any word gives zeros.

    Args:
        words: dictionary size d; codes run from 1 to d, 0 is padding.
        word_dim: width of the word layer (papers: 300).
        dim: width of the GRU's state (papers: 1,024).
        bidirectional: forward and backward GRU.
        pooled_words: None, ``"mean"`` or ``"max"``.
        vectors: None, or ``(d, word_dim)`` as for :class:`LSTMText`.
        readout: ``"last"``, or ``"mean"`` of a bidirectional GRU.
        dropout: share of the numbers of the word vectors that training drops (papers: none).

    Attributes:
        dim: length of a feature, ``dim`` or, with pooled words, ``dim + word_dim`` (paper: 1,324).

    Raises:
        ConfigError: a size below 1, another pooling, or vectors of another shape.

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
        vectors: np.ndarray | None = None,
        readout: str = "last",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.pooled_words = one_of("pooled_words", pooled_words, (None, "mean", "max"))
        self.readout = one_of("readout", readout, ("last", "mean"))
        self.dim = whole("dim", dim) + (word_dim if pooled_words else 0)
        self.word = word_layer(words, word_dim, vectors)
        self.dropout = nn.Dropout(number("dropout", dropout, most=0.99))
        hidden = dim // 2 if readout == "mean" else dim
        self.rnn = nn.GRU(word_dim, hidden, batch_first=True, bidirectional=bidirectional)

    def forward(self, codes: Tensor, lengths: Lengths = None) -> Tensor:
        """Codes ``(B, L)``, integers with 0 as padding, to features ``(B, dim)``, float32 at least."""
        words, packed, counts = pack_words(self.word, codes, lengths)
        at_words, state = self.rnn(packed._replace(data=self.dropout(packed.data)))
        if self.readout == "mean":  # but for its length
            parts = [unit_rows(pad_packed_sequence(at_words, batch_first=True)[0].sum(1))]
        else:
            parts = [unit_rows(state.sum(0))]
        # An empty caption is one word of zeros here too, and zeros again below.
        behind = torch.arange(codes.shape[1], device=codes.device) >= counts.clamp_min(1)[:, None]
        if self.pooled_words == "mean":  # but for its length
            parts.append(unit_rows(words.masked_fill(behind[:, :, None], 0.0).sum(1)))
        if self.pooled_words == "max":
            parts.append(unit_rows(words.masked_fill(behind[:, :, None], float("-inf")).amax(1)))
        return torch.cat(parts, dim=1).masked_fill((counts == 0)[:, None], 0.0)


class LSTMText(nn.Module):
    """Captions to features: word layer, dropout on the word vectors, one bidirectional LSTM layer, read out.

    The paper says "Bi-LSTM to obtain the final text feature vector" and no more; the public code averages the
    two directions, but at the last word, where the backward half has read that one word alone. So there are
    three ways to read it out:

    - ``"halves"``: the mean of the forward state after the last word and the backward state after the first,
      each the state that has read the whole caption; ``dim`` units a direction;
    - ``"last"``: the same two states side by side, ``dim / 2`` units a direction;
    - ``"released"``: the mean of both directions' states at the last word; ``dim`` units a direction.

    A feature has length 1. Codes of 0 are padding wherever they stand and reach nothing; a caption without
    any word gives zeros. Weights of the LSTM start as Glorot and Bengio have it (paper, section 3.2), each of
    torch's matrices, which hold four gates, as one, and biases at zero; the public code leaves the LSTM as
    torch has it. Words start uniform in ±0.1 or from ``vectors``, and learn either way.

    Args:
        words: dictionary size d; codes run from 1 to d, 0 is padding.
        word_dim: width of the word layer (paper: 300, that of GloVe).
        dim: length of a feature (paper: 1,024).
        readout: ``"halves"``, ``"last"`` or ``"released"``.
        dropout: share of the numbers of the word vectors that training drops (paper: 0.5; public code: 0.4).
        vectors: ``(d, word_dim)`` that the words start from, row 0 for code 1; a number that is NaN stays at
            its random start. ``vocabulary.matrix(vectors, missing=np.nan)[1:]`` gives them. None: all words
            start at random.

    Raises:
        ConfigError: a size below 1, an odd ``dim`` with ``"last"``, another read-out, a dropout outside
            [0, 0.99], vectors of another shape or with an infinite number.

    >>> net = LSTMText(words=10, word_dim=4, dim=6).eval()
    >>> net(torch.tensor([[3, 1, 0], [0, 0, 0]])).square().sum(1).round().tolist(), net.dim
    ([1.0, 0.0], 6)
    """

    def __init__(
        self,
        words: int,
        word_dim: int = 300,
        dim: int = 1024,
        readout: str = "halves",
        dropout: float = 0.5,
        vectors: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.readout = one_of("readout", readout, ("halves", "last", "released"))
        self.dim = whole("dim", dim)
        if readout == "last" and dim % 2:
            raise ConfigError(f"dim={dim}: readout 'last' joins two halves, give it an even dim")
        self.word = word_layer(words, word_dim, vectors)
        self.dropout = nn.Dropout(number("dropout", dropout, most=0.99))
        hidden = dim // 2 if readout == "last" else dim
        self.rnn = nn.LSTM(word_dim, hidden, batch_first=True, bidirectional=True)
        for values in self.rnn.parameters():
            (nn.init.xavier_uniform_ if values.dim() == 2 else nn.init.zeros_)(values)

    def forward(self, codes: Tensor, lengths: Lengths = None) -> Tensor:
        """Codes ``(B, L)``, integers with 0 as padding, to features ``(B, dim)``, float32 at least."""
        _, packed, counts = pack_words(self.word, codes, lengths)
        at_words, ((forward, backward), _) = self.rnn(packed._replace(data=self.dropout(packed.data)))
        if self.readout == "released":
            states, ends = pad_packed_sequence(at_words, batch_first=True)
            backward = states[torch.arange(len(states)), ends - 1, self.dim :]
        rows = torch.cat([forward, backward], 1) if self.readout == "last" else (forward + backward) / 2
        # An empty caption is one word of zeros to the LSTM, whose biases answer it.
        return unit_rows(rows).masked_fill((counts == 0)[:, None], 0.0)
