"""Changes of PNG and JPEG files that keep them recognisable: sizes that lie, chunks that burst."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from random import Random

# Width and height: nothing, a bomb that Pillow only warns of, one that it refuses, the largest there are.
_SIDES = (0, 1, 7, 9, 300, 13_000, 20_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1)


@lru_cache
def _zeros(count: int) -> bytes:
    return zlib.compress(bytes(count))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def mutate_png(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of a chunk, with a checksum that fits again."""
    chunks = _chunks(data)
    what = rng.choice(("sides", "sides", "form", "pixels", "text bomb", "profile", "exif", "frames", "swap"))
    head = chunks[0][1]
    if what == "sides":
        chunks[0] = (b"IHDR", struct.pack(">II", rng.choice(_SIDES), rng.choice(_SIDES)) + head[8:])
    elif what == "form":
        at = rng.randrange(8, 13)
        chunks[0] = (b"IHDR", head[:at] + bytes([rng.randrange(256)]) + head[at + 1 :])
    elif what == "pixels":
        packed = rng.choice((_zeros(5_000_000), b"", zlib.compress(rng.randbytes(50))))
        chunks = [(kind, packed if kind == b"IDAT" else body) for kind, body in chunks]
    elif what in ("text bomb", "profile"):
        kind, packed = (b"zTXt" if what == "text bomb" else b"iCCP"), _zeros(30_000_000)
        chunks.insert(1, (kind, b"x\0\0" + packed))
    elif what == "exif":
        bad = struct.pack("<HIHHIIH", 0x4949, 8, 1, 0x0112, 3, rng.choice((1, 2**31)), 99) + rng.randbytes(8)
        chunks.insert(1, (b"eXIf", rng.choice((bad, b"II*\0" + struct.pack("<I", 2**31), b""))))
    elif what == "frames":
        chunks.insert(1, (b"acTL", struct.pack(">II", rng.choice((0, 1, 2**31)), 0)))
    else:
        i, j = rng.randrange(len(chunks)), rng.randrange(len(chunks))
        chunks[i], chunks[j] = chunks[j], chunks[i]
    return data[:8] + b"".join(_chunk(kind, body) for kind, body in chunks), f"png: {what}"


def mutate_jpeg(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of the size, the components or the segments in front."""
    at = data.find(b"\xff\xc0")
    what = rng.choice(("sides", "sides", "components", "exif", "segment", "progressive"))
    if what == "sides":
        sides = struct.pack(">HH", rng.choice(_SIDES) % 2**16, rng.choice(_SIDES) % 2**16)
        return data[: at + 5] + sides + data[at + 9 :], "jpeg: sides"
    if what == "components":
        where = at + rng.randrange(9, 19)
        return data[:where] + bytes([rng.randrange(256)]) + data[where + 1 :], "jpeg: components"
    if what == "progressive":
        return data[:at] + bytes([0xFF, rng.choice((0xC2, 0xC1, 0xC3, 0xC9))]) + data[at + 2 :], "jpeg: kind"
    body = b"Exif\0\0" + b"II*\0" + rng.randbytes(30) if what == "exif" else rng.randbytes(40)
    marker = 0xE1 if what == "exif" else rng.choice((0xC4, 0xDB, 0xDD, 0xE0, 0xEE, 0xED, 0xFE))
    size = rng.choice((len(body) + 2, 0, 1, 65_535))
    return data[:2] + struct.pack(">BBH", 0xFF, marker, size) + body + data[2:], f"jpeg: {what}"
