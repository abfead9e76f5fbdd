"""One image with its captions, in the public formats: Karpathy's JSON entry and the Entities files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .draw import render
from .language import Writer
from .minimal_pairs import EVERY, pair_of, scene_of
from .phrases import Pieces, entities_text, plain_text
from .scene import rng_for

SPLIT_NUMBER = {"train": 1, "val": 2, "test": 3}
JPEG = {"quality": 92, "subsampling": 0}


def chain_offset(split: str, index: int) -> int:
    """What is added to the chain ids of an image so that they are unique in the dataset.

    >>> chain_offset("train", 0), chain_offset("test", 7)
    (10000000, 30000700)
    """
    return SPLIT_NUMBER[split] * 10_000_000 + index * 100


def describe(seed: int, split: str, index: int) -> tuple[dict[str, Any], list[Pieces]]:
    """The scene of an image and its five captions."""
    scene, difference = scene_of(seed, split, index)
    return scene, Writer(scene, rng_for(seed, split, index, "words"), difference).captions()


def write_image(root: Path, seed: int, split: str, index: int, size: int, pairs_below: int) -> dict[str, Any]:
    """Draw and write one image; returns its entry, scene and pair for the files that hold all images.

    Args:
        root: folder with `images`, `Sentences` and `Annotations`.
        pairs_below: number of test images; a pair counts only if both its members are among them.
    """
    scene, captions = describe(seed, split, index)
    image, boxes = render(scene, size)
    name, offset = scene["id"], chain_offset(split, index)
    image.save(root / "images" / f"{name}.jpg", **JPEG)
    sentences = [entities_text(pieces, offset) for pieces in captions]
    (root / "Sentences" / f"{name}.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    (root / "Annotations" / f"{name}.xml").write_text(
        annotation(name, size, boxes, captions, offset), encoding="utf-8"
    )
    scene["chain_offset"] = offset
    scene["boxes"] = {str(chain): found for chain, found in sorted(boxes.items())}
    scene["phrases"] = spans(captions)
    pair = None
    if split == "test" and index % EVERY <= 1 and index - index % EVERY + 1 < pairs_below:
        pair = pair_of(seed, index - index % EVERY)
        scene["pair"] = pair
    raw = [plain_text(pieces) for pieces in captions]
    return {
        "scene": scene,
        "pair": pair if index % EVERY == 0 else None,
        "raw": raw,
        "split": split,
        "name": name,
    }


def spans(captions: list[Pieces]) -> list[list[Any]]:
    """The phrases of all captions: `[caption, first word, one past the last, chain, type]`."""
    out = []
    for k, pieces in enumerate(captions):
        at = 0
        for piece in pieces:
            n = len(piece.text.split())
            if piece.chain:
                out.append([k, at, at + n, piece.chain, piece.type])
            at += n
    return out


def annotation(
    name: str, size: int, boxes: dict[int, list[list[int]]], captions: list[Pieces], offset: int
) -> str:
    """The XML of Flickr30k Entities: every chain that is mentioned, boxes counted from 1, ends included."""
    mentioned = {p.chain: p.type for pieces in captions for p in pieces if p.chain}
    lines = [
        "<annotation>",
        f"  <filename>{name}.jpg</filename>",
        f"  <size><width>{size}</width><height>{size}</height><depth>3</depth></size>",
    ]
    for chain, kind in sorted(mentioned.items()):
        found = boxes.get(chain, [])
        for x0, y0, x1, y1 in found:
            lines.append(
                f"  <object><name>{chain + offset}</name><bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin>"
                f"<xmax>{x1 + 1}</xmax><ymax>{y1 + 1}</ymax></bndbox></object>"
            )
        if not found:
            scene = int(kind == "scene")
            lines.append(
                f"  <object><name>{chain + offset}</name><scene>{scene}</scene>"
                f"<nobndbox>{1 - scene}</nobndbox></object>"
            )
    return "\n".join([*lines, "</annotation>"]) + "\n"


def entry(number: int, row: dict[str, Any]) -> dict[str, Any]:
    """The entry of an image in Karpathy's JSON; sentence ids follow from the number of the image."""
    ids = [number * 5 + k for k in range(len(row["raw"]))]
    sentences = [
        {"tokens": raw.lower().rstrip(".").split(), "raw": raw, "imgid": number, "sentid": sentid}
        for raw, sentid in zip(row["raw"], ids, strict=True)
    ]
    return {
        "imgid": number,
        "sentids": ids,
        "sentences": sentences,
        "split": row["split"],
        "filename": f"{row['name']}.jpg",
    }
