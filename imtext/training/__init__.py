"""One short training loop on Lightning Fabric, its recipes, its batches and the papers' objectives."""

from imtext.training.batches import CachedFeatures, PairBatches, Pixels
from imtext.training.device import make_fabric, resolve_device
from imtext.training.hinges import Constraint, HingeObjective
from imtext.training.loop import fit
from imtext.training.neighbours import NeighbourBatches, StructureObjective
from imtext.training.objective import DualPathObjective
from imtext.training.recipe import Recipe
from imtext.training.single import MixedBatches, SingleObjective

__all__ = [
    "CachedFeatures",
    "Constraint",
    "DualPathObjective",
    "HingeObjective",
    "MixedBatches",
    "NeighbourBatches",
    "PairBatches",
    "Pixels",
    "Recipe",
    "SingleObjective",
    "StructureObjective",
    "fit",
    "make_fabric",
    "resolve_device",
]
