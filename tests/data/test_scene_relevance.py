"""Graded relevance of captions for other scenes of picturebook, against loops and by hand."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from imtext.data import Dataset, Phrases
from imtext.data.picturebook import describe
from imtext.data.picturebook.inflect import conjugate
from imtext.data.picturebook.lookup import NAMES, POSTURES, counted, verbs_of
from imtext.data.picturebook.minimal_pairs import EVERY, pair_of
from imtext.data.picturebook.phrases import Piece, plain_text
from imtext.data.picturebook.relevance import Facts, caption_statements, judge, scene_relevance
from imtext.data.picturebook.scene import thing_by_id
from imtext.data.picturebook.statements import read_statements
from imtext.data.picturebook.write import chain_offset, spans
from imtext.errors import DataError


def dataset_of(described, split="test"):
    """A picturebook without pictures."""
    scenes, captions, columns = [], [], []
    for i, (scene, pieces) in enumerate(described):
        scenes.append({**scene, "chain_offset": chain_offset(split, i)})
        for k, start, stop, chain, kind in spans(pieces):
            text = plain_text(pieces[k]).rstrip(".").split()[start:stop]
            columns.append(
                (len(captions) + k, start, stop, " ".join(text), chain + chain_offset(split, i), kind)
            )
        captions += [plain_text(p) for p in pieces]
    caption, start, stop, words, chain, kind = zip(*columns, strict=True)
    return Dataset(
        "picturebook",
        Path("."),
        tuple(f"{i}.jpg" for i in range(len(scenes))),
        tuple(map(str, range(len(scenes)))),
        tuple(captions),
        np.repeat(np.arange(len(scenes)), 5),
        np.array([split] * len(scenes)),
        np.arange(len(scenes)),
        scenes=tuple(scenes),
        phrases=Phrases(np.array(caption), np.array(start), np.array(stop), words, np.array(chain), kind),
    )


@pytest.fixture(scope="module")
def described():
    return [describe(0, "test", i) for i in range(60)]


@pytest.fixture(scope="module")
def dataset(described):
    return dataset_of(described)


def unary(s, thing, scene):
    """Whether a statement is true of a thing, written out."""
    if s.field == "kind":
        return thing["kind"] in s.values
    if s.field in ("count", "size", "pattern", "colour"):
        return thing.get(s.field) in s.values
    if s.field == "action":
        does = [d["predicate"] for d in scene["deeds"] if d["subject"] == thing["id"]]
        person = thing["type"] == "people" and does
        action = POSTURES.get(does[0], thing["action"]) if person else thing["action"]
        return (thing["type"], action) in s.values
    if s.field in ("hair", "length"):
        hair = thing.get("hair", {})
        return hair.get("colour" if s.field == "hair" else "length") in s.values
    items = [*thing.get("clothes", ()), *thing.get("extras", ())]
    if s.field == "worn":
        return any(item["name"] in s.values for item in items)
    part = s.field.removeprefix("worn ")
    return any(item["name"] in s.item and item.get(part) in s.values for item in items)


def related(s, a, b, scene):
    if s.field == "deed":
        for d in scene["deeds"]:
            if (d["subject"], d["object"]) == (a["id"], b["id"]):
                mouth = a["kind"] == "dog" and d["predicate"] == "carrying"
                return ("mouth" if mouth else d["predicate"]) in s.values
        return False
    turned = {"left of": "right of", "behind": "in front of", "next to": "next to"}
    for r in scene["spatial"]:
        if (r["subject"], r["object"]) == (a["id"], b["id"]) and r["predicate"] in s.values:
            return True
        if (r["object"], r["subject"]) == (a["id"], b["id"]) and turned[r["predicate"]] in s.values:
            return True
    return False


def naive_share(said, scene):
    """The largest share of true statements over all ways to match things, one permutation at a time."""
    slots = 1 + max((max(s.thing, s.other) for s in said), default=-1)
    whole = {
        "place": [scene["setting"]],
        "sky": [scene["sky"]],
        "indoors": ["indoors" if scene["indoor"] else "outdoors"],
        "feature": [f["name"] for f in scene["features"]],
    }
    best = 0
    for match in permutations([*scene["things"], *[None] * slots], slots):
        true = 0
        fits = {
            s.thing: match[s.thing] is not None and unary(s, match[s.thing], scene)
            for s in said
            if s.field == "kind"
        }
        for s in said:
            if s.thing < 0:
                true += any(value in s.values for value in whole[s.field])
            elif s.other >= 0:
                true += fits[s.thing] and fits[s.other] and related(s, match[s.thing], match[s.other], scene)
            else:
                true += fits[s.thing] and unary(s, match[s.thing], scene)
        best = max(best, true)
    return best / len(said)


def test_every_caption_is_wholly_true_of_its_own_scene_and_of_no_less():
    for split, count in (("train", 400), ("val", 100), ("test", 300)):
        for i in range(count):
            scene, captions = describe(0, split, i)
            facts, marks = Facts([scene]), spans(captions)
            for k, pieces in enumerate(captions):
                said = read_statements(plain_text(pieces), [m[1:4] for m in marks if m[0] == k], scene)
                assert said, plain_text(pieces)
                assert facts.share(said).tolist() == [1.0], plain_text(pieces)


def test_shares_equal_a_loop_over_all_matches(dataset):
    relevance = scene_relevance(dataset)
    assert relevance.shape == (60, 300) and relevance.dtype == np.float32
    said = caption_statements(dataset)
    for j in range(0, 300, 7):
        for i in range(0, 60, 2):
            expected = naive_share(said[j], dataset.scenes[i])
            assert relevance[i, j] == pytest.approx(expected, abs=1e-6), (dataset.captions[j], i)


def test_captions_of_three_and_four_things_equal_a_loop(dataset):
    said = caption_statements(dataset)
    long = [j for j, s in enumerate(said) if max((max(x.thing, x.other) for x in s), default=0) >= 2]
    assert len(long) >= 4
    crowded = sorted(range(60), key=lambda i: -len(dataset.scenes[i]["things"]))[:12]
    facts = Facts([dataset.scenes[i] for i in crowded])
    for j in long[:8]:
        expected = [naive_share(said[j], dataset.scenes[i]) for i in crowded]
        assert facts.share(said[j]).tolist() == pytest.approx(expected)


def test_several_captions_fit_other_scenes_but_most_do_not(dataset):
    relevance = scene_relevance(dataset)
    own = relevance[dataset.image_of_caption, np.arange(300)]
    assert (own == 1).all()
    others = (relevance == 1).sum(0) - 1
    assert 0.05 < (others > 0).mean() < 0.5
    assert 0 < relevance.mean() < 0.3


def test_a_split_and_a_selection_give_the_same_numbers(dataset):
    whole = scene_relevance(dataset, "test")
    chosen = [7, 3, 40]
    part = scene_relevance(dataset.take(chosen))
    columns = np.concatenate([dataset.captions_of(i) for i in chosen])
    assert np.array_equal(part, whole[np.ix_(chosen, columns)])


def beach():
    """A scene by hand: a man with two balloons, a striped cat on a red box, at the beach."""
    man = {
        "id": 3, "kind": "man", "type": "people", "count": 1, "action": "holding",
        "clothes": [
            {"id": 4, "name": "shirt", "colour": "blue", "pattern": "striped"},
            {"id": 5, "name": "cap", "colour": "red", "pattern": "plain"},
        ],
        "hair": {"id": 6, "colour": "red", "length": "long"},
    }  # fmt: skip
    balloon = {
        "id": 7,
        "kind": "balloon",
        "type": "other",
        "count": 2,
        "colour": "pink",
        "action": "floating",
    }
    cat = {
        "id": 8, "kind": "cat", "type": "animals", "count": 1, "colour": "black", "size": "small",
        "pattern": "striped", "action": "lying",
    }  # fmt: skip
    box = {"id": 9, "kind": "box", "type": "other", "count": 1, "colour": "red", "action": "standing"}
    return {
        "setting": "beach",
        "sky": "sunset",
        "indoor": False,
        "features": [{"id": 2, "name": "lighthouse"}],
        "things": [man, balloon, cat, box],
        "deeds": [
            {"subject": 3, "predicate": "holding", "object": 7},
            {"subject": 8, "predicate": "on", "object": 9},
        ],
        "spatial": [
            {"subject": 3, "predicate": "left of", "object": 8},
            {"subject": 8, "predicate": "behind", "object": 3},
        ],
    }


def say(*pieces):
    """Statements of a caption given as words and (words, chain)."""
    whole = [Piece(p) if isinstance(p, str) else Piece(p[0], p[1], "x") for p in pieces]
    return read_statements(plain_text(whole), [m[1:4] for m in spans([whole])], beach())


@pytest.mark.parametrize(
    ("caption", "edit", "true", "total"),
    [
        # Without the cat, nothing that is said of the cat is true: only that there is one red box.
        ([("a small striped black cat", 8), "is lying on", ("a red box", 9)], {}, 10, 10),
        ([("a small black cat", 8), "is lying on", ("a red box", 9)], {("cat", "kind"): "dog"}, 3, 9),
        ([("a small black cat", 8), "is lying on", ("a red box", 9)], {("cat", "colour"): "gray"}, 8, 9),
        ([("a guy", 3), "in", ("a striped blue shirt", 4)], {("shirt", "colour"): "red"}, 4, 5),
        ([("a guy", 3), "in", ("a striped blue shirt", 4)], {("shirt", "pattern"): "plain"}, 4, 5),
        ([("a guy", 3), "with", ("long ginger hair", 6)], {("hair", "length"): "short"}, 3, 4),
        ([("a guy", 3), "is holding", ("two balloons", 7)], {("balloon", "count"): 3}, 4, 5),
        ([("a guy", 3), "is holding", ("some balloons", 7)], {("balloon", "count"): 3}, 5, 5),
        ([("a guy", 3), "is holding", ("some balloons", 7)], {("balloon", "count"): 1}, 4, 5),
        ([("a kitty", 8), "to the right of", ("a person", 3)], {}, 5, 5),
        ([("a kitty", 8), "to the left of", ("a person", 3)], {}, 4, 5),
        ([("a kitty", 8), "in back of", ("a person", 3)], {}, 5, 5),
        ([("a kitty", 8), "in front of", ("a person", 3)], {}, 4, 5),
        ([("a man", 3), "in", ("a hat", 5)], {("cap", "name"): "beanie"}, 3, 3),
        ([("a man", 3), "in", ("a baseball cap", 5)], {("cap", "name"): "beanie"}, 2, 3),
        ([("a man", 3), "stands happily on", ("the sandy beach", 1), "at dusk"], {}, 5, 5),
        ([("a man", 3), "jumps at", ("the seaside", 1), "in the rain"], {}, 3, 5),
        ([("a box", 9), "is standing near", ("a beacon", 2)], {}, 3, 3),  # a box cannot but stand
        (["a scene in the open air"], {}, 1, 1),
        ([("someone", 3), "is inside"], {}, 2, 3),
    ],
)  # fmt: skip
def test_by_hand(caption, edit, true, total):
    said = say(*caption)
    scene = beach()
    places = {"cat": scene["things"][2], "balloon": scene["things"][1], "hair": scene["things"][0]["hair"]}
    places |= {"shirt": scene["things"][0]["clothes"][0], "cap": scene["things"][0]["clothes"][1]}
    for (what, field), value in edit.items():
        places[what][field] = value
    assert len(said) == total
    assert Facts([scene]).share(said)[0] == pytest.approx(true / total)


def test_two_things_of_a_caption_are_never_one_thing_of_a_scene():
    scene = beach()
    said = say(("a kitty", 8), "and", ("an animal", 8 - 5))
    assert [s.field for s in said] == ["kind", "count", "kind", "count"]
    assert Facts([scene]).share(said)[0] == 0.5


def test_twins_differ_by_what_their_captions_say_of_the_difference():
    fields = {
        "colour": "colour",
        "clothes": "worn colour",
        "count": "count",
        "size": "size",
        "action": "action",
    }
    mentioned = silent = 0
    for first in range(0, 400, EVERY):
        pair = [describe(0, "test", first), describe(0, "test", first + 1)]
        data = dataset_of(pair)
        difference = pair_of(0, first)
        relevance, said = scene_relevance(data), caption_statements(data)
        for j in range(10):
            other = relevance[1 - j // 5, j]
            if other == 1:
                silent += 1
                continue
            false = [s.field for s, true in judge(data, 1 - j // 5, j) if not true]
            assert other == pytest.approx(1 - len(false) / len(said[j]))
            if difference["kind"] == "relation":
                assert false == ["spatial"]
            else:  # of a count, what only single persons wear may go too
                assert fields[difference["field"]] in false and (len(false) == 1 or "count" in false)
            mentioned += 1
    assert mentioned > 250 and silent > 20


def test_every_change_of_a_scene_is_noticed_by_what_speaks_of_it(described):
    scene, captions = copy.deepcopy(described[4])
    said = [
        s
        for k in range(5)
        for s in read_statements(
            plain_text(captions[k]), [m[1:4] for m in spans(captions) if m[0] == k], scene
        )
    ]
    for s in said:
        if s.field == "place":
            assert Facts([{**scene, "setting": "nowhere"}]).share([s])[0] == 0
        if s.field == "sky":
            assert Facts([{**scene, "sky": "nothing"}]).share([s])[0] == 0
    assert any(s.field == "place" for s in said)


def test_verbs_are_those_of_the_type_of_thing():
    people = say(("a man", 3), conjugate("rest", "finite", False))[-1]
    assert people.field == "action"
    assert {("people", "standing"), ("people", "sitting"), ("people", "lying")} <= people.values
    assert ("people", "running") not in people.values
    assert "rest" in verbs_of("vehicles", "standing") and not verbs_of("people", "flying kites")


def test_nouns_mean_all_that_they_can_mean():
    assert NAMES["kid"] == {"boy", "girl"} and NAMES["people"] == {"man", "woman", "boy", "girl"}
    assert {"dog", "cat"} <= NAMES["pet"] and "cow" not in NAMES["pet"]
    assert set(counted("some cattle", "animals")) == {"kind"}  # may be one
    assert counted("some cows", "animals")["count"][0] == {2, 3, 4}


def test_judge_names_the_words(dataset):
    verdicts = judge(dataset, 0, 0)
    assert all(true for _, true in verdicts)
    words = dataset.captions[0].lower()
    first = next(s for s, _ in verdicts if s.field == "kind")
    assert first.words in words
    with pytest.raises(DataError, match="asked for image 60"):
        judge(dataset, 60, 0)


def test_what_cannot_be_read_is_one_clear_error(dataset):
    with pytest.raises(DataError, match="no scenes and phrases"):
        scene_relevance(replace(dataset, scenes=None))
    scene = beach()
    for caption, marks in (
        ("A purple-eyed cat runs.", [(0, 3, 8)]),
        ("A cat flurbs.", [(0, 2, 8)]),
        ("A cat in the parliament.", [(0, 2, 8), (3, 5, 1)]),
        ("A cat runs.", [(0, 2, 77)]),
        ("A cat runs.", [(0, 9, 8)]),
        ("A man in a toga.", [(0, 2, 3), (3, 5, 4)]),
        ("In a striped blue shirt.", [(1, 5, 4)]),
        ("Nonsense.", []),
    ):
        with pytest.raises(DataError, match="expected words of the grammar of picturebook"):
            read_statements(caption, marks, scene)
    assert thing_by_id(scene, 8)["kind"] == "cat"
