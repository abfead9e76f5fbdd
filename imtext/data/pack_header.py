"""The header of a pack: which arrays lie where in the file, checked before anything of it is believed.

A pack has the layout of the ``safetensors`` format (Hugging Face): eight bytes with the length of the header,
the header as JSON, then the arrays one after another without holes. Any safetensors reader opens it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imtext.errors import DataError

FORMAT = "imtext-pack"
VERSION = 1
BLOCK = 256  # images under one checksum
PAGE = 4096
MAX_HEADER = 1 << 20
DTYPES: Mapping[str, np.dtype] = {
    code: np.dtype(kind)
    for code, kind in {"U8": "u1", "I8": "i1", "I64": "<i8", "F16": "<f2", "F32": "<f4"}.items()
}
STRINGS = ("captions", "image_ids", "image_files", "skipped_files", "scenes", "phrase_words", "phrase_types")
REGIONS = ("boxes", "image_of_region", "region_chain")
PHRASES = ("phrase_caption", "phrase_start", "phrase_stop", "phrase_chain")
_OPTIONAL = ("padding", "scenes", "scenes_offsets")
_FORMS = {  # dtype and the sides after the first
    "padding": ("U8", ()),
    "checksums": ("U8", (32,)),
    "split_of_image": ("I8", ()),
    "group_of_image": ("I64", ()),
    "image_of_caption": ("I64", ()),
    **{name: ("I64", (4,) if name == "boxes" else ()) for name in (*REGIONS, *PHRASES)},
    **{name: ("U8", ()) for name in STRINGS},
    **{f"{name}_offsets": ("I64", ()) for name in STRINGS},
}
_TEXTS = ("format", "version", "name", "reader", "fingerprint", "source", "notes", "sha256", "header")
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """One array: its dtype code, shape, and first and last byte after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    def dump(self) -> dict[str, Any]:
        """The entry as the header writes it."""
        return {"dtype": self.dtype, "shape": list(self.shape), "data_offsets": [self.begin, self.end]}


@dataclass(frozen=True)
class Header:
    """A checked header.

    Attributes:
        texts: the strings of ``__metadata__``.
        entries: the arrays by name.
        start: byte of the file at which the arrays begin.
        notes, digests: what the JSON strings ``notes`` and ``sha256`` hold.
    """

    texts: dict[str, str]
    entries: dict[str, Entry]
    start: int
    notes: tuple[str, ...]
    digests: dict[str, str]

    @property
    def main(self) -> str:
        """``"pixels"`` or ``"features"``."""
        return "pixels" if "pixels" in self.entries else "features"

    @property
    def count(self) -> int:
        """Number of images."""
        return self.entries[self.main].shape[0]


def damaged(path: Path, found: str) -> DataError:
    """The error for a file that is not a whole pack."""
    return DataError(
        f"{path}: expected a pack written by 'imtext data pack', found {found}; "
        "copy the file again, or pack the dataset again"
    )


def dump_header(texts: Mapping[str, str], entries: Mapping[str, Entry], length: int | None = None) -> bytes:
    """The header with its length in front, filled up with blanks to ``length`` bytes if given."""
    content = {"__metadata__": {**texts, "header": "0" * 64}, **{k: e.dump() for k, e in entries.items()}}
    raw = json.dumps(content, separators=(",", ":")).encode("ascii")
    if length is not None:
        raw = raw.ljust(length - 8)
    digest = hashlib.sha256(raw).hexdigest()
    raw = raw.replace(b'"header":"' + b"0" * 64, b'"header":"' + digest.encode(), 1)
    return len(raw).to_bytes(8, "little") + raw


def parse_header(raw: bytes, path: Path, data_bytes: int) -> Header:
    """Check a header (without its length) against the format and the ``data_bytes`` that follow it.

    Raises:
        DataError: anything is not as :func:`imtext.data.pack.write_pack` writes it.
    """
    content = _json(raw, path, "a header", pairs=True)
    if not isinstance(content, dict) or not isinstance(content.get("__metadata__"), dict):
        raise damaged(path, "a header without __metadata__")
    texts = content.pop("__metadata__")
    _check_texts(texts, path)
    entries = {name: _entry(name, value, path) for name, value in content.items()}
    _check_places(entries, path, data_bytes)
    _check_names(entries, path)
    _check_main(entries, texts, path)
    _check_lengths(entries, path)
    notes = _json(texts["notes"].encode("utf-8", "surrogatepass"), path, "notes")
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise damaged(path, "notes that are no list of lines")
    digests = _json(texts["sha256"].encode("utf-8", "surrogatepass"), path, "checksums")
    wanted = set(entries) - {"pixels", "features"}
    if not isinstance(digests, dict) or set(digests) != wanted:
        raise damaged(path, "checksums of other arrays than it holds")
    if not all(isinstance(value, str) and _HEX.fullmatch(value) for value in digests.values()):
        raise damaged(path, "a checksum that is not 64 hex digits")
    _check_digest(raw, texts["header"], path)
    return Header(texts, entries, len(raw) + 8, tuple(notes), digests)


def _json(raw: bytes, path: Path, what: str, pairs: bool = False) -> Any:
    def distinct(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) < len(items):
            raise ValueError("a name that is there twice")
        return dict(items)

    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=distinct if pairs else None)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise damaged(path, f"{what} that is no JSON ({reason})") from None


