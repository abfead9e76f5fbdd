"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: F401 - loads the thread pools that are limited below
from threadpoolctl import threadpool_limits
from xdist.scheduler import LoadFileScheduling

os.environ.setdefault("CI", "true")
REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    """A process beside others takes one thread; what it starts decides for itself."""
    if hasattr(config, "workerinput"):
        threadpool_limits(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """A file's tests share its fixtures and stay in one process; so do all that share the notebooks' runs."""
    return NotebooksInARow(config, log)


class NotebooksInARow(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        # A process that waits for another's run says so on standard error, which nbval takes for an output.
        return "notebooks" if file.endswith((".ipynb", "test_golden_numbers.py")) else file


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout; tests that need it are skipped where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "flickr8k").is_dir():
        pytest.skip("real data (../shared/data/flickr8k) is not on this machine")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all pages of a module; its file lies beside the tests that ask for it."""
    pytest.importorskip("websocket", reason="websocket-client is not installed")
    from headless_browser import Browser, find_chromium

    if (program := find_chromium()) is None:
        pytest.skip("no Chromium on this machine")
    with Browser(program, tmp_path_factory.mktemp("chromium")) as running:
        yield running
