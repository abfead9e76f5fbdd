"""The machine: an experiment of small parts becomes a run, and a notebook's rows become tables and claims."""

# ruff: noqa: F401, I001 - what is imported here is what the package offers

from imtext.experiment.compute import Row, inputs_of
from imtext.experiment.experiment import Experiment, adam
from imtext.experiment.images import Averaged, Crops, Given, Grid, Mirrored, Pictures, Pooled
from imtext.experiment.networks import GRU, BiLSTM, Branches, Cca, Centre, DrawnCNN, Dual, Ensemble
from imtext.experiment.networks import Hinges, Instance, Joint, Reranked, Scan, Single, Structure
from imtext.experiment.results import Absent, Result, Results, none_of_absent
from imtext.experiment.source import Beside, Data, Places
from imtext.experiment.study import Study
from imtext.experiment.texts import Drawn, Fisher, KnownWords, MeanWords, TfIdf, Words
from imtext.training import Constraint, Recipe
