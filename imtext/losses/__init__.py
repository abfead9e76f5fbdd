"""Losses on plain tensors: pure functions, and a module where a loss has parameters."""

from imtext.losses.centre import CentreLoss, centre_loss
from imtext.losses.instance import InstanceLoss, instance_loss
from imtext.losses.intra_modal import (
    constraint_of_distances,
    in_window,
    intra_modal_constraint,
    intra_modal_loss,
    pair_distances,
)
from imtext.losses.ranking import hinge_loss, quadruple_ranking_loss, ranking_loss
from imtext.losses.structure import structure_preserving_loss

__all__ = [
    "CentreLoss",
    "InstanceLoss",
    "centre_loss",
    "constraint_of_distances",
    "hinge_loss",
    "in_window",
    "instance_loss",
    "intra_modal_constraint",
    "intra_modal_loss",
    "pair_distances",
    "quadruple_ranking_loss",
    "ranking_loss",
    "structure_preserving_loss",
]
