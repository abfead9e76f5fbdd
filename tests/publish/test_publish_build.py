"""The book's own configuration builds a page, and a warning stops it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imtext.errors import ConfigError, RunError
from imtext.publish.pages import build_book

pytest.importorskip("jupyter_book")


@pytest.fixture
def root(tmp_path: Path, repository: Path) -> Path:
    shutil.copy(repository / "_config.yml", tmp_path / "_config.yml")
    (tmp_path / "book" / "_static").mkdir(parents=True)
    (tmp_path / "results").mkdir()
    shutil.copy(repository / "book" / "_static" / "custom.css", tmp_path / "book" / "_static")
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: book/intro\n", encoding="utf-8")
    (tmp_path / "book" / "references.bib").write_text("", encoding="utf-8")
    return tmp_path


def test_a_page_is_built_and_a_warning_is_an_error(root: Path) -> None:
    intro, build = root / "book" / "intro.md", root / "_build"
    intro.write_text("# Intro\n\n$x^2$\n", encoding="utf-8")
    index = build_book(root, build)
    assert index.is_file()
    page = (build / "html" / "book" / "intro.html").read_text(encoding="utf-8")
    assert "mathjax/tex-chtml.js" in page
    assert "cdn." not in page
    stray = build / "html" / "left_over.html"
    stray.write_text("", encoding="utf-8")
    intro.write_text("# Intro\n\n{ref}`nowhere` {py:func}`imtext.absent`\n", encoding="utf-8")
    with pytest.raises(RunError, match="complaints"):
        build_book(root, build)
    assert "nowhere" in (build / "html.log").read_text(encoding="utf-8")
    assert "imtext.absent" in (build / "html.log").read_text(encoding="utf-8")
    assert not stray.exists()


def test_the_build_folder_has_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="_build"):
        build_book(tmp_path, tmp_path / "elsewhere")
