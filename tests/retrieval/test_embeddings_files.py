"""Embeddings of any origin: containers, repeated images, and what no file may do."""

from __future__ import annotations

import os
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imtext.errors import ConfigError, DataError
from imtext.retrieval import evaluate, load_embeddings

K = 3


def make(n=4, k=K, d=5):
    generator = np.random.default_rng(0)
    return {
        "images": generator.normal(size=(n, d)).astype(np.float32),
        "captions": generator.normal(size=(n * k, d)).astype(np.float32),
        "image_of_caption": np.repeat(np.arange(n), k),
    }


def write(root, container, arrays):
    if container == "folder":
        path = root / "folder"
        path.mkdir()
        for key, array in arrays.items():
            np.save(path / f"{key}.npy", array)
    elif container == "safetensors":
        path = root / "x.safetensors"
        save_file({key: torch.from_numpy(array).contiguous() for key, array in arrays.items()}, path)
    else:
        path = root / "x.npz"
        (np.savez_compressed if container == "compressed" else np.savez)(path, **arrays)
    return path


CONTAINERS = pytest.mark.parametrize("container", ["npz", "compressed", "safetensors", "folder"])


@CONTAINERS
def test_every_container_gives_the_same(tmp_path, container):
    arrays = make()
    loaded = load_embeddings(write(tmp_path, container, {**arrays, "extra": np.ones(3)}))
    for found, expected in zip(loaded, arrays.values(), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    assert evaluate(*loaded).to_dict() == evaluate(**arrays).to_dict()


@CONTAINERS
@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("stored", [None, "owner", "arange"])
def test_captions_per_image(tmp_path, container, repeated, stored):
    arrays = make()
    given_ = dict(arrays)
    if repeated:
        given_["images"] = np.repeat(arrays["images"], K, axis=0)
    if stored is None:
        del given_["image_of_caption"]
    elif stored == "arange":
        given_["image_of_caption"] = np.arange(12)
    path = write(tmp_path, container, given_)
    if stored == "arange" and not repeated:
        with pytest.raises(DataError, match="does not give every image 3 captions in a row"):
            load_embeddings(path, captions_per_image=K)
        return
    if repeated and stored == "arange":  # no image would be found by its other captions
        with pytest.raises(DataError, match="runs of 3 equal rows.*pass captions_per_image=3"):
            load_embeddings(path)
    for found, expected in zip(load_embeddings(path, captions_per_image=K), arrays.values(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_nothing_is_assumed(tmp_path):
    arrays = make()
    del arrays["image_of_caption"]
    path = write(tmp_path, "npz", arrays)
    said = r"lacks image_of_caption.*images \(4, 5\), captions \(12, 5\).*captions_per_image=k"
    with pytest.raises(DataError, match=said):
        load_embeddings(path)
    with pytest.raises(DataError, match=r"expected 5 captions for each image.* 4 images and 12 captions"):
        load_embeddings(path, captions_per_image=5)
    np.savez(path, images=np.eye(4), captions=np.eye(4))
    with pytest.raises(DataError, match="k captions in a row"):
        load_embeddings(path)
    assert load_embeddings(path, captions_per_image=1)[2].tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="each image once or 2 times in a row"):
        load_embeddings(path, captions_per_image=2)
    for wrong in (0, -5, 1.5, True, "5"):
        with pytest.raises(ConfigError, match="captions_per_image="):
            load_embeddings(path, captions_per_image=wrong)
    np.savez(path, images=np.ones(4), captions=np.eye(4))
    with pytest.raises(DataError, match="as matrices of numbers"):
        load_embeddings(path, captions_per_image=1)


def test_a_difference_within_a_run_is_found_and_nan_is_none(tmp_path):
    images = np.repeat(np.arange(40.0).reshape(10, 4), 3, axis=0)
    images[3:6, 2] = np.nan  # alike
    path = tmp_path / "x.npz"
    np.savez(path, images=images, captions=images)
    assert len(load_embeddings(path, captions_per_image=3)[0]) == 10
    np.savez(path, images=np.ones((9, 2)), captions=np.ones((9, 2)), image_of_caption=np.arange(9))
    assert len(load_embeddings(path)[0]) == 9  # all alike: no runs
    images[23, 1] += 1
    np.savez(path, images=images, captions=images)
    with pytest.raises(DataError, match="each image once or 3 times in a row"):
        load_embeddings(path, captions_per_image=3)


def test_bfloat16(tmp_path):
    arrays = {key: torch.from_numpy(array) for key, array in make().items()}
    arrays["images"] = arrays["images"].bfloat16()
    save_file(arrays, tmp_path / "x.safetensors")
    images = load_embeddings(tmp_path / "x.safetensors")[0]
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, arrays["images"].float().numpy())


def test_folders(tmp_path):
    path = write(tmp_path, "folder", make())
    assert isinstance(load_embeddings(path)[0], np.memmap)
    (path / "captions.npy").unlink()
    with pytest.raises(DataError, match="folder: lacks captions"):
        load_embeddings(path)
    np.save(path / "captions.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DataError, match="folder: cannot be read"):
        load_embeddings(path)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="cannot be read"):
        load_embeddings(tmp_path / "pipe")
    with pytest.raises(DataError, match="write one with numpy.savez"):
        load_embeddings(tmp_path / ("x" * 300))
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="x.safetensors: cannot be read"):
        load_embeddings(tmp_path / "x.safetensors")


def header(text, version=1):
    body = text.encode() + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(body))
    return b"\x93NUMPY" + bytes([version, 0]) + length + body


@pytest.mark.parametrize(
    "content",
    [
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 512)}"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 512)}"),
        header("{'descr': '|V2147483647', 'fortran_order': False, 'shape': (10**9,)}"),
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 4000 + ",)}"),
        header("(" * 5000),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        b"\x93NUMPY\x09\x00",
    ],
)
def test_headers_that_lie(tmp_path, content):
    """One line of DataError, from an archive or from a folder."""
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for key in ("images", "captions", "image_of_caption"):
            archive.writestr(f"{key}.npy", content)
    folder = write(tmp_path, "folder", make())
    (folder / "images.npy").write_bytes(content)
    for place in (path, folder):
        with pytest.raises(DataError, match="cannot be read|as matrices of numbers"):
            load_embeddings(place)
