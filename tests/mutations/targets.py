"""One target per format: a small whole example, the reader that takes it, and the files to break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import examples
import numpy as np

from imtext import runs
from imtext.data import images, load_dataset
from imtext.data.fetch import unpack
from imtext.data.pack import open_pack, write_pack
from imtext.files import told
from imtext.retrieval.embeddings import load_embeddings
from imtext.runs.listing import list_runs
from imtext.text.vectors import load_word_vectors
from imtext.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
        name: as a failure prints it.
        make: writes a whole example into an empty folder.
        load: reads it from that folder.
        breaks: patterns of the files to break, by turns.
        displaced: whether a file may also be missing, a folder or a link.
        writes: whether reading changes files.
    """

    name: str
    make: Callable[[Path], None]
    load: Callable[[Path], object]
    breaks: tuple[str, ...]
    displaced: bool = True
    writes: bool = False


def dataset(name: str, **options: object) -> Callable[[Path], object]:
    """A loader that accepts other counts than the published ones."""
    return lambda root: load_dataset(name, root, **options)


def _published(name: str, make: Callable[[Path], None], *breaks: str, reader: str = "") -> Target:
    return Target(name, make, dataset(reader or name, subset=True), breaks)


def _vectors(name: str, make: Callable[[Path], None], file: str, **options: object) -> Target:
    return Target(name, make, lambda root: load_word_vectors(root / file, **options), (file,))


def _run(root: Path) -> object:
    """Everything that a finished run gives, and the list that shows it."""
    for listed in list_runs(root, verify=True):
        assert listed["reason"].isprintable()
    run = runs.RunStore(root).get("instance", "row", examples.RUN)
    return run and (run.config, run.metrics, run.load_arrays("curves.npz"))


def _go_on(root: Path) -> object:
    """A run taken up again where its process was killed."""
    with runs.RunStore(root).open("instance", "row", examples.RUN) as run:
        if not run.finished:
            run.save_json("metrics.json", {"rsum": 1.0})
    return run.metrics


def _unpack(root: Path) -> object:
    """The members of an archive in a folder of their own; nothing may be written anywhere else."""
    archive, out = next(root.glob("data.*")), root / "out"
    with told(root):  # what a name too long for the disk becomes in `fetch`
        written = unpack(archive, out, ["*"])
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    assert found == set(written) and not any(path.is_symlink() for path in out.rglob("*"))
    assert {path.name for path in root.iterdir()} <= {archive.name, "out"}
    return written


def _pack(root: Path) -> object:
    """A pack with the first and the last of its rows."""
    whole = open_pack(root / "whole.safetensors")
    if whole.features is not None:
        whole.features[[0, whole.n_images - 1]]
    else:
        images.open_picture(whole, whole.n_images - 1)
    return whole


def _precomp(root: Path) -> object:
    whole = load_dataset("precomp", root, subset=True)
    assert np.isfinite(whole.features[[0, whole.n_images - 1]]).all()
    return whole


def _embeddings(name: str, make: Callable[[Path], None], file: str, breaks: str) -> Target:
    return Target(name, make, lambda root: load_embeddings(root / file), (breaks,))


def _picture(root: Path) -> object:
    """Every picture, small and whole."""
    for path in sorted(root.iterdir()):
        assert images.decode(path, 8).shape == (3, 8, 8)
        images.read_picture(path)
    return None


def _store(root: Path) -> object:
    """The pictures of a dataset as a store, which skips what it cannot decode."""
    whole = load_dataset("flickr8k", root, subset=True)
    packed = open_pack(write_pack(whole, root / "cache" / "x", 8, on_corrupt="skip", n_jobs=1))
    assert len(images.ImageStore.open(packed, 8, root / "cache")) == packed.n_images
    return packed


_own = dataset("own", subset=True)
TARGETS: tuple[Target, ...] = (
    _published("flickr8k", examples.flickr8k, "Flickr8k_text/*"),
    _published("flickr30k", examples.flickr30k, "results_20130124.token", "*.txt"),
    _published("karpathy", examples.karpathy, "dataset.json"),
    _published("coco", examples.coco, "annotations/*"),
    _published("coco, split file", examples.coco_split, "dataset_coco.json", "annotations/*", reader="coco"),
    _published("cuhk_pedes", examples.cuhk, "reid_raw.json"),
    Target(
        "picturebook",
        examples.picturebook,
        dataset("picturebook", train=2, val=1, test=2, size=64),
        ("*/scenes.jsonl", "*/scenes.jsonl", "*/dataset_picturebook.json", "*/picturebook.json"),
    ),
    Target(
        "pedestrians",
        examples.pedestrians,
        dataset("picturebook_pedestrians", train=2, val=1, test=2, size=64),
        ("*/pedestrians.jsonl", "*/pedestrians.jsonl", "*/reid_raw.json", "*/pedestrians.json"),
    ),
    _vectors("vectors, text", examples.vectors_text, "glove.txt"),
    _vectors("vectors, header", examples.vectors_header, "words.vec", only=examples.WORDS),
    _vectors("vectors, gzip", examples.vectors_gz, "words.txt.gz"),
    _vectors("vectors, zip", examples.vectors_zip, "glove.zip"),
    _vectors("vectors, binary", examples.vectors_binary, "words.bin"),
    Target(
        "vocabulary",
        examples.vocabulary,
        lambda root: Vocabulary.load(root / "vocabulary.json"),
        ("vocabulary.json",),
    ),
    _embeddings("embeddings, npz", examples.embeddings_npz, "whole.npz", "whole.npz"),
    _embeddings(
        "embeddings, safetens.", examples.embeddings_safetensors, "whole.safetensors", "whole.safetensors"
    ),
    _embeddings("embeddings, folder", examples.embeddings_folder, ".", "*.npy"),
    Target(
        "entities",
        examples.entities,
        dataset("flickr30k_entities", subset=True),
        ("Sentences/*", "Annotations/*", "Annotations/*", "*.txt", "UNRELATED_CAPTIONS"),
    ),
    Target("precomp", examples.precomp, _precomp, ("*_ims.npy", "*_ims.npy", "*_caps.txt", "*_ids.txt")),
    Target("own, csv", examples.own_csv, _own, ("captions.csv",)),
    Target("own, tsv", examples.own_tsv, _own, ("captions.tsv",)),
    Target("own, jsonl", examples.own_json_lines, _own, ("captions.jsonl",)),
    Target("own, json", examples.own_json, _own, ("captions.json",)),
    Target("pack", examples.pack, _pack, ("whole.safetensors",)),
    Target("pack, features", examples.pack_features, _pack, ("whole.safetensors",)),
    Target("archive, zip", examples.archive_zip, _unpack, ("data.zip",), False),
    Target("run", examples.run_folder, _run, ("instance/row-*/*",)),
    Target("run, broken off", examples.run_broken_off, _go_on, ("instance/row-*/*",), writes=True),
    Target("pictures", examples.pictures, _picture, ("a.jpg", "b.png", "*")),
    Target("picture store", examples.flickr8k, _store, ("Flicker8k_Dataset/*",)),
)
