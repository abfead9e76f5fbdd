"""The counts that publishers state, as the readers hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imtext.data import coco, cuhk_pedes, entities, karpathy, precomp, tokens_file
from imtext.data.schema import SPLITS, Dataset


@dataclass(frozen=True)
class Published:
    """Counts of one edition of a dataset by split; a split that is not there has no published count."""

    edition: str
    images: Mapping[str, int]
    captions: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)


def published(name: str, dataset: Dataset, root: Path) -> Published | None:
    """The published counts of ``dataset``, read as ``name`` from ``root``; None where there are none.

    Some datasets circulate in several editions. Which one this is, the files say that it was read from.
    """
    known = _KNOWN.get(name)
    return None if known is None else known(dataset, root)


def _flickr8k(dataset: Dataset, root: Path) -> Published:
    return Published("Flickr8k, official split", tokens_file.FLICKR8K.counts)


def _flickr30k(dataset: Dataset, root: Path) -> Published:
    if _karpathys(root, "flickr30k", dataset):
        return Published("Flickr30k, split of Karpathy and Fei-Fei", karpathy.COUNTS["flickr30k"])
    return Published("Flickr30k, split of Flickr30k Entities", tokens_file.FLICKR30K.counts)


def _entities(dataset: Dataset, root: Path) -> Published:
    # The two splits differ in val only by 14 images; the nearer one is meant.
    here = {split: int((dataset.split_of_image == split).sum()) for split in SPLITS}
    far = {
        key: sum(abs(here[split] - counts[split]) for split in SPLITS)
        for key, counts in entities.COUNTS.items()
    }
    key = min(far, key=far.__getitem__)
    title = {"entities": "official split", "karpathy": "split of Karpathy and Fei-Fei"}[key]
    return Published(f"Flickr30k Entities, {title}", entities.COUNTS[key])


def _coco(dataset: Dataset, root: Path) -> Published:
    year = "2017" if dataset.image_files[0].startswith(("train2017/", "val2017/")) else "2014"
    if year == "2014" and _karpathys(root, "coco", dataset):
        return Published("COCO 2014, split of Karpathy and Fei-Fei", karpathy.COUNTS["coco"])
    counts = coco.PUBLISHED[year]
    return Published(
        f"COCO {year}, annotation files",
        {split: images for split, (images, _) in counts.items()},
        {split: captions for split, (_, captions) in counts.items()},
    )


def _cuhk_pedes(dataset: Dataset, root: Path) -> Published:
    return Published("CUHK-PEDES", cuhk_pedes.IMAGE_COUNTS, groups=cuhk_pedes.PERSON_COUNTS)


def _karpathy(dataset: Dataset, root: Path) -> Published | None:
    counts = karpathy.COUNTS.get(dataset.name)
    return None if counts is None else Published(f"{dataset.name}, split of Karpathy and Fei-Fei", counts)


def _precomp(name: str) -> Callable[[Dataset, Path], Published]:
    def find(dataset: Dataset, root: Path) -> Published:
        stem = {"train": "train", "val": "dev"}
        if "test" in dataset.split_of_image:
            first = int((dataset.split_of_image == "test").argmax())
            stem["test"] = dataset.image_files[first].partition("/")[0]
        counts = precomp.COUNTS[name]
        return Published(
            f"{name}, files of VSE++ and SCAN",
            {split: counts[key] for split, key in stem.items() if key in counts},
        )

    return find


def _karpathys(root: Path, name: str, dataset: Dataset) -> bool:
    """Whether the split is Karpathy's. A pack holds no JSON file, but only his split has these sizes."""
    if root.is_dir():
        return karpathy.find_karpathy_json(root, name) is not None
    counts = karpathy.COUNTS[name]
    return all(int((dataset.split_of_image == split).sum()) == counts[split] for split in ("val", "test"))


_KNOWN: Mapping[str, Callable[[Dataset, Path], Published | None]] = {
    "flickr8k": _flickr8k,
    "flickr30k": _flickr30k,
    "flickr30k_entities": _entities,
    "coco": _coco,
    "cuhk_pedes": _cuhk_pedes,
    "karpathy": _karpathy,
    "coco_precomp": _precomp("coco_precomp"),
    "f30k_precomp": _precomp("f30k_precomp"),
}
