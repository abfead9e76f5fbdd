"""A gallery shows pictures small, marks what is right, and takes captions as text."""

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from imtext.report.gallery import SIDE, Gallery, inline

PICTURE = np.random.default_rng(0).integers(0, 255, (300, 400, 3), dtype=np.uint8)


def test_pictures_are_small_webp_and_keep_their_shape():
    head, data = inline(PICTURE).split(",")
    found = Image.open(io.BytesIO(b64decode(data)))
    assert head == "data:image/webp;base64" and found.format == "WEBP" and found.size == (SIDE, 135)
    assert Image.open(io.BytesIO(b64decode(inline(Image.new("RGB", (9, 5))).split(",")[1]))).size == (9, 5)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a & $b$"])
def test_a_caption_is_data(text):
    page = Gallery([[(PICTURE, [text]), (None, [(text, True), (text, False)])]])._repr_html_()
    assert text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in page
    assert page.count("<img") == 1 and "<script" not in page
    assert page.count("✓") == page.count("✗") == 1
