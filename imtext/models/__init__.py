"""The papers' networks, one file each, and CCA."""

from imtext.models.cca import CCA, choose_cca
from imtext.models.dual_path import DualPath, EmbeddingHead
from imtext.models.text_cnn import TextCNN
from imtext.models.two_branch import Branch, TwoBranch

__all__ = ["CCA", "Branch", "DualPath", "EmbeddingHead", "TextCNN", "TwoBranch", "choose_cca"]
