"""The papers' networks, one file each."""

from imtext.models.dual_path import DualPath, EmbeddingHead
from imtext.models.text_cnn import TextCNN

__all__ = ["DualPath", "EmbeddingHead", "TextCNN"]
