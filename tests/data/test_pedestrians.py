"""Pedestrians: who they are, what is drawn and what is said of them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from imtext.picturebook import describe_person, hidden, portrait, roster, views
from imtext.picturebook.descriptions import LONGEST, SHORTEST
from imtext.picturebook.draw.pedestrians import width_of
from imtext.picturebook.persons import DOUBLE, PARTS, key
from imtext.picturebook.senses import inverse
from imtext.picturebook.words import WORDS as lexicon
from imtext.picturebook.world import PALETTE, SETTINGS
from imtext.picturebook.world import WARDROBE as closet
from imtext.picturebook.write import tokens

PEOPLE = 160


@pytest.fixture(scope="module")
def said() -> list[tuple[dict, dict, str, list[str]]]:
    """Several hundred descriptions: person, view, text and the facts it names."""
    return [
        (person, view, text, facts)
        for index, person in enumerate(roster(5, "train", PEOPLE))
        for number, view in enumerate(views(5, "train", index, person), 1)
        for text, facts in describe_person(5, "train", index, number, person, view)
    ]


# -- who ----------------------------------------------------------------------------------------------


def test_no_two_persons_are_the_same_and_the_roster_has_the_prefix_property():
    long = roster(0, "train", 2000)
    assert len({key(person) for person in long}) == 2000
    assert roster(0, "train", 300) == long[:300]
    assert roster(1, "train", 20) != long[:20] and roster(0, "test", 20) != long[:20]


def test_every_fourth_person_shares_most_with_the_one_before():
    people = roster(2, "test", 400)
    pairs = [(people[i - 1], people[i]) for i in range(DOUBLE - 1, len(people), DOUBLE)]
    shared = [sum(one[part] == other[part] for part in PARTS) for one, other in pairs]
    assert np.mean(shared) > len(PARTS) - 4 and min(shared) >= len(PARTS) - 5
    assert all(one["kind"] == other["kind"] for one, other in pairs)


def test_clothes_agree_with_each_other():
    for person in roster(3, "train", 600):
        assert (person["lower"] is None) == (person["top"]["name"] == "dress")
        if person["top"]["name"] == "suit":
            assert person["lower"]["colour"] == person["top"]["colour"]
            assert person["shoes"]["name"] == "shoes" and person["hat"] is None
        if person["top"]["name"] == "vest":
            assert person["top"]["inner"]
        assert not person["beard"] or person["kind"] == "man"
        assert ("second" in person["top"]) == (person["top"]["pattern"] != "plain")


def test_views_differ_in_side_and_place():
    counts = []
    for index, person in enumerate(roster(4, "train", 200)):
        shown = views(4, "train", index, person)
        counts.append(len(shown))
        assert len({view["view"] for view in shown}) == len({view["place"] for view in shown}) == len(shown)
    assert set(counts) == {2, 3, 4} and 2.8 < np.mean(counts) < 3.2


def test_from_behind_no_face_is_described(said):
    behind = [(facts, text) for _, view, text, facts in said if view["view"] == "back"]
    assert len(behind) > 50
    for facts, text in behind:
        assert not {"glasses", "beard"} & set(facts)
        assert not re.search(r"\b(glasses|beard|logo|lettering|graphic)\b", text)


# -- pictures -----------------------------------------------------------------------------------------


def test_pictures_are_portraits_and_the_same_each_time():
    person = roster(0, "test", 1)[0]
    view = views(0, "test", 0, person)[0]
    for size in (64, 112, 200):
        image = portrait(person, view, size)
        assert image.size == (width_of(size), size) and image.mode == "RGB"
        assert image.tobytes() == portrait(person, view, size).tobytes()
        assert np.asarray(image).std() > 20


def staged(**changes):
    """A plain man, changed, standing in a hall without noise or cast."""
    person = {"kind": "man", "skin": 1, "side": 1, "build": "average", "beard": False, "hat": None}
    person |= {"hair": {"style": "short", "colour": "black"}, "glasses": "", "scarf": "", "item": None}
    person |= {"top": {"name": "t-shirt", "colour": "white", "pattern": "plain"}, "bag": None}
    person |= {"lower": {"name": "trousers", "colour": "gray", "pattern": "plain"}}
    person |= {"shoes": {"name": "trainers", "colour": "black"}}
    return {**person, **changes}


def look(person, side, place="gym"):
    sky = (SETTINGS[place].skies or ("indoor",))[0]
    view = {"view": side, "action": "standing", "arms": ["down", "down"], "place": place, "sky": sky}
    view |= {"light": "day", "scale": 0.82, "x": 0.0, "y": 0.95, "gain": 1.0, "contrast": 1.0}
    view |= {"cast": [0, 0, 0], "blur": 0.0, "noise": 0.0, "draw_seed": 3}
    return np.asarray(portrait(person, view, 112), int)


def close_to(pixels, colour, within=34):
    return int((np.abs(pixels - np.array(PALETTE[colour])).max(axis=2) <= within).sum())


@pytest.mark.parametrize("side", ["front", "back", "left", "right"])
@pytest.mark.parametrize(
    "changes",
    [
        {"top": {"name": "t-shirt", "colour": "green", "pattern": "plain"}},
        {"lower": {"name": "shorts", "colour": "green", "pattern": "plain"}},
        {"shoes": {"name": "boots", "colour": "green"}},
        {"shoes": {"name": "trainers", "colour": "green"}},
        {"bag": {"name": "backpack", "colour": "green"}},
        {"bag": {"name": "shoulder bag", "colour": "green"}},
        {"bag": {"name": "handbag", "colour": "green"}},
        {"bag": {"name": "suitcase", "colour": "green"}},
        {"hat": {"name": "cap", "colour": "green"}},
        {"scarf": "green"},
    ],

)
def test_what_captions_name_is_seen_from_every_side_at_112_pixels(changes, side):
    before, after = look(staged(), side), look(staged(**changes), side)
    seen = close_to(after, "green") - close_to(before, "green")
    assert seen >= 12, f"{changes} from {side}: {seen} pixels"


def test_every_garment_style_and_place_can_be_drawn():
    whole = {"colour": "black", "pattern": "plain", "second": "white", "inner": "blue"}
    people = [{"hat": {**whole, "name": name}, "glasses": "glasses", "beard": True} for name in closet.hats]
    for name, garment in closet.tops.items():
        for pattern in garment.patterns:
            below = {"lower": None} if name == "dress" else {}
            people.append({"top": {**whole, "name": name, "pattern": pattern}, **below})
    for part in ("lower", "bag", "shoes", "hair"):
        tables = getattr(closet, {"lower": "lowers", "bag": "bags"}.get(part, part))
        for kind, names in tables.items():
            people += [{"kind": kind, part: {**whole, "name": name, "style": name}} for name in names if name]
    for k, changes in enumerate(people):
        side = ("front", "back", "left", "right")[k % 4]
        assert look(staged(**changes), side, place=sorted(SETTINGS)[k % len(SETTINGS)]).shape == (112, 50, 3)


# -- descriptions -------------------------------------------------------------------------------------


def test_descriptions_have_15_to_30_words_and_name_the_top_or_more(said):
    lengths = [len(text.split()) for _, _, text, _ in said]
    assert len(said) > 800 and SHORTEST == 15 and LONGEST == 30
    assert min(lengths) >= 15 and max(lengths) <= 30
    assert 20 < np.mean(lengths) < 26
    assert all(len(facts) >= 2 for *_, facts in said)
    assert len({text for _, _, text, _ in said}) > 0.97 * len(said)
    assert 350 < len({word for _, _, text, _ in said for word in tokens(text)}) < 1500


def test_grammar(said):
    for *_, text, _ in said:
        assert text == " ".join(text.split()) and text.endswith(".") and text[0].isupper()
        assert not re.search(r"\ba [aeiou]", text, re.IGNORECASE), text
        assert not re.search(r"\ban [^aeiou]", text, re.IGNORECASE), text
        assert not re.search(r"[{}|]|,,| ,| \.|\.\.|,\.", text), text
        assert not re.search(r"\b(\w+) \1\b", text), text
        assert not re.search(r"\ba pair of pair|\ban? (pants|jeans|shoes|boots|glasses|shorts)\b", text), text
        for part in re.split(r"(?<=\.) ", text):
            assert part[0].isupper() and part.endswith("."), text


def test_pronouns_agree(said):
    for person, _, text, _ in said:
        wrong = ("she", "her", "hers") if person["kind"] in ("man", "boy") else ("he", "his", "him")
        assert not set(wrong) & set(tokens(text)), text


def matches(text: str, phrases: dict[str, frozenset[str]]) -> list[tuple[str, frozenset[str]]]:
    """The longest phrases of a table found in a text, left to right, with what each can stand for."""
    pattern = "|".join(re.escape(p) for p in sorted(phrases, key=len, reverse=True))
    return [(m, phrases[m]) for m in re.findall(rf"(?<![\w-])(?:{pattern})(?![\w-])", text.lower())]


def colours_of(person: dict) -> set[str]:
    pieces = [person[k] for k in ("top", "lower", "shoes", "bag", "hat", "item", "hair") if person[k]]
    found = {piece[k] for piece in pieces for k in ("colour", "second", "inner") if k in piece}
    if person["item"] and person["item"]["name"] == "cup":
        found.add("brown")
    return found | {person["scarf"]} - {""}


def test_every_colour_named_is_one_the_person_has(said):
    words = inverse([*lexicon.colour.items(), *lexicon.hair_colour.items()])
    tables = (*lexicon.places.values(), *lexicon.sky.values(), ("dark glasses",))
    around = sorted((entry for entries in tables for entry in entries), key=len, reverse=True)
    harmless = "|".join(entry.replace("|", r" (?:the (?:[\w-]+ )?|an? [\w-]+ )") for entry in around)
    found = 0
    for person, _, text, _ in said:
        for word, values in matches(re.sub(harmless, "", text.lower()), words):
            found += 1
            assert values & colours_of(person), f"{word!r} in {text!r}: {colours_of(person)}"
    assert found > 1500


@pytest.mark.parametrize(
    ("part", "kinds"),
    [
        ("lower", closet.lower_colours),
        ("shoes", {name for table in closet.shoes.values() for name in table}),
        ("bag", {name for table in closet.bags.values() for name in table if name}),
        ("hat", closet.hats),
    ],
)
def test_every_thing_named_is_one_the_person_has(said, part, kinds):
    names = inverse((k, [n.removeprefix("pair of ") for n in lexicon.clothes[k]]) for k in kinds)
    found = 0
    for person, _, text, facts in said:
        for word, values in matches(text, names):
            found += 1
            assert person[part] and person[part]["name"] in values, f"{word!r} in {text!r}"
            assert part in facts or word == "bag" or part == "bag", text
    assert found > 60


def test_facts_named_are_facts_there(said):
    for person, view, _, facts in said:
        for fact in facts:
            assert fact in ("action", "arm") or person[fact]
        assert not set(facts) & hidden(person, view)


def test_places_and_skies_named_are_those_of_the_view(said):
    places = [(name, [e.replace("|", " the ") for e in entries]) for name, entries in lexicon.places.items()]
    found = 0
    for _, view, text, facts in said:
        for _, values in matches(text, inverse([*places, *lexicon.sky.items()])) if "action" in facts else ():
            found += 1
            assert values & {view["place"], view["sky"]}, text
    assert found > 200


def test_tops_named_are_worn(said):
    names = inverse((name, lexicon.clothes[name]) for name in closet.tops)
    extra = {"shirt", "long sleeved shirt"}  # what shows under a jacket
    for person, _, text, _ in said:
        for word, values in matches(re.sub("dress shoes|on top of|top knot", "", text), names):
            worn = person["top"]["name"] in values or ("inner" in person["top"] and word in extra)
            assert worn, f"{word!r} in {text!r}: {person['top']}"
