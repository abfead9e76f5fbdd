"""Every page of the built book, opened in headless Chromium from disk, as a reader without a network does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from headless_browser import Browser

REPOSITORY = Path(__file__).resolve().parents[2]
BOOK = Path(os.environ.get("IMTEXT_BOOK", REPOSITORY / "_build" / "html"))
ALLOWED = ("data:", "blob:", "about:")


def complaints(browser: Browser, path: Path, root: Path, dark: bool) -> list[str]:
    """What is wrong with one page: console errors, missing pictures, broken maths, outside requests."""
    page = browser.open(path.resolve().as_uri(), dark=dark)
    inside = (*ALLOWED, root.resolve().as_uri() + "/")
    found = [f"console: {error}" for error in page.errors]
    found += [f"leaves the book: {url}" for url in page.requests if not url.startswith(inside)]
    found += [f"missing picture: {url}" for url in page.state["missing"]]
    found += [f"maths: {text}" for text in page.state["badMaths"]]
    if page.state["rawMaths"]:
        found.append(f"maths: {page.state['rawMaths']} formulas and no MathJax")
    return [f"{path.relative_to(root)}: {each}" for each in found]


def test_every_page_is_sound(browser: Browser) -> None:
    if not (BOOK / "index.html").is_file():
        pytest.skip("the book is not built (make book)")
    # Listings of source text (_modules) are many, and hold neither pictures nor formulas.
    left_out = {"_static", "_modules"}
    pages = sorted(path for path in BOOK.rglob("*.html") if path.relative_to(BOOK).parts[0] not in left_out)
    # The first page only leads on to the introduction; a browser leaves it while it is asked about it.
    pages.remove(BOOK / "index.html")
    assert "url=book/intro.html" in (BOOK / "index.html").read_text(encoding="utf-8")
    assert len(pages) >= 5
    found = []
    for number, path in enumerate(pages):
        found += complaints(browser, path, BOOK, dark=bool(number % 2))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>fine</p>", ""),
        ('<img src="absent.png">', "missing picture"),
        ("<script>throw new Error('broken')</script>", "console"),
        ("<script>console.error('loud')</script>", "console"),
        ('<img src="http://127.0.0.1:9/x.png">', "leaves the book"),
        ('<p class="math">x</p>', "maths"),
    ],
)
def test_the_check_sees_what_it_should(browser: Browser, tmp_path: Path, body: str, expected: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><title>t</title><body>{body}</body>", encoding="utf-8")
    found = "\n".join(complaints(browser, page, tmp_path, dark=False))
    assert expected in found if expected else not found
