"""A trained model or two of each other paper, for measures that compare them.

The notebook of the single network takes these rows over when their papers move to `imtext.experiment`.
"""

from __future__ import annotations

from importlib import import_module

from imtext.experiment.parameters import Parameters
from imtext.experiment.running import jobs_here
from imtext.runs import Run
from imtext.studies.intra_row import intra_row
from imtext.studies.running import Row, run_all

# Of those that train on fixed features in minutes: name, study, a table that holds the row, the row.
MODELS = (
    ("Instance loss", "instance_loss.InstanceLossStudy", "6", "instance-1"),
    ("Structure-preserving", "structure_preserving.StructureStudy", "1", "fv-nonlinear-bi-structure"),
    ("CCA", "structure_preserving.StructureStudy", "1", "cca-fv"),
    ("VSE++", "rich_features.RichStudy", "8", "vse"),
    ("Rich text", "rich_features.RichStudy", "8", "gru-emb-avg"),
    ("SCAN", "rich_features.RichStudy", "4", "scan-it-lse"),
)


def rows(given: Parameters) -> dict[str, Row]:
    """The rows by name, for the dataset, profile, device, run store and first seed of a notebook."""
    found, seed = {}, given.seeds[0]
    for name, study, table, slug in MODELS:
        module, kind = study.split(".")
        # Imported when asked for, so that one notebook does not load all.
        made = getattr(import_module(f"imtext.studies.{module}"), kind)(
            dataset=given.dataset,
            data_root=given.data_root,
            profile=given.profile,
            seeds=[seed],
            device=given.device,
            runs_dir=str(given.runs_dir),
            tables=table,
        )
        found[name] = made.experiments(seed)[slug]
    return found | {"Intra-modal": intra_row(given, seed)}


def runs(given: Parameters) -> dict[str, Run]:
    """A finished run of each, by name."""
    found = rows(given)
    jobs = jobs_here(given.jobs, given.profile, given.device)
    return dict(zip(found, run_all(list(found.values()), given.runs_dir, jobs, threads=1), strict=True))
