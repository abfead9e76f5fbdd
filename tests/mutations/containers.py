"""Changes of arrays and archives that lie about sizes, types, names and kinds of members."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Any

from trees import change_tree

_PAGE = 4088  # bytes of the header of a pack, after its length

_SHAPES = (
    (),
    (0,),
    (3,),
    (-1, 4),
    (10**12, 4),
    (2**62, 2**62),
    (2**63, 1),
    (10**9, 0),
    (1,) * 40,
    "x",
    ("3", 4),
    (2.0, 3),
    None,
    [3, 4],
)
_TYPES = (
    "|O", "<U5", "|S8", "<M8[s]", "<c16", ">f4", "<f2", "<f8", "<f16", "|b1", "<i8", "<u8", "|V8",
    "<U1000000000", "f", "", "garbage", 7, None, [("a", "<f4")], [("a", "|O")], ["<f4"], "|V0", "<i4,<f4",
)  # fmt: skip
_NAMES = (
    "../x.txt",
    "../../etc/x",
    "/etc/x",
    "C:\\x.txt",
    "a\\..\\..\\x",
    "",
    ".",
    "..",
    "a" * 300 + ".txt",
    "a/" * 200 + "x",
    "x\x1b[31m.txt",
    "con",
    "x\n.txt",
    "\u202e.txt",
    "images.npy",
    "images.npy/x",
)


def _npy(header: str, body: bytes, version: tuple[int, int], said_length: int | None = None) -> bytes:
    text = header.encode("latin-1", "replace")
    size = len(text) if said_length is None else said_length
    width = "<H" if version == (1, 0) else "<I"
    try:
        packed = struct.pack(width, size)
    except struct.error:
        packed = struct.pack("<I", size % 2**32)
    return b"\x93NUMPY" + bytes(version) + packed + text + body


def mutate_npy(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of the header or the numbers of an ``.npy`` file."""
    size = struct.unpack("<H", data[8:10])[0]
    header, body = ast.literal_eval(data[10 : 10 + size].decode()), data[10 + size :]
    what = rng.choice(("shape", "shape", "descr", "descr", "order", "version", "text", "length", "numbers"))
    version, said = (1, 0), None
    if what == "shape":
        header["shape"] = rng.choice(_SHAPES)
        if rng.random() < 0.3 and isinstance(header["shape"], tuple):
            header["shape"] = (*header["shape"], rng.choice((0, 1, 2**31)))
    elif what == "descr":
        header["descr"] = rng.choice(_TYPES)
    elif what == "order":
        header["fortran_order"] = rng.choice((True, 1, "no", None))
    elif what == "version":
        version = rng.choice(((2, 0), (3, 0), (9, 9), (0, 0), (255, 255)))
    elif what == "length":
        said = rng.choice((0, 1, size - 1, size + 1, 65535, 2**32 - 1))
    elif what == "numbers":
        bad = rng.choice(
            (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\xff\xff\xff\xff", b"\xff" * 8)
        )
        at = 4 * rng.randrange(max(1, len(body) // 4))
        body = body[:at] + bad + body[at + len(bad) :]
    text = repr(header)
    if what == "text":
        text = rng.choice(
            (
                "__import__('os').system('exit 3')",
                "(" * 5000,
                "{'shape': " + "(" * 90 + ")" * 90 + "}",
                "{}",
                "[]",
                text.replace("shape", "Shape"),
                text[:-1] + ", 'more': 1}",
                text + "#" * 60_000,
                text.replace("'", '"') + "\0",
                "{" * 200,
                "1" * 20_000,
                "-" * 9000 + "1",
            )
        )
    return _npy(text + " \n", body, version, said), f"npy: {what} {text[:60]!r}"


def _members(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info, archive.read(info)) for info in archive.infolist()]


def _zip(members: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for info, content in members:
            archive.writestr(info, content, info.compress_type)
    return out.getvalue()


# Fields of an entry of the central directory: offset, width.
_FIELDS = {
    "version": (6, 2),
    "flags": (8, 2),
    "method": (10, 2),
    "time": (12, 4),
    "crc": (16, 4),
    "packed size": (20, 4),
    "size": (24, 4),
    "name length": (28, 2),
    "extra length": (30, 2),
    "attributes": (38, 4),
    "offset": (42, 4),
}


def _patch_directory(rng: Random, data: bytes) -> tuple[bytes, str]:
    at = data.find(b"PK\x01\x02")
    later = data.find(b"PK\x01\x02", at + 4)
    at = later if later > 0 and rng.random() < 0.5 else at
    name = rng.choice(list(_FIELDS))
    offset, width = _FIELDS[name]
    value = rng.choice((0, 1, 8, 9, 12, 14, 93, 99, 2 ** (8 * width) - 1, rng.randrange(2 ** (8 * width))))
    packed = value.to_bytes(8, "little")[:width]
    return data[: at + offset] + packed + data[at + offset + width :], f"zip: {name} says {value}"


def mutate_zip(
    rng: Random, data: bytes, inside: Callable[[Random, bytes], tuple[bytes, str]]
) -> tuple[bytes, str]:
    """One change of a member, its name, its kind, its place, or of what the directory says."""
    if rng.random() < 0.25:
        return _patch_directory(rng, data)
    members = _members(data)
    i = rng.randrange(len(members))
    info, content = members[i]
    what = rng.choice(
        ("inside", "inside", "inside", "name", "drop", "again", "link", "bomb", "device", "all")
    )
    said = ""
    if what == "inside":
        content, said = inside(rng, content)
    elif what in ("name", "again"):
        again = zipfile.ZipInfo(rng.choice(_NAMES) if what == "name" else info.filename)
        again.compress_type, again.external_attr = info.compress_type, info.external_attr
        if what == "again":
            members.append((again, content))
        else:
            info, said = again, repr(again.filename[:30])
    elif what in ("link", "device"):
        kind = stat.S_IFLNK if what == "link" else stat.S_IFBLK
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        content = b"/etc/passwd"
    elif what == "bomb":
        info.compress_type, content = zipfile.ZIP_DEFLATED, bytes(4_000_000)
    members[i] = (info, content)
    if what == "drop":
        del members[i]
    if what == "all":
        members = []
    return _zip(members), f"zip: {what} of member {i} {said}"


def mutate_safetensors(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of the JSON header, of its length, or of the numbers; checksums are mended mostly."""
    size = struct.unpack("<Q", data[:8])[0]
    header, body = data[8 : 8 + size], data[8 + size :]
    if rng.random() < 0.1:
        said = rng.choice((0, 1, size - 1, size + 1, len(data), 2**31, 2**63, 2**64 - 1))
        return struct.pack("<Q", said) + header + body, f"safetensors: header length {said}"
    tree: dict[str, Any] = json.loads(header)
    name = rng.choice([key for key in tree if key != "__metadata__"])
    what = rng.choice(("numbers", "numbers", "field", "tree", *["texts"] * 3 * ("texts" in tree)))
    if what == "texts":
        body, said = _other_texts(rng, tree, body)
    elif what == "numbers":
        begin, end = tree[name]["data_offsets"]
        at = begin + rng.randrange(max(1, end - begin)) // 4 * 4
        bad = rng.choice(
            (b"\0\0\xc0\x7f", b"\xff" * 8, b"\0" * 8, b"\1\0\0\0", b"\0\0\0\x80", b"\xed\xa0\x80")
        )
        body, said = body[:at] + bad + body[at + len(bad) :], f"{bad!r} in {name}"
    elif what == "field":
        field = rng.choice(("dtype", "shape", "data_offsets"))
        tree[name][field] = rng.choice(
            {
                "dtype": ("F64", "I64", "BOOL", "U8", "F16", "BF16", "F8_E4M3", "", "X", 7),
                "shape": ([], [-1, 2], [10**12, 8], [2**63, 2**63], [0], [1.5], "x", None),
                "data_offsets": ([0, 0], [8, 0], [0, 2**63], [-8, 8], [0], [4, 10**12], None),
            }[field]
        )
        said = f"{field} of {name}"
    else:
        text, said = change_tree(rng, tree)
        if rng.random() < 0.5:
            raw = text.encode()
            return struct.pack("<Q", len(raw)) + raw + body, f"safetensors: {said}"
        tree = json.loads(text)
    raw = json.dumps(tree, separators=(",", ":")).encode()
    if rng.random() < 0.8:
        raw, said = _sealed(tree, body), f"{said}, checksums mended"
    return struct.pack("<Q", len(raw)) + raw + body, f"safetensors: {said}"


def _sealed(tree: dict[str, Any], body: bytes) -> bytes:
    """The header of a pack with a checksum that fits, so that a forger gets past it."""
    digest = hashlib.sha256()
    for name in sorted(set(tree) - {"__metadata__", "pixels", "features"}):
        digest.update(f"{name} {tuple(tree[name]['shape'])};".encode())
        digest.update(body[slice(*tree[name]["data_offsets"])])
    tree["__metadata__"]["sha256"] = digest.hexdigest()
    return json.dumps(tree, separators=(",", ":")).encode().ljust(_PAGE)


def _other_texts(rng: Random, tree: dict[str, Any], body: bytes) -> tuple[bytes, str]:
    """The numbers of a pack with another JSON text among them; ``tree`` is told where they lie now."""
    begin, end = tree["texts"]["data_offsets"]
    text, said = change_tree(rng, json.loads(body[begin:end]))
    raw = text.encode()
    grown = len(raw) - (end - begin)
    for entry in tree.values():
        if entry.get("data_offsets", [0])[0] >= end:
            entry["data_offsets"] = [place + grown for place in entry["data_offsets"]]
    tree["texts"] |= {"shape": [len(raw)], "data_offsets": [begin, begin + len(raw)]}
    return body[:begin] + raw + body[end:], f"{said} in the texts"


@lru_cache
def _zeros() -> bytes:
    return gzip.compress(bytes(40_000_000), 1)


def mutate_gzip(
    rng: Random, data: bytes, inside: Callable[[Random, bytes], tuple[bytes, str]]
) -> tuple[bytes, str]:
    """One change of what is packed, or a line of zeros that is a thousand times longer unpacked."""
    if rng.random() < 0.05:
        return _zeros(), "gzip: 40 million zeros"
    content, said = inside(rng, gzip.decompress(data))
    return gzip.compress(content, 1), f"gzip: {said}"
