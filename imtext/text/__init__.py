"""Captions as numbers: words and their codes, word vectors, bags, Fisher vectors, text as a picture."""

from __future__ import annotations

from imtext.text.bags import FUNCTION_WORDS, MeanVector, TfIdf, is_function_word, lemmas
from imtext.text.fisher import FisherVectors
from imtext.text.mixture import GaussianMixture, HybridMixture
from imtext.text.shift import position_shift, shift_all
from imtext.text.text_image import TextImage, largest_superpixel, small_vectors
from imtext.text.tokens import tokenize
from imtext.text.vectors import WordVectors, load_word_vectors, train_word2vec
from imtext.text.vocabulary import Vocabulary

__all__ = [
    "FUNCTION_WORDS",
    "FisherVectors",
    "GaussianMixture",
    "HybridMixture",
    "MeanVector",
    "TextImage",
    "TfIdf",
    "Vocabulary",
    "WordVectors",
    "is_function_word",
    "largest_superpixel",
    "lemmas",
    "load_word_vectors",
    "position_shift",
    "shift_all",
    "small_vectors",
    "tokenize",
    "train_word2vec",
]
