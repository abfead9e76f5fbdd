"""A user's text is data: no figure reads a formula into it, and letters without a glyph bury nothing."""

from __future__ import annotations

import io
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from imtext.papers.instance_geometry import Stage, geometry
from imtext.report.figures import attention_picture, diagram

TEXTS = ["Ba$$in$ record_sleeve", "price{$5}or^$6_here", r"$\frac{x}$", r"C:\new\$x$_{a"]
PICTURE = np.zeros((30, 30, 3), np.uint8)
HALVES = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]])

DRAWN = {
    "attention_picture": lambda text: attention_picture(PICTURE, HALVES, [(text, np.ones(2) / 2)]),
    "diagram": lambda text: diagram({text: [(text, text)]}, (text, text)),
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


def test_the_librarys_own_formulas_are_formulas():
    stage = Stage("", np.eye(2), np.eye(2), np.arange(2), np.eye(2))
    (item,) = [item for item in geometry([stage]).findobj(Text) if item.get_text() == "$W_1$"]
    assert item.get_parse_math()


def test_letters_without_a_glyph_give_no_warning():
    code = (
        "import io; from imtext.report import figures\n"
        "figure = figures.diagram({'一只狗在雪地里奔跑': [('x', '')]}, ('y',))\n"
        "figure.savefig(io.BytesIO(), format='png')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
