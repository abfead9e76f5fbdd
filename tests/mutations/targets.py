"""One target per format: a small whole example, the reader that takes it, and the files to break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import examples
import numpy as np


@dataclass(frozen=True)
class Target:
    """A format.

    Attributes:
        name: as the report prints it.
        needs: module of the reader; where it is absent the format is left out.
        make: writes a whole example into an empty folder.
        load: reads it from that folder.
        breaks: patterns of the files to break, by turns.
        displaced: whether a file may also be missing, a folder or a link.
        writes: whether reading changes files.
    """

    name: str
    needs: str
    make: Callable[[Path], None]
    load: Callable[[Path], object]
    breaks: tuple[str, ...]
    displaced: bool = True
    writes: bool = False

    @property
    def there(self) -> bool:
        """Whether the reader exists."""
        try:
            return find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False


def _late(module: str, function: str) -> Callable[..., object]:
    """A function looked up when it is called, so that one absent reader does not stop the others."""
    return lambda *args, **options: getattr(import_module(module), function)(*args, **options)


def dataset(name: str, **options: object) -> Callable[[Path], object]:
    """A loader that accepts other counts than the published ones."""
    return lambda root: _late("imtext.data", "load_dataset")(name, root, **options)


def _vectors(name: str, make: Callable[[Path], None], file: str, **options: object) -> Target:
    load = _late("imtext.text.vectors", "load_word_vectors")
    return Target(name, "imtext.text.vectors", make, lambda root: load(root / file, **options), (file,))


def _run(root: Path) -> object:
    """Everything that a finished run gives, and the list and the table that show it."""
    runs = import_module("imtext.runs")
    listing = import_module("imtext.runs.listing")
    for listed in listing.list_runs(root, verify=True):
        assert listed["reason"].isprintable()
    listing.table(listing.run_folders(root))
    run = runs.RunStore(root).get("instance", "row", examples.RUN)
    return run and (run.config, run.metrics, run.load_arrays("curves.npz"))


def _go_on(root: Path) -> object:
    """A run taken up again where its process was killed."""
    runs = import_module("imtext.runs")
    with runs.RunStore(root).open("instance", "row", examples.RUN) as run:
        if not run.finished:
            run.save_json("metrics.json", {"rsum": 1.0})
    return run.metrics


def _unpack(root: Path) -> object:
    """The members of an archive in a folder of their own; nothing may be written anywhere else."""
    fetch, archives = import_module("imtext.data.fetch"), import_module("imtext.data.fetch.archives")
    archive, out = next(root.glob("data.*")), root / "out"
    with fetch._disk(root):  # what a name too long for the disk becomes in `fetch`
        written = archives.unpack(archive, out, lambda path: path.as_posix())
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    assert found == set(written) and not any(path.is_symlink() for path in out.rglob("*"))
    assert {path.name for path in root.iterdir()} <= {archive.name, "out"}
    return written


def _pack(root: Path) -> object:
    """A pack with the first and the last of its rows."""
    whole = import_module("imtext.data.pack").open_pack(root / "whole.safetensors")
    if whole.features is not None:
        whole.features[[0, whole.n_images - 1]]
    else:
        import_module("imtext.data.images").open_picture(whole, whole.n_images - 1)
    return whole


def _precomp(root: Path) -> object:
    whole = _late("imtext.data.precomp", "load_precomp")(root, subset=True)
    assert np.isfinite(whole.features[[0, whole.n_images - 1]]).all()
    return whole


def _embeddings(name: str, make: Callable[[Path], None], file: str, breaks: str) -> Target:
    load = _late("imtext.retrieval.embeddings", "load_embeddings")
    return Target(name, "imtext.retrieval.embeddings", make, lambda root: load(root / file), (breaks,))


def _picture(root: Path) -> object:
    """Every picture, small and whole."""
    images = import_module("imtext.data.images")
    for path in sorted(root.iterdir()):
        assert images.decode(path, 8).shape == (3, 8, 8)
        images.read_picture(path)
    return None


def _store(root: Path) -> object:
    """The pictures of a dataset as a store, which skips what it cannot decode."""
    data = import_module("imtext.data")
    images = import_module("imtext.data.images")
    whole = data.load_dataset("flickr8k", root, subset=True)
    store = images.ImageStore.open(whole, 8, root / "cache", on_corrupt="skip", n_jobs=1)
    return store.dataset_without_skipped(whole)


def _late_subset(module: str, function: str) -> Callable[[Path], object]:
    return lambda root: _late(module, function)(root, subset=True)


_SUBSET = {"subset": True}
_own = _late_subset("imtext.data.own", "load_own")
TARGETS: tuple[Target, ...] = (
    Target(
        "flickr8k",
        "imtext.data.tokens_file",
        examples.flickr8k,
        dataset("flickr8k", **_SUBSET),
        ("Flickr8k_text/*",),
    ),
    Target(
        "flickr30k",
        "imtext.data.tokens_file",
        examples.flickr30k,
        dataset("flickr30k", **_SUBSET),
        ("results_20130124.token", "*.txt"),
    ),
    Target(
        "karpathy",
        "imtext.data.karpathy",
        examples.karpathy,
        dataset("karpathy", **_SUBSET),
        ("dataset.json",),
    ),
    Target("coco", "imtext.data.coco", examples.coco, dataset("coco", **_SUBSET), ("annotations/*",)),
    Target(
        "coco, split file",
        "imtext.data.coco",
        examples.coco_split,
        dataset("coco", **_SUBSET),
        ("dataset_coco.json", "annotations/*"),
    ),
    Target(
        "cuhk_pedes",
        "imtext.data.cuhk_pedes",
        examples.cuhk,
        dataset("cuhk_pedes", **_SUBSET),
        ("reid_raw.json",),
    ),
    Target(
        "picturebook",
        "imtext.data.picturebook",
        examples.picturebook,
        dataset("picturebook", train=2, val=1, test=2, size=64),
        ("*/scenes.jsonl", "*/scenes.jsonl", "*/dataset_picturebook.json", "*/picturebook.json"),
    ),
    Target(
        "pedestrians",
        "imtext.data.picturebook.pedestrians",
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
        "imtext.text.vocabulary",
        examples.vocabulary,
        lambda root: import_module("imtext.text.vocabulary").Vocabulary.load(root / "vocabulary.json"),
        ("vocabulary.json",),
    ),
    _embeddings("embeddings, npz", examples.embeddings_npz, "whole.npz", "whole.npz"),
    _embeddings(
        "embeddings, safetens.", examples.embeddings_safetensors, "whole.safetensors", "whole.safetensors"
    ),
    _embeddings("embeddings, folder", examples.embeddings_folder, ".", "*.npy"),
    Target(
        "entities",
        "imtext.data.entities",
        examples.entities,
        _late_subset("imtext.data.entities", "load_flickr30k_entities"),
        ("Sentences/*", "Annotations/*", "Annotations/*", "*.txt", "UNRELATED_CAPTIONS"),
    ),
    Target(
        "precomp",
        "imtext.data.precomp",
        examples.precomp,
        _precomp,
        ("*_ims.npy", "*_ims.npy", "*_caps.txt", "*_ids.txt"),
    ),
    Target("own, csv", "imtext.data.own", examples.own_csv, _own, ("captions.csv",)),
    Target("own, tsv", "imtext.data.own", examples.own_tsv, _own, ("captions.tsv",)),
    Target("own, jsonl", "imtext.data.own", examples.own_json_lines, _own, ("captions.jsonl",)),
    Target("own, json", "imtext.data.own", examples.own_json, _own, ("captions.json",)),
    Target("pack", "imtext.data.pack", examples.pack, _pack, ("whole.safetensors",)),
    Target("pack, features", "imtext.data.pack", examples.pack_features, _pack, ("whole.safetensors",)),
    Target("archive, zip", "imtext.data.fetch", examples.archive_zip, _unpack, ("data.zip",), False),
    Target("archive, tar", "imtext.data.fetch", examples.archive_tar, _unpack, ("data.tar",), False),
    Target("archive, tar.gz", "imtext.data.fetch", examples.archive_tgz, _unpack, ("data.tgz",), False),
    Target("run", "imtext.runs", examples.run_folder, _run, ("instance/row-*/*",)),
    Target(
        "run, broken off", "imtext.runs", examples.run_broken_off, _go_on, ("instance/row-*/*",), writes=True
    ),
    Target("pictures", "imtext.data.images", examples.pictures, _picture, ("a.jpg", "b.png", "*")),
    Target("picture store", "imtext.data.images", examples.flickr8k, _store, ("Flicker8k_Dataset/*",)),
)
