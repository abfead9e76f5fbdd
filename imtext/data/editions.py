"""Published editions of the datasets: how many images, captions and groups the publisher states a split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Edition:
    """A way to split a dataset, by the name that tables and reports give it; counts by split.

    A split or kind that is not there has no published count.
    """

    name: str
    images: Mapping[str, int]
    captions: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)


def _splits(train: int, val: int, test: int) -> dict[str, int]:
    return {"train": train, "val": val, "test": test}


_ANEW = "split of Karpathy and Fei-Fei"
FLICKR8K = Edition("Flickr8k, official split", _splits(6_000, 1_000, 1_000))
ENTITIES = Edition("Flickr30k, split of Flickr30k Entities", _splits(29_783, 1_000, 1_000))
KARPATHY = {
    "flickr8k": Edition(f"Flickr8k, {_ANEW}", _splits(6_000, 1_000, 1_000)),
    "flickr30k": Edition(f"Flickr30k, {_ANEW}", _splits(29_000, 1_014, 1_000)),
    "coco": Edition(f"COCO 2014, {_ANEW}", _splits(113_287, 5_000, 5_000)),
}
COCO = {
    "2014": Edition(
        "COCO 2014, annotation files", {"train": 82_783, "val": 40_504}, {"train": 414_113, "val": 202_654}
    ),
    "2017": Edition(
        "COCO 2017, annotation files", {"train": 118_287, "val": 5_000}, {"train": 591_753, "val": 25_014}
    ),
}
PEDES = Edition("CUHK-PEDES", _splits(34_054, 3_078, 3_074), groups=_splits(11_003, 1_000, 1_000))
_FEATURES = "files of VSE++ and SCAN"
PRECOMPUTED = {  # by name of the dataset and of the test files; dev of COCO circulates in two sizes
    ("coco_precomp", "testall"): Edition(f"COCO, {_FEATURES}, 5K test", {"train": 113_287, "test": 5_000}),
    ("coco_precomp", "test"): Edition(f"COCO, {_FEATURES}, 1K test", {"train": 113_287, "test": 1_000}),
    ("f30k_precomp", "test"): Edition(f"Flickr30k, {_FEATURES}", _splits(29_000, 1_014, 1_000)),
}
EDITIONS = {
    edition.name: edition
    for edition in (FLICKR8K, ENTITIES, PEDES, *KARPATHY.values(), *COCO.values(), *PRECOMPUTED.values())
}
"""Every edition by its name."""
