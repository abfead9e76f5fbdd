"""``imtext data pack`` and ``imtext data verify``: a dataset in one file, and whether it arrived whole."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from imtext.commands.common import add_command, add_option, typed_path, yaml_option


def add(actions: Any) -> None:
    """Declare both commands on the subparsers of ``imtext data``."""
    pack = add_command(
        actions,
        "pack",
        "write a dataset into one memory-mapped file",
        _pack,
        "The file holds the pictures at one size, or the features where the dataset comes as such, with all "
        "captions, splits and boxes. Give it as data_root, in place of the folder.",
    )
    pack.add_argument("name", metavar="NAME", help="name of the dataset, such as flickr8k or coco")
    pack.add_argument("--root", type=typed_path, default=None, metavar="DIR", help="folder of the dataset")
    about = "the pack to write"
    pack.add_argument("--out", type=typed_path, required=True, metavar="FILE.safetensors", help=about)
    pack.add_argument("--size", type=int, default=256, help="side of the pictures in pixels (default: 256)")
    about = "crop the centre (default), or squeeze the whole picture into the square"
    pack.add_argument("--fit", choices=("cover", "squash"), default="cover", help=about)
    pack.add_argument("--skip-corrupt", action="store_true", help="leave out images that cannot be decoded")
    add_option(pack)
    verify = add_command(actions, "verify", "compare a pack with its checksums", _verify)
    verify.add_argument("file", type=typed_path, metavar="FILE", help="a pack written by 'imtext data pack'")


def _pack(arguments: argparse.Namespace) -> None:
    from imtext.data import load_dataset
    from imtext.data.pack import open_pack, write_pack

    options = dict(yaml_option(text) for text in arguments.option)
    dataset = load_dataset(arguments.name, arguments.root, **options)
    start = time.perf_counter()
    how = {"size": arguments.size, "fit": arguments.fit, "reader": arguments.name}
    corrupt = "skip" if arguments.skip_corrupt else "raise"
    path = write_pack(dataset, arguments.out, **how, on_corrupt=corrupt)
    new = open_pack(path).notes[len(dataset.notes) :]
    print(f"wrote {_described(path)}, {time.perf_counter() - start:,.1f} s", *new, sep="\n")


def _verify(arguments: argparse.Namespace) -> None:
    from imtext.data.pack import open_pack

    start = time.perf_counter()
    dataset = open_pack(arguments.file, verify=True)
    print(f"{dataset.summary()}\nwhole: {_described(arguments.file)}, {time.perf_counter() - start:,.1f} s")


def _described(path: Path) -> str:
    """Name, bytes, and what the pack holds."""
    from imtext.data.pack import opened

    pack = opened(path)
    about = f"{pack.size} pixels, {pack.about['fit']}" if pack.size else "features"
    return f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {len(pack.main):,} images ({about})"
