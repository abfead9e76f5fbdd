"""The pictures of book/datasets/picturebook.md: ``python book/sheets.py [FOLDER]``, else book/images."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from imtext.picturebook import describe, describe_person, plain_text, portrait, render, roster, views
from imtext.picturebook.draw.pedestrians import width_of
from imtext.picturebook.pairs import scene_of
from imtext.picturebook.scenes import Sampler, Scene, layout, sample_scene
from imtext.picturebook.words import WORDS, gerund, third
from imtext.picturebook.world import KINDS, PEOPLE, SETTINGS

INK, PAPER, SOFT = (44, 48, 58), (252, 251, 248), (120, 124, 134)
MARKS = ((214, 94, 0), (0, 114, 178), (0, 140, 105), (190, 90, 150), (120, 94, 200), (150, 120, 0))
HOMES = {
    "boat": "lake",
    "sled": "snow",
    "snowman": "snow",
    "sandcastle": "beach",
    "surfboard": "beach",
    "barbell": "gym",
    "sofa": "living room",
    "lamp": "living room",
    "television": "living room",
    "plant": "living room",
    "table": "kitchen",
    "cake": "kitchen",
    "chair": "kitchen",
    "drum": "gym",
    "guitar": "living room",
    "car": "street",
    "bus": "street",
    "truck": "street",
    "hydrant": "street",
    "mailbox": "street",
    "sign": "street",
    "suitcase": "street",
    "tractor": "field",
    "cow": "field",
    "horse": "field",
    "sheep": "field",
    "pig": "field",
    "elephant": "desert",
    "campfire": "forest",
    "tent": "forest",
    "bucket": "beach",
    "box": "snow",
    "bench": "park",
    "scooter": "street",
}


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow carries."""
    return ImageFont.load_default(size)


def staged(
    setting: str, sky: str, *units: tuple[str, dict[str, Any]], seed: int = 0, deed: str | None = None
) -> Scene:
    """A scene made to order: leads with the fields that matter; `deed` links the first two things."""
    sampler = Sampler(random.Random(seed))
    scene: Scene = {
        "id": "staged",
        "setting": setting,
        "indoor": SETTINGS[setting].indoor,
        "sky": sky,
        "features": [],
    }
    for name, fields in units:
        thing = sampler.thing(name, most=1)
        if "clothes" in fields:
            fields = dict(fields)
            for garment, colour in zip(thing["clothes"], fields.pop("clothes"), strict=False):
                garment["colour"] = colour
        thing.update({"size": "medium", "pattern": "plain", **fields})
        if name in PEOPLE:
            thing["clothes"] = thing["clothes"][:2]
            thing.pop("extras", None)
    things = sampler.things
    groups = [[t["id"]] for t in things] if deed is None else [[t["id"] for t in things[:2]]]
    deeds = (
        [] if deed is None else [{"subject": things[0]["id"], "predicate": deed, "object": things[1]["id"]}]
    )
    planes = [u[1].get("plane", "front") for u in units]
    scene.update(
        units=[{"things": g, "plane": p} for g, p in zip(groups, planes, strict=False)],
        things=things,
        deeds=deeds,
        lead=things[0]["id"],
        layout_seed=seed,
        draw_seed=seed + 7,
    )
    layout(scene)
    return scene


def grid(tiles: Sequence[tuple[str, Image.Image]], columns: int, text: int = 13) -> Image.Image:
    """Pictures in rows with a line of text under each."""
    side = tiles[0][1].size[0]
    wide, high, gap = side, side + text + 9, 8
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (wide + gap) + gap, rows * (high + gap) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    for k, (label, picture) in enumerate(tiles):
        x, y = gap + k % columns * (wide + gap), gap + k // columns * (high + gap)
        sheet.paste(picture, (x, y))
        pen.text((x + side / 2, y + side + 3), label, fill=INK, font=font(text), anchor="ma")
    return sheet


def settings_sheet(size: int = 176) -> Image.Image:
    """One scene of each setting."""
    tiles = []
    for name in SETTINGS:
        wanted = (sample_scene(3, "train", i) for i in range(10_000))
        scene = next(
            s
            for s in wanted
            if s["setting"] == name
            and len(s["units"]) > 1
            and s["features"]
            and any(t["type"] == "people" for t in s["things"])
            and s["sky"] != "cloudy"
        )
        tiles.append((name, render(scene, size)[0]))
    return grid(tiles, 4)


