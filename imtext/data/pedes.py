"""Reader of CUHK-PEDES, photographs of pedestrians with descriptions (Li et al., CVPR 2017)::

    reid_raw.json
    imgs/{cam_a,cam_b,CUHK01,CUHK03,Market,test_query,train_query}/...

``[{split, captions, file_path, processed_tokens, id}, ...]`` with ``file_path`` relative to ``imgs``. ``id``
is the person: all images of one person are one class, and any of them answers a description of that person.
"""

from __future__ import annotations

from msgspec import Struct

from imtext.data.assemble import EDITIONS, Found, Picture
from imtext.data.files import Files, bare, clean, read_json, relative

_NO_SPLIT = (
    "caption_all.json has no 'split', so train, val and test cannot be told apart; get reid_raw.json of the "
    "complete release from the authors of CUHK-PEDES"
)


class _Entry(Struct):
    split: str
    file_path: str
    id: int | str
    captions: list[str] | None = None
    processed_tokens: list[list[str]] | None = None


def read_pedes(files: Files) -> Found:
    """Images with the person as their group; ids are paths, since file names repeat across folders.

    All captions are kept (one image has ten); where ``captions`` is missing, they are put together from
    ``processed_tokens``, with a note.

    Raises:
        DataError: the file is missing, cut off, of another form, or has no splits, as ``caption_all.json``.
    """
    hint = "put it there (its authors send it on request) or correct data_root"
    path = files.need("reid_raw.json", hint=_NO_SPLIT if files.find("caption_all.json") else hint)
    pictures, bare_ones = [], 0
    for i, entry in enumerate(read_json(path, list[_Entry])):
        where, captions = f"{path}, entry {i}", entry.captions
        if captions is None:
            captions = [" ".join(words) for words in entry.processed_tokens or ()]
            bare_ones += 1
        file = relative(entry.file_path, where)
        pictures.append(
            Picture(file, list(map(clean, captions)), entry.split, where, bare(file), str(entry.id))
        )
    notes = [f"captions of {bare_ones:,} images put together from processed_tokens"] if bare_ones else []
    return Found("cuhk_pedes", path, files, pictures, EDITIONS["cuhk_pedes"], notes)
