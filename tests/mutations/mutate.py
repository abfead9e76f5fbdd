"""Ways to break a file: blindly, byte by byte, and knowingly, by the structure of its format."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

from containers import mutate_gzip, mutate_npy, mutate_safetensors, mutate_zip
from pixels import mutate_jpeg, mutate_png
from trees import mutate_json, mutate_json_lines, mutate_xml

Mutator = Callable[[Random, bytes], tuple[bytes, str]]

PIECES = (
    b"\0",
    b"\xff",
    b"\xff\xfe\x00\x00",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",  # a lone surrogate, as if UTF-8 had one
    b"\r",
    b"\r\n",
    b"\n\n\n",
    b"\t",
    b"\t\t#0\t",
    b" ",
    b"#",
    b"#" + b"7" * 5000,
    b"%s%n%d",
    b"{0}{__class__}",
    b"\x1b[2J\x1b[31m",
    b"\x07\x08",
    "\u2028".encode(),
    "\u202e".encode(),
    "\u00b2\u0663".encode(),
    b"\x85",
    b"../",
    b"../../../../etc/passwd",
    b"/etc/passwd",
    b"C:\\Windows\\",
    b"\\\\server\\share",
    b"a" * 300,
    b"A" * 70_000,
    b"x/" * 3000,
    b"1e999",
    b"-1",
    b"-0",
    b"NaN",
    b"Infinity",
    str(2**70).encode(),
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 30_000,
    b"]]]",
    b"}}",
    b'"',
    b"\\ud800",
    b"\\u0000",
    b",,,",
    b"null",
    b"<a>" * 5000,
    b"&lol;",
    b"[/EN#0/",
    b"]/EN#",
    b"\x1f\x8b\x08",
    b"PK\x03\x04",
    b"\x93NUMPY",
)


def _flip(rng: Random, data: bytes) -> tuple[bytes, str]:
    at, bit = rng.randrange(len(data)), rng.randrange(8)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], f"flip bit {bit} of byte {at}"


def _overwrite(rng: Random, data: bytes) -> tuple[bytes, str]:
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 8, 64))
    return data[:at] + rng.randbytes(size) + data[at + size :], f"overwrite {size} bytes at {at}"


def _delete(rng: Random, data: bytes) -> tuple[bytes, str]:
    a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data) + 1)))
    if rng.random() < 0.5:
        b = min(b, a + 8)
    return data[:a] + data[b:], f"delete bytes {a} to {b}"


def _insert(rng: Random, data: bytes) -> tuple[bytes, str]:
    at, size = rng.randrange(len(data) + 1), rng.randrange(1, 9)
    return data[:at] + rng.randbytes(size) + data[at:], f"insert {size} bytes at {at}"


def _duplicate(rng: Random, data: bytes) -> tuple[bytes, str]:
    a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data) + 1)))
    return data[:b] + data[a:b] + data[b:], f"duplicate bytes {a} to {b}"


def _truncate(rng: Random, data: bytes) -> tuple[bytes, str]:
    at = rng.randrange(len(data))
    return data[:at], f"truncate to {at} of {len(data)} bytes"


def _splice(rng: Random, data: bytes) -> tuple[bytes, str]:
    piece, at = rng.choice(PIECES), rng.randrange(len(data) + 1)
    if rng.random() < 0.4:  # where a field begins or ends
        marks = [i for i, c in enumerate(data[:20_000]) if c in b'"\n\t ,:#>/<[{']
        at = rng.choice(marks) + rng.randrange(2) if marks else at
    shown = piece if len(piece) < 40 else piece[:12] + b"..."
    end = at if rng.random() < 0.6 else min(len(data), at + len(piece))
    return data[:at] + piece + data[end:], f"splice {shown!r} ({len(piece)} bytes) over bytes {at} to {end}"


def _empty(rng: Random, data: bytes) -> tuple[bytes, str]:
    return rng.choice(
        (b"", b"\n", b" \r\n\t", b"\0" * 64, rng.randbytes(200), b"\xef\xbb\xbf")
    ), "replace all"


_BLIND = (*[_flip] * 2, _overwrite, _delete, _insert, _duplicate, _truncate, *[_splice] * 4)


def mutate_bytes(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One blind change."""
    if not data or rng.random() < 0.02:
        return _empty(rng, data)
    return rng.choice(_BLIND)(rng, data)


def mutate_lines(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of a file of lines with fields: lines or fields dropped, doubled, moved, replaced."""
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(7)
    if what == 0:
        del lines[i]
    elif what == 1:
        lines.insert(j, lines[i])
    elif what == 2:
        lines[i], lines[j] = lines[j], lines[i]
    elif what == 3:
        lines[i] = lines[i] + lines[j]
    else:
        mark = rng.choice([m for m in (b"\t", b",", b" ", b"#", b".", b"/") if m in lines[i]] or [b" "])
        fields = lines[i].split(mark)
        k = rng.randrange(len(fields))
        if what == 4:
            fields[k] = rng.choice(PIECES) if rng.random() < 0.7 else b""
        elif what == 5:
            fields.insert(k, fields[k])
        else:
            fields.pop(k)
        lines[i] = mark.join(fields)
    return b"\n".join(lines), f"lines: change {what} of line {i + 1} (with line {j + 1})"


BY_ENDING: dict[str, Mutator] = {
    ".json": mutate_json,
    ".jsonl": mutate_json_lines,
    ".xml": mutate_xml,
    ".npy": mutate_npy,
    ".npz": lambda rng, data: mutate_zip(rng, data, mutate_npy),
    ".zip": lambda rng, data: mutate_zip(rng, data, mutate_lines),
    ".safetensors": mutate_safetensors,
    ".pack": mutate_safetensors,
    ".gz": lambda rng, data: mutate_gzip(rng, data, mutate_lines),
    ".png": mutate_png,
    ".jpg": mutate_jpeg,
}


def mutate(rng: Random, name: str, data: bytes) -> tuple[bytes, str]:
    """One change of a file of this name: half of them know its format."""
    ending = os.path.splitext(name)[1]
    if rng.random() < 0.5 or not data:
        return mutate_bytes(rng, data)
    try:
        return BY_ENDING.get(ending, mutate_lines)(rng, data)
    except Exception:  # an earlier change has broken the structure that this one needs
        return mutate_bytes(rng, data)


def remove(path: Path) -> None:
    """Remove whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def displace(rng: Random, path: Path) -> str:
    """Put something that is no file in the place of a file."""
    remove(path)
    what = rng.choice(
        ("missing", "folder", "dangling link", "link to itself", "link to outside", "link to text")
    )
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        targets = {"dangling link": "no/such/file", "link to itself": path.name, "link to outside": "/etc"}
        path.symlink_to(targets.get(what, "/etc/passwd"))
    return what


def break_file(rng: Random, path: Path, original: bytes, steps: int, displaced: bool = True) -> str:
    """Break a file in place, by 1 to ``steps`` changes; what was done, in words."""
    if displaced and rng.random() < 0.03:
        return f"{path.name}: {displace(rng, path)}"
    data, said = original, []
    for _ in range(rng.randint(1, steps)):
        data, what = mutate(rng, path.name, data)
        said.append(what)
    path.unlink()  # not overwritten: a reader may still hold a memory map of it
    path.write_bytes(data)
    return f"{path.name}: " + ", then ".join(said)
