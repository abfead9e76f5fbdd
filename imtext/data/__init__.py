"""Datasets: one schema, a reader per public format, the generated default, images, transforms, samplers."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from imtext.data.coco import load_coco
from imtext.data.common import data_folder
from imtext.data.cuhk_pedes import load_cuhk_pedes
from imtext.data.entities import load_flickr30k_entities
from imtext.data.karpathy import find_karpathy_json, load_karpathy
from imtext.data.own import load_own
from imtext.data.precomp import load_precomp
from imtext.data.schema import Dataset, ImageFeatures, Phrases, Regions
from imtext.data.tokens_file import has_token_file, load_flickr8k, load_flickr30k
from imtext.errors import ConfigError, DataError

__all__ = ["DATASETS", "GENERATED", "Dataset", "ImageFeatures", "Phrases", "Regions", "load_dataset"]


def _picturebook() -> Callable[..., Dataset]:
    # Imported here: drawing pulls in modules that readers of real data never need.
    from imtext.data.generated import load_picturebook

    return load_picturebook


def _pedestrians() -> Callable[..., Dataset]:
    from imtext.data.generated import load_pedestrians

    return load_pedestrians


def _flickr(name: str, tokens: Callable[..., Dataset]) -> Callable[..., Dataset]:
    """A reader for a folder with Karpathy's JSON or the token files; the JSON wins where both are there."""

    def load(
        data_root: str | os.PathLike[str],
        on_empty: str = "raise",
        subset: bool = False,
        check_files: bool = True,
    ) -> Dataset:
        root = data_folder(data_root, name, f"dataset_{name}.json or the token file")
        options = {"on_empty": on_empty, "subset": subset, "check_files": check_files}
        path = find_karpathy_json(root, name)
        if path is not None:
            return load_karpathy(root, name=name, json_file=path.name, **options)
        if has_token_file(root, name) or name == "flickr8k":
            return tokens(root, **options)
        raise DataError(
            f"{root}: expected dataset_{name}.json or results_20130124.token, found neither; "
            "fetch one of them or correct data_root"
        )

    return load


DATASETS: Mapping[str, Callable[[], Callable[..., Dataset]]] = MappingProxyType(
    {
        "picturebook": _picturebook,
        "picturebook_pedestrians": _pedestrians,
        "flickr8k": lambda: _flickr("flickr8k", load_flickr8k),
        "flickr30k": lambda: _flickr("flickr30k", load_flickr30k),
        "coco": lambda: load_coco,
        "cuhk_pedes": lambda: load_cuhk_pedes,
        "flickr30k_entities": lambda: load_flickr30k_entities,
        "karpathy": lambda: load_karpathy,
        "precomp": lambda: load_precomp,
        "coco_precomp": lambda: partial(load_precomp, name="coco_precomp"),
        "f30k_precomp": lambda: partial(load_precomp, name="f30k_precomp"),
        "own": lambda: load_own,
    }
)
"""Name of each dataset and a function that returns its loader."""
GENERATED = ("picturebook", "picturebook_pedestrians")
"""Datasets that need no data root."""


def load_dataset(name: str, data_root: str | os.PathLike[str] | None = None, **options: object) -> Dataset:
    """Load a dataset by name.

    Args:
        name: one of ``DATASETS``: ``picturebook`` and ``picturebook_pedestrians`` (generated when absent),
            ``flickr8k``, ``flickr30k`` (Karpathy's JSON or the token file, whichever is there), ``coco``
            (annotation files, split by Karpathy's JSON where that is there), ``cuhk_pedes``,
            ``flickr30k_entities`` (phrases and boxes too), ``karpathy`` (any file in that form), ``precomp``,
            ``coco_precomp``, ``f30k_precomp`` (features computed by others), ``own`` (a folder of images and
            a table of captions).
        data_root: folder of the data, or a pack of it (one ``.safetensors`` file, see
            :mod:`imtext.data.pack`); only generated datasets can do without.
        options: passed to the loader, for example ``on_empty="skip"``, ``subset=True``; for ``picturebook``
            and ``picturebook_pedestrians`` the sizes ``train``, ``val``, ``test``, ``size`` and ``seed``.

    Raises:
        ConfigError: the name or an option is unknown, or a data root is needed.
        DataError: a file is missing or odd; the message names it.

    >>> load_dataset("flickr9k")
    Traceback (most recent call last):
    imtext.errors.ConfigError: dataset='flickr9k': expected one of picturebook, ...
    """
    if name not in DATASETS:
        raise ConfigError(f"dataset={name!r}: expected one of {', '.join(DATASETS)}")
    if name not in GENERATED and data_root is None:
        raise ConfigError(f"dataset {name!r} is read from disk: pass data_root, the folder that holds it")
    if is_pack(data_root):
        from imtext.data.pack import load_pack  # imported here: it pulls in torch

        return load_pack(name, data_root)
    loader = DATASETS[name]()
    known = list(inspect.signature(loader).parameters)[1:]
    unknown = sorted(set(options) - set(known))
    if unknown and not _takes_any(loader):
        raise ConfigError(
            f"dataset {name!r}: unknown option {unknown[0]!r}; expected one of {', '.join(known)}"
        )
    return loader(None if data_root is None else Path(data_root), **options)


def is_pack(data_root: str | os.PathLike[str] | None) -> bool:
    """Whether a data root is a file that may be a pack (:func:`imtext.data.pack.write_pack`).

    >>> is_pack(None), is_pack("no/such/pack.safetensors")
    (False, False)
    """
    path = Path(os.path.expanduser(data_root or "."))
    return path.suffix == ".safetensors" and path.is_file()


def _takes_any(loader: Callable[..., Dataset]) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(loader).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds
