"""The text side of the Intra-Modal Constraint network: word vectors, dropout, a bidirectional LSTM.

Chen et al., "Intra-Modal Constraint Loss for Image-Text Retrieval", ICIP 2022, section 2.1, with their public
code.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from imtext.errors import ConfigError
from imtext.models.vse import pack_words, word_layer
from imtext.unit import unit_rows

READOUTS = ("halves", "last", "released")


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
        vectors: ``(d, word_dim)`` that the words start from, row 0 for code 1; a row of NaN leaves its word
            at its random start. ``vocabulary.matrix(vectors, missing=np.nan)[1:]`` gives them. None: all
            words start at random.

    Raises:
        ConfigError: a size below 1, an odd ``dim`` with ``"last"``, another read-out, a dropout outside
            [0, 1), vectors of another shape, or with a row that is neither finite nor all NaN.

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
        if min(words, word_dim, dim) < 1 or readout not in READOUTS or not 0 <= dropout < 1:
            raise ConfigError(
                f"LSTMText takes words, word_dim and dim >= 1, readout in {READOUTS} and dropout in [0, 1), "
                f"found {words}, {word_dim}, {dim}, {readout!r} and {dropout}"
            )
        if readout == "last" and dim % 2:
            raise ConfigError(
                f"LSTMText joins two states of dim / 2 for readout 'last', found the odd dim {dim}; "
                f"take {dim + 1} or another readout"
            )
        self.readout, self.dim = readout, dim
        self.word = word_layer(words, word_dim)
        if vectors is not None:
            _start_words(self.word, vectors)
        self.dropout = nn.Dropout(dropout)
        hidden = dim // 2 if readout == "last" else dim
        self.rnn = nn.LSTM(word_dim, hidden, batch_first=True, bidirectional=True)
        for values in self.rnn.parameters():
            (nn.init.xavier_uniform_ if values.dim() == 2 else nn.init.zeros_)(values)

    def forward(self, codes: Tensor) -> Tensor:
        """Codes ``(B, L)``, integers with 0 as padding, to features ``(B, dim)``, float32 at least."""
        if not codes.numel():
            return self.word.weight.new_zeros(len(codes), self.dim)
        _, packed, counts = pack_words(self.word, codes)
        at_words, (states, _) = self.rnn(packed._replace(data=self.dropout(packed.data)))
        forward, backward = states
        if self.readout == "last":
            rows = torch.cat([forward, backward], dim=1)
        else:
            rows = (forward + (_backward_at_last(at_words) if self.readout == "released" else backward)) / 2
        # An empty caption is one word of zeros to the LSTM, whose biases answer it.
        return unit_rows(rows).masked_fill((counts == 0)[:, None], 0.0)


def _backward_at_last(at_words: PackedSequence) -> Tensor:
    """Backward states ``(B, H)`` at the last words, from the states of both directions at every word."""
    states, lengths = pad_packed_sequence(at_words, batch_first=True)
    captions = torch.arange(len(states), device=states.device)
    return states[captions, lengths.to(states.device) - 1].chunk(2, dim=1)[1]


def _start_words(layer: nn.Embedding, vectors: np.ndarray) -> None:
    """Word vectors ``(d, word_dim)`` into the rows of a :func:`word_layer`; rows of NaN leave theirs."""
    rows = torch.as_tensor(np.asarray(vectors), dtype=layer.weight.dtype)
    expected = (layer.num_embeddings - 1, layer.embedding_dim)
    if tuple(rows.shape) != expected:
        raise ConfigError(
            f"vectors must have shape {expected} (words, word_dim), without a row for padding, "
            f"found {tuple(rows.shape)}"
        )
    missing = rows.isnan().all(1)
    odd = ~(missing | rows.isfinite().all(1))
    if odd.any():
        raise ConfigError(
            f"vectors: expected rows of finite numbers, or of NaN for words without a vector, found another "
            f"in row {int(odd.nonzero()[0])} (code {int(odd.nonzero()[0]) + 1}); repair the word vectors"
        )
    with torch.no_grad():
        layer.weight[1:] = torch.where(missing[:, None], layer.weight[1:], rows)
