"""What comes from where, as data: address, size and checksum of each archive, and what it leaves in a folder.

Where each fact comes from (public repositories, read in 2026):

- COCO: addresses, sizes and SHA-256 of ``tensorflow/datasets``, ``url_checksums/coco.txt``; several public
  download scripts state the same sizes. Numbers of images: the publisher's page.
  The publisher's host has no certificate of its own (https fails), so the address is http and the checksum
  protects the content.
- Karpathy's split: the address is the author's, size and SHA-256 of ``tensorflow/datasets``,
  ``url_checksums/coco_captions.txt``; sizes of the three files from listings in public notebooks.
- Flickr8k: ``Flickr8k_Dataset.names`` of ``jbrownlee/Datasets`` gives the two addresses,
  ``R/dataset-flickr.R`` of ``mlverse/torchvision`` the MD5 sums and "1 GB". Sizes in bytes: None, not found.
- Sizes of the caption files of COCO: directory listings in public repositories; ``captions_val2017.json``
  was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from imtext.data.fetch.manual import MANUAL
from imtext.data.fetch.parts import Expected, Part, Source

MB = 10**6


def _file(path: str, size: int | None = None, *others: str) -> Expected:
    return Expected(path, ((path,), *((other,) for other in others)), size=size)


def _images(what: str, files: int, *folders: str) -> Expected:
    return Expected(what, tuple((folder,) for folder in folders), files=files, ending=".jpg")


def _karpathy(name: str, size: int) -> Part:
    return Part(
        url="https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip",
        into="",
        take=(f"dataset_{name}.json",),
        expected=(_file(f"dataset_{name}.json", size),),
        size=36_745_453,
        checksum="sha256:4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817",
        unpacked=size,
        own=False,
    )


def _coco_images(folder: str, files: int, size: int, sha256: str) -> Part:
    return Part(
        url=f"http://images.cocodataset.org/zips/{folder}.zip",
        into=folder,
        take=("*.jpg",),
        expected=(_images(f"images of {folder}", files, folder, f"images/{folder}"),),
        size=size,
        checksum=f"sha256:{sha256}",
        unpacked=size,
    )


def _coco_captions(year: str, train: int, val: int, size: int, sha256: str) -> Part:
    names = [(f"captions_train{year}.json", train), (f"captions_val{year}.json", val)]
    return Part(
        url=f"http://images.cocodataset.org/annotations/annotations_trainval{year}.zip",
        into="annotations",
        take=("*.json",),
        expected=tuple(_file(f"annotations/{name}", bytes_, name) for name, bytes_ in names),
        size=size,
        checksum=f"sha256:{sha256}",
        unpacked=900 * MB,
        own=False,
    )


_RELEASE = "https://github.com/jbrownlee/Datasets/releases/download/Flickr8k"
_FLICKR_TERMS = "photographs of Flickr users, for research and education that is not commercial"
_FLICKR8K = Source(
    parts={
        "text": Part(
            url=f"{_RELEASE}/Flickr8k_text.zip",
            into="Flickr8k_text",
            take=("*.txt",),
            expected=tuple(
                _file(f"Flickr8k_text/{name}", None, name)
                for name in (
                    "Flickr8k.token.txt",
                    "Flickr_8k.trainImages.txt",
                    "Flickr_8k.devImages.txt",
                    "Flickr_8k.testImages.txt",
                )
            ),
            checksum="md5:bf6c1abcb8e4a833b7f922104de18627",
            unpacked=20 * MB,
            about=3 * MB,
            own=False,
        ),
        "images": Part(
            url=f"{_RELEASE}/Flickr8k_Dataset.zip",
            into="Flicker8k_Dataset",
            take=("*.jpg",),
            expected=(_images("images", 8_091, "Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images"),),
            checksum="md5:f18a1e2920de5bd84dae7cf08ec78978",
            unpacked=1_150 * MB,
            about=1_150 * MB,
        ),
        "karpathy": _karpathy("flickr8k", 9_035_673),
    },
    default=("text", "images"),
    terms=_FLICKR_TERMS,
)
_COCO = Source(
    parts={
        "annotations2014": _coco_captions(
            "2014",
            66_782_097,
            32_421_077,
            252_872_794,
            "031296bbc80c45a1d1f76bf9a90ead27e94e99ec629208449507a4917a3bf009",
        ),
        "train2014": _coco_images(
            "train2014",
            82_783,
            13_510_573_713,
            "ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
        ),
        "val2014": _coco_images(
            "val2014",
            40_504,
            6_645_013_297,
            "fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
        ),
        "annotations2017": _coco_captions(
            "2017",
            91_865_115,
            3_872_473,
            252_907_541,
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
        ),
        "train2017": _coco_images(
            "train2017",
            118_287,
            19_336_861_798,
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
        ),
        "val2017": _coco_images(
            "val2017",
            5_000,
            815_585_330,
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
        "karpathy": _karpathy("coco", 144_186_139),
    },
    default=("annotations2014", "train2014", "val2014"),
    terms="annotations CC BY 4.0; photographs under the terms of Flickr (https://cocodataset.org/#termsofuse)",
)

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "flickr8k": _FLICKR8K,
        "coco": _COCO,
        **MANUAL,
        "flickr30k": replace(MANUAL["flickr30k"], parts={"karpathy": _karpathy("flickr30k", 38_318_553)}),
    }
)
"""Every dataset that ``fetch`` knows, by name."""