def things_sheet(size: int = 100) -> Image.Image:
    """One of each kind of thing."""
    tiles = []
    for k, name in enumerate(KINDS):
        setting = HOMES.get(name, "park")
        scene = staged(
            setting, "indoor" if SETTINGS[setting].indoor else "sunny", (name, {"facing": 1}), seed=k + 5
        )
        tiles.append((name, render(scene, size)[0]))
    return grid(tiles, 10, 12)


def _dogs() -> list[tuple[str, Scene]]:
    """Colours, a pattern, counts and an action, on a dog."""

    def dog(**fields: Any) -> Scene:
        usual = {"facing": 1, "action": "standing", "colour": "brown", "pattern": "plain"}
        return staged("park", "sunny", ("dog", {**usual, **fields}), seed=4)

    rows = [(f"{colour} dog", dog(colour=colour)) for colour in ("black", "gray", "tan", "white")]
    rows.append(("spotted dog", dog(colour="white", pattern="spotted")))
    rows += [
        (f"{word} dog" + "s" * (n > 1), dog(count=n))
        for n, word in enumerate(("one", "two", "three", "four"), 1)
    ]
    return [*rows, ("sitting dog", dog(action="sitting"))]


def _relations() -> list[tuple[str, Scene]]:
    """Colours of a held thing, and relations."""
    girl = ("girl", {"facing": 1, "clothes": ("white", "blue")})
    rows = [
        (f"{c} umbrella", staged("beach", "sunny", girl, ("umbrella", {"colour": c}), seed=9, deed="holding"))
        for c in ("red", "orange", "yellow", "green", "blue")
    ]
    man = ("man", {"facing": 1, "action": "standing", "clothes": ("red", "blue")})
    far_man = ("man", {**man[1], "plane": "back"})
    dog = ("dog", {"colour": "black", "action": "walking"})
    cat = ("cat", {"action": "sitting", "colour": "orange"})
    car = ("car", {"colour": "blue"})
    return rows + [
        (
            "riding a horse",
            staged("field", "sunny", man, ("horse", {"colour": "brown"}), seed=2, deed="riding"),
        ),
        ("leading a dog", staged("field", "sunny", man, dog, seed=2, deed="leading")),
        ("on a bench", staged("park", "sunny", cat, ("bench", {}), seed=2, deed="on")),
        ("left of a car", staged("street", "sunny", man, car, seed=2)),
        ("behind a car", staged("street", "sunny", car, far_man, seed=2)),
    ]


def attributes_sheet(size: int = 120) -> Image.Image:
    """Colours, counts, relations and actions."""
    boy = {"facing": 1, "clothes": ("green", "black")}
    actions = [
        (action, staged("gym", "indoor", ("boy", {**boy, "action": action}), seed=11))
        for action in ("running", "jumping", "waving", "dancing", "sitting")
    ]
    rows = [*_dogs(), *_relations(), *actions]
    return grid([(label, render(scene, size)[0]) for label, scene in rows], 5)


def _telling(captions: list[Any], difference: dict[str, Any], second: bool) -> str:
    """The shortest caption that says what sets the image apart, else the one of middling length."""
    value = difference["to" if second else "from"]
    if difference["kind"] == "relation":
        words = sum((WORDS.spatial[r] for r in WORDS.spatial if r != "next to" or value == "next to"), ())
    elif difference["field"] == "count":
        words = WORDS.count.get(str(value), ("a", "one"))
    elif difference["field"] == "action":
        words = tuple(v for lemma in WORDS.verbs[value] for v in (third(lemma), gerund(lemma), lemma))
    else:
        words = WORDS.colour.get(value, (str(value),))
    texts = [plain_text(caption) for caption in captions]
    said = [t for t in texts if any(f" {w} " in f" {t.lower().rstrip('.')} " for w in words)]
    return min(said or texts, key=lambda t: abs(len(t.split()) - 9))


def wrap(text: str, width: int, size: int) -> list[str]:
    """The lines of a text that fit into `width` pixels."""
    lines, line = [], ""
    for word in text.split():
        if font(size).getlength(f"{line} {word}") > width and line:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]


