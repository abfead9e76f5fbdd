"""One short training loop on Lightning Fabric, its recipes, its batches and the papers' objectives."""

from imtext.training.batches import CachedFeatures, MixedBatches, NeighbourBatches, PairBatches, Pixels
from imtext.training.device import make_fabric, resolve_device
from imtext.training.loop import fit
from imtext.training.objectives import (
    Constraint,
    DualPathObjective,
    HingeObjective,
    SingleObjective,
    StructureObjective,
)
from imtext.training.recipe import Recipe

__all__ = ["CachedFeatures", "Constraint", "DualPathObjective", "HingeObjective", "MixedBatches"]
__all__ += ["NeighbourBatches", "PairBatches", "Pixels", "Recipe", "SingleObjective", "StructureObjective"]
__all__ += ["fit", "make_fabric", "resolve_device"]
