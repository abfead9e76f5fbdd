"""Graded relevance of captions for other scenes of picturebook, against loops and by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from imtext.data import Dataset
from imtext.data.generated import scene_relevance
from imtext.errors import DataError
from imtext.picturebook import Statement, describe, plain_text, relevance, senses, statements
from imtext.picturebook.graded import POSTURES, Facts
from imtext.picturebook.pairs import EVERY, pair_of


def dataset_of(described, split="test"):
    """A picturebook without pictures."""
    captions = [plain_text(pieces) for _, said in described for pieces in said]
    ids = [scene["id"] for scene, _ in described]
    return Dataset(
        "picturebook",
        Path("."),
        tuple(f"{name}.jpg" for name in ids),
        tuple(ids),
        tuple(captions),
        np.repeat(np.arange(len(ids)), 5),
        np.array([split] * len(ids)),
        np.arange(len(ids)),
        scenes=tuple({**scene, "seed": 0} for scene, _ in described),
    )


@pytest.fixture(scope="module")
def described():
    return [describe(0, "test", i) for i in range(60)]


@pytest.fixture(scope="module")
def dataset(described):
    return dataset_of(described)


@pytest.fixture(scope="module")
def said(described):
    return [statements(pieces) for _, captions in described for pieces in captions]


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
            said = [statements(pieces) for pieces in captions]
            assert all(said)
            assert relevance([scene], said).tolist() == [[1.0] * 5], captions


def test_shares_equal_a_loop_over_all_matches(dataset, said):
    found = scene_relevance(dataset)
    assert found.shape == (60, 300) and found.dtype == np.float32
    for j in range(0, 300, 7):
        for i in range(0, 60, 2):
            expected = naive_share(said[j], dataset.scenes[i])
            assert found[i, j] == pytest.approx(expected, abs=1e-6), (dataset.captions[j], i)


def test_captions_of_three_and_four_things_equal_a_loop(dataset, said):
    long = [j for j, s in enumerate(said) if max((max(x.thing, x.other) for x in s), default=0) >= 2]
    assert len(long) >= 4
    crowded = sorted(range(60), key=lambda i: -len(dataset.scenes[i]["things"]))[:12]
    facts = Facts([dataset.scenes[i] for i in crowded])
    for j in long[:8]:
        expected = [naive_share(said[j], dataset.scenes[i]) for i in crowded]
        assert facts.share(said[j]).tolist() == pytest.approx(expected)


def test_several_captions_fit_other_scenes_but_most_do_not(dataset):
    found = scene_relevance(dataset)
    own = found[dataset.image_of_caption, np.arange(300)]
    assert (own == 1).all()
    others = (found == 1).sum(0) - 1
    assert 0.05 < (others > 0).mean() < 0.5
    assert 0 < found.mean() < 0.3


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


def thing(slot, noun, **words):
    """What a noun phrase says: a noun and, by field, further words."""
    tables = {"size": senses.SIZES, "pattern": senses.PATTERNS, "colour": senses.COLOURS}
    tables |= {"count": senses.QUANTITIES, "hair": senses.HAIR_COLOURS}
    yield Statement("kind", senses.NAMES[noun], slot)
    for field, word in words.items():
        one = frozenset({1 if field == "count" else word})
        yield Statement(field, tables.get(field, {}).get(word, one), slot)


def worn(noun, **words):
    meant = senses.GARMENTS[noun]
    yield Statement("worn", meant, 0)
    tables = {"pattern": senses.PATTERNS, "colour": senses.COLOURS}
    for field, word in words.items():
        yield Statement(f"worn {field}", tables[field][word], 0, item=meant)


ON = Statement("deed", frozenset({"on"}), 0, 1)
CAT = [*thing(0, "cat", count="a", size="small", colour="black")]
GUY = [*thing(0, "guy", count="a")]
PERSON = [*thing(0, "kitty", count="a"), *thing(1, "person", count="a")]
BALLOONS = Statement("deed", senses.DEEDS["is holding"], 0, 1)


@pytest.mark.parametrize(
    ("said", "edit", "true"),
    [
        # Without the cat, nothing that is said of the cat is true: only that there is one red box.
        ([*CAT, Statement("action", senses.VERBS["is lying down"], 0)], {}, 5),
        ([*CAT, *thing(1, "box", count="a", colour="red"), ON], {}, 8),
        ([*CAT, *thing(1, "box", count="a", colour="red")], {("cat", "kind"): "dog"}, 3),
        (CAT, {("cat", "colour"): "gray"}, 3),
        ([*GUY, *worn("shirt", pattern="striped", colour="blue")], {("shirt", "colour"): "red"}, 4),
        ([*GUY, *worn("shirt", pattern="striped", colour="blue")], {("shirt", "pattern"): "plain"}, 4),
        ([*thing(0, "guy", count="a", hair="ginger", length="long")], {("hair", "length"): "short"}, 3),
        ([*GUY, *thing(1, "balloons", count="two"), BALLOONS], {("balloon", "count"): 3}, 4),
        ([*GUY, *thing(1, "balloons", count="some"), BALLOONS], {("balloon", "count"): 3}, 5),
        ([*GUY, *thing(1, "balloons", count="some"), BALLOONS], {("balloon", "count"): 1}, 4),
        ([*PERSON, Statement("spatial", senses.SPATIAL["to the right of"], 0, 1)], {}, 5),
        ([*PERSON, Statement("spatial", senses.SPATIAL["to the left of"], 0, 1)], {}, 4),
        ([*PERSON, Statement("spatial", senses.SPATIAL["in back of"], 0, 1)], {}, 5),
        ([*PERSON, Statement("spatial", senses.SPATIAL["in front of"], 0, 1)], {}, 4),
        ([*GUY, *worn("hat")], {("cap", "name"): "beanie"}, 3),
        ([*GUY, *worn("baseball cap")], {("cap", "name"): "beanie"}, 2),
        ([Statement("place", senses.PLACES["seaside"]), Statement("sky", senses.SKIES["at dusk"])], {}, 2),
        ([Statement("place", senses.PLACES["park"]), Statement("sky", senses.SKIES["in the rain"])], {}, 0),
        ([Statement("feature", senses.FEATURES["beacon"])], {}, 1),
        # Two things of a caption are never one thing of a scene.
        ([*thing(0, "kitty", count="a"), *thing(1, "animal", count="a")], {}, 2),
    ],
)  # fmt: skip
def test_by_hand(said, edit, true):
    scene = beach()
    places = {"cat": scene["things"][2], "balloon": scene["things"][1], "hair": scene["things"][0]["hair"]}
    places |= {"shirt": scene["things"][0]["clothes"][0], "cap": scene["things"][0]["clothes"][1]}
    for (what, field), value in edit.items():
        places[what][field] = value
    assert Facts([scene]).share(said)[0] == pytest.approx(true / len(said))


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
        difference = pair_of(0, first)
        found = scene_relevance(dataset_of(pair))
        for j in range(10):
            said, other = statements(pair[j // 5][1][j % 5]), pair[1 - j // 5][0]
            if found[1 - j // 5, j] == 1:
                silent += 1
                continue
            # Of a count, what only single persons wear may go too.
            told = {"spatial"} if difference["kind"] == "relation" else {fields[difference["field"]]}
            gone = {"worn", "worn colour", "worn pattern"} if difference["kind"] == "count" else set()
            rest = [s for s in said if s.field not in told | gone]
            assert told & {s.field for s in said}
            assert not rest or Facts([other]).share(rest)[0] == 1
            mentioned += 1
    assert mentioned > 250 and silent > 20


def test_nouns_and_verbs_mean_all_that_they_can_mean():
    assert senses.NAMES["kid"] == {"boy", "girl"}
    assert senses.NAMES["people"] == {"man", "woman", "boy", "girl"}
    assert {"dog", "cat"} <= senses.NAMES["pet"] and "cow" not in senses.NAMES["pet"]
    rests = {values for kind, values in senses.VERBS["rests"] if kind == "people"}
    assert rests == {"standing", "sitting", "lying"}


def test_captions_that_are_not_those_of_the_scenes(dataset):
    with pytest.raises(DataError, match="has no scenes"):
        scene_relevance(replace(dataset, scenes=None))
    with pytest.raises(DataError, match="captions as they are written now"):
        scene_relevance(replace(dataset, captions=tuple(reversed(dataset.captions))))
