"""picturebook: generated scenes with fine-grained captions, the dataset that needs no download.

A package of its own: it needs NumPy and Pillow and knows nothing of imtext, which reads what is written here
like any other dataset (:mod:`imtext.data.generated`).

>>> from imtext.picturebook import describe
>>> scene, captions = describe(seed=0, split="test", index=0)
>>> len(captions)
5

Its second part are pedestrians, in the role of CUHK-PEDES. A person has lasting attributes (hair, clothes,
shoes, a bag) and two to four pictures from different sides, in another pose, place and light; each picture
has two descriptions of 15 to 30 words.

>>> from imtext.picturebook import roster
>>> sorted(roster(0, "test", 1)[0]["shoes"])
['colour', 'name']
"""

from .captions import describe
from .descriptions import describe_person
from .draw import portrait, render
from .graded import relevance
from .persons import hidden, roster, views
from .pieces import Statement, plain_text, spans, statements
from .write import VERSIONS, generate, whats_wrong

__all__ = [
    "VERSIONS",
    "Statement",
    "describe",
    "describe_person",
    "generate",
    "hidden",
    "plain_text",
    "portrait",
    "relevance",
    "render",
    "roster",
    "spans",
    "statements",
    "views",
    "whats_wrong",
]
