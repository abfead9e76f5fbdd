"""Archives that were made to do harm, and archives that were damaged on the way."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from fetch_server import zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imtext.data.fetch.archives import unpack
from imtext.errors import DataError

BAD_NAMES = [
    "../a.jpg",
    "x/../../a.jpg",
    "/etc/a.jpg",
    "//host/a.jpg",
    "C:/a.jpg",
    "C:a.jpg",
    "..\\a.jpg",
    "x\\..\\..\\a.jpg",
    "\\\\host\\a.jpg",
    "a.jpg\0.txt",
    "a\n.jpg",
    "a.jpg:stream",
    "",
]


def keep(path):
    return str(path)


def archive(tmp_path: Path, content: bytes, name: str = "a.zip") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def tarred(members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=tarfile.GNU_FORMAT) as file:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def refused(tmp_path: Path, path: Path, match: str = "expected", limit: int | None = None) -> str:
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    with pytest.raises(DataError, match=match) as caught:
        unpack(path, tmp_path / "out", keep, limit)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    outside = [other for other in tmp_path.iterdir() if other not in (path, tmp_path / "out")]
    assert outside == []
    return message


@pytest.mark.parametrize("content", [zipped({"x/a.jpg": b"one", "b.txt": b""}), None, "tar"])
def test_good_archives(tmp_path, content):
    if not isinstance(content, bytes):
        rows = [(member("x", tarfile.DIRTYPE), b""), (member("./x/a.jpg"), b"one"), (member("b.txt"), b"")]
        content = tarred(rows, "w" if content == "tar" else "w:gz")
    out = tmp_path / "out"
    assert sorted(unpack(archive(tmp_path, content), out, keep)) == ["b.txt", "x/a.jpg"]
    assert (out / "x/a.jpg").read_bytes() == b"one" and (out / "b.txt").read_bytes() == b""
    assert not (out / "x/a.jpg").stat().st_mode & (stat.S_IXUSR | stat.S_ISUID)


def _patched(name: str) -> bytes:
    """A zip with a name that ``zipfile`` itself would not write."""
    clean = "".join(c if c.isalnum() or c in "./" else "_" for c in name)
    if not name:  # the letter becomes an extra field of one byte
        content = bytearray(zipped({"x": b"x"}))
        at = content.index(b"PK\x01\x02") + 28
        content[at : at + 4] = b"\0\0\1\0"
        return bytes(content)
    return zipped({clean: b"x"}).replace(clean.encode(), name.encode())


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("chosen", [True, False])
def test_names_that_lead_out_of_a_zip(tmp_path, name, chosen):
    """Refused even where the member would be left out."""
    path = archive(tmp_path, _patched(name))
    with pytest.raises(DataError, match="its name"):
        unpack(path, tmp_path / "out", keep if chosen else lambda path: None)
    assert sorted(tmp_path.rglob("*")) == [path]


@pytest.mark.parametrize("name", [name for name in BAD_NAMES if name and "\0" not in name])
def test_names_that_lead_out_of_a_tar(tmp_path, name):
    refused(tmp_path, archive(tmp_path, tarred([(member(name), b"x")])), "its name")


def test_links_and_devices_in_a_zip(tmp_path):
    for kind in (stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK):
        info = zipfile.ZipInfo("a.jpg")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr(info, "/etc/passwd")
        refused(tmp_path, tmp_path / "a.zip", "it is a link or a device")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path, kind):
    rows = [(member("a.jpg", kind, "/etc/passwd"), b""), (member("a.jpg"), b"x")]
    refused(tmp_path, archive(tmp_path, tarred(rows)), "it is a link or a device")


def test_names_twice(tmp_path):
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jpg", "1")
        file.writestr("a.jpg", "2")
    refused(tmp_path, tmp_path / "a.zip", "its name is there twice")
    path = archive(tmp_path, zipped({"a.jpg": b"1", "A.JPG": b"2"}))
    refused(tmp_path, path, "its name is there twice")
    path = archive(tmp_path, zipped({"x": b"1", "x/a.jpg": b"2"}))
    refused(tmp_path, path, "its name cannot be used")
    path = archive(tmp_path, zipped({"a" * 300: b"1"}))
    refused(tmp_path, path, "its name cannot be used")
    path = archive(tmp_path, zipped({"x/a.jpg": b"1", "y/a.jpg": b"2"}))
    with pytest.raises(DataError, match="two members would become 'a.jpg'"):
        unpack(path, tmp_path / "out", lambda path: path.name)


def test_an_encrypted_member(tmp_path):
    content = bytearray(zipped({"a.jpg": b"x"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    refused(tmp_path, archive(tmp_path, bytes(content)), "it is encrypted")


def test_bombs_that_declare_themselves(tmp_path):
    bomb = zipped({"a.jpg": bytes(40 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 50_000
    refused(tmp_path, archive(tmp_path, bomb), "the archive declares more than")
    refused(tmp_path, archive(tmp_path, tarred([(member("a.jpg"), bytes(40 << 20))])), "declares more than")


def test_bombs_that_lie_about_their_size(tmp_path):
    content = bytearray(zipped({"a.jpg": bytes(2 << 20)}, zipfile.ZIP_DEFLATED))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + offset
        content[at : at + 4] = (10).to_bytes(4, "little")
    path = archive(tmp_path, bytes(content))
    refused(tmp_path, path, limit=1 << 20)
    assert sum(file.stat().st_size for file in (tmp_path / "out").rglob("*")) <= 1 << 20


def test_tar_headers_do_not_ask_for_gigabytes(tmp_path):
    """A name of gigabytes, compressed to nothing, is refused before it is in memory."""
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        header = member("././@LongLink", kind)
        header.size = 8 << 30
        content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(8 << 20), 1)
        tracemalloc.start()
        refused(tmp_path, archive(tmp_path, content), "found damage")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20
    chain = b"".join(member("x", tarfile.GNUTYPE_LONGNAME).tobuf() for _ in range(3000))
    refused(tmp_path, archive(tmp_path, chain), "found damage")


def test_damage(tmp_path):
    good = zipped({"a.jpg": b"0123456789" * 500, "b.jpg": b"x"})
    flipped = bytearray(good)
    flipped[200] ^= 0xFF
    refused(tmp_path, archive(tmp_path, bytes(flipped)), "member 'a.jpg': .* found damage .*CRC")
    refused(tmp_path, archive(tmp_path, good[:-10]), "found damage")
    refused(tmp_path, archive(tmp_path, b""), "found an empty file")
    refused(tmp_path, archive(tmp_path, b"\x89PNG\r\n"), "found another file")
    rows = tarred([(member("a.jpg"), bytes(range(256)) * 200)])
    refused(tmp_path, archive(tmp_path, rows[:-300]), "found damage")
    refused(tmp_path, archive(tmp_path, rows[:-8] + bytes(8)), "found damage .*CRC")
    plain = tarred([(member("a.jpg"), bytes(5000))], "w")
    refused(tmp_path, archive(tmp_path, plain[:2000]))


def test_an_archive_in_an_archive_stays_packed(tmp_path):
    inner = zipped({"../a.jpg": b"x"})
    assert unpack(archive(tmp_path, zipped({"inner.zip": inner})), tmp_path / "out", keep) == ["inner.zip"]
    assert (tmp_path / "out/inner.zip").read_bytes() == inner


SEEDS = [
    zipped({"a.jpg": b"one" * 50, "x/b.jpg": b"two"}, zipfile.ZIP_DEFLATED),
    zipped({"a.jpg": b"one" * 50, "x/b.jpg": b"two"}),
    tarred([(member("a.jpg"), b"one" * 50), (member("x" * 150), b"two")], "w"),
    tarred([(member("a.jpg"), b"one" * 50)]),
]


@settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_damaged_bytes_end_in_one_line(tmp_path, seed, changes, cut):
    """Whatever is changed: unpacked, or one line; nothing outside the folder."""
    content = bytearray(seed)
    for at, value in changes:
        content[at % len(content)] = value
    content = bytes(content[: len(content) - cut]) if cut % 3 == 0 else bytes(content)
    path = archive(tmp_path, content)
    number = len(list(tmp_path.glob("out*")))
    try:
        unpack(path, tmp_path / f"out{number}", keep)
    except DataError as error:
        assert "\n" not in str(error)
    assert all(other == path or other.name.startswith("out") for other in tmp_path.iterdir())
