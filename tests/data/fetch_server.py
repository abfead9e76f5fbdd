"""A server on 127.0.0.1 that misbehaves as told, and small datasets for it. Used by test_fetch*.py."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from imtext.data.fetch import Need, Part, Source, Transfer

QUICK = Transfer(tries=4, pause=0.001, timeout=(2.0, 0.3), reserve=0)


@dataclass
class Served:
    """A file of the server and how it behaves.

    Attributes:
        cuts: bytes of the body after which each connection in turn is cut; after the last all is well.
        codes: statuses that are answered in turn before the file.
        ranges: whether ``Range`` is honoured.
        stall: seconds of silence in the middle of the body, once.
    """

    body: bytes
    kind: str = "application/zip"
    cuts: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    ranges: bool = True
    stall: float = 0.0
    chunked: bool = False
    location: str | None = None
    asked: list[str | None] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        served = self.server.files.get(self.path)
        if served is None:
            return self._plain(404)
        served.asked.append(self.headers.get("Range"))
        if served.codes:
            return self._plain(served.codes.pop(0))
        if served.location is not None:
            return self._plain(302, served.location)
        self.close_connection = True
        span = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(span[1]) if span and served.ranges else 0
        if start >= len(served.body) and start:
            return self._plain(416)
        body = served.body[start:]
        self._headers(served, start, body)
        self._send(served, body)
        return None

    def _headers(self, served: Served, start: int, body: bytes) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", served.kind)
        if start:
            whole = len(served.body)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if not served.chunked:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()

    def _send(self, served: Served, body: bytes) -> None:
        if served.cuts:
            body = body[: served.cuts.pop(0)]
        try:
            self.wfile.write(body[: len(body) // 2])
            if served.stall:
                self.wfile.flush()
                seconds, served.stall = served.stall, 0.0
                time.sleep(seconds)
            self.wfile.write(body[len(body) // 2 :])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _plain(self, code: int, location: str | None = None) -> None:
        self.send_response(code)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Serves ``files`` by path."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content, compress_type=compression)
    return buffer.getvalue()


def pictures(n: int = 20, size: int = 60_000) -> dict[str, bytes]:
    """Members of an archive of images, with the litter that archives made on a Mac hold."""
    members = {f"pics/{i}.jpg": hashlib.shake_128(bytes([i])).digest(size) for i in range(n)}
    return members | {"pics/._0.jpg": b"x", "__MACOSX/pics/._1.jpg": b"x", "readme.md": b"x"}


IMAGES = zipped(pictures())
WORDS = zipped({"a.txt": b"words", "b.txt": b"more"})


def serving() -> Iterator[Server]:
    """A server with the two archives of ``sources``; a fixture of the tests."""
    server = Server()
    server.files = {"/images.zip": Served(IMAGES), "/words.zip": Served(WORDS)}
    yield server
    server.stop()


def sources(server: Server, checksum: str | None = None) -> dict[str, Source]:
    """A dataset ``pets`` of two parts."""
    right = f"sha256:{hashlib.sha256(IMAGES).hexdigest()}"
    url, size = server.url("/images.zip"), len(IMAGES)
    needs = [Need(["*.jpg"], files=20)]
    images = Part(url, checksum or right, size, size, "pics", ["*.jpg"], needs)
    md5 = f"md5:{hashlib.md5(WORDS).hexdigest()}"
    needs = [Need(["a.txt"], size=5)]
    words = Part(server.url("/words.zip"), md5, 300, 10, "text", ["*.txt"], needs)
    return {"pets": Source("none", {"images": images, "words": words}, ["images", "words"])}
