"""Outlines of hair, beards and hats around a head: x in half widths and y in half heights of the head."""

from __future__ import annotations

from .canvas import Point


def outline(text: str) -> tuple[Point, ...]:
    """Points from text.

    >>> outline("0 1, .5 -1")
    ((0.0, 1.0), (0.5, -1.0))
    """
    return tuple((float(x), float(y)) for x, y in (pair.split() for pair in text.split(",")))


_SHORT = outline("-1.1 0, -1.12 .75, -.55 1.24, .55 1.24, 1.12 .75, 1.1 0, .86 .42, .2 .56, -.5 .48, -.88 .4")
_LOOSE = outline(
    "-1.25 -.7, -1.25 .6, -.6 1.22, .6 1.22, 1.25 .6, 1.25 -.7, .88 -.1, .7 .5, .1 .86, -.7 .5, -.88 -.1"
)
_TIED = outline("-1.04 -.1, -1.08 .65, -.55 1.16, .55 1.16, 1.08 .65, 1.04 -.1, .84 .44, 0 .74, -.84 .44")
FRONT = {
    "short": _SHORT,
    "curly": _SHORT,
    "shaved": outline("-1.02 .2, -.98 .75, -.5 1.08, .5 1.08, .98 .75, 1.02 .2, .76 .55, 0 .66, -.76 .55"),
    "long": _LOOSE,
    "bob": _LOOSE,
    "braids": _LOOSE,
    "ponytail": _TIED,
    "bun": _TIED,
}
BEHIND = {  # what hangs behind the shoulders, seen from the front
    "long": outline("-1.15 .7, 1.15 .7, 1.5 -.8, 1.55 -2.2, .6 -2.5, -.6 -2.5, -1.55 -2.2, -1.5 -.8"),
    "bob": outline("-1.1 .8, 1.1 .8, 1.55 -.5, 1.35 -1.25, -1.35 -1.25, -1.55 -.5"),
    "ponytail": outline(".6 .6, 1.35 .5, 1.75 -.6, 1.6 -1.9, 1.1 -1.5, .9 -.5"),
}
_CROPPED = outline(".9 .48, .6 1.16, -.4 1.2, -1.14 .6, -1.1 -.3, -.75 -.8, -.4 -.45, -.02 0, .1 .42, .6 .56")
SIDE = {
    **dict.fromkeys(("short", "ponytail", "bun", "shaved"), _CROPPED),
    "long": outline(
        ".85 .5, .5 1.22, -.5 1.24, -1.25 .6, -1.4 -1.8, -1.2 -2.2, -.1 -2.02, .12 -.3, .2 .4, .55 .62"
    ),
    "bob": outline(
        ".85 .5, .5 1.22, -.5 1.24, -1.25 .6, -1.4 -.8, -1.2 -1.2, -.1 -1.1, .12 -.3, .2 .4, .55 .62"
    ),
    "braids": outline(
        ".85 .5, .5 1.22, -.5 1.24, -1.25 .6, -1.4 -.3, -1.2 -.7, -.1 -.64, .12 -.3, .2 .4, .55 .62"
    ),
}
_NAPE = outline("-1.08 .6, -.55 1.2, .55 1.2, 1.08 .6, 1.02 -.35, .55 -.72, -.55 -.72, -1.02 -.35")
BACK = {
    **dict.fromkeys(("short", "ponytail", "bun"), _NAPE),
    "long": outline("-1.25 .5, -.6 1.24, .6 1.24, 1.25 .5, 1.35 -1, -1.35 -1"),
    "bob": outline("-1.25 .5, -.6 1.24, .6 1.24, 1.25 .5, 1.35 -1.25, -1.35 -1.25"),
    "braids": outline("-1.25 .5, -.6 1.24, .6 1.24, 1.25 .5, 1.35 -.9, -1.35 -.9"),
}
DOWN_THE_BACK = outline("-1.2 .2, 1.2 .2, 1.45 -1.2, 1.2 -2.5, 0 -2.75, -1.2 -2.5, -1.45 -1.2")
TAIL_BACK = outline("-.34 .45, .34 .45, .62 -.8, .34 -2.1, 0 -2.4, -.34 -2.1, -.62 -.8")
TAIL_SIDE = outline("-.85 .75, -1.35 .75, -1.95 -.2, -1.8 -1.9, -1.4 -1.5, -1.3 -.2, -.9 .25")
BEARD_FRONT = outline("-1 -.05, -.62 -.42, 0 -.36, .62 -.42, 1 -.05, .82 -.9, 0 -1.3, -.82 -.9")
BEARD_SIDE = outline("-.1 -.1, .3 -.45, .98 -.34, .95 -.95, .4 -1.25, -.1 -.8")
CROWN = outline("-1.05 .42, -.95 1.2, -.4 1.5, .4 1.5, .95 1.2, 1.05 .42")
PEAK = outline("-1.05 .5, 0 .66, 1.05 .5, 1 .24, 0 .34, -1 .24")
CURLS = outline("-.9 .35, -.95 -.1, -.75 .8, -.3 1.1, .2 1.12, .68 .86, .92 .4, .95 -.08")
CURLS_BACK = (*CURLS, *outline("0 .3, -.45 -.35, .45 -.35, 0 -.55"))
CURLS_SIDE = outline("-.5 .3, -.7 -.5, -.2 .75, -.4 -.2")
