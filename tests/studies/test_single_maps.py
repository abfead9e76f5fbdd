"""The map of a collapsed space: t-SNE of coinciding points would end the process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from imtext.studies.single_figures import flat_map

# In a process of its own, which t-SNE may kill. Four images with three sentences each; `spaces` are (16, 8).
CODE = """
from types import SimpleNamespace

import numpy as np

from imtext.report.figures import modality_maps
from imtext.studies.single_figures import FigureData

noise = np.random.default_rng(0).normal(size=(16, 8))
unit = np.tile(np.arange(8) / 140**0.5, (16, 1))
owners = np.repeat(np.arange(4), 3)
spaces = {
    "one": np.ones((16, 8), "float32"),
    "zero": np.zeros((16, 8)),
    "of length 1": unit.astype("float32"),
    "rounding": unit + 1e-9 * noise,
    "underflow": (1e-24 * noise).astype("float32"),
    "two points": np.repeat(np.eye(2, 8, dtype="float32"), 8, axis=0),
    "near": (unit + 1e-5 * noise).astype("float32"),
}


class Trained(FigureData):
    prepared = SimpleNamespace(splits={"test": SimpleNamespace(n_images=4, image_of_sentence=owners)})

    def _test(self, slug):
        return {"images": spaces[slug][:4], "sentences": spaces[slug][4:], "image_of_sentence": owners}

    def mixing(self, slug):
        return None


for panel in Trained().maps(tuple(spaces)):
    for axes in modality_maps([panel]).axes:
        print(panel[0], *(text.get_text() for text in axes.texts), sep=": ")
"""


def test_a_collapsed_space_is_said_to_be_one() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    said = dict((line + ": ").split(": ")[:2] for line in done.stdout.splitlines())
    collapsed = ("one", "zero", "of length 1", "rounding", "underflow")
    assert said == dict.fromkeys(collapsed, "all points coincide") | {"two points": "", "near": ""}


def test_another_space_is_drawn_by_t_sne() -> None:
    points = np.random.default_rng(0).normal(size=(18, 8))
    with threadpool_limits(1):
        expected = TSNE(2, init="pca", perplexity=17 / 3, random_state=0).fit_transform(points)
    np.testing.assert_array_equal(flat_map(points), expected)
