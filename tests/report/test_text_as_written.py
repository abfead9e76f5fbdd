"""A user's text is data: no figure reads a formula into it, and letters without a glyph bury nothing."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from imtext.report.figures import (
    attention_picture,
    boxes,
    branches,
    caption_search,
    geometry,
    group_cards,
    image_search,
    picture_rows,
    word_ablation,
    word_classes,
)
from imtext.report.style import text_width

TEXTS = ["Ba$$in$ record_sleeve", "price{$5}or^$6_here", r"$\frac{x}$", r"C:\new\$x$_{a"]
PICTURE = np.zeros((30, 30, 3), np.uint8)
BOX = [(2, 2, 9, 9)]
BOXED = {"image": PICTURE, "spans": [(0, 1)], "truth": BOX, "found": [BOX] * 2, "hits": [[True]] * 2}

DRAWN = {
    "picture_rows": lambda text: picture_rows([PICTURE], [text], title=text),
    "image_search": lambda text: image_search([text], [[PICTURE]], [[True]]),
    "caption_search": lambda text: caption_search([PICTURE], [[text]], [[False]]),
    "group_cards": lambda text: group_cards([[PICTURE]], [[text]], labels=[text]),
    "word_ablation": lambda text: word_ablation(
        [{"words": [text, "dog"], "drops": [0.2, np.nan], "image": PICTURE}]
    ),
    "word_classes": lambda text: word_classes(
        pd.DataFrame(
            {
                "word": [text, "dog", f"{text}2"],
                "kind": ["content", "content", "function"],
                "drop": [0.3, 0.2, 0.1],
                "count": [9, 9, 9],
            }
        )
    ),
    "attention_picture": lambda text: attention_picture(PICTURE, (2, 2), [text], np.ones((1, 4)) / 4),
    "boxes": lambda text: boxes([BOXED | {"words": [text]}]),
}


def _png(figure: plt.Figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=40)
    stream.seek(0)
    return plt.imread(stream)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", DRAWN)
def test_users_text_is_drawn_as_written(name, text):
    figure = DRAWN[name](text)
    _png(figure)
    shown = [item for item in figure.findobj(Text) if "$" in item.get_text()]
    assert shown and not any(item.get_parse_math() for item in shown)
    drawn = "".join(item.get_text() for item in shown).replace("\n", " ")
    assert text in drawn


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_as_wide_as_its_letters(text):
    plain = plt.Figure()
    with plt.rc_context({"font.family": "DejaVu Sans", "text.parse_math": False}):
        item = plain.text(0, 0, text, fontsize=20)
    assert text_width(text, 20) == pytest.approx(item.get_window_extent().width / plain.dpi, rel=0.06)


def test_the_librarys_own_formulas_are_formulas():
    panels = [("", np.eye(2), np.eye(2), np.arange(2), np.arange(2), np.eye(2))]
    for figure, formula in ((branches(), r"$\lambda_2$ = 0"), (geometry(panels), "$W_1$")):
        (item,) = [item for item in figure.findobj(Text) if item.get_text() == formula]
        assert item.get_parse_math()


def test_letters_without_a_glyph_give_no_warning():
    code = (
        "import io, numpy as np; from imtext.report import figures\n"
        "from imtext.report.style import text_width\n"
        "figure = figures.picture_rows([np.zeros((9, 9, 3), np.uint8)], ['一只狗在雪地里奔跑'])\n"
        "figure.savefig(io.BytesIO(), format='png'); text_width('一只狗', 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
