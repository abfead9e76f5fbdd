"""Galleries: what is found, in which order, and what counts as right."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imtext.data.schema import Dataset
from imtext.studies import galleries


@pytest.fixture
def people(tmp_path):
    """Three pictures of two persons, upright, with four captions."""
    for number in range(3):
        Image.new("RGB", (40, 90), (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
    return Dataset(
        "people",
        Path(tmp_path),
        ("0.png", "1.png", "2.png"),
        ("0", "1", "2"),
        ("a red coat", "red again", "someone else in red", "a dog"),
        np.array([0, 0, 1, 2]),
        np.array(["test"] * 3),
        np.array([7, 7, 9]),
    )


IMAGES = np.eye(3)
CAPTIONS = np.array([[1.0, 0.5, 0.0], [0.0, 0.2, 1.0], [0.4, 1.0, 0.0], [0.0, 0.9, 1.0]])


def test_any_picture_of_the_person_is_right(people):
    found = galleries.images_for_captions(people, IMAGES, CAPTIONS, [0, 1], k=2)
    assert found["queries"] == ["a red coat", "red again"]
    assert found["correct"] == [[True, True], [False, True]]
    assert [picture.shape for picture in found["results"][0]] == [(90, 40, 3)] * 2
    assert found["results"][0][1][0, 0, 0] == 80


def test_any_caption_of_the_person_is_right(people):
    found = galleries.captions_for_images(people, IMAGES, CAPTIONS, [1, 2], k=3)
    assert found["results"][0] == ["someone else in red", "a dog", "a red coat"]
    assert found["correct"] == [[True, False, True], [False, True, False]]


def test_queries_are_taken_by_what_they_show(people):
    assert galleries.images_with_word(people, "dog", 2, least=1) == [2, 0]
    assert galleries.images_with_word(people, "red", 3, least=2) == [0, 1, 2]
    assert galleries.drawn(3, 9) == [0, 1, 2]


def test_a_picture_keeps_its_sides_and_is_never_enlarged(people):
    assert galleries.picture(people.image_path(0), 45).shape == (45, 20, 3)
    assert galleries.picture(people.image_path(0)).shape == (90, 40, 3)
