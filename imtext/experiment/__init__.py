"""The machine: an experiment of small parts becomes a run, and a notebook's rows become tables and claims."""

from imtext.experiment.compute import inputs_of
from imtext.experiment.experiment import Experiment, adam
from imtext.experiment.images import Given, Pictures, Pooled
from imtext.experiment.networks import GRU, BiLSTM, Centre, Hinges, Joint, Single
from imtext.experiment.results import Absent, Result, Results, none_of_absent
from imtext.experiment.source import Data
from imtext.experiment.study import Measured, Study
from imtext.experiment.texts import Drawn, Words
from imtext.training import Constraint, Recipe

__all__ = [
    "GRU",
    "Absent",
    "BiLSTM",
    "Centre",
    "Constraint",
    "Data",
    "Drawn",
    "Experiment",
    "Given",
    "Hinges",
    "Joint",
    "Measured",
    "Pictures",
    "Pooled",
    "Recipe",
    "Result",
    "Results",
    "Single",
    "Study",
    "Words",
    "adam",
    "inputs_of",
    "none_of_absent",
]
