"""Readers of public word-vector files. Nothing here unpickles, and nothing larger than asked is kept."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from imtext.errors import DataError
from imtext.progress import progress

_LONGEST_WORD = 4096
_LINES_AT_ONCE = 4096
_AT_ONCE = 1 << 22
_LONGEST_LINE = 1 << 24
_MOST_NUMBERS = 100_000
# What gzip, zipfile and what they unpack with raise on a broken archive; ValueError: a name that is no text.
_BROKEN = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)

Read = tuple[list[str], np.ndarray]


def read_vector_file(path: Path, only: set[str] | None = None, binary: bool | None = None) -> Read:
    """Words and vectors (n, dim) float32 of a word2vec binary or a GloVe / word2vec text file.

    Raises DataError, naming the file, what was expected and what was found.
    """
    endings = [s.lower() for s in path.suffixes]
    if path.suffix in {".kv", ".model", ".pkl", ".pickle"} or path.name.endswith(".kv.vectors.npy"):
        raise DataError(
            f"{path}: gensim saves this kind as a pickle, which can run code and is not read here; if you "
            "trust it, convert it: KeyedVectors.load(file).save_word2vec_format('vectors.bin', binary=True)"
        )
    if binary is None:
        binary = ".bin" in endings[-2:]
    try:
        with _opened(path) as stream:
            words, matrix = (_read_binary if binary else _read_text)(path, stream, only)
    except DataError:
        raise
    except _BROKEN as error:
        raise DataError(f"{path}: cannot be read to the end ({error}); fetch the file again") from None
    if not words:
        found = "no word" if only is None else "none of the words asked for"
        raise DataError(f"{path}: expected word vectors, found {found}; check that this is the right file")
    return words, matrix


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a plain, gzipped or zipped file."""
    if path.suffix.lower() == ".gz":
        with gzip.open(path, "rb") as packed:
            yield io.BufferedReader(packed, 1 << 20)
    elif path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [i for i in archive.infolist() if i.filename.lower().endswith((".txt", ".vec"))]
            if len(inside) != 1:
                names = ", ".join(i.filename for i in inside[:6]) or "none"
                raise DataError(f"{path}: expected one .txt inside, found {names}; unpack one and name it")
            with archive.open(inside[0]) as packed:
                yield io.BufferedReader(packed, 1 << 20)
    else:
        with path.open("rb", buffering=1 << 20) as plain:
            yield plain


def _header(line: bytes) -> tuple[int, int] | None:
    """Count and dimension of a word2vec header line, None where the line is no header."""
    parts = line.split()
    if len(parts) == 2 and all(part.isdigit() and len(part) < 16 for part in parts):
        return int(parts[0]), int(parts[1])
    return None


class _Rows:
    """Collects rows of wanted words with composed accents, first occurrence only."""

    def __init__(self, only: set[str] | None) -> None:
        self.only = only
        self.row: dict[str, int] = {}
        self.numbers: list[np.ndarray] = []

    def wants(self, word: str) -> bool:
        word = unicodedata.normalize("NFC", word)
        if word in self.row or (self.only is not None and word not in self.only):
            return False
        self.row[word] = len(self.row)
        return True

    def result(self, dim: int) -> Read:
        matrix = np.concatenate(self.numbers) if self.numbers else np.zeros(0, dtype=np.float32)
        return list(self.row), matrix.reshape(-1, dim)


def _read_binary(path: Path, stream: IO[bytes], only: set[str] | None) -> Read:
    """The word2vec tool's binary: a header line, then per word its bytes, a space and dim float32."""
    header = _header(stream.readline(100))
    if header is None or not 0 < header[1] <= _MOST_NUMBERS or header[0] < 1:
        raise DataError(f"{path}: expected a word2vec header 'count dimension', found none; is it binary?")
    count, dim = header
    rows = _Rows(only)
    buffer, at, width = b"", 0, 4 * dim
    for number in progress(range(count), f"reading {path.name}", count):
        if len(buffer) - at < width + _LONGEST_WORD:
            buffer, at = buffer[at:] + stream.read(_AT_ONCE), 0
        space = buffer.find(b" ", at, at + _LONGEST_WORD)
        if space < 0 or len(buffer) < space + 1 + width:
            raise DataError(
                f"{path}: expected {count} words of {dim} numbers, the file ends or breaks at word "
                f"{number + 1}; fetch it again"
            )
        # some writers put a line break after each vector, which then stands before the next word
        word = buffer[at:space].lstrip(b"\n").decode("utf-8", errors="replace")
        if rows.wants(word):
            rows.numbers.append(np.frombuffer(buffer, "<f4", dim, space + 1).astype(np.float32))
        at = space + 1 + width
    return rows.result(dim)


