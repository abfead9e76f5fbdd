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


def built(name: str) -> str:
    """The address of a page of the built book."""
    page = BOOK / "book" / f"{name}.html"
    if not page.is_file():
        pytest.skip("the book is not built (make book)")
    return page.resolve().as_uri()


def test_the_first_screen_shows_an_answer_and_what_was_found(browser: Browser) -> None:
    ask = """({below: ["h1", "figure.answer", ".first table"].map(
        one => document.querySelector(one).getBoundingClientRect().bottom),
      images: document.querySelectorAll("figure.answer img[alt]").length,
      right: document.querySelectorAll("figure.answer img.right").length,
      papers: document.querySelectorAll(".first tbody tr").length})"""
    found = browser.open(built("intro"), ask=ask).answer
    assert max(found["below"]) <= 900
    assert (found["images"], found["right"], found["papers"]) == (5, 1, 5)


@pytest.mark.parametrize("name", ["intro", "scoreboard"])
def test_nothing_hangs_over_the_edge_of_a_phone(browser: Browser, name: str) -> None:
    ask = "document.documentElement.scrollWidth"
    assert browser.open(built(name), size=(390, 844), ask=ask).answer <= 390


def test_the_scoreboard_is_sorted_by_a_click(browser: Browser) -> None:
    ask = """(() => {
      const table = document.querySelector("table.sortable");
      const heads = [...table.tHead.rows[0].cells], seen = [];
      const column = heads.findIndex(one => one.textContent.includes("Semantic"));
      for (const _ of [0, 1]) {
        heads[column].querySelector("button").click();
        seen.push([...table.tBodies[0].rows].map(row => row.cells[column].dataset.value));
      }
      return seen;
    })()"""
    falling, rising = browser.open(built("scoreboard"), ask=ask).answer
    known = [float(one) for one in falling if one]
    assert known == sorted(known, reverse=True) and known[0] > known[-1]
    assert [float(one) for one in rising if one] == known[::-1]
    assert set(falling[len(known) :]) == set(rising[len(known) :]) == {""}


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
