"""Scenes, captions and minimal pairs of picturebook, without drawing."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from imtext.picturebook import describe, plain_text, spans
from imtext.picturebook.captions import LONGEST, SHORTEST
from imtext.picturebook.pairs import EVERY, scene_of
from imtext.picturebook.scenes import sample_scene, thing_by_id
from imtext.picturebook.world import COLOURS, KINDS, SETTINGS

N = 1200


@pytest.fixture(scope="module")
def described():
    return [describe(0, "train", i) for i in range(N)]


def test_the_world_is_large_enough(described):
    assert len(SETTINGS) >= 8 and len(KINDS) >= 25 and len(COLOURS) >= 10
    assert {s["setting"] for s, _ in described} == set(SETTINGS)
    assert len({t["kind"] for s, _ in described for t in s["things"]}) >= 50
    assert {t["count"] for s, _ in described for t in s["things"]} == {1, 2, 3, 4}
    assert {t.get("size") for s, _ in described for t in s["things"]} >= {"small", "medium", "big"}
    deeds = {d["predicate"] for s, _ in described for d in s["deeds"]}
    assert deeds >= {"holding", "riding", "on", "throwing", "kicking", "leading", "reading", "lifting"}
    spatial = {d["predicate"] for s, _ in described for d in s["spatial"]}
    assert spatial == {"left of", "next to", "behind"}


def test_five_captions_of_four_to_twenty_five_words(described):
    for _, captions in described:
        assert len(captions) == 5
        for caption in captions:
            text = plain_text(caption)
            assert SHORTEST <= len(text.split()) <= LONGEST
            assert re.fullmatch(r"[A-Z][A-Za-z' -]*\.", text), text


def test_vocabulary_has_a_long_tail(described):
    words = Counter(w for _, cs in described for c in cs for w in plain_text(c).lower().rstrip(".").split())
    assert len(words) >= 500
    assert sum(count <= 2 for count in words.values()) >= 50
    ranked = [count for _, count in words.most_common()]
    assert ranked[0] > 8 * ranked[40] and ranked[40] > 8 * ranked[400]


def test_captions_range_from_specific_to_generic(described):
    lengths = [sorted(len(plain_text(c).split()) for c in captions) for _, captions in described]
    assert sum(short[0] <= 6 for short in lengths) > 0.6 * N
    assert sum(long[-1] >= 10 for long in lengths) > 0.7 * N
    texts = [plain_text(c) for _, captions in described for c in captions]
    assert len(set(texts)) > 0.93 * len(texts)
    assert any("someone" in text.lower() and "outside" in text for text in texts)


def test_every_mention_names_a_chain_of_the_scene(described):
    for scene, captions in described:
        chains = {1} | {f["id"] for f in scene["features"]}
        for thing in scene["things"]:
            chains |= {thing["id"]} | {c["id"] for c in thing.get("clothes", ())}
            chains |= {e["id"] for e in thing.get("extras", ())}
            chains |= {thing["hair"]["id"]} if "hair" in thing else set()
        types = {}
        for caption in captions:
            for piece in caption:
                if piece.chain:
                    assert piece.chain in chains
                    assert types.setdefault(piece.chain, piece.type) == piece.type
        for k, start, stop, chain, _ in spans(captions):
            words = plain_text(captions[k]).rstrip(".").split()[start:stop]
            named = [p.text.lower() for p in captions[k] if p.chain == chain]
            assert " ".join(words).lower() in named


def test_named_colours_and_counts_are_those_of_the_scene(described):
    plain = {c for c in COLOURS if c not in ("tan",)}
    for scene, captions in described:
        for thing in scene["things"]:
            for piece in (p for c in captions for p in c if p.chain == thing["id"]):
                words = piece.text.lower().split()
                for colour in plain.intersection(words):
                    if "colour" in thing:
                        assert colour == thing["colour"] or (colour, thing["colour"]) in LIKE, piece
                for word, number in (("two", 2), ("three", 3), ("four", 4)):
                    assert word not in words or thing["count"] == number


LIKE = {("brown", "tan"), ("blue", "turquoise"), ("white", "white")}


def test_layout_stays_in_the_picture(described):
    for scene, _ in described:
        for unit in scene["units"]:
            assert 0 <= unit["x"] <= 1 and 0.3 < unit["y"] < 1
            assert unit["height"] < 0.95
        assert [u["x"] for u in scene["units"]] == sorted(u["x"] for u in scene["units"])


def test_scenes_depend_on_seed_split_and_index_alone():
    assert sample_scene(0, "train", 5) == sample_scene(0, "train", 5)
    assert json.loads(json.dumps(sample_scene(0, "train", 5))) == sample_scene(0, "train", 5)
    others = [sample_scene(1, "train", 5), sample_scene(0, "val", 5), sample_scene(0, "train", 6)]
    assert all(sample_scene(0, "train", 5)["layout_seed"] != s["layout_seed"] for s in others)


def strip(scene):
    """A scene without what follows from where its units stand."""
    units = [{"things": u["things"], "plane": u["plane"]} for u in scene["units"]]
    rest = {k: v for k, v in scene.items() if k not in ("id", "units", "spatial")}
    return {**rest, "units": units}


def test_twins_differ_in_exactly_one_thing():
    seen = Counter()
    for index in range(0, 600, EVERY):
        first, difference = scene_of(0, "test", index)
        second, again = scene_of(0, "test", index + 1)
        assert difference == again
        a, b = strip(first), strip(second)
        assert a != b
        changed = [key for key in a if a[key] != b[key]]
        assert changed == (["units"] if difference["kind"] == "relation" else ["things"])
        if changed == ["things"]:
            pairs = [(x, y) for x, y in zip(a["things"], b["things"], strict=True) if x != y]
            assert len(pairs) == 1 and pairs[0][0]["id"] == difference["thing"]
            fields = {k for k in pairs[0][0] if pairs[0][0][k] != pairs[0][1].get(k)}
            assert fields <= {difference["field"], "extras"} and difference["field"] in fields
        seen[difference["kind"]] += 1
    assert set(seen) == {"attribute", "count", "relation"}
    for split, index in (("train", 1), ("val", 10), ("test", 12)):
        assert scene_of(0, split, index)[1] is None


def test_captions_of_twins_mention_the_difference():
    told = total = 0
    for index in range(0, 800, EVERY):
        scene, difference = scene_of(0, "test", index)
        if difference["field"] not in ("colour", "clothes", "count"):
            continue
        thing = thing_by_id(scene, difference["thing"])
        chain = thing["clothes"][0]["id"] if difference["field"] == "clothes" else thing["id"]
        captions = describe(0, "test", index)[1]
        told += sum(any(p.chain == chain for p in caption) for caption in captions)
        total += 5
    assert told > 0.6 * total
