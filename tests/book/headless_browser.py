"""A headless Chromium driven over its DevTools protocol: enough to open a page and hear its complaints."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
# Typesetting has ended, every picture has been asked for (lazy ones too) and answered.
SETTLED = """(async () => {
  for (const image of document.images) image.loading = 'eager';
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  await Promise.all([...document.images].map(image => image.complete ? 0 :
    new Promise(done => { image.onload = image.onerror = done; })));
  return {
    missing: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
    badMaths: [...document.querySelectorAll('mjx-merror')].map(node => node.textContent),
    rawMaths: window.MathJax ? 0 : document.querySelectorAll('.math').length,
    title: document.title,
  };
})()"""


def find_chromium() -> str | None:
    """The browser's program, or None where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    return None


@dataclass
class Page:
    """What was seen while a page loaded."""

    url: str
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    answer: Any = None


class Browser:
    """A Chromium with a profile of its own, closed at the end of a ``with`` block."""

    def __init__(self, program: str, profile: Path) -> None:
        self.program, self.profile = program, profile
        self._number = 0

    def __enter__(self) -> Browser:
        import websocket

        command = [self.program, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file, until = self.profile / "DevToolsActivePort", time.monotonic() + 60
        while not (port_file.is_file() and len(port_file.read_text().split()) == 2):
            if time.monotonic() > until or self._process.poll() is not None:
                self._process.kill()
                raise OSError(f"{self.program} did not start")
            time.sleep(0.1)
        port, path = port_file.read_text().split()
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=90)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def open(
        self,
        url: str,
        dark: bool = False,
        picture: Path | None = None,
        size: tuple[int, int] = (1280, 900),
        ask: str = "0",
    ) -> Page:
        """Load a page in a new tab, wait until it has settled, and return what happened.

        ``ask``: JavaScript to run then, whose value is the page's ``answer``.
        """
        page = Page(url)
        target = self._call("Target.createTarget", {"url": "about:blank"}, page)["targetId"]
        attach = {"targetId": target, "flatten": True}
        session = self._call("Target.attachToTarget", attach, page)["sessionId"]
        for domain in ("Network", "Log", "Runtime", "Page"):
            self._call(f"{domain}.enable", {}, page, session)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._call("Emulation.setEmulatedMedia", {"features": scheme}, page, session)
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", metrics, page, session)
        self._call("Page.navigate", {"url": url}, page, session)
        self._until("Page.loadEventFired", page)
        question = {"expression": SETTLED, "awaitPromise": True, "returnByValue": True}
        page.state = self._call("Runtime.evaluate", question, page, session)["result"].get("value", {})
        said = self._call("Runtime.evaluate", question | {"expression": ask}, page, session)
        page.answer = said["result"].get("value", said.get("exceptionDetails"))
        if picture is not None:
            time.sleep(0.5)  # the theme fades its colours in
            shot = self._call("Page.captureScreenshot", {"format": "png"}, page, session)
            picture.write_bytes(base64.b64decode(shot["data"]))
        self._call("Target.closeTarget", {"targetId": target}, page)
        return page

    def _call(
        self, method: str, params: dict[str, Any], page: Page, session: str | None = None
    ) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise OSError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            _note(answer, page)

    def _until(self, method: str, page: Page) -> None:
        while True:
            answer = json.loads(self._socket.recv())
            _note(answer, page)
            if answer.get("method") == method:
                return


def _note(event: dict[str, Any], page: Page) -> None:
    """Keep what an event says about the page's health."""
    details = event.get("params", {})
    match event.get("method"):
        case "Network.requestWillBeSent":
            page.requests.append(details["request"]["url"])
        case "Network.loadingFailed" if not details.get("canceled"):
            page.errors.append(f"a request failed: {details['errorText']}")
        case "Log.entryAdded" if details["entry"]["level"] == "error":
            page.errors.append(f"{details['entry']['text']} {details['entry'].get('url', '')}")
        case "Runtime.exceptionThrown":
            thrown = details["exceptionDetails"]
            page.errors.append(thrown.get("exception", {}).get("description", thrown["text"]))
        case "Runtime.consoleAPICalled" if details["type"] in ("error", "assert"):
            said = (str(each.get("value", each.get("description"))) for each in details["args"])
            page.errors.append(" ".join(said))


def take_picture(root: Path, page: str, out: Path) -> None:
    """Write a picture of one page (``folder/name.html#section``) of the book under ``root``."""
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium on this machine; install it to take a picture")
    path, _, section = page.partition("#")
    url = (root / path).resolve().as_uri() + (f"#{section}" if section else "")
    # Chromium's children may still write to the profile while it is removed.
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with folder as profile, Browser(program, Path(profile)) as browser:
        browser.open(url, picture=out)


if __name__ == "__main__":
    take_picture(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
