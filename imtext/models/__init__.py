"""The papers' networks, one file each, and CCA."""

from imtext.models.attention import attend, scan_scores
from imtext.models.cca import CCA, choose_cca
from imtext.models.dual_path import DualPath, EmbeddingHead
from imtext.models.inception_resnet import InceptionResNetV1, PictureNets
from imtext.models.lstm_text import LSTMText
from imtext.models.scan import SCAN
from imtext.models.text_cnn import TextCNN
from imtext.models.two_branch import Branch, TwoBranch
from imtext.models.vse import VSE, GRUText, UnitHead

__all__ = [
    "CCA",
    "SCAN",
    "VSE",
    "Branch",
    "DualPath",
    "EmbeddingHead",
    "GRUText",
    "InceptionResNetV1",
    "LSTMText",
    "PictureNets",
    "TextCNN",
    "TwoBranch",
    "UnitHead",
    "attend",
    "choose_cca",
    "scan_scores",
]
