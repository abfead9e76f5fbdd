"""Figures of the Intra-Modal Constraint paper: what they say and what they are drawn from. Not pixels."""

from __future__ import annotations

import io
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text

from imtext.errors import ConfigError, DataError
from imtext.losses.intra_modal import DISTANCES
from imtext.models.lstm_text import READOUTS
from imtext.report.figures import GroupMap, group_geometry, network_diagram
from imtext.report.figures import intra_network as network
from imtext.report.style import BOOK_WIDTH


def _texts(figure: Figure) -> list[str]:
    return [item.get_text() for item in figure.findobj(Text) if item.get_text()]


def _by_gid(figure: Figure, kind: type, gid: str) -> list:
    return [item for item in figure.findobj(kind) if (item.get_gid() or "").startswith(gid)]


def _sound(figure: Figure) -> None:
    """Nothing is cut off or small, the background is transparent, nothing is left open."""
    assert figure.get_figwidth() <= BOOK_WIDTH + 1e-9 and not plt.get_fignums()
    figure.draw_without_rendering()
    assert all(item.get_fontsize() >= 7 for item in figure.findobj(Text) if item.get_text())
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= -0.03 and drawn.x1 <= figure.get_figwidth() + 0.03
    assert drawn.y0 >= -0.03 and drawn.y1 <= figure.get_figheight() + 0.03
    stream = io.BytesIO()
    figure.savefig(stream, dpi=40, format="png")
    stream.seek(0)
    assert (plt.imread(stream)[..., 3] == 0).mean() > 0.03


# Figure 1, left


def test_names_are_those_of_loss_and_model():
    assert set(network.DISTANCE_NAMES) == set(DISTANCES) and set(network.READOUTS) == set(READOUTS)


@pytest.mark.parametrize(
    ("readout", "last", "hidden"), [("halves", 0, "64-d"), ("last", 0, "32-d"), ("released", 2, "64-d")]
)
def test_the_states_that_are_read_are_filled(readout, last, hidden):
    figure = network_diagram(readout, "EfficientNet", 1280, 50, 64, words=["a", "black", "dog"])
    read = _by_gid(figure, FancyBboxPatch, "read")
    edged = [item for item in read if item.get_gid() == "read"]
    lefts = [item.get_x() for item in _by_gid(figure, FancyBboxPatch, "state")] + [i.get_x() for i in edged]
    assert len(lefts) == 6
    columns = sorted({round(x, 6) for x in lefts})
    places = {(round(i.get_y() + i.get_height() / 2, 6), columns.index(round(i.get_x(), 6))) for i in edged}
    assert places == {(network.FORWARD_Y, 2), (network.BACKWARD_Y, last)}
    assert [item.get_text() for item in _by_gid(figure, Text, "hidden")] == [hidden, hidden]
    text = _texts(figure)
    assert {"EfficientNet", "1,280-d", "1,280 × 64", "GloVe\n50-d", "one 64-d space", "fixed"} <= set(text)
    assert (text.count("mean"), text.count("joined")) == ((0, 1) if readout == "last" else (1, 0))
    _sound(figure)


def test_the_terms_compare_what_their_marks_show():
    figure = network_diagram(weight=0.5, margin=0.35, distance="cosine", fixed=False, unit_features=True)
    marks = [item for item in _by_gid(figure, Line2D, "mark")]
    kinds = [item.get_gid().split()[1] for item in sorted(marks, key=lambda m: -m.get_ydata()[0])]
    assert kinds == ["image", "image", "image", "sentence", "sentence", "sentence"]
    assert [item.get_marker() for item in marks].count("s") == 3
    names = [item.get_text() for item in _by_gid(figure, Text, "term") if item.get_gid() == "term"]
    assert names == [".5 · IMC(I)", "hinges", ".5 · IMC(T)"]
    text = _texts(figure)
    assert text.count("1 − cos in the window") == 2 and "max(0, .35 − s(i, t)" in text
    assert "fine-tuned" in text and text.count("L2") == 3 and _texts(network_diagram()).count("L2") == 2
    _sound(figure)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"readout": "first"}, "readout should be one of halves"),
        ({"distance": "l3"}, "distance one of cosine"),
        ({"dim": 0}, "sizes should be from 1"),
        ({"dim": 7, "readout": "last"}, "dim even"),
        ({"margin": 0}, "a margin above 0"),
        ({"weight": float("nan")}, "a weight from 0"),
        ({"weight": float("inf")}, "a weight from 0"),
        ({"words": []}, "one to four words"),
        ({"words": ["a"] * 5}, "one to four words"),
    ],
)
def test_networks_that_make_no_sense_are_named(wrong, message):
    with pytest.raises(ConfigError, match=message) as error:
        network_diagram(**wrong)
    assert "network_diagram" in str(error.value) and "\n" not in str(error.value)
    _sound(network_diagram("halves", dim=7, words=["one"], weight=0))


# Figure 1, right


