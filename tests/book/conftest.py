"""One browser for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from headless_browser import Browser, find_chromium


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pages."""
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    if (program := find_chromium()) is None:
        pytest.skip("no Chromium on this machine")
    with Browser(program, tmp_path_factory.mktemp("chromium")) as running:
        yield running
