"""The papers' networks, and CCA."""

from imtext.models.cca import CCA, choose_cca
from imtext.models.inception_resnet import InceptionResNetV1, PictureCNN, PictureNets
from imtext.models.joint import Joint, dual_path, two_branch, vse
from imtext.models.scan import SCAN, attend, scan_scores
from imtext.models.text_cnn import TextCNN
from imtext.models.text_encoders import GRUText, LSTMText

__all__ = ["CCA", "SCAN", "GRUText", "InceptionResNetV1", "Joint", "LSTMText", "PictureCNN", "PictureNets"]
__all__ += ["TextCNN", "attend", "choose_cca", "dual_path", "scan_scores", "two_branch", "vse"]