def pairs_sheet(size: int = 144) -> Image.Image:
    """Six minimal pairs, each with the caption that tells its members apart."""
    wanted = ["clothes", "colour", "count", "left of", "behind", "action"]
    chosen = []
    for field in wanted:
        index = next(
            i
            for i in range(0, 10_000, 10)
            if scene_of(1, "test", i)[1]["field"] == field
            and len(scene_of(1, "test", i)[0]["units"]) > 1 - (field == "left of")
        )
        chosen.append((field, index))
    block, gap = 2 * size + 6, 14
    sheet = Image.new("RGB", (2 * block + 3 * gap, 3 * (size + 74) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    for k, (field, index) in enumerate(chosen):
        x, y = gap + k % 2 * (block + gap), gap + k // 2 * (size + 74)
        for m in (0, 1):
            scene, captions = describe(1, "test", index + m)
            left = x + m * (size + 6)
            sheet.paste(render(scene, size)[0], (left, y))
            best = _telling(captions, scene_of(1, "test", index)[1], bool(m))
            for n, line in enumerate(wrap(best, size, 11)[:4]):
                pen.text((left + 1, y + size + 15 + n * 13), line, fill=INK, font=font(11))
        pen.text((x, y + size + 2), field, fill=SOFT, font=font(11))
    return sheet


def boxes_sheet(size: int = 208) -> Image.Image:
    """Four images with the boxes of what their captions mention, phrase and box in one colour."""
    gap, text = 14, 11
    sheet = Image.new("RGB", (2 * (2 * size + gap) + gap, 2 * (size + gap) + gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    wanted = (
        i
        for i in range(4000)
        if len(sample_scene(2, "train", i)["units"]) == 2
        and sample_scene(2, "train", i)["deeds"]
        and sample_scene(2, "train", i)["features"]
    )
    for k, index in zip(range(4), wanted, strict=False):
        scene, captions = describe(2, "train", index)
        picture, boxes = render(scene, size)
        chains = sorted({p.chain for c in captions for p in c if p.chain in boxes})
        mark = {chain: MARKS[n % len(MARKS)] for n, chain in enumerate(chains)}
        frame = ImageDraw.Draw(picture)
        for chain in chains:
            for box in boxes[chain]:
                frame.rectangle(box, outline=mark[chain], width=2)
        x, y = gap + k % 2 * (2 * size + gap), gap + k // 2 * (size + gap)
        sheet.paste(picture, (x, y))
        row = y
        for caption in captions:
            at = x + size + 8
            for piece in caption:
                for word in piece.text.split():
                    wide = font(text).getlength(word + " ")
                    if at + wide > x + 2 * size:
                        at, row = x + size + 8, row + text + 3
                    pen.text(
                        (at, row),
                        word,
                        fill=mark.get(piece.chain, SOFT if piece.chain else INK),
                        font=font(text),
                    )
                    if piece.chain in mark:
                        pen.line((at, row + text + 2, at + wide - 4, row + text + 2), fill=mark[piece.chain])
                    at += wide
            row += text + 7
    return sheet


def pedestrians_sheet(size: int = 200, persons: int = 6, pictures: int = 3) -> Image.Image:
    """Six people with three pictures each, two to a row, and a description of each."""
    seed, split = 1, "test"
    gap, text, wide = 14, 12, width_of(size)
    block = pictures * (wide + 4) + 150
    chosen = []
    for index, person in enumerate(roster(seed, split, 12 * persons)):
        shown = views(seed, split, index, person)
        if len(shown) >= pictures and len(chosen) < persons:
            chosen.append((index, person, shown[:pictures]))
    rows = -(-len(chosen) // 2)
    image = Image.new("RGB", (2 * (block + gap) + gap, rows * (size + gap) + gap), PAPER)
    pen = ImageDraw.Draw(image)
    for k, (index, person, shown) in enumerate(chosen):
        x, y = gap + k % 2 * (block + gap), gap + k // 2 * (size + gap)
        for n, view in enumerate(shown):
            image.paste(portrait(person, view, size), (x + n * (wide + 4), y))
        left = x + pictures * (wide + 4) + 6
        said = max((d[0] for d in describe_person(seed, split, index, 1, person, shown[0])), key=len)
        for n, line in enumerate(wrap(said, block - pictures * (wide + 4) - 8, text)):
            pen.text((left, y + n * (text + 4)), line, fill=INK, font=font(text))
    return image


SHEETS = {
    "picturebook_settings": settings_sheet,
    "picturebook_things": things_sheet,
    "picturebook_attributes": attributes_sheet,
    "picturebook_pairs": pairs_sheet,
    "picturebook_boxes": boxes_sheet,
    "pedestrians": pedestrians_sheet,
}


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG with 256 colours."""
    palette = sheet.quantize(255, method=Image.Quantize.MEDIANCUT, kmeans=2)
    small = sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(path, format="PNG", optimize=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "images"
    for name, make in SHEETS.items():
        save_sheet(make(), folder / f"{name}.png")
