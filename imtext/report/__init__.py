"""What a reader sees: the papers' numbers beside ours, figures, and claims with a verdict. Trains nothing."""

# ruff: noqa: F401, I001 - what is imported here is what the package offers

from imtext.report.claims import Verdict, decide
from imtext.report.evidence import Evidence, from_parts, from_samples, from_scores
from imtext.report.gallery import Gallery
from imtext.report.paper import Claim, Paper, PaperTable, paper_table, paper_values, read_paper
from imtext.report.published import NOTES, Published, read_published, results_folder
from imtext.report.style import use_house_style
from imtext.report.tables import arithmetic, as_printed, claims_table, not_tested, other_numbers, over_seeds
from imtext.report.tables import side_by_side
