"""Reader of the split files of Karpathy and Fei-Fei (CVPR 2015): ``dataset_{flickr8k,flickr30k,coco}.json``.

``images[i] = {imgid, sentids, sentences: [{raw, tokens, imgid, sentid}], split, filename, filepath}``. In the
COCO file ``split`` may be ``restval``: those images belong to training (113,287 with ``train``), and
``filepath`` names the folder of the image.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from imtext.data.assemble import Found, Picture
from imtext.data.editions import KARPATHY
from imtext.data.files import Files, relative
from imtext.data.text import clean, read_json
from imtext.errors import DataError

Id = int | str | None


class _Sentence(Struct):
    raw: str | None = None
    tokens: list[str] | None = None
    sentid: Id = None


class _Entry(Struct):
    filename: str
    split: str
    sentences: list[_Sentence]
    filepath: str | None = ""
    cocoid: Id = None


class _Content(Struct):
    images: list[_Entry]
    dataset: str | None = ""


class _Title(Struct):
    dataset: str | None = ""


def split_file(files: Files, name: str) -> Path | None:
    """``dataset_<name>.json``, or a ``dataset.json`` that does not say that it is of another dataset."""
    exact, plain = files.find(f"dataset_{name}.json"), files.find("dataset.json")
    of_this = exact is None and plain and read_json(plain, _Title).dataset in (name, "", None)
    return plain if of_this else exact


def read_karpathy(files: Files, json_file: str | None = None) -> Found:
    """The pictures of a file in this form, in its order.

    The id of an image is its ``cocoid`` where there is one; the dataset is called what the file says.

    Args:
        json_file: path of the file below the data root; default: the only ``dataset*.json``.

    Raises:
        DataError: the file is missing, cut off, not UTF-8 or of another form, or it is open which is meant.
    """
    names = [json_file] if json_file else files.all("dataset*.json")
    if len(names) != 1:
        raise DataError(
            f"{files.root}: expected one dataset*.json, found {', '.join(names) or 'none'}; "
            "pass json_file='NAME' of one that is there"
        )
    return read_split(files.root / names[0], files)


def read_split(path: Path, files: Files) -> Found:
    """As `read_karpathy`, of a file by its path."""
    content = read_json(path, _Content)
    pictures = []
    for i, entry in enumerate(content.images):
        where = f"{path}, images[{i}]"
        file = relative(f"{entry.filepath}/{entry.filename}" if entry.filepath else entry.filename, where)
        captions = [
            clean(" ".join(sentence.tokens or []) if sentence.raw is None else sentence.raw)
            for sentence in entry.sentences
        ]
        number = "" if entry.cocoid is None else str(entry.cocoid)
        also = f"{number:0>12}.jpg" if number else ""
        numbers = [sentence.sentid for sentence in entry.sentences]
        pictures.append(Picture(file, captions, entry.split, where, number, also=also, numbers=numbers))
    name = content.dataset or path.stem.removeprefix("dataset_")
    return Found(name, path, files, pictures, KARPATHY.get(name))
