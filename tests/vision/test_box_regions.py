"""Regions from boxes, in the files of precomputed features: against one box at a time."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from test_regions import Squares, features_of

from imtext.data import load_dataset
from imtext.data.dataset import Dataset
from imtext.data.images import ImageStore
from imtext.errors import ConfigError, DataError
from imtext.vision import image_extents, proposals, regions, write_box_regions
from imtext.vision.regions import even_rows

BOXES = 12
SPLITS = ("train", "test", "train", "val", "train", "test")
CAPTIONS = (3, 1, 2, 2, 1, 4)  # of the images; they come in another order than the images


@pytest.fixture
def data(tmp_path) -> Dataset:
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    folder.mkdir()
    for i in range(len(SPLITS)):
        picture = np.full((40 + 5 * i, 60, 3), 255, np.uint8)
        for _ in range(i):  # the first is blank: there is nothing to propose but the whole
            y, x = rng.integers(0, 30, 2)
            picture[y : y + 15, x : x + 20] = rng.integers(0, 200, 3)
        Image.fromarray(picture).save(folder / f"{i}.png")
    owner = np.repeat(np.arange(len(SPLITS)), CAPTIONS)
    order = rng.permutation(len(owner))
    captions = [f"caption {k}\n  of\u2028picture {owner[k]}" for k in order]
    files = tuple(f"{i}.png" for i in range(len(SPLITS)))
    ids = tuple(f"id {i}" for i in range(len(SPLITS)))
    groups = np.arange(len(SPLITS))
    return Dataset("some", folder, files, ids, tuple(captions), owner[order], np.array(SPLITS), groups)


def test_every_row_is_that_of_its_own_box(data, tmp_path):
    net = Squares()
    found = load_dataset("precomp", write_box_regions(data, tmp_path / "out", net, BOXES, size=64))
    assert found.features.shape == (6, BOXES, 50)
    assert sorted(found.image_ids) == sorted(data.image_ids)
    short = 0
    for row, name in enumerate(found.image_ids):
        image = data.image_ids.index(name)
        one = data.take([image])
        store = ImageStore.open(one, 64, tmp_path / "one", fit="squash")
        own = proposals(data.image_path(image), BOXES)
        short += len(own) < BOXES
        for place in range(BOXES):
            box, extents = own[place % len(own)][None], image_extents(one)
            alone = features_of(net, store, box, np.zeros(1, int), extents, tmp_path / "one")
            assert np.abs(found.features[np.array([row])][0, place] - alone[0]).max() < 1e-4
        assert found.split_of_image[row] == SPLITS[image]
        said = {found.captions[k] for k in found.captions_of(row)}
        assert said == {" ".join(data.captions[k].split()) for k in data.captions_of(image)}
        assert len(found.captions_of(row)) == CAPTIONS[image]
    assert 0 < short < 6
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{stem}_{kind}" for stem in ("train", "dev", "test") for kind in ("ims.npy", "caps.txt", "ids.txt")
    )


def test_even_rows_by_loops():
    rng = np.random.default_rng(1)
    for count in (1, 2, 7):
        counts = rng.integers(1, 6, 9)
        owner = np.repeat(np.arange(9), counts)
        rows = even_rows(owner, count)
        for image in range(9):
            own = [p for p in range(len(owner)) if owner[p] == image]
            assert rows[image].tolist() == [own[k % len(own)] for k in range(count)]


def test_blocks_change_nothing(data, tmp_path, monkeypatch):
    whole = write_box_regions(data, tmp_path / "whole", Squares(), 5, size=64)
    monkeypatch.setattr(regions, "_BLOCK", 2)
    parts = write_box_regions(data, tmp_path / "parts", Squares(), 5, size=64)
    for path in whole.iterdir():
        assert path.read_bytes() == (parts / path.name).read_bytes()


def test_a_call_that_broke_off_goes_on_from_its_cache(data, tmp_path):
    stopped = Squares(stop_after=3)
    with pytest.raises(KeyboardInterrupt):
        write_box_regions(data, tmp_path / "out", stopped, 5, size=64, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "out").iterdir())
    net = Squares()
    write_box_regions(data, tmp_path / "out", net, 5, size=64, cache_dir=tmp_path / "cache")
    assert 0 < net.seen[0] < 6  # the test split, which came first, is not computed again
    assert load_dataset("precomp", tmp_path / "out").features.shape == (6, 5, 50)


def test_bad_input_is_one_line(data, tmp_path):
    for boxes in (0, -1, True, 2.0):
        with pytest.raises(ConfigError, match="boxes=.*: expected an integer of 1 or more"):
            write_box_regions(data, tmp_path / "out", Squares(), boxes)
    with pytest.raises(ConfigError, match="C9"):
        write_box_regions(data, tmp_path / "out", Squares(), 2, size=64, stages=("C9",))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_box_regions(data, tmp_path / "file" / "out", Squares(), 2, size=64)
    broken = Squares()
    broken.broken = True
    with pytest.raises(DataError, match="hold NaN or infinity"):
        write_box_regions(data, tmp_path / "out", broken, 2, size=64)
    data.image_path(0).unlink()
    with pytest.raises(DataError, match="0.png"):
        write_box_regions(data, tmp_path / "out", Squares(), 2, size=64)
    assert not list((tmp_path / "out").iterdir())
