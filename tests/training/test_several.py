"""Two processes share each batch, as GPUs do: loss and gradients are those of one on the whole batch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from imtext import losses
from imtext.errors import ConfigError
from imtext.models import SCAN, GRUText, two_branch, vse
from imtext.precision import working_precision
from imtext.threads import torch_threads
from imtext.training import (
    Constraint,
    DualPathObjective,
    HingeObjective,
    Recipe,
    SingleObjective,
    StructureObjective,
    fit,
    make_fabric,
)

PAIRS = 7  # no multiple of two
WORDS = dict(words=9, word_dim=4)


class Sides(nn.Module):
    """Both sides by one layer each, and as a network of pictures the first alone; no batch norm."""

    def __init__(self, inputs, dim):
        super().__init__()
        self.image, self.text, self.dim = nn.Linear(inputs, dim), nn.Embedding(10, dim), dim

    def embed_images(self, images):
        return self.image(images)

    def forward(self, images, second):
        if second.dtype == torch.bool:
            return self.image(images)
        return self.image(images), self.text(second).mean(1)


def objective(name):
    """An objective of each kind, and a batch for it."""
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(1)
    codes = torch.randint(1, 10, (PAIRS, 5), generator=draw).tril(2)
    batch = {"codes": codes, "lengths": (codes > 0).sum(1).tolist()}
    batch |= {"images": torch.randn(PAIRS, 6, generator=draw), "groups": torch.tensor([0, 1, 2, 1, 3, 4, 5])}
    if name == "vse":
        net = vse(GRUText(**WORDS, dim=8), image_dim=6, dim=8)
        return HingeObjective(net, constraint=Constraint(distance="cosine", reading="released_cosine")), batch
    if name.startswith("scan"):
        regions = torch.randn(PAIRS, 3, 6, generator=draw)
        net = SCAN(**WORDS, dim=8, region_dim=6, direction=name[5:], pooling="lse")
        return HingeObjective(net, negatives="all"), batch | {"images": regions}
    if name == "released":
        batch |= {"candidates": torch.randint(1, 10, (11, 5), generator=draw)}
        batch |= {"candidate_classes": torch.arange(11) % 6}
        instance = losses.InstanceLoss(8, 6, dropout=0.0)
        return DualPathObjective(Sides(6, 8), instance, (1, 1, 1), negatives="released"), batch
    if name == "structure":
        texts, match = torch.randn(11, 5, generator=draw), torch.arange(7)[:, None] == torch.arange(11) % 7
        net = two_branch(6, 5, dim=8, hidden=9, dropout=0.0, norm=False)
        return StructureObjective(net, lambdas=(1, 0, 0.5)), batch | {"texts": texts, "match": match}
    single = SingleObjective(Sides(6, 8), classes=6, weight=0.5)
    single.centre.centres.normal_(generator=draw)
    is_text = torch.arange(PAIRS) > 3
    return single, {"inputs": batch["images"], "classes": batch["groups"], "is_text": is_text}


NAMES = ("vse", "scan t-i", "scan i-t", "released", "structure", "single")


def found(name, fabric):
    """What an objective reports, its gradients and its state after a step."""
    model, batch = objective(name)
    model.fabric = fabric
    wrapped = fabric.setup(model, torch.optim.SGD(model.parameters(), lr=0.1))[0]
    out = wrapped(batch)
    fabric.backward(out["loss"])
    gradients = {f"gradient of {name}": one.grad for name, one in model.named_parameters()}
    whole = out | gradients | dict(model.named_buffers())
    return {key: value.detach() for key, value in whole.items() if value is not None}


class Norm(nn.Module):
    """A batch norm and its loss."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def forward(self, batch):
        return {"loss": self.norm(batch["x"]).sum()}


def main(folder: Path) -> None:
    """What each of two processes does."""
    with working_precision("64"), torch_threads(1):
        fabric = make_fabric("cpu", devices=2)
        assert fabric.world_size == 2
        torch.save({name: found(name, fabric) for name in NAMES}, folder / f"{fabric.global_rank}.pt")
        with pytest.raises(ConfigError, match="batch norm"):
            fit(fabric, Norm(), Recipe(1, 0.1), lambda epoch: [{"x": torch.ones(2, 2)}], folder)


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    done = subprocess.run([sys.executable, __file__, folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradients_are_those_of_one_process_on_the_whole_batch(name, of_two):
    with working_precision("64"), torch_threads(1):
        alone = found(name, make_fabric("cpu"))
    assert any(key.startswith("gradient") and value.any() for key, value in alone.items())
    for both in of_two:
        torch.testing.assert_close(both[name], alone, rtol=1e-12, atol=1e-14)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
