"""Pictures with words beneath, as HTML: small pictures inside the page, captions as they are written."""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from PIL import Image

from imtext.report.style import GREEN, RED

Line = str | tuple[str, bool]
Cell = tuple[Any, Sequence[Line]]
SIDE = 180
# What stands before a line that is right or wrong, and how the line looks.
SIGNS = {True: ("✓ ", f"color: {GREEN}; font-weight: 600;"), False: ("✗ ", f"color: {RED};")}


class Gallery:
    """Rows of pictures, as a notebook shows them.

    Args:
        rows: cells from left to right: a picture, uint8 (H, W, 3) or of Pillow, or None, and lines beneath;
            a line is a text, or a text and whether it is right.
    """

    def __init__(self, rows: Sequence[Sequence[Cell]]) -> None:
        self.rows = rows

    def __repr__(self) -> str:
        return f"{len(self.rows)} rows of images"

    def _repr_html_(self) -> str:
        """The rows, one below the other."""
        style = "display: flex; flex-wrap: wrap; gap: 0.3em 1.2em; margin-bottom: 1em; font-size: 0.85em;"
        rows = ("".join(_cell(*cell, place == 0) for place, cell in enumerate(row)) for row in self.rows)
        return "\n".join(f'<div style="{style}">{row}</div>' for row in rows)


def _cell(picture: Any, lines: Sequence[Line], first: bool) -> str:
    below = "".join(map(_line, lines))
    if picture is None:  # a text stands above pictures, or beside one
        return f'<div style="flex: 1 1 {"100%" if first else "14em"};">{below}</div>'
    image = f'<img src="{inline(picture)}" alt="" style="margin: 0;">'
    return f'<div style="max-width: {SIDE}px; text-align: left;">{image}{below}</div>'


def _line(line: Line) -> str:
    text, right = (line, None) if isinstance(line, str) else line
    sign, look = SIGNS.get(right, ("", ""))
    return f'<div style="margin: 0.25em 0; {look}">{sign}{html.escape(text)}</div>'


def inline(picture: Any) -> str:
    """A picture as the address of itself: WebP, its longer side at most `SIDE` pixels."""
    small = (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    kept = io.BytesIO()
    small.convert("RGB").save(kept, "WEBP", quality=75, method=6)
    return f"data:image/webp;base64,{b64encode(kept.getvalue()).decode()}"
