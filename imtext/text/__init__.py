"""Captions as numbers: tokens, vocabulary, word vectors, position shift."""

from __future__ import annotations

from imtext.text.shift import position_shift, shift_all
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors, save_cut, train_word2vec
from imtext.text.vocabulary import Vocabulary

__all__ = [
    "Vocabulary",
    "WordVectors",
    "load_word_vectors",
    "position_shift",
    "save_cut",
    "shift_all",
    "tokenize",
    "train_word2vec",
]
