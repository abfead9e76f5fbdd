"""The closed list that parts function words from content."""

import pytest

from imtext.text import tokenize
from imtext.text.bags import FUNCTION_WORDS, is_function_word

CONTENT = """
    dog man red two five first once fire front back side top bottom bill mill system detail amount empty full
    thick thin serious move cry call show take put get go find together alone t outside nearby
"""


def test_the_papers_words_are_function_words():
    assert {"with", "on", "at", "in"} <= FUNCTION_WORDS


@pytest.mark.parametrize(
    "kind",
    [
        "a an the",
        "he hers someone",
        "near behind past",
        "and whilst",
        "is has does",
        "can wo",
        "not n't 's",
        "there very also",
    ],
)
def test_every_closed_class_is_there(kind):
    assert set(kind.split()) <= FUNCTION_WORDS


@pytest.mark.parametrize("word", CONTENT.split())
def test_words_that_say_something_about_a_picture_are_content(word):
    assert not is_function_word(word)


def test_every_entry_is_a_word_as_captions_are_cut():
    assert all(tokenize(word) == [word] for word in FUNCTION_WORDS - {"cannot", "n't"})


def test_case_and_contractions_do_not_matter():
    assert is_function_word("The") and is_function_word("ISN'T") and is_function_word("they\u2019re")
    assert not is_function_word("dog's")


@pytest.mark.parametrize("nothing", ["", " ", "?", "_"])
def test_what_is_no_word_is_no_function_word(nothing):
    assert not is_function_word(nothing)
