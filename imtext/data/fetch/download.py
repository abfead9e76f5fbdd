"""A downloader for pooch that goes on where a broken connection left off.

Bytes go to ``<name>.part`` beside the target, and ``<name>.part.json`` remembers which address and which
version of the file they belong to (``ETag`` or ``Last-Modified``). The next try asks for the rest with
``Range`` and ``If-Range`` (RFC 9110, sections 13.1.5 and 14.2). A server that ignores this, a file that has
changed, or a part that cannot be trusted starts again from zero.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from tqdm import tqdm

from imtext import __version__
from imtext.errors import DataError
from imtext.progress import announce

CHUNK = 1 << 16
# A connection that brought this much has worked, so the count of failures begins again.
WORTH = 8 << 20
_NETWORK = (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError, TimeoutError)
_RETRY = {408, 425, 429, 500, 502, 503, 504}
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Broken(Exception):
    """The connection failed in a way that another try may mend."""


NO_NAME = "the name of the host cannot be resolved (no network, or a wrong address)"


class _StartAgain(Exception):
    """What is there cannot be continued."""


@dataclass(frozen=True)
class Version:
    """Which file a part belongs to: address, validators of the server, length in bytes (None: not told)."""

    url: str
    etag: str = ""
    modified: str = ""
    size: int | None = None

    @property
    def validator(self) -> str:
        """The value for ``If-Range``: a strong ETag or the date; nothing where the server gives neither."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Downloader:
    """A downloader in pooch's sense: ``downloader(url, output_file, pooch)``.

    Args:
        part: where bytes gather until the file is complete; its version stands in ``<part>.json``.
        size: bytes that the file has, where published; a server with another length is refused at once.
        on_size: called with the bytes still to come, before the first is written; may raise.
        tries: connections in a row that may break before it gives up.
        pause: seconds before the second try; each further pause is twice as long, a minute at most.
        timeout: seconds to connect, and seconds without a single byte.

    Raises (when called):
        DataError: the address is not http or https; the server refuses, sends a page or another length; the
            connection broke ``tries`` times. The part stays where it can be continued.
        OSError: the disk is full or cannot be written; the part stays.

    >>> Downloader(Path("x.part"))("file:///etc/passwd", "x", None)
    Traceback (most recent call last):
    imtext.errors.DataError: file:///etc/passwd: expected an address with http or https
    """

    def __init__(
        self,
        part: Path,
        size: int | None = None,
        on_size: Callable[[int], None] | None = None,
        tries: int = 6,
        pause: float = 2.0,
        timeout: tuple[float, float] = (20.0, 60.0),
    ) -> None:
        self.part, self.size, self.on_size = part, size, on_size
        self.tries, self.pause, self.timeout = tries, pause, timeout
        self.memory = part.with_name(part.name + ".json")
        self.answered = False

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        check_url(url)
        failures, restarts, best = 0, 0, self.there()
        while True:
            try:
                self._once(url)
                break
            except _StartAgain:
                self.forget()
                restarts, best = restarts + 1, 0
                if restarts > self.tries:
                    raise DataError(f"{url}: the server does not send the file from its beginning") from None
                continue
            except Broken as error:
                failures = 1 if self.there() >= best + WORTH else failures + 1
                best = max(best, self.there())
                # Without a network there is nothing to wait for; a network that fails later may come back.
                if failures >= self.tries or (str(error) == NO_NAME and not self.answered):
                    raise DataError(self._gave_up(url, failures, str(error))) from None
            time.sleep(min(self.pause * 2 ** (failures - 1), 60.0))
        self._hand_over(Path(output_file))

    def there(self) -> int:
        """Bytes of the part."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def forget(self) -> None:
        """Remove the part and what is remembered of it."""
        self.part.unlink(missing_ok=True)
        self.memory.unlink(missing_ok=True)

    def version(self) -> Version | None:
        """What the part belongs to; None where that is not known."""
        try:
            found = json.loads(self.memory.read_text(encoding="utf-8"))
            version = Version(**found)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        texts = all(isinstance(text, str) for text in (version.url, version.etag, version.modified))
        sized = version.size is None or (type(version.size) is int and version.size >= 0)
        return version if texts and sized else None

    def describe(self) -> str:
        """How much is there, in words.

        >>> Downloader(Path("no.part")).describe()
        'nothing is there yet'
        """
        if not self.there():
            return "nothing is there yet"
        version = self.version()
        total = self.size or (version.size if version else None)
        return f"{amount(self.there())}{f' of {amount(total)}' if total else ''} are there"

    def _gave_up(self, url: str, failures: int, reason: str) -> str:
        how = "it goes on from there" if self.version() and self.there() else "it starts again"
        times = f"{failures} times in a row" if failures > 1 else "once"
        return (
            f"{url}: the connection broke {times}, last: {reason}; {self.describe()}; the same command: {how}"
        )

    def _hand_over(self, output: Path) -> None:
        # A link keeps the part until the checksum is known, so that a kill in between loses nothing.
        output.unlink(missing_ok=True)
        try:
            os.link(self.part, output)
        except OSError:
            os.replace(self.part, output)

    def _once(self, url: str) -> None:
        """One connection. Broken: try again; _StartAgain: try again from zero."""
        version, there = self.version(), self.there()
        headers = {"Accept-Encoding": "identity", "User-Agent": f"imtext/{__version__}"}
        known = version is not None and version.url == url and there
        if known and version.size is not None and there >= version.size:
            if there > version.size or version.size != (self.size or version.size):
                raise _StartAgain
            return
        if known and version.validator:
            headers |= {"Range": f"bytes={there}-", "If-Range": version.validator}
        try:
            with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
                resumed = self._judge(response, url, version, there if "Range" in headers else 0)
                self._receive(response, url, there if resumed else 0)
        except requests.TooManyRedirects:
            raise DataError(f"{url}: the server sends in circles (too many redirects); try later") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise DataError(f"{url}: leads to an address that is not http or https ({error})") from None
        except _NETWORK as error:
            raise Broken(reason(error, self.timeout)) from None

    def _judge(self, response: requests.Response, url: str, version: Version | None, asked: int) -> bool:
        """Whether the answer continues the part (True) or begins the file (False); errors otherwise."""
        self.answered = True
        code = response.status_code
        if code == 416:
            raise _StartAgain
        if code == 206:
            span = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            same = response.headers.get("ETag", version.etag if version else "") == (version and version.etag)
            if not asked or span is None or int(span[1]) != asked or not same:
                raise _StartAgain
            if version.size not in (None, int(span[3])):
                raise _StartAgain
            return True
        if code in _RETRY:
            raise Broken(f"the server answers {code} {_phrase(code)}")
        if code != 200:
            raise DataError(
                f"{url}: the server answers {code} {_phrase(code)}; the file may have moved: look at the "
                f"page of the publisher, or put the archive into {self.part.parent} under its name"
            )
        if response.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise DataError(
                f"{url}: expected an archive, found a web page (a log-in, a proxy or a note that the file "
                "has moved); open the address in a browser to see which"
            )
        return False

    def _receive(self, response: requests.Response, url: str, there: int) -> None:
        length = response.headers.get("Content-Length", "")
        total = there + int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
        if self.size is not None and total not in (None, self.size):
            raise DataError(
                f"{url}: expected {self.size:,} bytes, as published, the server has {total:,}; "
                "the publisher changed the file or another one answers"
            )
        if self.on_size is not None and (total or self.size):
            self.on_size((total or self.size) - there)
        if not there:
            self.forget()
            self._remember(response, url, total)
        with open(self.part, "ab") as file, _bar(self.part.stem, total or self.size, there) as bar:
            for block in response.raw.stream(CHUNK, decode_content=False):
                file.write(block)
                file.flush()
                bar.update(len(block))
        if total is not None and self.there() != total:
            raise Broken(f"{self.there():,} of {total:,} bytes came")

    def _remember(self, response: requests.Response, url: str, total: int | None) -> None:
        found = response.headers
        version = Version(url, found.get("ETag", ""), found.get("Last-Modified", ""), total)
        new = self.memory.with_name(self.memory.name + ".new")
        new.write_text(json.dumps(vars(version)), encoding="utf-8")
        os.replace(new, self.memory)


def check_url(url: str) -> None:
    """Refuse addresses other than http and https, and those with a password in them.

    >>> check_url("https://host/file.zip")
    """
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and not parts.password
    except ValueError:
        sound = False
    if not sound:
        raise DataError(f"{url}: expected an address with http or https")


def amount(size: int | None) -> str:
    """Bytes in words, with powers of ten.

    >>> amount(13_510_573_713), amount(36_745_453), amount(900), amount(None)
    ('13.5 GB', '36.7 MB', '900 bytes', 'unknown')
    """
    if size is None:
        return "unknown"
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def reason(error: BaseException, timeout: tuple[float, float]) -> str:
    """Why a connection failed, in words instead of a chain of exceptions."""
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service" in text:
        return NO_NAME
    if isinstance(error, requests.exceptions.SSLError) or "CERTIFICATE" in text.upper():
        return "the certificate of the server is not valid (a proxy, or a wrong clock)"
    if isinstance(error, requests.ConnectTimeout):
        return f"no answer within {timeout[0]:g} s"
    if "timed out" in text.lower() or isinstance(error, (requests.Timeout, TimeoutError)):
        return f"no byte for {timeout[1]:g} s"
    if "refused" in text:
        return "the server refuses connections"
    if any(word in text.lower() for word in ("incompleteread", "broken", "reset", "closed", "aborted")):
        return "the server closed it before the end"
    return f"{type(error).__name__}"


def _phrase(code: int) -> str:
    with contextlib.suppress(ValueError):
        return HTTPStatus(code).phrase
    return "(unknown)"


@contextlib.contextmanager
def _bar(desc: str, total: int | None, there: int) -> Iterator[tqdm]:
    """A bar in bytes, silent where ``imtext.progress`` is."""
    announce(f"fetching {desc}")
    quiet = bool(os.environ.get("CI")) or not sys.stderr.isatty()
    options = {"unit": "B", "unit_scale": True, "leave": False, "mininterval": 0.5, "disable": quiet}
    with tqdm(desc=desc, total=total, initial=there, **options) as bar:
        yield bar
