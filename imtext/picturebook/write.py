"""The dataset on disk: scenes in Karpathy's form, pedestrians in that of CUHK-PEDES."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from .captions import SPLITS, describe
from .descriptions import describe_person
from .draw import portrait, render
from .pairs import EVERY, pair_of
from .persons import Person, hidden, roster, views
from .pieces import Pieces, entities_text, plain_text, spans

# Each raised whenever what is drawn or said changes.
VERSIONS = {"scenes": 3, "pedestrians": 2}
STAMPS = {"scenes": "picturebook.json", "pedestrians": "pedestrians.json"}
UNITS = {"scenes": "groups", "pedestrians": "persons"}
JPEG = {"quality": 92, "subsampling": 0}
Each = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[Any]]


def _stamp(part: str, counts: Mapping[str, int], size: int, seed: int) -> dict[str, Any]:
    """What the stamp of a folder holds, but for the number of its images."""
    return {"version": VERSIONS[part], "size": size, "seed": seed, UNITS[part]: dict(counts)}


def whats_wrong(
    folder: str | os.PathLike[str], part: str, counts: Mapping[str, int], size: int, seed: int
) -> str:
    """What is wrong with a folder that should be as :func:`generate` leaves it; nothing where it is whole.

    >>> whats_wrong("no/such/folder", "scenes", {"train": 5}, 128, 0)[:32]
    'no/such/folder/picturebook.json:'
    """
    path, expected = Path(folder) / STAMPS[part], _stamp(part, counts, size, seed)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        there = {key: found.get(key) for key in expected}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        return f"{path}: expected the parameters of what is here, found {error}"
    wrong = [f"{key} {expected[key]}, found {there[key]}" for key in expected if there[key] != expected[key]]
    count = sum(name.endswith(".jpg") for *_, names in os.walk(folder) for name in names)
    if found.get("images") != count:
        wrong.append(f"{found.get('images')} images, found {count}")
    return f"{path}: expected {wrong[0]}" if wrong else ""


def generate(
    folder: str | os.PathLike[str],
    part: str,
    counts: Mapping[str, int],
    size: int = 128,
    seed: int = 0,
    entities: bool = False,
    each: Each = map,
) -> Path:
    """Draw ``scenes`` or ``pedestrians`` into an empty folder, its stamp last; returns the folder.

    Image or person ``i`` of a split depends on ``(seed, split, i)`` alone: a smaller training set is the
    beginning of a larger one. Scenes are written as ``dataset_picturebook.json`` (Karpathy's form) with
    ``images/`` and ``scenes.jsonl``; pedestrians as ``reid_raw.json`` (CUHK-PEDES) with ``imgs/`` and
    ``pedestrians.jsonl``, which holds the attributes behind each picture.

    Args:
        counts: scenes, or persons of two to four pictures each, of ``train``, ``val`` and ``test``.
        size: side of a scene or height of a pedestrian, 64 to 256 pixels.
        entities: also write scenes in the form of Flickr30k Entities, two files an image.
        each: applies a function to many jobs and gives the results in order; ``map``, or several processes.

    Raises:
        ValueError: the folder holds something.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(f"{folder}: expected an empty folder")
    if part == "scenes":
        images = _write_scenes(folder, counts, size, seed, entities, each)
    else:
        images = _write_pedestrians(folder, counts, size, seed, each)
    stamp = {**_stamp(part, counts, size, seed), "images": images}
    (folder / STAMPS[part]).write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    return folder


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


# -- scenes -------------------------------------------------------------------------------------------


def chain_offset(split: str, index: int) -> int:
    """What is added to the chain ids of an image so that they are unique in the dataset.

    >>> chain_offset("train", 0), chain_offset("test", 7)
    (10000000, 30000700)
    """
    return (SPLITS.index(split) + 1) * 10_000_000 + index * 100


def _write_scenes(
    folder: Path, counts: Mapping[str, int], size: int, seed: int, entities: bool, each: Each
) -> int:
    for name in ("images", *(("Sentences", "Annotations") if entities else ())):
        (folder / name).mkdir()
    jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
    if entities:
        for split in SPLITS:
            names = [f"{split}_{index:05d}\n" for index in range(counts[split])]
            (folder / f"{split}.txt").write_text("".join(names), encoding="utf-8")
    draw = partial(_write_scene, folder, size, seed, counts["test"], entities)
    with (
        (folder / "scenes.jsonl").open("w", encoding="utf-8") as scenes,
        (folder / "dataset_picturebook.json").open("w", encoding="utf-8") as dataset,
    ):
        dataset.write('{"dataset": "picturebook", "images": [\n')
        for number, ((split, _), (scene, raw)) in enumerate(zip(jobs, each(draw, jobs), strict=True)):
            scenes.write(_line(scene))
            dataset.write((",\n" if number else "") + json.dumps(_entry(number, scene["id"], split, raw)))
        dataset.write("\n]}\n")
    return len(jobs)


def _write_scene(
    folder: Path, size: int, seed: int, tests: int, entities: bool, job: tuple[str, int]
) -> tuple[dict[str, Any], list[str]]:
    """Draw one image; returns its scene with boxes, phrases and pair, and its captions.

    A pair counts only if both its members are among the ``tests`` images of the test split.
    """
    split, index = job
    scene, captions = describe(seed, split, index)
    image, boxes = render(scene, size)
    name, offset = scene["id"], chain_offset(split, index)
    image.save(folder / "images" / f"{name}.jpg", **JPEG)
    if entities:
        text = "\n".join(entities_text(pieces, offset) for pieces in captions) + "\n"
        (folder / "Sentences" / f"{name}.txt").write_text(text, encoding="utf-8")
        text = annotation(name, size, boxes, captions, offset)
        (folder / "Annotations" / f"{name}.xml").write_text(text, encoding="utf-8")
    scene["chain_offset"] = offset
    scene["boxes"] = {str(chain): found for chain, found in sorted(boxes.items())}
    scene["phrases"] = spans(captions)
    if split == "test" and index % EVERY <= 1 and index - index % EVERY + 1 < tests:
        scene["pair"] = pair_of(seed, index - index % EVERY)
    return scene, [plain_text(pieces) for pieces in captions]


def _entry(number: int, name: str, split: str, captions: list[str]) -> dict[str, Any]:
    """An image in Karpathy's JSON; the ids of sentences follow from the number of the image."""
    ids = [number * len(captions) + k for k in range(len(captions))]
    sentences = [
        {"tokens": raw.lower().rstrip(".").split(), "raw": raw, "imgid": number, "sentid": sentid}
        for raw, sentid in zip(captions, ids, strict=True)
    ]
    about = {"imgid": number, "sentids": ids, "sentences": sentences}
    return {**about, "split": split, "filename": f"{name}.jpg"}


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


# -- pedestrians --------------------------------------------------------------------------------------


def tokens(caption: str) -> list[str]:
    """The words of a description as ``processed_tokens`` holds them.

    >>> tokens("A man wears a T-shirt. He walks.")
    ['a', 'man', 'wears', 'a', 't-shirt', 'he', 'walks']
    """
    return re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", caption.lower())


def _write_pedestrians(folder: Path, counts: Mapping[str, int], size: int, seed: int, each: Each) -> int:
    jobs = []
    for split in SPLITS:
        (folder / "imgs" / split).mkdir(parents=True)
        jobs += [(split, index, person) for index, person in enumerate(roster(seed, split, counts[split]))]
    entries = []
    with (folder / "pedestrians.jsonl").open("w", encoding="utf-8") as scenes:
        rows = each(partial(_write_person, folder, size, seed), jobs)
        for number, pictures in enumerate(rows, 1):
            for scene, captions in pictures:
                scenes.write(_line({"id": number, **scene}))
                said = {"captions": captions, "processed_tokens": [tokens(caption) for caption in captions]}
                entry = {"split": scene["split"], "file_path": scene["file"], **said, "id": number}
                entries.append(json.dumps(entry))
    (folder / "reid_raw.json").write_text("[\n" + ",\n".join(entries) + "\n]\n", encoding="utf-8")
    return len(entries)


def _write_person(
    folder: Path, size: int, seed: int, job: tuple[str, int, Person]
) -> list[tuple[dict[str, Any], list[str]]]:
    """Draw all pictures of a person; returns for each what is known of it, and its descriptions."""
    split, index, person = job
    rows = []
    for number, view in enumerate(views(seed, split, index, person), 1):
        name = f"{split}/{index:05d}_{number}.jpg"
        portrait(person, view, size).save(folder / "imgs" / name, **JPEG)
        said = describe_person(seed, split, index, number, person, view)
        scene = {
            "file": name,
            "split": split,
            "index": index,
            "person": person,
            "view": {key: view[key] for key in ("view", "action", "place", "sky", "light", "arms")},
            "hidden": sorted(hidden(person, view)),
            "named": [facts for _, facts in said],
        }
        rows.append((scene, [caption for caption, _ in said]))
    return rows
