"""Several image CNNs beside each other, and words with numbers of their own."""

from dataclasses import replace

import numpy as np
import pytest
import tiny

import imtext
from imtext.data.images import open_picture
from imtext.errors import ConfigError
from imtext.experiment import GRU, Averaged, Beside, Joint, Pooled, inputs_of
from imtext.experiment.compute import Row, run_one
from imtext.experiment.source import Places

LITE0 = Averaged("efficientnet_lite0", size=64, crop=64, crops=2)
LITE1 = Averaged("efficientnet_lite1", size=96, crop=80, crops=2)


def test_features_of_several_cnns_stand_side_by_side_each_of_length_1(tmp_path):
    places = Places(cache=str(tmp_path))
    parts = Beside((LITE0, LITE1)), LITE1
    both, one = (inputs_of(tiny.PAPER.but(image=part), places).image for part in parts)
    rows = both.test("test")
    assert rows.shape == (15, both.dim) == (15, 2 * 1280)
    for part in np.split(rows, 2, axis=1):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, rtol=1e-5)
    # Drawn at the same side as the larger of both.
    np.testing.assert_allclose(rows[:, 1280:], one.test("test"), atol=1e-6)
    assert both.train().views.shape == (1, 20, 2 * 1280)
    said = tiny.study(tmp_path).describe(tiny.PAPER, tiny.PAPER.but(image=both.part)).loc["image"]
    assert said.tolist() == ["EfficientNet-Lite0, frozen", "EfficientNet-Lite0 + EfficientNet-Lite1, frozen"]


def test_generated_pictures_are_drawn_at_256_pixels_at_most_and_enlarged(tmp_path):
    large = Averaged("efficientnet_lite0", size=260, crop=64, crops=1)
    inputs = inputs_of(tiny.PAPER.but(image=large), Places(cache=str(tmp_path)))
    assert open_picture(inputs.source.splits["test"], 0).size == (256, 256)
    assert inputs.image.pixels("test").pixels.shape == (15, 3, 260, 260)


def test_a_change_is_of_each_of_them():
    both = tiny.PAPER.but(image=Beside((LITE0, LITE1)))
    assert both.but(image={"size": 80}).image == Beside((replace(LITE0, size=80), replace(LITE1, size=80)))
    assert both.but(image={"parts": (LITE1,)}).image == Beside((LITE1,)) != both.image
    with pytest.raises(ConfigError, match=r"image\.side: Averaged has no such field; it has backbone"):
        both.but(image={"side": 80})


def test_a_row_with_both_is_trained_and_found_again_as_an_encoder(tmp_path):
    views = [Pooled(f"efficientnet_lite{number}", size=64, crop=64, views=2) for number in (0, 1)]
    experiment = tiny.PAPER.but(
        image=Beside(tuple(views)), text=dict(own=7), network=Joint(GRU(pooled_words="mean"), dim=16)
    )
    run = run_one(Row("tiny", "row", experiment, Places(cache=str(tmp_path / "cache"))), tmp_path / "runs")
    stored = run.load_arrays("embeddings-test.npz")
    encoder = imtext.load(run.dir)
    captions, files = encoder.test.captions, [encoder.test.image_path(i) for i in (4, 2)]
    np.testing.assert_allclose(encoder.embed_captions(captions[:2]), stored["captions"][:2], atol=1e-4)
    np.testing.assert_allclose(encoder.embed_images(files), stored["images"][[4, 2]], atol=1e-4)


def test_known_words_start_from_their_vector_and_numbers_of_their_own(tmp_path):
    places = Places(cache=str(tmp_path))
    text, plain = (inputs_of(tiny.PAPER.but(text=dict(own=own)), places).text for own in (7, 0))
    assert text.width == plain.width + 7 == text.start.shape[1]
    assert np.array_equal(text.start[:, :-7], plain.start, equal_nan=True)
    assert np.isnan(text.start[:, -7:]).all()
    known = np.flatnonzero(np.isfinite(plain.start).all(1))
    weights = GRU().build(text, 16).word.weight.detach().numpy()[1:]
    np.testing.assert_allclose(weights[known, :-7], plain.start[known], rtol=1e-6)
    assert np.isfinite(weights).all() and weights[known, -7:].std() > 0
