"""What a reader sees: the papers' numbers beside ours, figures, and claims with a verdict. Trains nothing."""

from __future__ import annotations

from imtext.report.claims import (
    Claim,
    Evidence,
    Verdict,
    claims_frame,
    claims_table,
    decide,
    from_ranks,
    from_samples,
    paper_claims,
)
from imtext.report.evidence import difference_of_gains, from_gains, from_scores, gain_where
from imtext.report.numbers import PaperTable, paper_table, paper_values, papers, table_ids
from imtext.report.paper import Paper, read_paper
from imtext.report.published import (
    Published,
    read_published,
    results_folder,
    write_published,
)
from imtext.report.style import use_house_style
from imtext.report.tables import as_printed, describe, over_seeds, side_by_side

__all__ = [
    "Claim",
    "Evidence",
    "Paper",
    "PaperTable",
    "Published",
    "Verdict",
    "as_printed",
    "claims_frame",
    "claims_table",
    "decide",
    "describe",
    "difference_of_gains",
    "from_gains",
    "from_ranks",
    "from_samples",
    "from_scores",
    "gain_where",
    "over_seeds",
    "paper_claims",
    "paper_table",
    "paper_values",
    "papers",
    "read_paper",
    "read_published",
    "results_folder",
    "side_by_side",
    "table_ids",
    "use_house_style",
    "write_published",
]