def _check_texts(texts: dict[str, Any], path: Path) -> None:
    if texts.get("format") != FORMAT:
        raise damaged(path, "a safetensors file of another kind")
    if texts.get("version") != str(VERSION):
        raise DataError(
            f"{path}: expected a pack of version {VERSION}, found {str(texts.get('version'))[:20]!r}; "
            "pack the dataset again, or update imtext"
        )
    bad = [key for key in {**dict.fromkeys(_TEXTS), **texts} if not isinstance(texts.get(key), str)]
    if bad:
        raise damaged(path, f"no text {bad[0][:40]!r} in the header")


def _entry(name: str, value: Any, path: Path) -> Entry:
    """One array of the header, its numbers consistent with each other."""
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise damaged(path, f"array {name[:40]!r} without dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise damaged(path, f"array {name[:40]!r} of type {str(dtype)[:20]!r}")
    for numbers, least, most in ((shape, 1, 4), (offsets, 2, 2)):
        whole = isinstance(numbers, list) and least <= len(numbers) <= most
        if not whole or not all(type(n) is int and 0 <= n < 2**62 for n in numbers):
            raise damaged(path, f"array {name[:40]!r} with a shape or offsets out of range")
    begin, end = offsets
    if end - begin != math.prod(shape) * DTYPES[dtype].itemsize:
        raise damaged(path, f"array {name[:40]!r} of shape {shape} in {end - begin:,} bytes")
    return Entry(dtype, tuple(shape), begin, end)


def _check_places(entries: dict[str, Entry], path: Path, data_bytes: int) -> None:
    """The arrays lie end to end and fill the file."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise damaged(path, f"a hole or an overlap before array {name[:40]!r}")
        end = entry.end
    if end != data_bytes:
        raise damaged(path, f"{data_bytes:,} bytes of data where the header says {end:,}")


def _check_names(entries: dict[str, Entry], path: Path) -> None:
    names = set(entries)
    optional = {*_OPTIONAL, *REGIONS, *PHRASES, "phrase_words", "phrase_types"}
    optional |= {"phrase_words_offsets", "phrase_types_offsets"}
    missing = sorted(set(_FORMS) - optional - names)
    unknown = sorted(names - set(_FORMS) - {"pixels", "features"})
    if missing or unknown:
        raise damaged(path, f"no array {missing[0]!r}" if missing else f"an array {unknown[0][:40]!r}")
    for name in names & set(_FORMS):
        dtype, sides = _FORMS[name]
        if (entries[name].dtype, entries[name].shape[1:]) != (dtype, sides):
            raise damaged(
                path, f"array {name!r} of type {entries[name].dtype} and shape {entries[name].shape}"
            )


def _check_main(entries: dict[str, Entry], texts: dict[str, str], path: Path) -> None:
    """Either pixels of the stated size, or features."""
    found = [name for name in ("pixels", "features") if name in entries]
    if len(found) != 1:
        raise damaged(path, f"{' and '.join(found) or 'neither pixels nor features'}, expected one of them")
    main = entries[found[0]]
    if found == ["features"]:
        good = main.dtype in ("F16", "F32") and len(main.shape) in (2, 3) and math.prod(main.shape)
    else:
        size = str(texts.get("size"))
        good = (
            main.dtype == "U8" and [*map(str, main.shape[1:])] == ["3", size, size] and math.prod(main.shape)
        )
        if texts.get("fit") not in ("cover", "squash"):
            raise damaged(path, f"fit={str(texts.get('fit'))[:20]!r}")
    if not good or main.begin:
        raise damaged(path, f"array {found[0]!r} of type {main.dtype} and shape {main.shape}")


def _check_lengths(entries: dict[str, Entry], path: Path) -> None:
    """Arrays over the same things have the same length."""
    main = entries.get("pixels") or entries["features"]
    images, length = main.shape[0], {name: entry.shape[0] for name, entry in entries.items()}
    captions, skipped = length["image_of_caption"], length["skipped_files_offsets"] - 1
    wanted = {
        "split_of_image": images,
        "group_of_image": images,
        "image_ids_offsets": images + 1,
        "image_files_offsets": images + 1,
        "captions_offsets": captions + 1,
        "skipped_files_offsets": max(skipped, 0) + 1,
        "checksums": -(-images // BLOCK),
    }
    if "scenes" in length or "scenes_offsets" in length:
        wanted |= {"scenes": length.get("scenes"), "scenes_offsets": images + 1}
    if set(REGIONS) & set(length):
        wanted |= dict.fromkeys(REGIONS, length.get("boxes"))
    names = (*PHRASES, "phrase_words", "phrase_types", "phrase_words_offsets", "phrase_types_offsets")
    if set(names) & set(length):
        count = length.get("phrase_caption", -1)
        wanted |= dict.fromkeys(PHRASES, count)
        wanted |= {f"{name}_offsets": count + 1 for name in ("phrase_words", "phrase_types")}
        wanted |= {name: length.get(name) for name in ("phrase_words", "phrase_types")}
    for name, count in wanted.items():
        if name not in length or length[name] != count:
            raise damaged(path, f"array {name!r} of length {length.get(name)}, expected {count}")


def _check_digest(raw: bytes, stated: str, path: Path) -> None:
    """The header carries its own SHA-256, taken with zeros in its place."""
    value = stated.encode("utf-8", "surrogatepass")
    plain = raw.replace(b'"header":"' + value, b'"header":"' + b"0" * 64, 1)
    if not _HEX.fullmatch(stated) or hashlib.sha256(plain).hexdigest() != stated:
        raise damaged(path, "a header that does not agree with its checksum")
