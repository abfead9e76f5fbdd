"""picturebook: generated scenes with fine-grained captions, the dataset that needs no download.

>>> from imtext.data.picturebook import describe
>>> scene, captions = describe(seed=0, split="test", index=0)
>>> len(captions)
5
"""

from __future__ import annotations

from .generate import generate
from .load import default_root, load, minimal_pairs
from .write import describe

__all__ = ["default_root", "describe", "generate", "load", "minimal_pairs"]
