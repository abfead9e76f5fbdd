"""Readers of Flickr8k and Flickr30k in every form they circulate in; Karpathy's JSON wins where it is there.

Flickr8k (Hodosh, Young, Hockenmaier, JAIR 2013), one line ``name.jpg#k<TAB>caption`` per caption::

    Flickr8k.token.txt
    Flickr_8k.{trainImages,devImages,testImages}.txt

Flickr30k (Young et al., TACL 2014), with the split files of Flickr30k Entities::

    results_20130124.token
    {train,val,test}.txt

Kaggle's copies hold the captions as a table, ``captions.txt`` or ``results.csv``, and no split: that comes
with ``dataset_flickr8k.json`` or ``dataset_flickr30k.json``. The images may lie in any folder.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from imtext.data.assemble import Found, Picture
from imtext.data.editions import ENTITIES, FLICKR8K, KARPATHY
from imtext.data.files import Files, relative
from imtext.data.karpathy import read_split, split_file
from imtext.data.table import read_table
from imtext.data.text import clean, lines
from imtext.errors import DataError

# Nine digits at most: more is no caption number, and thousands of them would be no int either.
_KEY = re.compile(r"(.+)#(\d{1,9})")
_CAPTIONS = {
    "flickr8k": ("Flickr8k.token.txt", "captions.txt", "captions.csv"),
    "flickr30k": ("results_20130124.token", "results.csv", "captions.txt"),
}
LISTS = {
    "flickr8k": {split: f"Flickr_8k.{split.replace('val', 'dev')}Images.txt" for split in FLICKR8K.images},
    "flickr30k": {split: f"{split}.txt" for split in ENTITIES.images},
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
        return replace(read_split(path, files), name=name, edition=KARPATHY[name])
    fetch = f"'imtext data fetch {name}' says where they come from"
    path = files.need(f"dataset_{name}.json", *_CAPTIONS[name], hint=fetch)
    captions: dict[str, list[str]] = {}
    if path.name.endswith(("token", "token.txt")):
        captions = read_tokens(path)
    else:
        for row in read_table(path):
            captions.setdefault(row.file, []).extend(row.captions)
    hint = (
        f"{path.name} holds no split: put dataset_{name}.json there, which 'imtext data fetch {name} "
        "--parts karpathy' brings"
    )
    pictures = listed(files, LISTS[name], hint)
    for picture in pictures:
        picture.captions = captions.pop(picture.file, [])
    notes = []
    if captions:
        count = sum(map(len, captions.values()))
        notes.append(
            f"{len(captions):,} images with {count:,} captions of {path.name} are in no split: left out"
        )
    return Found(name, path, files, pictures, FLICKR8K if name == "flickr8k" else ENTITIES, notes)


def listed(files: Files, lists: dict[str, str], hint: str) -> list[Picture]:
    """The images of split lists, one name a line; DataError with the hint where a list is missing."""
    pictures = []
    for split, file in lists.items():
        for where, line in lines(files.need(file, hint=hint)):
            image = relative(line.strip(), where).removesuffix(".jpg") + ".jpg"
            pictures.append(Picture(image, [], split, where))
    return pictures
