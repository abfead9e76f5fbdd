"""Small, whole examples of every format, six images each: what the mutations begin with."""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from imtext.data import load_dataset
from imtext.data.pack import write_pack
from imtext.runs import RunStore
from imtext.text.vocabulary import Vocabulary

NAMES = ("a", "b", "c", "d", "e", "f")
SPLIT = dict(zip(NAMES, ("train", "train", "train", "val", "test", "test"), strict=True))
CAPTIONS = {
    name: (f"A dog number {i} runs on grass .", f'The caf\u00e9 "{name}" is {i} , open')
    for i, name in enumerate(NAMES)
}


def write(root: Path, name: str, text: str) -> None:
    """A UTF-8 file, its folder made where absent."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


def photos(root: Path, *names: str, ending: str = ".jpg") -> None:
    """Small images, each of another colour."""
    for i, name in enumerate(names):
        path = root / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (12, 8), (40 * i, 90, 200 - 30 * i)).save(path)


def _tokens() -> str:
    return "".join(f"{name}.jpg#{k}\t{text}\n" for name in NAMES for k, text in enumerate(CAPTIONS[name]))


def flickr8k(root: Path) -> None:
    photos(root / "Flicker8k_Dataset", *NAMES)
    write(root, "Flickr8k_text/Flickr8k.token.txt", _tokens())
    for split, file in (("train", "train"), ("val", "dev"), ("test", "test")):
        names = [f"{name}.jpg\n" for name in NAMES if SPLIT[name] == split]
        write(root, f"Flickr8k_text/Flickr_8k.{file}Images.txt", "".join(names))


def flickr30k(root: Path) -> None:
    photos(root / "flickr30k-images", *NAMES)
    write(root, "results_20130124.token", _tokens())
    for split in ("train", "val", "test"):
        write(root, f"{split}.txt", "".join(f"{name}\n" for name in NAMES if SPLIT[name] == split))


def _karpathy(**more: object) -> dict:
    images = []
    for i, name in enumerate(NAMES):
        said = [
            {"raw": text, "tokens": text.split(), "imgid": i, "sentid": 2 * i + k}
            for k, text in enumerate(CAPTIONS[name])
        ]
        entry = {"imgid": i, "sentids": [2 * i, 2 * i + 1], "sentences": said, "filename": f"{name}.jpg"}
        images.append({**entry, "split": SPLIT[name], **{k: v(i) for k, v in more.items()}})
    return {"dataset": "mine", "images": images}


def karpathy(root: Path) -> None:
    photos(root / "images", *NAMES)
    content = _karpathy()
    del content["images"][1]["sentences"][0]["raw"]
    write(root, "dataset.json", json.dumps(content))


def coco(root: Path) -> None:
    number = 0
    for split, names in (("train", NAMES[:3]), ("val", NAMES[3:])):
        photos(root / f"{split}2014", *names)
        images, annotations = [], []
        for name in names:
            i = NAMES.index(name)
            images.append({"id": i + 1, "file_name": f"{name}.jpg", "height": 8, "width": 12})
            for text in CAPTIONS[name]:
                number += 1
                annotations.append({"image_id": i + 1, "id": number, "caption": text})
        content = {"info": {}, "images": images, "licenses": [], "annotations": annotations}
        write(root, f"annotations/captions_{split}2014.json", json.dumps(content))


def coco_split(root: Path) -> None:
    coco(root)
    folder = lambda i: "train2014" if i < 3 else "val2014"  # noqa: E731
    write(root, "dataset_coco.json", json.dumps(_karpathy(cocoid=lambda i: i + 1, filepath=folder)))


def cuhk(root: Path) -> None:
    entries = []
    for i, name in enumerate(NAMES):
        photos(root / "imgs" / "CUHK01", name, ending=".png")
        texts = list(CAPTIONS[name])
        entry = {"split": SPLIT[name], "captions": texts, "file_path": f"CUHK01/{name}.png"}
        entries.append(
            {**entry, "processed_tokens": [text.split() for text in texts], "id": 7 + i - i % 2 * (i < 3)}
        )
    del entries[0]["captions"]
    write(root, "reid_raw.json", json.dumps(entries))


def picturebook(root: Path) -> None:
    load_dataset("picturebook", root, train=2, val=1, test=2, size=64)


def pedestrians(root: Path) -> None:
    load_dataset("picturebook_pedestrians", root, train=2, val=1, test=2, size=64)


WORDS = ("dog", "caf\u00e9", "grass", "runs", "on", "Dog")


def _vector_lines(header: bool) -> str:
    rows = [
        f"{word} " + " ".join(f"{(i * 7 + k) % 5 - 2.5:.3f}" for k in range(4))
        for i, word in enumerate(WORDS)
    ]
    return "\n".join(([f"{len(WORDS)} 4"] if header else []) + rows) + "\n"


def vectors_text(root: Path) -> None:
    write(root, "glove.txt", _vector_lines(False))


def vectors_header(root: Path) -> None:
    write(root, "words.vec", _vector_lines(True))


def vectors_gz(root: Path) -> None:
    (root / "words.txt.gz").write_bytes(gzip.compress(_vector_lines(True).encode()))


def vectors_zip(root: Path) -> None:
    with zipfile.ZipFile(root / "glove.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("glove.6B.4d.txt", _vector_lines(False))
        archive.writestr("readme.md", "about")


def vectors_binary(root: Path) -> None:
    rows = [word.encode() + b" " + struct.pack("<4f", i, 0.5, -1, 2) for i, word in enumerate(WORDS)]
    (root / "words.bin").write_bytes(f"{len(WORDS)} 4\n".encode() + b"".join(rows))


def vocabulary(root: Path) -> None:
    Vocabulary(WORDS).save(root / "vocabulary.json")


RUN = {"study": "instance_loss", "seed": 0, "recipe": {"epochs": 3, "lr": 0.1}}


def run_folder(root: Path) -> None:
    with RunStore(root).open("instance", "row", RUN) as run:
        run.save_json("metrics.json", {"test": {"R@1": 50.0, "R@5": 75.0, "median": None}})
        run.save_json("provenance.json", {"seconds": 7.5, "when": "2025-11-22", "profile": "smoke"})
        run.save_arrays("curves.npz", loss=np.arange(5.0), epoch=np.arange(5))


def run_broken_off(root: Path) -> None:
    """A run whose process was killed before the last step."""
    run_folder(root)
    folder = next(root.glob("instance/row-*[0-9a-f]"))
    folder.rename(folder.with_name(folder.name + ".partial"))


def entities(root: Path) -> None:
    """Three kinds of annotation in turn: a box, a scene, a chain without a box."""
    photos(root / "flickr30k-images", *NAMES)
    for i, name in enumerate(NAMES):
        lines = [
            f"[/EN#{i + 1}/animals A dog] runs on [/EN#0/notvisual grass] number {k} ." for k in range(4)
        ] + [f"Two [/EN#{i + 1}/animals/people small dogs] at [/EN#{i + 9}/scene a park] ."]
        write(root, f"Sentences/{name}.txt", "\n".join(lines) + "\n")
        box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>7</xmax><ymax>8</ymax></bndbox>"
        odd = ("<scene>1</scene>", "<nobndbox>1</nobndbox>")[i % 2]
        write(
            root,
            f"Annotations/{name}.xml",
            f"<annotation><filename>{name}.jpg</filename><size><width>12</width><height>8</height>"
            f"<depth>3</depth></size><object><name>{i + 1}</name><name>{i + 20}</name>{box}</object>"
            f"<object><name>{i + 9}</name>{odd}</object></annotation>\n",
        )
    for split in ("train", "val", "test"):
        write(root, f"{split}.txt", "".join(f"{name}\n" for name in NAMES if SPLIT[name] == split))
    write(root, "UNRELATED_CAPTIONS", "a\t3\n")


def precomp(root: Path) -> None:
    """Regions for train, one id a caption; dev without ids; a test with the rows of each image repeated."""
    rng = np.random.default_rng(0)
    root.mkdir(exist_ok=True)
    for stem, images, each, repeat in (("train", 3, 2, 1), ("dev", 1, 5, 1), ("test", 2, 5, 5)):
        rows = np.repeat(rng.normal(size=(images, 2, 3)).astype(np.float32), repeat, axis=0)
        np.save(root / f"{stem}_ims.npy", rows)
        count = images * each
        write(root, f"{stem}_caps.txt", "".join(f"A dog , caf\u00e9 {k} .\n" for k in range(count)))
        if stem == "train":
            write(root, f"{stem}_ids.txt", "".join(f"{100 + k // each}\n" for k in range(count)))


def _own_rows() -> list[dict[str, str]]:
    return [
        {"image": f"{name}.jpg", "caption": text, "split": SPLIT[name], "group": f"g{NAMES.index(name)}"}
        for name in NAMES
        for text in CAPTIONS[name]
    ]


def own_csv(root: Path) -> None:
    photos(root / "images", *NAMES)
    rows = [",".join(_own_rows()[0])]
    for row in _own_rows():
        rows.append(",".join('"' + value.replace('"', '""') + '"' for value in row.values()))
    write(root, "captions.csv", "\n".join(rows) + "\n")


def own_tsv(root: Path) -> None:
    photos(root / "images", *NAMES)
    rows = ["\t".join(_own_rows()[0]), *("\t".join(row.values()) for row in _own_rows())]
    write(root, "captions.tsv", "\n".join(rows) + "\n")


def own_json_lines(root: Path) -> None:
    photos(root / "images", *NAMES)
    write(root, "captions.jsonl", "".join(json.dumps(row) + "\n" for row in _own_rows()))


def own_json(root: Path) -> None:
    photos(root / "images", *NAMES)
    rows = [{"image": f"{n}.jpg", "captions": list(CAPTIONS[n]), "split": SPLIT[n]} for n in NAMES]
    write(root, "captions.json", json.dumps(rows))


def pack(root: Path) -> None:
    """Pictures with boxes and phrases, packed."""
    entities(root / "source")
    whole = load_dataset("flickr30k_entities", root / "source", subset=True)
    write_pack(whole, root / "whole.safetensors", size=8, n_jobs=1)
    shutil.rmtree(root / "source")


def pack_features(root: Path) -> None:
    precomp(root / "source")
    whole = load_dataset("precomp", root / "source", subset=True)
    write_pack(whole, root / "whole.safetensors", n_jobs=1)
    shutil.rmtree(root / "source")


def archive_zip(root: Path) -> None:
    with zipfile.ZipFile(root / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in NAMES:
            archive.writestr(f"text/{name}.txt", f"{name}.jpg#0\tA dog .\n" * 20)


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images, captions = (rng.normal(size=(n, 4)).astype(np.float32) for n in (6, 12))
    return {"images": images, "captions": captions, "image_of_caption": np.arange(12) // 2}


def embeddings_npz(root: Path) -> None:
    np.savez(root / "whole.npz", **_arrays())


def embeddings_safetensors(root: Path) -> None:
    save_file(_arrays(), root / "whole.safetensors")


def embeddings_folder(root: Path) -> None:
    for name, array in _arrays().items():
        np.save(root / f"{name}.npy", array)


def pictures(root: Path) -> None:
    photos(root, "a", ending=".jpg")
    photos(root, "b", ending=".png")
    Image.new("P", (12, 8)).save(root / "c.gif")
    Image.new("RGBA", (12, 8)).save(root / "d.webp")
    Image.new("L", (12, 8)).save(root / "e.bmp")
    Image.new("RGB", (12, 8)).save(root / "f.tif", compression="tiff_lzw")
