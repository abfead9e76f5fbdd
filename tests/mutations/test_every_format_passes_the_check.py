"""A whole example of each format passes `imtext data check`, also as the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import examples
import pytest

from imtext.cli import main
from imtext.data import GENERATED, READERS

# Where the examples hold fewer images than the publisher states.
CUT = ("-p", "subset", "true")
FORMATS: dict[str, tuple[str, Callable[[Path], None], tuple[str, ...]]] = {
    "flickr8k": ("flickr8k", examples.flickr8k, CUT),
    "flickr30k": ("flickr30k", examples.flickr30k, CUT),
    "karpathy": ("karpathy", examples.karpathy, CUT),
    "coco": ("coco", examples.coco, CUT),
    "coco, split file": ("coco", examples.coco_split, CUT),
    "cuhk_pedes": ("cuhk_pedes", examples.cuhk, CUT),
    "picturebook": ("picturebook", examples.picturebook, ()),
    "pedestrians": ("picturebook_pedestrians", examples.pedestrians, ()),
    "entities": ("flickr30k_entities", examples.entities, CUT),
    "precomp": ("precomp", examples.precomp, CUT),
    "coco_precomp": ("coco_precomp", examples.precomp, CUT),
    "f30k_precomp": ("f30k_precomp", examples.precomp, CUT),
    "own, csv": ("own", examples.own_csv, ()),
    "own, tsv": ("own", examples.own_tsv, ()),
    "own, json lines": ("own", examples.own_json_lines, ()),
    "own, json": ("own", examples.own_json, ()),
    "embeddings, npz": ("embeddings", examples.embeddings_npz, ()),
    "embeddings, safetensors": ("embeddings", examples.embeddings_safetensors, ()),
    "embeddings, folder": ("embeddings", examples.embeddings_folder, ()),
}


def test_no_reader_is_forgotten() -> None:
    assert {*GENERATED, *READERS} == {name for name, _, _ in FORMATS.values()} - {"embeddings"}


@pytest.mark.parametrize("format", FORMATS)
def test_passes(format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, make, options = FORMATS[format]
    make(tmp_path)
    root = tmp_path
    if name == "embeddings" and len(list(tmp_path.iterdir())) == 1:
        root = next(tmp_path.iterdir())
    code = main(["data", "check", name, "--root", str(root), "--json", *options])
    report = json.loads(capsys.readouterr().out)
    assert code == 0, report
    assert not [finding for finding in report["findings"] if finding["level"] == "error"]
    assert main(["data", "check", name, "--root", str(root), *options]) == 0
    assert capsys.readouterr().out.startswith(name)
