"""Readers of Flickr8k, Flickr30k and Flickr30k Entities, in every form they circulate in.

Flickr8k (Hodosh, Young, Hockenmaier, JAIR 2013), one line ``name.jpg#k<TAB>caption`` per caption::

    Flickr8k.token.txt
    Flickr_8k.{trainImages,devImages,testImages}.txt

Flickr30k (Young et al., TACL 2014), with the split files of Flickr30k Entities::

    results_20130124.token
    {train,val,test}.txt

Kaggle's copies hold the captions as a table, ``captions.txt`` or ``results.csv``, and no split: that comes
with ``dataset_flickr8k.json`` or ``dataset_flickr30k.json``, which win where they are there.

Flickr30k Entities (Plummer and others, ICCV 2015; IJCV 2017), captions with phrases and boxes; the folders
are what the publishers' ``annotations.zip`` holds::

    Sentences/<id>.txt      [/EN#<chain>/<type>/<type> words] runs in [/EN#<chain>/<type> words] .
    Annotations/<id>.xml    <object> with <name>chain</name>, and <bndbox> or <scene> and <nobndbox>
    {train,val,test}.txt    one id a line

The images may lie in any folder.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from imtext.check import one_of
from imtext.data.assemble import EDITIONS, Found, Picture
from imtext.data.coco import read_split, split_file
from imtext.data.dataset import SPLITS, Dataset, Phrases, Regions
from imtext.data.files import Files, bare, clean, lines, read_text, relative
from imtext.data.own import read_table
from imtext.errors import DataError
from imtext.progress import progress

# Nine digits at most: more is no caption number, and thousands of them would be no int either.
_KEY = re.compile(r"(.+)#(\d{1,9})")
_SIDES = ("xmin", "ymin", "xmax", "ymax")
# Eighteen digits always fit into an int64.
_PHRASE = re.compile(r"\[/EN#([0-9]{1,18})/([^/\s\[\]]+(?:/[^/\s\[\]]+)*)\s+([^\s\[\]][^\[\]]*)\]")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_CAPTIONS = {
    "flickr8k": ("Flickr8k.token.txt", "captions.txt", "captions.csv"),
    "flickr30k": ("results_20130124.token", "results.csv", "captions.txt"),
}
LISTS = {
    "flickr8k": {split: f"Flickr_8k.{split.replace('val', 'dev')}Images.txt" for split in SPLITS},
    "flickr30k": {split: f"{split}.txt" for split in SPLITS},
}
"""The file that lists the images of each split."""


def read_tokens(path: Path) -> dict[str, list[str]]:
    """Captions of each image in a token file, by file name, in the order of their numbers.

    An empty caption is kept as ``""``; the caller decides. Lines of one image may stand anywhere.

    Raises:
        DataError: the file is missing or not UTF-8, a line has another form, a caption number is there twice.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "x.token")
    >>> _ = path.write_text("a.jpg#1\\tA dog runs .\\na.jpg#0\\tA dog .\\n", encoding="utf-8")
    >>> read_tokens(path)
    {'a.jpg': ['A dog .', 'A dog runs .']}
    """
    numbered: dict[str, dict[int, str]] = {}
    for where, line in lines(path):
        key, tab, caption = line.partition("\t")
        match = _KEY.fullmatch(key.strip())
        if not tab or match is None:
            raise DataError(
                f"{where}: expected name.jpg#k<TAB>caption, found {line[:60]!r}; "
                "correct the line or fetch the file again"
            )
        captions = numbered.setdefault(relative(match[1], where), {})
        if int(match[2]) in captions:
            raise DataError(f"{where}: caption {key.strip()} is there twice; remove the duplicate")
        captions[int(match[2])] = clean(caption)
    return {name: [captions[k] for k in sorted(captions)] for name, captions in numbered.items()}


def read_flickr(name: str, files: Files) -> Found:
    """The dataset in whichever form is there.

    Args:
        name: ``"flickr8k"`` or ``"flickr30k"``.

    Raises:
        DataError: no file is there, or the split is not; a file is cut off or of another form.
    """
    path = split_file(files, name)
    if path is not None:
        return replace(read_split(path, files), name=name, edition=EDITIONS[f"karpathy {name}"])
    fetch = f"'imtext data fetch {name}' says where they come from"
    path = files.need(f"dataset_{name}.json", *_CAPTIONS[name], hint=fetch)
    captions: dict[str, list[str]] = {}
    if path.name.endswith(("token", "token.txt")):
        captions = read_tokens(path)
    else:
        for row in read_table(path):
            captions.setdefault(row.file, []).extend(row.captions)
    brings = f"'imtext data fetch {name} --parts karpathy' brings"
    hint = f"{path.name} holds no split: put dataset_{name}.json there, which {brings}"
    pictures = listed(files, LISTS[name], hint)
    for picture in pictures:
        picture.captions = captions.pop(picture.file, [])
    notes = []
    if captions:
        what = f"{len(captions):,} images with {sum(map(len, captions.values())):,} captions of {path.name}"
        notes.append(f"{what} are in no split: left out")
    return Found(name, path, files, pictures, EDITIONS[name], notes)


def listed(files: Files, lists: dict[str, str], hint: str) -> list[Picture]:
    """The images of split lists, one name a line; DataError with the hint where a list is missing."""
    pictures = []
    for split, file in lists.items():
        for where, line in lines(files.need(file, hint=hint)):
            image = relative(line.strip(), where).removesuffix(".jpg") + ".jpg"
            pictures.append(Picture(image, [], split, where))
    return pictures


class Mention(NamedTuple):
    """A phrase of a caption: first word and one past the last in ``caption.split()``, words, chain, type."""

    start: int
    stop: int
    words: str
    chain: int
    type: str


class Annotation(NamedTuple):
    """The boxes of an image, ``x1, y1, x2, y2`` counted from 0 with both ends inclusive, one for each box and
    chain; the chain of each; and every chain that the file names, also those without a box."""

    boxes: list[tuple[int, ...]]
    chain_of_box: list[int]
    chains: set[int]


def read_entities(files: Files, split: str | None = None) -> Found:
    """Flickr30k with the phrases and boxes of Flickr30k Entities.

    Captions are the sentences without their brackets. ``phrases`` has a row for each pair of brackets, those
    of chain 0 included; ``regions`` has a row for each box and chain. Chain numbers are those of the files.

    Boxes are clipped to their image; those that end before they begin, and the phrases of a sentence with
    broken brackets, are left out. A note counts each.

    Args:
        split: ``"entities"`` for ``train.txt``, ``val.txt`` and ``test.txt`` (29,783 / 1,000 / 1,000 images)
            or ``"karpathy"`` for ``dataset_flickr30k.json`` (29,000 / 1,014 / 1,000); default: the lists
            where they are there.

    Raises:
        ConfigError: another split.
        DataError: a folder or file is missing, not UTF-8, broken or that of another image.
    """
    one_of("split", split, (None, "entities", "karpathy"))
    base = _annotations(files)
    lists, path = LISTS["flickr30k"], split_file(files, "flickr30k")
    if split == "karpathy" or (split is None and path and not files.find(lists["train"])):
        hint = "put it there for split='karpathy', or pass split='entities'"
        path, edition = path or files.need("dataset_flickr30k.json", hint=hint), "karpathy flickr30k"
        pictures = read_split(path, files).pictures
    else:
        hint = "it comes with annotations.zip; split='karpathy' reads dataset_flickr30k.json instead"
        path, edition = files.need(lists["train"], hint=hint), "flickr30k"
        pictures = listed(files, lists, hint)
    odd: Counter[str] = Counter()
    mentions: dict[str, list[list[Mention]]] = {}
    boxes: dict[str, Annotation] = {}
    for picture in progress(pictures, "reading Flickr30k Entities", len(pictures)):
        picture.file = relative(picture.file.rpartition("/")[2], picture.where)
        picture.id = bare(picture.file)
        said = [parse_sentence(line, odd) for line in _sentences(base / "Sentences" / f"{picture.id}.txt")]
        picture.captions = [caption for caption, _ in said]
        mentions[picture.id] = [phrases for caption, phrases in said if caption]
        boxes[picture.id] = read_annotation(base / "Annotations" / f"{picture.id}.xml", picture.id, odd)
        named = {mention.chain for phrases in mentions[picture.id] for mention in phrases}
        unseen = named - boxes[picture.id].chains - {0}
        odd["chains that phrases name have no box and no scene"] += len(unseen)
    beside = sum(1 for _ in (base / "Sentences").glob("*.txt")) - len(pictures)
    odd["annotated images are in no split: left out"] += max(0, beside)
    notes = [f"{count:,} {what}" for what, count in odd.items() if count]
    finish = partial(_with_spans, mentions=mentions, boxes=boxes)
    return Found("flickr30k_entities", path, files, pictures, EDITIONS[edition], notes, finish)


def _annotations(files: Files) -> Path:
    """The folder that holds ``Sentences`` and ``Annotations``."""
    for home in (files.root / folder for folder in files.folders):
        if (home / "Sentences").is_dir() and (home / "Annotations").is_dir():
            return home
    packed = files.find("annotations.zip")
    found = "annotations.zip; unpack it there" if packed else "none; unpack annotations.zip there"
    raise DataError(f"{files.root}: expected a folder with Sentences and Annotations, found {found}")


def _sentences(path: Path) -> list[str]:
    """The lines of a file. An empty one between others is an empty caption; at the end it is none."""
    text = read_text(path).rstrip()
    if not text:
        raise DataError(f"{path}: expected one sentence a line, found none; unpack annotations.zip again")
    return text.split("\n")


def parse_sentence(line: str, odd: Counter[str]) -> tuple[str, list[Mention]]:
    """The plain caption of a line, and its phrases; none, counted in ``odd``, where brackets are broken.

    Offsets count the words of the caption. A bracket may touch other text: in ``[/EN#1/people A man],`` the
    phrase is ``A man`` and ends with the word ``man,`` of the caption.

    >>> parse_sentence("[/EN#3/people A man] sits.", Counter())
    ('A man sits.', [Mention(start=0, stop=2, words='A man', chain=3, type='people')])
    """
    plain, mentions, end = "", [], 0
    for match in _PHRASE.finditer(line):
        plain += line[end : match.start()]
        # Where text touches the bracket, its last word is the phrase's first.
        start = len(plain.split()) - (plain[-1:].strip() != "")
        plain, end = plain + match[3], match.end()
        mentions.append(Mention(start, len(plain.split()), clean(match[3]), int(match[1]), match[2]))
    plain += line[end:]
    if "[" in plain or "]" in plain:
        odd["sentences have broken brackets: kept without their phrases"] += 1
        return clean(re.sub(r"\[/EN#[^\s\]]*|[\[\]]", " ", line)), []
    return clean(plain), mentions


def read_annotation(path: Path, image_id: str, odd: Counter[str]) -> Annotation:
    """The boxes of one image, clipped to it and counted from 0; the file counts pixels from 1.

    Raises:
        DataError: the file is missing, not UTF-8, no XML, has a document type or entities, or is that of
            another image; a chain or a corner is missing or no number.
    """
    root = _xml(path)
    file = (root.findtext("filename") or "").strip()
    if file and bare(file) != image_id:
        raise DataError(
            f"{path}: expected the annotation of image {image_id}, found <filename> {file[:60]!r}; "
            "unpack annotations.zip again"
        )
    # Some files state no size, or 0.
    sides = [_number(root.findtext(f"size/{side}") or "0", str(path)) for side in ("width", "height")]
    width, height = (side if side > 0 else 10**9 for side in sides)
    found = Annotation([], [], set())
    for number, item in enumerate(root.findall("object"), start=1):
        where = f"{path}, object {number}"
        chains = list(dict.fromkeys(_number(name.text or "", where) for name in item.findall("name")))
        if not chains:
            raise DataError(
                f"{where}: expected <name> with the number of a chain, found none; correct the file"
            )
        found.chains.update(chains)
        for box in item.findall("bndbox"):
            given = [_number(box.findtext(side) or "", where) for side in _SIDES]
            x1, y1, x2, y2 = max(given[0], 1), max(given[1], 1), min(given[2], width), min(given[3], height)
            if x2 < x1 or y2 < y1:
                odd["boxes lie outside their image or end before they begin: left out"] += 1
                continue
            odd["boxes reach over an edge of their image: clipped"] += given != [x1, y1, x2, y2]
            found.boxes.extend([(x1 - 1, y1 - 1, x2 - 1, y2 - 1)] * len(chains))
            found.chain_of_box.extend(chains)
    return found


def _xml(path: Path) -> Any:
    """The root of an annotation; nothing in the file can make the parser expand or open anything."""
    # As text: an encoding that the file declares could otherwise ask for any codec.
    text = read_text(path)
    try:
        root = fromstring(text, forbid_dtd=True)
        if root.tag != "annotation":
            raise ValueError(f"expected <annotation> at the top, found <{root.tag[:40]}>")
    except (DefusedXmlException, ParseError, ValueError) as error:
        raise DataError(
            f"{path}: expected plain, complete XML, found {type(error).__name__} ({error}); "
            "unpack annotations.zip again"
        ) from None
    return root


def _number(text: str, where: str) -> int:
    if not _NUMBER.fullmatch(text.strip()):
        raise DataError(f"{where}: expected a whole number, found {text[:40]!r}; correct the file")
    return int(text)


def _with_spans(
    dataset: Dataset, mentions: dict[str, list[list[Mention]]], boxes: dict[str, Annotation]
) -> Dataset:
    """The dataset with phrases and regions."""
    rows, found = [], []
    captions = [said for image_id in dataset.image_ids for said in mentions[image_id]]
    for number, said in enumerate(captions):
        rows += [(number, *mention) for mention in said]
    for i, image_id in enumerate(dataset.image_ids):
        one = boxes[image_id]
        found += [(*box, i, chain) for box, chain in zip(one.boxes, one.chain_of_box, strict=True)]
    phrases = Phrases(*(zip(*rows, strict=True) if rows else ((),) * 6))
    table = np.array(found, dtype=np.int64).reshape(-1, 6)
    return replace(dataset, phrases=phrases, regions=Regions(table[:, :4], table[:, 4], table[:, 5]))
