"""Ordinary layouts of the public datasets, and of one's own: which are read, and what a refusal names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import coco_file, entry, photos, write

from imtext.data import load_dataset
from imtext.data.pack import write_pack
from imtext.errors import ImtextError

NAMES, SPLITS, IDS = ("a.jpg", "b.jpg", "c.jpg"), ("train", "val", "test"), (1, 2, 3)
FIVE = [f"A dog {k} ." for k in range(5)]
COCO = [f"COCO_val2014_{i:012d}.jpg" for i in IDS]
BOX = "<xmin>1</xmin><ymin>1</ymin><xmax>{}</xmax><ymax>8</ymax>"
PEDES = [{"split": s, "captions": ["A man", "A tall man"], "file_path": f"{folder}/a{i}.png", "id": i}
         for s, folder, i in zip(SPLITS, ("CUHK03", "Market", "cam_a"), IDS, strict=True)]  # fmt: skip


def split_file(name: str) -> dict:
    return {"dataset": name, "images": [entry(*one, FIVE) for one in zip(NAMES, SPLITS, strict=True)]}


def coco_split() -> dict:
    rows = zip(COCO, SPLITS, IDS, strict=True)
    images = [entry(file, split, FIVE, filepath="val2014", cocoid=i) for file, split, i in rows]
    return {"dataset": "coco", "images": images}


def native(number: Callable[[int], Any] = int, files: Any = COCO) -> dict:
    said = [(number(i), 10 * i + k, text) for i in IDS for k, text in enumerate(FIVE)]
    return coco_file(dict(zip(map(number, IDS), files, strict=True)), said)


def kaggle8(root: Path) -> None:
    photos(*(root / "Images" / name for name in NAMES))
    rows = [f"{name},{text}\n" for name in NAMES for text in FIVE]
    write(root / "captions.txt", "image,caption\n" + "".join(rows))


def kaggle30(root: Path) -> None:
    photos(*(root / "flickr30k_images" / "flickr30k_images" / name for name in NAMES))
    rows = [f"{name}| {k}| {text}\n" for name in NAMES for k, text in enumerate(FIVE)]
    text = "image_name| comment_number| comment\n" + "".join(rows)
    write(root / "flickr30k_images" / "results.csv", text)


def coco(root: Path, *pictures: str, split: str = "dataset_coco.json", captions: bool = True) -> None:
    photos(*(root / picture for picture in pictures or [f"val2014/{name}" for name in COCO]))
    if split:
        write(root / split, coco_split())
    if captions:
        write(root / "annotations" / "captions_val2014.json", native())


def pedes(root: Path, folder: str = "imgs", entries: Any = PEDES, encoding: str = "utf-8") -> None:
    photos(*(root / folder / entry["file_path"] for entry in PEDES))
    write(root / folder / ".." / "reid_raw.json", entries, encoding)


def entities(root: Path, folder: str = "flickr30k-images", xmax: int = 8, width: int = 8) -> None:
    for i, split in zip(IDS, SPLITS, strict=True):
        photos(root / folder / f"{i}.jpg")
        text = "[/EN#1/people A man] runs .\r\n[/EN#0/notvisual It] is [/EN#2/other a dog] .\r\n"
        write(root / "Sentences" / f"{i}.txt", text)
        size = f"<size><width>{width}</width><height>8</height></size>"
        boxes = f"<object><name>1</name><bndbox>{BOX.format(xmax)}</bndbox></object>"
        none = "<object><name>2</name><scene>1</scene><nobndbox>0</nobndbox></object>"
        xml = f"<annotation><filename>{i}.jpg</filename>{size}{boxes}{none}</annotation>"
        write(root / "Annotations" / f"{i}.xml", xml)
        write(root / f"{split}.txt", f"{i}\r\n")


def precomp(root: Path) -> None:
    for stem in ("train", "dev", "test"):
        write(root / f"{stem}_caps.txt", "\ufeff" + "A dog .\r\n" * 10)
        np.save(root / f"{stem}_ims.npy", np.random.default_rng(0).random((2, 3, 4), dtype=np.float32))


def also(make: Callable, name: str, content: Any) -> Callable[[Path], None]:
    """What ``make`` writes, and a file more."""

    def both(root: Path) -> None:
        make(root)
        write(root / name, content)

    return both


def of(make: Callable, *args: Any, **options: Any) -> Callable[[Path], None]:
    return lambda root: make(root, *args, **options)


def pictures(folder: str, name: str, content: Any) -> Callable[[Path], None]:
    return also(lambda root: photos(*(root / folder / file for file in NAMES)), name, content)


def beside_the_images(root: Path) -> None:
    for split in ("train", "test"):
        photos(root / split / "0.jpg", root / split / "1.jpg")
        write(root / split / "metadata.csv", f"file_name,text\n0.jpg,{split} 0\n1.jpg,{split} 1\n")


def blip(root: Path) -> None:
    photos(*(root / "val2014" / name for name in COCO))
    for split, name in zip(SPLITS, COCO, strict=True):
        rows = [{"image": f"val2014/{name}", "caption": ["A dog", "Two dogs"], "image_id": "coco_1"}]
        write(root / f"coco_karpathy_{split}.json", rows)


def packed(root: Path, name: str = "x.safetensors") -> None:
    kaggle8(root / "folder")
    write_pack(load_dataset("own", root / "folder"), root / name, size=8, n_jobs=1, reader="own")


WIDE = "image," + ",".join(f"caption_{k}" for k in range(5)) + "\n"
WIDE += "".join(f"{name},One {name},Two,Three,Four,\n" for name in NAMES)
F8, F30 = split_file("flickr8k"), split_file("flickr30k")
TEXT_IDS = [entry | {"id": str(entry["id"])} for entry in PEDES]
EMPTY = [entry | {"captions": ["A man", ""]} for entry in PEDES]
BACKSLASHES = [entry | {"file_path": entry["file_path"].replace("/", "\\")} for entry in PEDES]
LATIN, BLANK = b"A dog .\n" * 4 + b"caf\xe9 .\n" * 6, "A dog .\n" * 4 + "\n" + "A cat .\n" * 5
FLAT, DEEP = ([f"{folder}/{name}" for name in COCO] for folder in ("images", "val2014/val2014"))
LATER, NESTED = [f"val2017/{i:012d}.jpg" for i in IDS], "flickr30k_images/flickr30k_images"
# What it is, the dataset, its folder, and the captions that are read, or a word that the refusal must hold.
READ = {
    "Kaggle's Flickr8k as one's own": ("own", kaggle8, 15),
    "Kaggle's Flickr8k with the split": ("flickr8k", also(kaggle8, "dataset_flickr8k.json", F8), 15),
    "Kaggle's Flickr30k as one's own": ("own", kaggle30, 15),
    "Kaggle's Flickr30k with the split": ("flickr30k", also(kaggle30, "dataset_flickr30k.json", F30), 15),
    "a folder in a folder": ("flickr30k", pictures(NESTED, "dataset_flickr30k.json", F30), 15),
    "dataset.json of the old archives": ("flickr30k", pictures("images", "dataset.json", F30), 15),
    "the split in a folder": ("flickr30k", pictures("images", "splits/dataset_flickr30k.json", F30), 15),
    "all of COCO's pictures in one folder, the split alone": ("coco", of(coco, *FLAT, captions=False), 15),
    "all of COCO's pictures in one folder": ("coco", of(coco, *FLAT), 15),
    "val2014/val2014": ("coco", of(coco, *DEEP), 15),
    "COCO's pictures of 2017": ("coco", of(coco, *LATER), 15),
    "COCO with dataset.json": ("coco", of(coco, split="dataset.json"), 15),
    "COCO with the split in annotations": ("coco", of(coco, split="annotations/dataset_coco.json"), 15),
    "COCO without the split": ("coco", of(coco, split=""), 15),
    "CUHK-PEDES in images": ("cuhk_pedes", of(pedes, "images"), 6),
    "CUHK-PEDES": ("cuhk_pedes", pedes, 6),
    "CUHK-PEDES with ids as text": ("cuhk_pedes", of(pedes, entries=TEXT_IDS), 6),
    "CUHK-PEDES in UTF-16": ("cuhk_pedes", of(pedes, encoding="utf-16"), 6),
    "CUHK-PEDES with backslashes": ("cuhk_pedes", of(pedes, entries=BACKSLASHES), 6),
    "CUHK-PEDES in a folder": ("cuhk_pedes", of(pedes, "cuhkpedes/imgs"), 6),
    "Entities with windows line ends": ("flickr30k_entities", entities, 6),
    "a box two pixels over the edge": ("flickr30k_entities", of(entities, xmax=10), 6),
    "an image of unknown size": ("flickr30k_entities", of(entities, width=0), 6),
    "Entities with Kaggle's images": ("flickr30k_entities", of(entities, NESTED), 6),
    "features with windows line ends and marks": ("precomp", precomp, 30),
    "a pack with another ending": ("own", of(packed, "x.pack"), 15),
    "numbered columns": ("own", pictures("images", "metadata.csv", WIDE), 12),
    "metadata.csv beside the images of each split": ("own", beside_the_images, 4),
    "COCO's form with ids as text": ("own", pictures("images", "captions.json", native(str, NAMES)), 15),
    "COCO's form with ids as 1.0": ("own", pictures("images", "captions.json", native(float, NAMES)), 15),
    "three files of BLIP": ("own", blip, 6),
}  # fmt: skip
REFUSED = {
    "Kaggle's Flickr8k without a split": ("flickr8k", kaggle8, "fetch flickr8k --parts karpathy"),
    "Kaggle's Flickr30k without a split": ("flickr30k", kaggle30, "split"),
    "an empty caption": ("cuhk_pedes", of(pedes, entries=EMPTY), "on_empty"),
    "a byte of Latin-1": ("precomp", also(precomp, "train_caps.txt", LATIN), "line 5"),
    "a blank caption": ("precomp", also(precomp, "train_caps.txt", BLANK), "line 5"),
    "two splits": ("karpathy", also(also(kaggle8, "dataset_a.json", F8), "dataset_b.json", F8), "json_file"),
    "no images": ("flickr8k", lambda root: write(root / "dataset_flickr8k.json", F8), "a.jpg"),
}  # fmt: skip


def load(name: str, root: Path) -> Any:
    packs = [path for path in root.iterdir() if path.name.startswith("x.")]
    return load_dataset(name, *packs or [root], **({} if name == "own" else {"subset": True}))


@pytest.mark.parametrize("what", READ)
def test_read(what: str, tmp_path: Path) -> None:
    name, make, captions = READ[what]
    make(tmp_path)
    data = load(name, tmp_path)
    assert data.n_captions == captions
    if name == "flickr30k_entities":
        assert len(data.regions) == 3
    if "with ids as" in what and name == "own":
        assert data.image_ids == ("1", "2", "3")
    if name != "precomp" and not data.image_root.is_file():
        assert all(data.image_path(i).is_file() for i in range(data.n_images))
    if what.startswith(("metadata", "three")):
        assert data.split("test").image_path(0).is_file()
    elif what != "COCO without the split":
        assert set(data.split_of_image) == set(SPLITS)


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str, tmp_path: Path) -> None:
    name, make, word = REFUSED[what]
    make(tmp_path)
    with pytest.raises(ImtextError) as caught:
        load(name, tmp_path)
    assert word in str(caught.value) and str(tmp_path) in str(caught.value)


def test_counts_and_options_are_refused(tmp_path: Path) -> None:
    also(kaggle8, "dataset_flickr8k.json", F8)(tmp_path / "k")
    packed(tmp_path)
    for root, name, options, word in (
        (tmp_path / "k", "karpathy", {}, "6,000"),
        (tmp_path / "k", "own", {"subsett": True}, "unknown option 'subsett'"),
        (tmp_path / "x.safetensors", "own", {"subsett": True}, "unknown option 'subsett'"),
        (tmp_path / "x.safetensors", "own", {"seed": 3}, "unknown option 'seed'"),
    ):
        with pytest.raises(ImtextError, match=word):
            load_dataset(name, root, **options)


def test_a_name_that_two_folders_hold_is_not_guessed(tmp_path: Path) -> None:
    pictures("images", "captions.csv", "image,caption\na.jpg,A dog\nb.jpg,A cat\nc.jpg,A cow\n")(tmp_path)
    photos(tmp_path / "thumbs" / "a.jpg")
    assert load_dataset("own", tmp_path).image_root.name == "images"  # which serves most
    photos(*(tmp_path / "thumbs" / name for name in NAMES))
    with pytest.raises(ImtextError, match="a.jpg may be images/a.jpg or thumbs/a.jpg .*pass images="):
        load_dataset("own", tmp_path)
    assert load_dataset("own", tmp_path, images="thumbs").image_root.name == "thumbs"


def test_another_picture_of_the_same_name_is_no_stand_in(tmp_path: Path) -> None:
    entries = [entry | {"file_path": f"{entry['file_path'][:2]}/a.png"} for entry in PEDES]
    write(tmp_path / "reid_raw.json", entries)
    photos(*(tmp_path / "imgs" / entry["file_path"] for entry in entries[:2]))
    data = load_dataset("cuhk_pedes", tmp_path, subset=True)
    assert data.image_ids == ("CU/a", "Ma/a") and "1 of 3 images are missing" in data.notes[0]
