"""COCO's own numbers of captions, found again for a dataset that was read from its files."""

import numpy as np
import pytest
from folders import coco_file, entry, write

from imtext.data import load_dataset
from imtext.data.coco import coco_caption_ids
from imtext.errors import DataError

# image id -> captions with their annotation ids, in the order of the file.
CAPTIONS = {
    42: [("A dog.", 7), ("A  dog.", 3), ("", 9), ("Two dogs.", 8)],
    73: [("A cat.", 5), ("Cats.\n", 1)],
}


FILES = {i: f"COCO_val2014_{i:012d}.jpg" for i in CAPTIONS}


@pytest.fixture
def native(tmp_path):
    """COCO's own file of the validation images, whose captions stand mixed."""
    said = [(k, i, number, text) for i, found in CAPTIONS.items() for k, (text, number) in enumerate(found)]
    write(tmp_path / "captions_val2014.json", coco_file(FILES, [one[1:] for one in sorted(said)]))
    return tmp_path


@pytest.fixture
def karpathy(tmp_path):
    """Karpathy's file alone."""
    images = []
    for image, found in CAPTIONS.items():
        said = [{"raw": text, "sentid": number} for text, number in found if text]
        images.append(entry(FILES[image], "test", (), cocoid=image) | {"sentences": said})
    write(tmp_path / "dataset_coco.json", {"dataset": "coco", "images": images})
    return tmp_path


def _load(root):
    return load_dataset("coco", root, on_empty="skip", subset=True, check_files=False)


@pytest.mark.parametrize("kind", ["native", "karpathy"])
def test_every_caption_has_its_number(kind, request):
    root = request.getfixturevalue(kind)
    data = _load(root)
    ids = coco_caption_ids(root, data)
    assert ids.dtype == np.int64
    found = {
        (int(data.image_ids[owner]), caption, int(number))
        for owner, caption, number in zip(data.image_of_caption, data.captions, ids, strict=True)
    }
    # Twice the same words: the first is the first in the file. The empty one was skipped.
    assert found == {
        (42, "A dog.", 7), (42, "A dog.", 3), (42, "Two dogs.", 8), (73, "A cat.", 5), (73, "Cats.", 1),
    }  # fmt: skip
    assert ids[data.captions_of(data.image_ids.index("42"))].tolist() == [7, 3, 8]
    assert coco_caption_ids(root, data.take([1])).tolist() == ids[data.captions_of(1)].tolist()


def test_what_does_not_fit_is_named(native, tmp_path):
    data = _load(native)
    path = native / "captions_val2014.json"
    path.write_text(path.read_text().replace("Two dogs.", "Three dogs."))
    with pytest.raises(DataError, match="expected the caption 'Two dogs.' for image 42"):
        coco_caption_ids(native, data)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="expected dataset_coco.json, found none; put it or captions_"):
        coco_caption_ids(empty, data)
