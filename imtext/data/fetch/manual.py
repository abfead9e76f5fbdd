"""Datasets that have to be requested: whom to ask, which files come, where each goes, and what is there.

Addresses and counts are those of the publishers' own pages and repositories: the README of
``BryanPlummer/flickr30k_entities``, of ``ShuangLI59/Person-Search-with-Natural-Language-Description`` and of
``kuanghuei/SCAN`` with its threads 53 and 58 (the old links are dead, the data is on Kaggle since 2023), and
the request form that public repositories name for Flickr30k.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from imtext.data.fetch.parts import Expected, Source

_FLICKR = "photographs of Flickr users, for research and education that is not commercial"
_FLICKR30K_IMAGES = Expected(
    "images",
    (("flickr30k-images",), ("flickr30k_images",), ("images",)),
    files=31_783,
    ending=".jpg",
)
_ENTITIES_SPLIT = ("train.txt", "val.txt", "test.txt")


def _features(
    name: str, title: str, splits: tuple[str, ...], images: str, extra: tuple[str, ...] = ()
) -> Source:
    needed = [f"{split}_{kind}" for split in splits for kind in ("ims.npy", "caps.txt")]
    spare = [f"{split}_{kind}" for split in extra for kind in ("ims.npy", "caps.txt")]
    spare += [f"{split}_ids.txt" for split in (*splits, *extra)]
    return Source(
        parts={},
        default=(),
        terms=f"features of {images}; the terms of the photographs hold",
        request=(
            f"{title}: features of 36 regions per image, as SCAN (Lee et al., ECCV 2018) published them.",
            "1. Get the dataset kuanghueilee/scan-features from Kaggle (an account is needed); single files",
            "   can be chosen, the whole is about 34 GB: https://www.kaggle.com/datasets/kuanghueilee/scan-features",
            f"2. Put the files of its folder {name} into one folder:",
            "   *_ims.npy    features, float32, (images, 36, 2048)",
            "   *_caps.txt   one caption a line, five for each image, in the order of the images",
            "   *_ids.txt    ids, where they are wanted",
            "The links on scanproject.blob.core.windows.net that older code names are dead.",
        ),
        expected=(
            *(Expected(file, ((file,),)) for file in needed),
            *(Expected(file, ((file,),), optional=True) for file in spare),
        ),
        places=(".", name),
    )


MANUAL: Mapping[str, Source] = MappingProxyType(
    {
        "flickr30k": Source(
            parts={},
            default=(),
            terms=_FLICKR,
            request=(
                "Flickr30k (Young et al., TACL 2014): 31,783 images with five captions each.",
                "1. Fill in the form of the University of Illinois; the links come by mail:",
                "   https://forms.illinois.edu/sec/229675",
                "   (linked from https://shannon.cs.illinois.edu/DenotationGraph/)",
                "2. Unpack the images so that they lie in flickr30k-images/.",
                "3. Captions and split, either one:",
                "   dataset_flickr30k.json   29,000/1,014/1,000 images, the split of most papers:",
                "                            imtext data fetch flickr30k --root DIR --parts karpathy",
                "   results_20130124.token   with train.txt, val.txt and test.txt of Flickr30k Entities,",
                "                            29,783/1,000/1,000 images",
            ),
            expected=(
                _FLICKR30K_IMAGES,
                Expected(
                    "captions and split",
                    (("dataset_flickr30k.json",), ("results_20130124.token", *_ENTITIES_SPLIT)),
                ),
            ),
        ),
        "flickr30k_entities": Source(
            parts={},
            default=(),
            terms=_FLICKR,
            request=(
                "Flickr30k Entities (Plummer et al., IJCV 2017): phrases and 276,000 boxes for Flickr30k.",
                "1. Annotations, without a form: git clone https://github.com/BryanPlummer/flickr30k_entities",
                "   and unpack annotations.zip in it: Annotations/ and Sentences/ beside the split files.",
                "2. Images: those of Flickr30k, from https://forms.illinois.edu/sec/229675, into",
                "   flickr30k-images/ of the same folder.",
            ),
            expected=(
                Expected("sentences", (("Sentences",),), files=31_783, ending=".txt"),
                Expected("boxes", (("Annotations",),), files=31_783, ending=".xml"),
                Expected("split", (_ENTITIES_SPLIT,)),
                _FLICKR30K_IMAGES,
                Expected("captions of no use", (("UNRELATED_CAPTIONS",),), optional=True),
                Expected("split of most papers", (("dataset_flickr30k.json",),), optional=True),
            ),
            places=(".", "flickr30k_entities"),
        ),
        "cuhk_pedes": Source(
            parts={},
            default=(),
            terms="academic use only",
            request=(
                "CUHK-PEDES (Li et al., CVPR 2017): 40,206 images of 13,003 persons.",
                "1. Write from the address of your university to the authors, as their page asks:",
                "   https://github.com/ShuangLI59/Person-Search-with-Natural-Language-Description",
                "   (tong.xiao.work at gmail.com; academic use only). The images come by mail.",
                "2. Take reid_raw.json from the same page: captions, persons and split.",
                "   A caption_all.json lacks the split and cannot stand in for it.",
                "3. Put both into one folder, the images below imgs/.",
            ),
            expected=(
                Expected("captions, persons and split", (("reid_raw.json",),)),
                *(
                    Expected(f"images {folder}", ((f"imgs/{folder}",),))
                    for folder in (
                        "cam_a",
                        "cam_b",
                        "CUHK01",
                        "CUHK03",
                        "Market",
                        "test_query",
                        "train_query",
                    )
                ),
            ),
            places=(".", "CUHK-PEDES"),
        ),
        "coco_precomp": _features(
            "coco_precomp", "COCO features", ("train", "dev", "testall"), "COCO", extra=("test",)
        ),
        "f30k_precomp": _features(
            "f30k_precomp", "Flickr30k features", ("train", "dev", "test"), "Flickr30k"
        ),
    }
)
"""Datasets that have to be requested, by name."""


def page(name: str, source: Source, root: Path) -> tuple[str, list[str]]:
    """What to request and what is there, as a page of text, and what is missing.

    >>> text, missing = page("cuhk_pedes", MANUAL["cuhk_pedes"], Path("no/such/folder"))
    >>> missing[0]
    'reid_raw.json'
    >>> print(text.splitlines()[-1])
      [missing] imgs/train_query
    """
    places = [root / sub for sub in source.places if (root / sub).is_dir()]
    lines, missing = [*(source.request or ()), f"Terms: {source.terms}.", f"At {root}:"], []
    for expected in source.expected:
        place = next((place for place in places if expected.found(place)), None)
        if place is not None:
            below = "" if place == root else f" in {place.relative_to(root)}"
            lines.append(f"  [found]   {expected.found(place)}{below}")
            continue
        wanted = " or ".join(" + ".join(paths) for paths in expected.any_of)
        if expected.optional:
            lines.append(f"  [not here, optional] {wanted}")
            continue
        wrong = [expected.problem(place) for place in places]
        partly = [f" ({words})" for words in wrong if not words.endswith("found nothing")]
        lines.append(f"  [missing] {wanted}{partly[0] if partly else ''}")
        missing.append(expected.any_of[0][0])
    return "\n".join(lines), missing
