"""Changes of JSON and XML that leave them well-formed, or almost."""

from __future__ import annotations

import json
from random import Random
from typing import Any
from xml.etree import ElementTree

# Placeholders for what the encoder cannot write; replaced in the text.
_RAW = {
    "@nest-deep@": "[" * 100_000 + "]" * 100_000,
    "@nest-900@": "[" * 900 + "]" * 900,
    "@nest-300@": '{"a":' * 300 + "1" + "}" * 300,
    "@1e999@": "1e999",
    "@digits@": "8" * 5000,
    "@4000-digits@": "8" * 4000,
    "@-0@": "-0",
    "@surrogate@": '"\\ud800"',
    "@bare@": "value",
}
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7.5,
    2**31,
    2**63,
    2**63 - 1,
    -(2**63),
    2**64,
    2**70,
    10**12,
    float("nan"),
    float("inf"),
    "",
    " ",
    "a",
    "0",
    "train",
    "../x.jpg",
    "/etc/passwd",
    "C:\\x.jpg",
    "a\0b",
    "a/../../b",
    "\x1b[31mred\x1b[0m",
    "\u2028",
    "\u202e\u200b",
    "%s{0}",
    "x" * 300,
    "y" * 100_000,
    "z/" * 2500,
    [],
    {},
    [[]],
    [None],
    [0, 1],
    ["a"],
    {"a": 1},
    [[[[1]]]],
    [0] * 2000,
    *_RAW,
)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a tree."""
    found, open_ = [], [tree]
    while open_:
        node = open_.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                open_.append(node[key])
    return found


def _dump(tree: Any) -> str:
    text = json.dumps(tree)
    for placeholder, raw in _RAW.items():
        text = text.replace(f'"{placeholder}"', raw)
    return text


def change_tree(rng: Random, tree: Any) -> tuple[str, str]:
    """One change of a parsed JSON value, as text again, and what it was."""
    places = _places(tree)
    if not places or rng.random() < 0.03:
        value = rng.choice(VALUES)
        return _dump(value), f"JSON: all becomes {str(value)[:20]!r}"
    node, key = rng.choice(places)
    other, its = rng.choice(places)
    what = rng.choice(("value", "value", "value", "delete", "copy", "swap", "again", "rename", "extra"))
    if what == "value":
        node[key] = rng.choice(VALUES)
    elif what == "delete":
        del node[key]
    elif what == "copy":
        node[key] = json.loads(json.dumps(other[its]))
    elif what == "swap":
        first, second = json.dumps(node[key]), json.dumps(other[its])
        node[key], other[its] = json.loads(second), json.loads(first)
    elif what == "again" and isinstance(node, dict):
        inside, value = _dump(node), _dump(rng.choice(VALUES))
        doubled = f"{inside[:-1]}, {json.dumps(key)}: {value}}}"
        return _dump(tree).replace(inside, doubled, 1), f"JSON: key {key!r} twice"
    elif isinstance(node, list):
        node.insert(key, json.loads(json.dumps(node[key])) if what == "again" else rng.choice(VALUES))
    elif what == "rename":
        node[rng.choice(("", "a", "\x1b[0m", "-1", key.upper(), " " + key))] = node.pop(key)
    else:
        node[f"{key}2"] = rng.choice(VALUES)
    return _dump(tree), f"JSON: {what} at {str(key)[:20]!r}"


def mutate_json(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of the parsed tree."""
    text, what = change_tree(rng, json.loads(data))
    return text.encode(), what


def mutate_json_lines(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of the tree of one line, or of the lines."""
    lines = data.decode().splitlines()
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    what = rng.randrange(6)
    if what == 0:
        lines.insert(j, lines[i])
        said = "line twice"
    elif what == 1:
        lines[i], lines[j] = lines[j], lines[i]
        said = "lines swapped"
    elif what == 2:
        del lines[i]
        said = "line gone"
    else:
        lines[i], said = change_tree(rng, json.loads(lines[i]))
    return "\n".join(lines).encode(), f"line {i + 1}: {said}"


_ENTITIES = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
_PROLOGUES = (
    f'<!DOCTYPE annotation [<!ENTITY l0 "lol">{_ENTITIES}]>',
    '<!DOCTYPE annotation [<!ENTITY l9 SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:9/x.dtd">',
    f'<!DOCTYPE annotation [<!ENTITY l9 "{"x" * 50_000}">]>',
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<?xml version="1.0" encoding="rot13"?>',
    '<?xml version="1.1" encoding="utf-7"?>',
    '<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
)
_TEXTS = (
    "",
    " ",
    "-1",
    "0",
    "1e999",
    "nan",
    "9" * 5000,
    "12.5",
    "1_0",
    str(2**70),
    "x" * 5000,
    "\u0663",
    "a\u2028b",
    "../../x",
    "/etc/passwd",
    "0x10",
    "inf",
)


def mutate_xml(rng: Random, data: bytes) -> tuple[bytes, str]:
    """One change of the elements, or a document type that an unguarded parser expands or fetches."""
    if rng.random() < 0.2:
        text = data.decode()
        if rng.random() < 0.7:
            text = text.replace(">1<", ">&l9;<", 1)
        return (rng.choice(_PROLOGUES) + text).encode(), "XML: another prologue"
    root = ElementTree.fromstring(data)
    parents = [element for element in root.iter() if len(element)]
    parent = rng.choice(parents)
    i = rng.randrange(len(parent))
    what = rng.choice(("text", "text", "text", "delete", "again", "rename", "child", "deep", "attribute"))
    if what == "text":
        leaf = rng.choice([element for element in root.iter() if not len(element)] or [root])
        leaf.text = rng.choice(_TEXTS)
    elif what == "delete":
        parent.remove(parent[i])
    elif what == "again":
        parent.insert(i, parent[i])
    elif what == "rename":
        parent[i].tag = rng.choice(("a", "object", "name", "bndbox", "xmin", "size", "scene", "nobndbox"))
    elif what == "attribute":
        parent[i].set("a", rng.choice(_TEXTS))
    else:
        below = parent[i]
        for _ in range(1 if what == "child" else 500):
            below = ElementTree.SubElement(below, "object")
    text = ElementTree.tostring(root)
    if what == "deep":
        text = text.replace(b"</annotation>", b"<object>" * 20_000 + b"</object>" * 20_000 + b"</annotation>")
    return text, f"XML: {what}"
