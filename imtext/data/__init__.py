"""Datasets: one schema, a reader per public format, the generated default, images, transforms, samplers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from imtext.data.assemble import Found, assemble
from imtext.data.coco import read_coco, read_karpathy
from imtext.data.dataset import Dataset, ImageFeatures, Phrases, Regions
from imtext.data.files import Files
from imtext.data.flickr import read_entities, read_flickr
from imtext.data.own import read_own
from imtext.data.pedes import read_pedes
from imtext.data.precomp import read_precomp
from imtext.errors import ConfigError

__all__ = ["GENERATED", "READERS", "Dataset", "ImageFeatures", "Phrases", "Regions", "load_dataset"]

READERS: Mapping[str, Callable[..., Found]] = {
    "flickr8k": partial(read_flickr, "flickr8k"),
    "flickr30k": partial(read_flickr, "flickr30k"),
    "coco": read_coco,
    "cuhk_pedes": read_pedes,
    "flickr30k_entities": read_entities,
    "karpathy": read_karpathy,
    "precomp": partial(read_precomp, "precomp"),
    "coco_precomp": partial(read_precomp, "coco_precomp"),
    "f30k_precomp": partial(read_precomp, "f30k_precomp"),
    "own": read_own,
}
"""What reads each dataset that lies on disk, by name."""
GENERATED = ("picturebook", "picturebook_pedestrians")
"""Datasets that need no data root."""
LARGEST = 256
"""Largest side, in pixels, that their pictures are drawn at."""
_SHARED = tuple(inspect.signature(assemble).parameters)[1:]


def load_dataset(name: str, data_root: str | os.PathLike[str] | None = None, **options: Any) -> Dataset:
    """Load a dataset by name.

    Args:
        name: ``picturebook`` and ``picturebook_pedestrians`` (generated when absent), ``flickr8k``,
            ``flickr30k`` (Karpathy's JSON, else the token file or Kaggle's table with lists of the splits),
            ``coco`` (annotation files, split by Karpathy's JSON where that is there), ``cuhk_pedes``,
            ``flickr30k_entities`` (phrases and boxes too), ``karpathy`` (any file in that form), ``precomp``,
            ``coco_precomp``, ``f30k_precomp`` (features computed by others), ``own`` (a folder of images and
            a table of captions).
        data_root: folder of the data, or a pack of it (one file, see :mod:`imtext.data.pack`); only generated
            datasets can do without.
        options: ``subset``, ``on_empty``, ``check_files`` and ``images`` of
            :func:`imtext.data.assemble.assemble`, and those of the reader; for ``picturebook`` and
            ``picturebook_pedestrians`` the sizes ``train``, ``val``, ``test``, ``size`` and ``seed``. A pack
            was read when it was written and takes only the first four.

    Raises:
        ConfigError: the name or an option is unknown, or a data root is needed.
        DataError: a file is missing or odd; the message names it.

    >>> load_dataset("flickr9k")
    Traceback (most recent call last):
    imtext.errors.ConfigError: dataset='flickr9k': expected one of picturebook, ...
    """
    known = options_of(name)
    if name not in GENERATED and data_root is None:
        raise ConfigError(f"dataset {name!r} is read from disk: pass data_root, the folder that holds it")
    packed = is_pack(data_root)
    known = _SHARED if packed else known
    for option in options.keys() - known:
        of = f"dataset {name!r}{' from a pack' * packed}"
        raise ConfigError(f"{of}: unknown option {option!r}; expected one of {', '.join(known)}")
    if packed:
        from imtext.data.pack import load_pack  # imported here, since packs import Dataset

        return load_pack(name, data_root)
    reader = _reader(name)
    if name in GENERATED:
        return reader(data_root, **options)
    own = {key: value for key, value in options.items() if key in inspect.signature(reader).parameters}
    shared = {key: value for key, value in options.items() if key in _SHARED}
    return assemble(reader(Files(data_root, f"the files of {name}"), **own), **shared)


def options_of(name: str) -> tuple[str, ...]:
    """The options that :func:`load_dataset` takes for a dataset.

    Raises:
        ConfigError: there is no dataset of that name.

    >>> options_of("coco")
    ('year', 'subset', 'on_empty', 'check_files', 'images')
    """
    if name not in (*GENERATED, *READERS):
        raise ConfigError(f"dataset={name!r}: expected one of {', '.join((*GENERATED, *READERS))}")
    own = tuple(inspect.signature(_reader(name)).parameters)[1:]
    return own if name in GENERATED else tuple(dict.fromkeys((*own, *_SHARED)))


def is_pack(data_root: str | os.PathLike[str] | None) -> bool:
    """Whether a data root is a file, which must be a pack (:func:`imtext.data.pack.write_pack`).

    >>> is_pack(None), is_pack("no/such/pack.safetensors")
    (False, False)
    """
    return os.path.isfile(os.path.expanduser(data_root or "."))


def _reader(name: str) -> Callable[..., Any]:
    if name in READERS:
        return READERS[name]
    from imtext.data.generated import load_generated  # drawing pulls in modules that readers never need

    return partial(load_generated, name)
