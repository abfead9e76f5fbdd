"""The run store: one folder per run, complete only under its final name, checked when it is read again.

A run is worked on in ``<study>/<slug>-<hash>.partial`` under a lock and renamed when it is done, so that a
folder under its final name is always a finished run, whatever moment a process was killed at. ``run.json``
says which version wrote it; ``manifest.json`` says which files belong to it and what they hold.
"""

# ruff: noqa: F401 - what is imported here is what the package offers

from imtext.runs.store import SCHEMA, Run, RunStore, config_hash, provenance
