"""Losses on plain tensors: pure functions, and a module where a loss has parameters."""

from imtext.losses.centre import CentreLoss, centre_loss
from imtext.losses.instance import InstanceLoss, instance_loss
from imtext.losses.intra_modal import intra_modal_constraint, intra_modal_loss
from imtext.losses.ranking import quadruple_ranking_loss, ranking_loss, score_ranking_loss
from imtext.losses.structure import structure_preserving_loss

__all__ = [
    "CentreLoss",
    "InstanceLoss",
    "centre_loss",
    "instance_loss",
    "intra_modal_constraint",
    "intra_modal_loss",
    "quadruple_ranking_loss",
    "ranking_loss",
    "score_ranking_loss",
    "structure_preserving_loss",
]