def _read_text(path: Path, stream: IO[bytes], only: set[str] | None) -> Read:
    """Lines 'word n1 n2 …'; a GloVe word may hold spaces, so numbers are counted from the right."""
    first = stream.readline(1 << 20)
    header = _header(first)
    if header is not None:
        count, dim, lines = header[0], header[1], []
        if not 0 < dim <= _MOST_NUMBERS:
            raise DataError(f"{path}: its header promises {dim} numbers a word; fetch the file again")
    else:
        count, dim, lines = None, _dimension(path, first), [first]
    rows, seen = _Rows(only), 0
    for more in _lines(path, stream):
        lines += more
        for start in range(0, len(lines), _LINES_AT_ONCE):
            block = lines[start : start + _LINES_AT_ONCE]
            _add_lines(path, block, seen + (count is not None), dim, rows)
            seen += len(block)
        lines = []
    if count is not None and seen != count:
        raise DataError(f"{path}: its header promises {count} words, found {seen}; fetch the file again")
    return rows.result(dim)


def _lines(path: Path, stream: IO[bytes]) -> Iterator[list[bytes]]:
    """The rest of the lines, some megabytes at a time; an empty list where there is no more.

    Not readlines: a few megabytes of gzip can hold one line of gigabytes, which it would keep whole.
    """
    rest = b""
    while True:
        read = stream.read(_AT_ONCE)
        lines = (rest + read).split(b"\n")
        rest = lines.pop()
        if not read:
            yield [rest] if rest else []
            return
        if len(rest) > _LONGEST_LINE:
            raise DataError(
                f"{path}: expected lines 'word number number …', found one above {_LONGEST_LINE:,} bytes; "
                "check that this is the right file"
            )
        yield lines


def _dimension(path: Path, line: bytes) -> int:
    """How many numbers end the first line."""
    dim = 0
    for part in reversed(line.split()[1:]):
        try:
            float(part)
        except ValueError:
            break
        dim += 1
    if dim < 2:
        shown = line[:60].decode("utf-8", errors="replace").strip()
        raise DataError(
            f"{path}: expected lines 'word number number …', the first line is {shown!r}; "
            "check that this is the right file"
        )
    return dim


def _add_lines(path: Path, lines: list[bytes], before: int, dim: int, rows: _Rows) -> None:
    """Parse a block of lines at once; look for the guilty line only where the block does not fit."""
    kept = []
    for offset, line in enumerate(lines):
        word, _, numbers = line.rstrip().partition(b" ")
        if numbers.count(b" ") != dim - 1:
            parts = line.rstrip().rsplit(maxsplit=dim)
            if len(parts) != dim + 1:
                raise DataError(
                    f"{path}: line {before + offset + 1}: expected a word and {dim} numbers, "
                    f"found {len(line.split())} parts; repair or fetch the file again"
                )
            word, numbers = parts[0], b" ".join(parts[1:])
        try:
            text = word.decode("utf-8")
        except UnicodeDecodeError:
            where = f"{path}: line {before + offset + 1}"
            raise DataError(f"{where}: the word is not UTF-8; re-encode the file") from None
        if rows.wants(text):
            kept.append((offset, numbers))
    if not kept:
        return
    try:
        values = np.array(b" ".join(numbers for _, numbers in kept).split(b" "), dtype=np.float32)
    except ValueError:
        for offset, numbers in kept:
            try:
                np.array(numbers.split(b" "), dtype=np.float32)
            except ValueError as error:
                raise DataError(f"{path}: line {before + offset + 1}: {error}; repair the file") from None
        raise
    rows.numbers.append(values)