def _space(seed=0, groups=4, each=3, dim=5):
    random = np.random.default_rng(seed)
    labels = np.arange(groups) * 10
    rows = random.normal(size=(groups, dim)), random.normal(size=(groups * each, dim))
    return tuple(part[:, :2] for part in rows), rows, (labels, np.repeat(labels, each))


def test_neighbours_and_means_equal_loops():
    places, rows, groups = _space()
    found = GroupMap.measured("a", places, rows, groups)

    def apart(first, second):
        return 1 - first @ second / np.linalg.norm(first) / np.linalg.norm(second)

    pairs = [apart(i, s) for i, g in zip(rows[0], groups[0], strict=True)
             for s, h in zip(rows[1], groups[1], strict=True) if g == h]  # fmt: skip
    assert found.means["pairs"] == pytest.approx(np.mean(pairs))
    for side, own, labels in zip(("image", "sentence"), rows, groups, strict=True):
        everything, expected = [], np.full(len(own), -1)
        for label in np.unique(labels):
            best = (np.inf, None, None)
            for a in np.flatnonzero(labels == label):
                for b in np.flatnonzero(labels != label):
                    everything.append(apart(own[a], own[b]))
                    best = min(best, (everything[-1], a, b))
            expected[best[1]] = best[2]
        assert found.means[f"{side}s"] == pytest.approx(np.mean(everything))
        np.testing.assert_array_equal(getattr(found, f"{side}_nearest"), expected)
    alone = GroupMap.measured("one", ([[0, 0]],) * 2, ([[1.0, 0]],) * 2, ([3], [3]))
    assert alone.image_nearest.tolist() == [-1] and np.isnan(alone.means["images"])


def test_geometry_draws_points_pairs_and_neighbours():
    parts = [GroupMap.measured(title, *_space(seed)) for seed, title in enumerate(("without", "with"))]
    figure = group_geometry(*parts)
    for axes, part in zip(figure.axes, parts, strict=True):
        lines: dict[str, list[np.ndarray]] = {}
        for line in axes.get_lines():
            lines.setdefault(line.get_gid(), []).append(line.get_xydata())
        for number, label in enumerate((0, 10, 20, 30)):
            np.testing.assert_array_equal(lines[f"images {label}"][0], part.images[[number]])
            own = part.sentences[part.sentence_groups == label]
            np.testing.assert_array_equal(lines[f"sentences {label}"][0], own)
        assert len(lines["pair"]) == 12
        for (start, end), index in zip(lines["pair"], range(12), strict=True):
            np.testing.assert_array_equal(start, part.images[index // 3])
            np.testing.assert_array_equal(end, part.sentences[index])
        for side in ("image", "sentence"):
            nearest = getattr(part, f"{side}_nearest")
            expected = {frozenset((a, int(b))) for a, b in enumerate(nearest) if b >= 0}
            points = getattr(part, f"{side}s").tolist()
            ends = lines[f"nearest {side}s"]
            assert {frozenset(points.index(p.tolist()) for p in pair) for pair in ends} == expected
            assert len(ends) == len(expected)
        shown = ", ".join(f"{name} {mean:.2f}" for name, mean in part.means.items())
        assert axes.get_xlabel() == f"mean distances: {shown}"
        assert axes.get_title(loc="left") == part.title
        cloud = np.concatenate([part.images, part.sentences])
        low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
        assert (low < cloud.min(0)).all() and (cloud.max(0) < high).all()
    # One scale for both, or distances on the map could not be compared.
    widths = [np.diff(axes.get_xlim())[0] for axes in figure.axes]
    assert widths[0] == pytest.approx(widths[1])
    _sound(figure)


def test_geometry_names_mistakes():
    good = GroupMap.measured("a", *_space())
    for change, message in (
        ({"images": good.images[:, :1]}, r"a: images: expected finite places \(n, 2\)"),
        ({"sentences": good.sentences * np.nan}, "a: sentences: expected finite"),
        ({"image_groups": good.image_groups[:2]}, "image_groups of shape"),
        ({"sentence_nearest": np.full(12, 12)}, "indices from -1 to 11"),
        ({"image_nearest": np.full(4, -2)}, "indices from -1 to 3"),
        ({"image_nearest": np.zeros(4)}, "indices from -1 to 3"),
    ):
        with pytest.raises(DataError, match=message):
            group_geometry(good, replace(good, **change))
    with pytest.raises(DataError, match="at most 4 groups, found 5"):
        group_geometry(good, GroupMap.measured("b", *_space(groups=5)))
    places, rows, groups = _space()
    for wrong in (
        (rows[0] * 0, rows[1]),
        (rows[0], rows[1] * np.inf),
        (rows[0][:2], rows[1]),
        (rows[0][:, :2], rows[1]),
    ):
        with pytest.raises(DataError, match="group map a"):
            GroupMap.measured("a", places, wrong, groups)
    one = replace(good, images=good.images[:1] * 0, image_groups=[0], image_nearest=[-1], means={})
    point = replace(one, sentences=one.images, sentence_groups=[0], sentence_nearest=[-1])
    _sound(group_geometry(point, point))
