"""Embeddings for evaluation are computed in float32, also where training runs under bfloat16 autocast."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from imtext.experiment.compute import in_blocks
from imtext.models import TextCNN, dual_path
from imtext.training.device import Fabric, make_fabric

CODES = np.array([[1, 2, 3, 0], [4, 5, 0, 0]])


def under_autocast() -> Fabric:
    return make_fabric("cpu", precision="bf16")


def test_training_takes_products_in_bfloat16() -> None:
    net, given = nn.Linear(64, 8), torch.ones(1, 64)
    for fabric, coarse in ((under_autocast(), True), (make_fabric("cpu"), False)):
        found = fabric.setup(net)(given)
        assert found.dtype == torch.float32 and found.equal(found.bfloat16().float()) is coarse


def test_features_of_one_side() -> None:
    net, rows = nn.Linear(64, 8), np.random.default_rng(0).normal(size=(5, 64)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(rows)).numpy()
    assert np.abs(in_blocks(net, rows, under_autocast()) - expected).max() < 1e-5


def test_views_of_a_picture_and_captions() -> None:
    net = dual_path(TextCNN(words=5, word_dim=8, width=0.125), image_dim=6, dim=16).eval()
    views = np.random.default_rng(0).normal(size=(3, 2, 6)).astype(np.float32)
    with torch.no_grad():
        images = sum(net.embed_images(torch.from_numpy(views[:, side])) for side in (0, 1)) / 2
        captions = net.embed_captions(torch.from_numpy(CODES))
    assert np.abs(in_blocks(net.embed_images, views, under_autocast()) - images.numpy()).max() < 1e-5
    assert np.abs(in_blocks(net.embed_captions, CODES, under_autocast()) - captions.numpy()).max() < 1e-5
