"""Generated pedestrians with descriptions, in the role of CUHK-PEDES: language-based person search.

A person has lasting attributes (hair, clothes, shoes, a bag) and two to four pictures from different sides,
in another pose, place and light; each picture has two descriptions of 15 to 30 words.

>>> from imtext.data.picturebook.pedestrians import roster, sheet
>>> sorted(roster(0, "test", 1)[0]["shoes"])
['colour', 'name']
"""

from __future__ import annotations

from .generate import generate
from .identities import roster
from .load import load
from .sheet import sheet, write_sheet

__all__ = ["generate", "load", "roster", "sheet", "write_sheet"]
