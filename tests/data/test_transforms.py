"""Crops, mirrors and normalisation against plain loops and torchvision."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from imtext.data.transforms import (
    _resized_crops,
    _resized_crops_one_by_one,
    augment,
    centre,
    normalise,
    random_boxes,
)
from imtext.errors import ConfigError, DataError
from imtext.precision import working_precision


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 6, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=seeded(9), dtype=torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 90), (200, 40)])
def test_boxes_lie_inside_and_cover_the_share(height, width):
    boxes = random_boxes(4000, height, width, seeded(), scale=(0.3, 0.9))
    top, left, tall, wide = boxes.unbind(1)
    assert top.min() == left.min() == 0
    assert (top + tall).max() == height and (left + wide).max() == width
    share = tall * wide / (height * width)
    assert share.min() > 0.27 and share.max() < 0.93
    assert abs(float(share.mean()) - 0.6) < 0.02


def test_random_numbers_come_from_the_generator_alone():
    images = noise()
    torch.manual_seed(1)
    first = augment(images, 24, seeded(3))
    torch.manual_seed(2)
    assert torch.equal(first, augment(images, 24, seeded(3)))
    assert not torch.equal(first, augment(images, 24, seeded(4)))
    state = torch.get_rng_state()
    augment(images, 24, seeded(3))
    assert torch.equal(state, torch.get_rng_state())


def test_precision_of_what_computes_changes_no_draw():
    images = torch.randint(0, 256, (16, 3, 12, 12), dtype=torch.uint8)
    found = []
    for precision in ("32", "64"):
        with working_precision(precision):
            found.append(augment(images, 6, torch.Generator().manual_seed(0)))
    assert torch.equal(*found)


def test_every_sample_has_its_own_crop():
    out = augment(noise(1).expand(8, -1, -1, -1), 24, seeded(), flip=False)
    assert len(out.flatten(1).unique(dim=0)) == 8


def test_whole_image_without_flip_is_the_image():
    images, generator, boxes_alone = noise(), seeded(), seeded()
    assert torch.equal(augment(images, 32, generator, scale=(1.0, 1.0), flip=False), images)
    random_boxes(6, 32, 32, boxes_alone, scale=(1.0, 1.0))
    assert torch.equal(generator.get_state(), boxes_alone.get_state())  # no number is drawn for a mirror


def test_about_half_is_mirrored():
    images = noise(1).expand(400, -1, -1, -1)
    out = augment(images, 32, seeded(), scale=(1.0, 1.0))
    straight = (out == images).flatten(1).all(1)
    turned = (out == images.flip(-1)).flatten(1).all(1)
    assert (straight ^ turned).all() and 150 < int(turned.sum()) < 250


@pytest.mark.parametrize("crop", [12, 24, 40])
def test_batched_crops_equal_torchvision(crop):
    smooth = torch.linspace(0, 255, 40)[None, None, None, :] * torch.linspace(0.2, 1, 32)[None, None, :, None]
    for images in (noise(16, 32, 40), smooth.expand(16, 3, -1, -1).to(torch.uint8).contiguous()):
        boxes = random_boxes(16, 32, 40, seeded(), scale=(0.3, 1.0))
        one_by_one = _resized_crops_one_by_one(images, boxes, crop).int()
        batched = _resized_crops(images, boxes, crop).int()
        assert (one_by_one - batched).abs().max() <= 1


def test_centre():
    images = noise(2, 8, 8)
    assert torch.equal(centre(images, 4), images[:, :, 2:6, 2:6])
    with pytest.raises(ConfigError, match="crop=9: expected an integer from 1 to 8"):
        centre(images, 9)


def test_normalise_is_the_formula():
    images = noise(2, 4, 4)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    out = normalise(images, mean, std)
    assert out.dtype == torch.float32
    for b in range(2):
        for c in range(3):
            expected = (images[b, c].double() / 255 - mean[c]) / std[c]
            torch.testing.assert_close(out[b, c].double(), expected, atol=1e-5, rtol=0)


def test_bad_input():
    images = noise(2)
    with pytest.raises(DataError, match="expected uint8"):
        augment(images.float(), 8, seeded())
    with pytest.raises(DataError, match="expected uint8"):
        normalise(images[0], (0.5,) * 3, (0.5,) * 3)
    with pytest.raises(ConfigError, match="scale="):
        augment(images, 8, seeded(), scale=(0.0, 1.0))
    with pytest.raises(ConfigError, match="crop=0"):
        augment(images, 0, seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_cpu():
    images = noise(16, 48, 48)
    here = augment(images, 32, seeded(5)).int()
    there = augment(images.cuda(), 32, seeded(5)).cpu().int()
    assert (here - there).abs().max() <= 1


def test_crops_are_the_same_on_a_plainer_processor() -> None:
    draw = (
        "import hashlib, torch; from imtext.data.transforms import augment; "
        "x = torch.arange(8 * 3 * 40 * 40).reshape(8, 3, 40, 40).mul(7919).remainder(256).to(torch.uint8); "
        "y = augment(x, 32, torch.Generator().manual_seed(0)); "
        "print(hashlib.sha256(y.numpy().tobytes()).hexdigest())"
    )
    plainer = os.environ | {"ATEN_CPU_CAPABILITY": "default"}
    command = [sys.executable, "-c", draw]
    found = [subprocess.check_output(command, env=environment) for environment in (os.environ, plainer)]
    assert found[0] == found[1]
