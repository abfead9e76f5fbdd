"""One short training loop on Lightning Fabric, its recipes, its batches and the papers' objectives."""

# ruff: noqa: F401, I001 - what is imported here is what the package offers

from imtext.training.batches import MixedBatches, NeighbourBatches, PairBatches
from imtext.training.device import make_fabric, resolve_device
from imtext.training.loop import fit
from imtext.training.objectives import Constraint, DualPathObjective, HingeObjective
from imtext.training.objectives import SingleObjective, StructureObjective
from imtext.training.recipe import Recipe
