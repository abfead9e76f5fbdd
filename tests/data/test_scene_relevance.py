"""Graded relevance of captions for other scenes of picturebook, against loops."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from folders import plain

from imtext.data.generated import scene_relevance
from imtext.errors import DataError
from imtext.picturebook import describe, plain_text, relevance, senses, statements
from imtext.picturebook.graded import POSTURES, Facts
from imtext.picturebook.pairs import EVERY, pair_of


def dataset_of(described):
    """A picturebook without pictures."""
    captions = [plain_text(pieces) for _, said in described for pieces in said]
    files, scenes = zip(*((f"{scene['id']}.jpg", scene | {"seed": 0}) for scene, _ in described), strict=True)
    owners = np.arange(len(files)).repeat(5)
    splits = ["test"] * len(files)
    return plain(Path("."), files, splits, captions=captions, image_of_caption=owners, scenes=scenes)


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
    whole = {"place": [scene["setting"]], "sky": [scene["sky"]]}
    whole |= {"indoors": ["indoors" if scene["indoor"] else "outdoors"]}
    whole |= {"feature": [f["name"] for f in scene["features"]]}
    best = 0
    for match in permutations([*scene["things"], *[None] * slots], slots):
        true = 0
        kinds = [(s, match[s.thing]) for s in said if s.field == "kind"]
        fits = {s.thing: thing is not None and unary(s, thing, scene) for s, thing in kinds}
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
    of_three_things = [j for j, s in enumerate(said) if max(max(x.thing, x.other) for x in s) >= 2]
    assert len(of_three_things) >= 4
    for j in (*range(0, 300, 7), *of_three_things[:8]):
        for i in range(0, 60, 2):
            expected = naive_share(said[j], dataset.scenes[i])
            assert found[i, j] == pytest.approx(expected, abs=1e-6), (dataset.captions[j], i)


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


def test_twins_differ_by_what_their_captions_say_of_the_difference():
    fields = {"clothes": "worn colour"}
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
            field = difference.get("field")
            told = {"spatial"} if difference["kind"] == "relation" else {fields.get(field, field)}
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
    assert senses.GARMENTS["hat"] == {"cap", "sunhat", "beanie"}
    assert senses.GARMENTS["baseball cap"] == {"cap"}
    assert senses.QUANTITIES["some"] == {2, 3, 4} and senses.QUANTITIES["two"] == {2}
    assert senses.SPATIAL["in back of"] == {"behind"} and senses.SPATIAL["to the left of"] == {"left of"}
    assert senses.PLACES["seaside"] == {"beach"} and senses.SKIES["at dusk"] == {"sunset"}
    assert senses.HAIR_COLOURS["ginger"] == {"red"} and senses.FEATURES["beacon"] == {"lighthouse"}


def test_captions_that_are_not_those_of_the_scenes(dataset):
    with pytest.raises(DataError, match="has no scenes"):
        scene_relevance(replace(dataset, scenes=None))
    with pytest.raises(DataError, match="captions as they are written now"):
        scene_relevance(replace(dataset, captions=tuple(reversed(dataset.captions))))
