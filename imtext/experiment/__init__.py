"""The machine: an experiment of small parts becomes a run, and a notebook's rows become tables and claims."""

from imtext.experiment.compute import inputs_of
from imtext.experiment.experiment import Experiment, adam
from imtext.experiment.images import Given, Pooled
from imtext.experiment.networks import GRU, BiLSTM, Hinges, Joint
from imtext.experiment.results import Absent, Result, Results, none_of_absent
from imtext.experiment.source import Data
from imtext.experiment.study import Measured, Study
from imtext.experiment.texts import Words
from imtext.training import Constraint, Recipe

__all__ = [
    "GRU",
    "Absent",
    "BiLSTM",
    "Constraint",
    "Data",
    "Experiment",
    "Given",
    "Hinges",
    "Joint",
    "Measured",
    "Pooled",
    "Recipe",
    "Result",
    "Results",
    "Study",
    "Words",
    "adam",
    "inputs_of",
    "none_of_absent",
]
